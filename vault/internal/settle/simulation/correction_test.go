package simulation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nightdrop/ops/simulator/host"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/settle"
)

// TestPeopleWhoAreWrong lives through lives whose host hardly ever answers, so that people decide,
// half of the time wrongly, and correct it: before the close, after it, and by reversals that they
// order.
func TestPeopleWhoAreWrong(t *testing.T) {
	happened := map[string]int{}
	for seed := uint64(1); seed <= 60; seed++ {
		synctest.Test(t, func(t *testing.T) {
			p := plan{seed: seed, shops: 1, outstanding: 3, repeatFor: 5 * time.Minute, mutation: mutation{line: func(a acquirer.Acquirer) acquirer.Acquirer {
				return &forgetful{Acquirer: a, tried: map[string]int{}}
			}}}
			if seed%2 == 0 {
				p = plan{seed: seed, shops: 1, outstanding: 3, repeatFor: 5 * time.Minute, adversary: map[host.Mishap]float64{host.DropRequest: 0.4, host.DropAnswer: 0.45}}
			}
			w := simulate(t, p)
			if len(w.faults) > 0 {
				t.Errorf("seed %d: %v\n%s", seed, w.faults, w.story)
			}
			story := w.story.String()
			for _, what := range []string{"payment-resolved", "payment-corrected", `"corrects":true`, "\"reverse\":true"} {
				if strings.Contains(story, what) {
					happened[what]++
				}
			}
		})
	}
	if happened["payment-resolved"] < 5 || happened["payment-corrected"] < 3 || happened["\"reverse\":true"] == 0 {
		t.Errorf("what happened in how many lives: %v", happened)
	}
	t.Log(happened)
}

// forgetful is a line that loses the answers to a third of all requests, and the first reversals
// and captures of each: those six that come to a person.
type forgetful struct {
	acquirer.Acquirer
	mu    sync.Mutex
	tried map[string]int
}

func (f *forgetful) Authorise(ctx context.Context, r acquirer.Request) (acquirer.Answer, error) {
	answer, err := f.Acquirer.Authorise(ctx, r)
	if err == nil && r.STAN%3 == 0 {
		return acquirer.Answer{}, acquirer.ErrNoAnswer
	}
	return answer, err
}

func (f *forgetful) Capture(ctx context.Context, c acquirer.Capture) (acquirer.Answer, error) {
	answer, err := f.Acquirer.Capture(ctx, c)
	if err == nil && c.STAN%2 == 0 {
		return acquirer.Answer{}, acquirer.ErrNoAnswer
	}
	return answer, err
}

// inVain is how many tries of a reversal the forgetful line loses: more than there are in the time
// for which a plan repeats them.
const inVain = 13

func (f *forgetful) Reverse(ctx context.Context, r acquirer.Reversal) (acquirer.Answer, error) {
	f.mu.Lock()
	f.tried[r.Original.RRN]++
	first := f.tried[r.Original.RRN] <= inVain
	f.mu.Unlock()
	if first {
		return acquirer.Answer{}, acquirer.ErrNoAnswer // it never came to the host
	}
	return f.Acquirer.Reverse(ctx, r)
}

// errs reports whether the person is wrong this time. At the end of a life everybody is careful.
func (w *world) errs() bool { return !w.careful && w.draw.IntN(2) == 0 }

// other is what a person says who is wrong.
func other(p book.Payment, truth envelope.Status) envelope.Status {
	for _, as := range p.Resolutions() {
		if as != truth {
			return as
		}
	}
	return truth // there is only one thing to say
}

// say has a person say what became of a payment at manual, which the acquirer's book tells; a word
// that is wrong is remembered.
func (w *world) say(e *settle.Engine, p book.Payment) error {
	records := w.transactions()
	truth := became(p, records)
	if inPart(p, records) { // nobody can say that it stands: it is taken back
		truth = fell(p)
		w.wrong = append(w.wrong, book.Key{Merchant: p.Merchant, ID: p.ID})
	}
	// it stands, and its shop was told otherwise: it is a line from now on
	if p.AtHost && !slices.Contains(p.Resolutions(), truth) {
		err := e.Correct(w.t.Context(), p.Merchant, p.ID, truth, false, "the acquirer reverses it no more", person())
		w.did(fmt.Sprintf("correct %s to %s", p.ID, truth), err)
		return err
	}
	as := truth
	if !inPart(p, records) && w.errs() {
		as = other(p, truth)
	}
	err := e.Resolve(w.t.Context(), p.Merchant, p.ID, as, "the acquirer's book says so", person())
	w.did(fmt.Sprintf("resolve %s as %s", p.ID, as), err)
	if as != truth {
		w.wrong = append(w.wrong, book.Key{Merchant: p.Merchant, ID: p.ID})
	}
	return err
}

