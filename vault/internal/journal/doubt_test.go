package journal

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// journalled is a history whose log reached a place in four messages.
func journalled(t *testing.T) (*history, *memory) {
	h, p := newFixture(t).history(), newMemory()
	for range 4 {
		h.grow(2)
		h.send(p)
	}
	if len(p.messages[1]) < 4 {
		t.Fatalf("%d messages", len(p.messages[1]))
	}
	return h, p
}

func (h *history) whole(p *memory) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := reading{}
	for _, data := range p.messages[1] {
		m, err := Decode(data, h.d.Ring.Verifier())
		if err != nil {
			continue
		}
		r.add(m)
	}
	return r.begun && r.end == h.grow(0) && len(r.spans) == 0
}

// TestAPlaceThatHoldsLessIsDoubted: nothing is appended to it, and nothing counts as durable,
// before custodians confirm; then it is filled again.
func TestAPlaceThatHoldsLessIsDoubted(t *testing.T) {
	for name, cut := range map[string]func(all [][]byte) [][]byte{
		"emptied":                func([][]byte) [][]byte { return nil },
		"shortened":              func(all [][]byte) [][]byte { return all[:2] },
		"its beginning withheld": func(all [][]byte) [][]byte { return all[1:] },
		"its end replayed":       func(all [][]byte) [][]byte { return append(slices.Clone(all), all[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			h, p := journalled(t)
			all := p.messages[1]
			p.messages[1] = cut(all)
			before, calls := h.grow(0), p.calls
			if err := h.begin(p); !errors.Is(err, ErrDoubted) {
				t.Fatalf("begin: %v", err)
			}
			j := h.journal(p)
			stop := h.d.run(j)
			waittest.For(t, "the doubt", func() bool { return j.State().Doubt != "" })
			short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if err := j.Durable(short, before); !errors.Is(err, ErrDoubted) {
				t.Errorf("durable: %v", err)
			}
			select {
			case <-j.Believed():
				t.Error("it is trusted")
			default:
			}
			if p.calls != calls {
				t.Error("something was appended")
			}
			if n := h.found(book.FindingJournalDoubted); n != 2 { // by the two journals
				t.Errorf("%d findings", n)
			}
			if err := j.Confirm(func(string) error { return errors.New("no") }); err == nil || j.State().Doubt == "" {
				t.Errorf("a word that is not in the log counts: %v", err)
			}
			must(t, j.Confirm(func(lack string) error {
				return h.recordFinding(t.Context(), book.IntegrityFound{Finding: book.FindingLedgerConfirmed, Detail: lack})
			}))
			h.d.durable(j, h.grow(0))
			<-j.Believed()
			waittest.For(t, "the place to be whole", func() bool { return h.whole(p) })
			if err := j.Confirm(func(string) error { return nil }); !errors.Is(err, ErrNotDoubted) {
				t.Errorf("confirmed again: %v", err)
			}
			must(t, stop())
			must(t, h.begin(p))
		})
	}
}

// TestWhatIsPutBackIsBelieved: a place that is complete again needs no custodian.
func TestWhatIsPutBackIsBelieved(t *testing.T) {
	h, p := journalled(t)
	all := p.messages[1]
	p.messages[1] = nil
	j := h.journal(p)
	stop := h.d.run(j)
	waittest.For(t, "the doubt", func() bool { return j.State().Doubt != "" })
	p.set(func() { p.messages[1] = all })
	h.d.durable(j, h.grow(0))
	must(t, stop())
}

// TestAHoleIsDoubted where it is found before the place is trusted; one that is found later is
// reported, and sent again.
func TestAHoleIsDoubted(t *testing.T) {
	for name, hole := range map[string]func(all [][]byte) [][]byte{
		"a message gone": func(all [][]byte) [][]byte { return slices.Delete(slices.Clone(all), 1, 2) },
		"a message altered": func(all [][]byte) [][]byte {
			all = slices.Clone(all)
			all[1] = append(slices.Clone(all[1]), 0)
			return all
		},
	} {
		for _, late := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				h, p := journalled(t)
				p.messages[1] = hole(p.messages[1])
				cfg := h.journal(p).cfg
				if late {
					cfg.Survey = 1 // nanosecond
				}
				j := New(cfg)
				if err := j.Begin(t.Context()); errors.Is(err, ErrDoubted) == late {
					t.Fatalf("begin: %v", err)
				}
				stop := h.d.run(j)
				if !late {
					must(t, j.Confirm(func(string) error { return nil }))
				}
				waittest.For(t, "the place to be whole", func() bool { return h.whole(p) })
				waittest.For(t, "all of it to be read", func() bool { s := j.State(); return s.Read == s.Size })
				if n := h.found(book.FindingJournalLost); n != 1 {
					t.Errorf("%d findings", n)
				}
				must(t, stop())
				must(t, h.begin(p))
			})
		}
	}
}

// TestALossWhileItRunsIsFilledAgain: the process that wrote it knows that its ledger is the newest,
// and reports the loss.
func TestALossWhileItRunsIsFilledAgain(t *testing.T) {
	h, p := journalled(t)
	j := h.journal(p)
	stop := h.d.run(j)
	h.d.durable(j, h.grow(1))
	p.set(func() { p.messages[1] = p.messages[1][:2] })
	waittest.For(t, "the finding", func() bool { return h.found(book.FindingJournalLost) == 1 })
	waittest.For(t, "the place to be whole", func() bool { return h.whole(p) })
	must(t, stop())
}

// TestAFillingThatIsKilled does not look like an older ledger to the next start.
func TestAFillingThatIsKilled(t *testing.T) {
	h, p := journalled(t)
	all := p.messages[1]
	p.messages[1] = nil
	p.append = func(n int, message []byte) ([]byte, error) {
		if len(p.messages[1]) > 0 {
			return nil, errors.New("killed")
		}
		return all[0], nil // the first part only
	}
	j := h.journal(p)
	stop := h.d.run(j)
	waittest.For(t, "the doubt", func() bool { return j.State().Doubt != "" })
	must(t, j.Confirm(func(lack string) error {
		return h.recordFinding(t.Context(), book.IntegrityFound{Finding: book.FindingLedgerConfirmed, Detail: lack})
	}))
	waittest.For(t, "a part of it", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.messages[1]) == 1 })
	must(t, stop())
	p.append = nil
	// what the head had when it was killed
	h.SetJournalled("directory", ledger.Journalled{Generation: 1})
	must(t, h.begin(p))
	h.send(p)
	if !h.whole(p) {
		t.Error("the place is not whole")
	}
}

// TestAStrangePlaceProvesNothing: the ledger was journalled in another place.
func TestAStrangePlaceProvesNothing(t *testing.T) {
	h, _ := journalled(t)
	empty := newMemory()
	j := New(Config{Ledger: h.Ledger, Place: empty, Name: "channel", Strange: true, Signer: h.d.Ring.Signer(), Retry: 10 * time.Millisecond, Look: 50 * time.Millisecond})
	if err := j.Begin(t.Context()); !errors.Is(err, ErrDoubted) {
		t.Fatalf("begin: %v", err)
	}
	stop := h.d.run(j)
	must(t, j.Confirm(func(string) error { return nil }))
	h.d.durable(j, h.grow(0))
	must(t, stop())
	must(t, New(Config{Ledger: h.Ledger, Place: empty, Name: "channel", Signer: h.d.Ring.Signer()}).Begin(t.Context()))
}
