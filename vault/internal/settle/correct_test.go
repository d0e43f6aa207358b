package settle

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/acquirer/iso8583"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/operator"
)

// word is what a person says of a payment, and what is true at the host.
type word struct {
	name string
	// gives the order whose answer is lost; id is of the payment that a person decides about
	begin func(c *counter) (id string)
	said  envelope.Status // wrongly
	truth envelope.Status
	told  []envelope.Status // of the payment, before the correction
	after []envelope.Status // and after it
	stage book.Stage        // after it, when nothing is under way any more
	line  book.Total        // of a correction that comes after the close
}

// lost makes every answer about one payment be lost, though the host takes what is sent (stands),
// or has it never reach the host.
func (c *counter) lost(stands bool) *spy {
	ended := func(err error) error {
		if err != nil {
			c.t.Error(err)
		}
		return acquirer.ErrNoAnswer
	}
	return &spy{Acquirer: c.client,
		sales: func(r acquirer.Request) error {
			if !stands {
				return acquirer.ErrNoAnswer
			}
			_, err := c.client.Authorise(c.t.Context(), r)
			return ended(err)
		},
		capture: func(r acquirer.Capture) error {
			if !stands {
				return acquirer.ErrNoAnswer
			}
			_, err := c.client.Capture(c.t.Context(), r)
			return ended(err)
		},
		undo: func(acquirer.Reversal) error { return acquirer.ErrNoAnswer }}
}

// wrongWords are every pair of what a shop was told by a person's word, and what is true.
func wrongWords() []word {
	usd := func(count, amount int64) book.Total {
		return book.Total{Currency: "USD", Count: count, Amount: amount}
	}
	sale := func(c *counter) string { return c.send(c.bigSale(1000)) }
	capture := func(c *counter) string {
		hold := c.send(c.shop.Authorize(3000))
		c.finish(c.engine(nil))
		return c.send(c.shop.Capture(hold, 2000))
	}
	return []word{
		{name: "a sale that stands", begin: sale, said: "reversed", truth: "approved", told: []envelope.Status{"unknown", "reversed"},
			after: []envelope.Status{"unknown", "reversed"}, stage: book.StageReversed, line: usd(1, 1000)},
		{name: "a sale that does not stand", begin: sale, said: "approved", truth: "reversed", told: []envelope.Status{"unknown", "approved"},
			after: []envelope.Status{"unknown", "approved", "reversed"}, stage: book.StageReversed, line: usd(-1, -1000)},
		{name: "a capture that stands", begin: capture, said: "declined", truth: "captured", told: []envelope.Status{"unknown", "declined"},
			after: []envelope.Status{"unknown", "declined"}, stage: book.StageDeclined, line: usd(1, 2000)},
		{name: "a capture that does not stand", begin: capture, said: "captured", truth: "declined", told: []envelope.Status{"unknown", "captured"},
			after: []envelope.Status{"unknown", "captured", "declined"}, stage: book.StageDeclined, line: usd(-1, -2000)},
		{name: "a voided sale that stands", begin: func(c *counter) string {
			id := sale(c)
			c.finish(c.engine(nil))
			c.send(c.shop.Void(id))
			return id
		}, said: "voided", truth: "approved", told: []envelope.Status{"approved"}, after: []envelope.Status{"approved"}, stage: book.StageVoided, line: usd(1, 1000)},
	}
}

// decided takes a counter to where a person has said something wrong.
func (c *counter) decided(w word) (id string) {
	c.t.Helper()
	id = w.begin(c)
	e := c.engine(func(cfg *Config) {
		cfg.Acquirer = c.lost(w.truth == envelope.StatusApproved || w.truth == envelope.StatusCaptured)
	})
	c.repeatInVain(e, id)
	c.must(e.Resolve(c.t.Context(), "shop-1", id, w.said, "nobody picked up", person()))
	if got := c.told(id); !slices.Equal(got, w.told) {
		c.t.Errorf("told %v, want %v", got, w.told)
	}
	return id
}