// correct corrects those wrong words that pass due, as far as something is wrong by now: shops and
// hosts have gone on.
func (w *world) correct(due func(book.Payment) bool) {
	wrong := w.wrong
	w.wrong = nil
	for _, key := range wrong {
		p := w.payment(key)
		if !due(p) || p.Capturing > p.Captured {
			w.wrong = append(w.wrong, key)
			continue
		}
		w.do("correct "+key.ID, func(e *settle.Engine) error {
			p := w.payment(key)
			records := w.transactions()
			as := correction(p, records)
			if as == "" {
				return nil
			}
			reverse := as != fell(p) && (w.draw.IntN(4) == 0 || inPart(p, records))
			return e.Correct(w.t.Context(), p.Merchant, p.ID, as, reverse, "the acquirer's listing says otherwise", person())
		})
	}
}

// correctSome corrects what it comes upon.
func (w *world) correctSome() { w.correct(func(book.Payment) bool { return w.draw.IntN(2) == 0 }) }

// anyone is due always.
func anyone(book.Payment) bool { return true }

// batchless are due that no batch brings to light.
func batchless(p book.Payment) bool { return p.Batch == 0 }

func (w *world) payment(key book.Key) (p book.Payment) {
	w.view(func(tx *ledger.Tx) (err error) {
		p, _, err = tx.Payment(key.Merchant, key.ID)
		return err
	})
	return p
}

// inPart reports whether a payment stands at the host with another amount than was asked for.
func inPart(p book.Payment, records map[host.Key]host.Transaction) bool {
	t, there := records[keyOf(p)]
	return there && standing(t) && t.Amount != p.Amount
}

// fell is what the shop is told of a payment that does not stand.
func fell(p book.Payment) envelope.Status {
	switch {
	case p.Flow() == book.FlowCapture:
		return envelope.StatusDeclined
	case p.Void != "":
		return envelope.StatusVoided
	}
	return envelope.StatusReversed
}

// correction is what the acquirer's book says of a payment, where the vault has it otherwise; ""
// where it has not, or is about to.
func correction(p book.Payment, records map[host.Key]host.Transaction) envelope.Status {
	t, there := records[keyOf(p)]
	up := there && standing(t)
	told := p.Stage == book.StageReversed || p.Stage == book.StageVoided || p.Stage == book.StageDeclined
	switch {
	case told && up && !p.AtHost && p.Flow() == book.FlowCapture:
		return envelope.StatusCaptured
	case told && up && !p.AtHost:
		return envelope.StatusApproved
	case told && !up && p.AtHost, !up && stands(p) && p.Stage != book.StageExpired && p.Stage != book.StageCompleted && p.Capturing == 0:
		return fell(p)
	}
	return ""
}

// afterCorrection says which statuses a correction may have follow.
var afterCorrection = map[envelope.Status][]envelope.Status{
	envelope.StatusApproved: {envelope.StatusReversed},
	envelope.StatusRefunded: {envelope.StatusReversed},
	envelope.StatusCaptured: {envelope.StatusDeclined},
	envelope.StatusSettled:  {envelope.StatusReversed, envelope.StatusDeclined},
}

// besides adds to what the vault has of payments what stands at the host though its shop was told
// otherwise: captures and refunds, by what they are of.
func (w *world) besides() (captured, refunded map[string]int64) {
	captured, refunded = map[string]int64{}, map[string]int64{}
	for _, p := range w.payments(nil) {
		switch {
		case !p.AtHost:
		case p.Flow() == book.FlowCapture:
			captured[p.Of] += p.Amount
		case p.Flow() == book.FlowRefund:
			refunded[p.Of] += p.Amount
		}
	}
	return captured, refunded
}