// TestCorrectedBeforeTheClose: the payment moves, what stands is taken back at the host, and the
// batch settles by the host's own totals.
func TestCorrectedBeforeTheClose(t *testing.T) {
	for _, w := range wrongWords() {
		t.Run(w.name, func(t *testing.T) {
			c := newCounter(t, 5*time.Second)
			other := c.send(c.bigSale(700))
			c.finish(c.engine(nil))
			id := c.decided(w)
			e := c.engine(nil)
			c.must(e.Correct(t.Context(), "shop-1", id, w.truth, false, "the listing of 24 November", person()))
			c.while(e, func() {
				waittest.For(t, "the correction", func() bool { return c.stage(id) == w.stage && c.stage(other) == book.StageApproved })
			})
			if got := c.told(id); !slices.Equal(got, w.after) {
				t.Errorf("told %v, want %v", got, w.after)
			}
			c.agree()
			if done := c.endOfDay(e); done.Payments != 1 || len(c.batch(1).Lines) != 0 {
				t.Errorf("settled %d, lines %v", done.Payments, c.batch(1).Lines)
			}
			p := c.Payment("shop-1", id)
			if len(p.Decisions) != 2 || p.Decisions[0].Reason != "nobody picked up" || p.Decisions[1].Actor != "user:root" || !p.Decisions[1].Corrects {
				t.Errorf("decisions %+v", p.Decisions)
			}
		})
	}
}

// TestCorrectedAfterTheClose: totals stay, the batch gets a line that names the payment, and
// settles; and nobody is told that something stands.
func TestCorrectedAfterTheClose(t *testing.T) {
	for _, w := range wrongWords() {
		t.Run(w.name, func(t *testing.T) {
			c := newCounter(t, 5*time.Second)
			c.send(c.bigSale(700))
			c.finish(c.engine(nil))
			id := c.decided(w)
			e := c.engine(nil)
			_, err := e.CloseBatch(t.Context(), "", "", person(), nil)
			c.must(err)
			closed := c.batch(1)
			if _, err := e.Settle(t.Context(), book.AllBatches, "", person(), nil); !errors.Is(err, ErrTotalsDiffer) || !strings.Contains(err.Error(), "batch adjust") {
				t.Errorf("settled over a wrong word: %v", err)
			}
			c.must(e.Correct(t.Context(), "shop-1", id, w.truth, false, "the listing of 24 November", person()))
			b := c.batch(1)
			if len(b.Lines) != 1 || b.Lines[0].Payment != id || b.Lines[0].Total != w.line || !slices.Equal(b.Totals, closed.Totals) || b.HashTotal != closed.HashTotal {
				t.Errorf("batch %+v", b)
			}
			if compared, err := e.Compare(t.Context(), 1, strings.NewReader(c.listing(1))); err != nil || len(compared.Differences) != 0 {
				t.Errorf("against the listing: %+v %v", compared.Differences, err)
			}
			done, err := e.Settle(t.Context(), book.AllBatches, "", person(), nil)
			c.must(err)
			if done.Payments != 1 || c.batch(1).Stage != book.BatchDone {
				t.Errorf("settled %d, the batch is %s", done.Payments, c.batch(1).Stage)
			}
			if got := c.told(id); !slices.Equal(got, w.after) || c.stage(id) != w.stage {
				t.Errorf("told %v, want %v; it is %s", got, w.after, c.stage(id))
			}
			c.changesNothing(e)
			c.putRight(e, w, id)
		})
	}
}

// putRight corrects once more: a person orders the reversal of what stands, or says that it stands
// after all, of which nobody is told.
func (c *counter) putRight(e *Engine, w word, id string) {
	c.t.Helper()
	stands := w.line.Count > 0
	as := w.truth
	if !stands {
		as = w.said
	}
	err := e.Correct(c.t.Context(), "shop-1", id, w.truth, false, "the same again", person())
	if !errors.Is(err, ErrConflict) {
		c.t.Errorf("the same correction again: %v", err)
	}
	c.must(e.Correct(c.t.Context(), "shop-1", id, as, stands, "case 4711", person()))
	c.while(e, func() {
		waittest.For(c.t, "it to be put right", func() bool { return c.stage(id) == w.stage })
	})
	if got := c.told(id); !slices.Equal(got, w.after) || len(c.batch(1).Lines) != 0 {
		c.t.Errorf("told %v, want %v; lines %+v", got, w.after, c.batch(1).Lines)
	}
	if stands && c.statement().Reversed != 1 {
		c.t.Error("the host did not take it back")
	}
}

// TestACorrectionThatIsNotAnswered comes to a person again, who cannot have the shop told that it
// stands.
func TestACorrectionThatIsNotAnswered(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	w := wrongWords()[0]
	id := c.decided(w)
	deaf := c.engine(func(cfg *Config) { cfg.Acquirer = c.lost(true) })
	c.must(deaf.Correct(t.Context(), "shop-1", id, "approved", false, "its listing has it", person()))
	if err := deaf.Correct(t.Context(), "shop-1", id, "reversed", false, "no", person()); !errors.Is(err, ErrConflict) {
		t.Errorf("corrected while it is being taken back: %v", err)
	}
	if _, err := deaf.CloseBatch(t.Context(), "", "", person(), nil); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), id) {
		t.Errorf("closed over a correction: %v", err)
	}
	c.repeatInVain(deaf, id)
	err := deaf.Resolve(t.Context(), "shop-1", id, "approved", "it stands", person())
	if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "resolved as reversed") {
		t.Errorf("told that it stands: %v", err)
	}
	c.must(deaf.Correct(t.Context(), "shop-1", id, "approved", false, "the host reverses nothing any more", person()))
	e := c.engine(nil)
	c.endOfDay(e)
	if b := c.batch(1); b.Stage != book.BatchDone || len(b.Lines) != 1 || b.Lines[0].Total != w.line {
		t.Errorf("batch %+v", b)
	}
	if got := c.told(id); !slices.Equal(got, w.after) {
		t.Errorf("told %v, want %v", got, w.after)
	}
}

// TestARefundAndAHoldAreCorrected: both ways, where there is no batch, or one of credits.
func TestARefundAndAHoldAreCorrected(t *testing.T) {
	for _, stands := range []bool{true, false} {
		said, truth := envelope.StatusApproved, envelope.StatusReversed
		if stands {
			said, truth = truth, said
		}
		c := newCounter(t, 5*time.Second)
		sale := c.send(c.bigSale(5000))
		c.finish(c.engine(nil))
		c.endOfDay(c.engine(nil))
		refund := c.send(c.shop.Refund(sale, 500))
		hold := c.send(c.shop.Authorize(3000))
		e := c.engine(func(cfg *Config) { cfg.Acquirer = c.lost(stands) })
		c.repeatInVain(e, refund, hold)
		for _, id := range []string{refund, hold} {
			c.must(e.Resolve(t.Context(), "shop-1", id, said, "a guess", person()))
		}
		e = c.engine(nil)
		for _, id := range []string{refund, hold} {
			c.must(e.Correct(t.Context(), "shop-1", id, truth, false, "the listing says otherwise", person()))
		}
		c.while(e, func() {
			waittest.For(t, "both corrections", func() bool { return c.count(book.StageReversed) == 2 })
		})
		c.agree()
		if p := c.Payment("shop-1", sale); p.Refunded != 0 {
			t.Errorf("%d are held for a refund that does not stand", p.Refunded)
		}
		c.endOfDay(e)
	}
}

// TestOnlyAPersonsWordIsCorrected: what the host answered is taken into the batch by a line.
func TestOnlyAPersonsWordIsCorrected(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	id := c.send(c.bigSale(1000))
	e := c.engine(nil)
	c.finish(e)
	if err := e.Correct(t.Context(), "shop-1", id, "reversed", false, "a guess", person()); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "batch adjust") {
		t.Errorf("the host's own word: %v", err)
	}
	if err := e.Correct(t.Context(), "shop-1", "nobody", "reversed", false, "a guess", person()); !errors.Is(err, ErrNotFound) {
		t.Errorf("a payment that is not there: %v", err)
	}
	bad := person()
	bad.Evidence = "ff"
	for reason, actor := range map[string]operator.Actor{"": person(), "card 4242 4242 4242 4242": person(), "a letter": bad} {
		if err := e.Correct(t.Context(), "shop-1", id, "reversed", false, reason, actor); !errors.Is(err, ErrReason) {
			t.Errorf("reason %q, evidence %q: %v", reason, actor.Evidence, err)
		}
	}
}

// TestAnAnswerAfterAPersonsWord is a finding, and changes nothing.
func TestAnAnswerAfterAPersonsWord(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	hold := c.send(c.shop.Authorize(2_000_000))
	c.finish(c.engine(nil))
	// the host takes it, and answers after 800 ms
	capture := c.send(c.shop.Capture(hold, amountLate))
	var e *Engine
	line := iso8583.New(iso8583.Config{Address: c.host.Addr(), AnswerTimeout: 50 * time.Millisecond,
		Report: func(o iso8583.Oddity) { e.Odd(string(o.Kind), o.Detail) }})
	defer func() { c.must(line.Close()) }()
	e = c.engine(func(cfg *Config) { cfg.Acquirer = line })
	c.while(e, func() {
		waittest.For(t, "a try", func() bool { return c.Payment("shop-1", capture).Tries > 0 })
		c.must(e.Resolve(t.Context(), "shop-1", capture, envelope.StatusDeclined, "nobody picked up", person()))
		waittest.For(t, "the host's late answer", func() bool { return c.State().Findings[book.FindingMessage] > 0 })
	})
	c.want("the capture", capture, book.StageDeclined, envelope.CodeNoAnswer, "declined")
	if details := c.findings(book.FindingMessage); !strings.Contains(strings.Join(details, "\n"), "late-answer") {
		t.Errorf("found %v", details)
	}
}
