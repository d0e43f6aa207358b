package settle

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/vaulttest"
)

func TestSaleOutcomes(t *testing.T) {
	c := newCounter(t, 400*time.Millisecond)
	ids := c.post(1999, amountDeclined, amountSilent, amountLate, amountDropped, 2500)
	// a dropped line takes along what else is outstanding on it
	c.finish(c.engine(func(cfg *Config) { cfg.Outstanding = 1 }))
	want := []struct {
		stage book.Stage
		code  envelope.Code
	}{
		{book.StageApproved, "iso-00"}, {book.StageDeclined, "iso-51"}, {book.StageReversed, "iso-00"}, {book.StageReversed, "iso-00"},
		{book.StageReversed, "iso-00"}, {book.StageApproved, "iso-00"},
	}
	for i, id := range ids {
		p := c.Payment("shop-1", id)
		if p.Stage != want[i].stage || p.Code != want[i].code {
			t.Errorf("sale %d is %s %s, want %s %s", i, p.Stage, p.Code, want[i].stage, want[i].code)
		}
		if p.Stage == book.StageApproved && p.Approval == "" {
			t.Errorf("sale %d has no approval code", i)
		}
	}
	c.noParts(ids...)
	c.agree()
}

func TestWrongSecurityCodeIsDeclined(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	draft := c.shop.Sale()
	draft.Code = `{"code":"999"}`
	c.take(c.shop.Seal(draft))
	c.finish(c.engine(nil))
	if p := c.Payment("shop-1", draft.ID); p.Stage != book.StageDeclined || p.Code != "iso-N7" {
		t.Errorf("sale is %s %s", p.Stage, p.Code)
	}
}

// TestRefusedWhileWaiting: a payment whose time or key ran out before anything was sent is refused,
// and nothing is sent.
func TestRefusedWhileWaiting(t *testing.T) {
	tests := []struct {
		name        string
		until, wait time.Duration
		want        envelope.Code
	}{
		{"its time passed", time.Hour, 2 * time.Hour, envelope.CodeLate},
		{"its code's key died", sixDays, 13 * time.Hour, envelope.CodeKeyDead},
		{"its time passed, and its key died", time.Hour, 13 * time.Hour, envelope.CodeLate},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newCounter(t, 5*time.Second)
			draft := c.shop.Sale()
			draft.Until = draft.Created.Add(test.until)
			c.take(c.shop.Seal(draft))
			c.Clock.Pass(test.wait)
			c.must(c.Ring.ConfirmClock())
			c.Tick()
			c.finish(c.engine(nil))
			if p := c.Payment("shop-1", draft.ID); p.Stage != book.StageRejected || p.Code != test.want {
				t.Errorf("sale is %s %s, want rejected %s", p.Stage, p.Code, test.want)
			}
			c.noParts(draft.ID)
			if s := c.statement(); s.Sales != 0 {
				t.Errorf("%d sales were sent", s.Sales)
			}
		})
	}
}

const sixDays = 6 * 24 * time.Hour

// TestCardExpiresWhileWaiting: the card was good when it was taken and is not when it would be
// sent.
func TestCardExpiresWhileWaiting(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	draft := c.shop.Sale()
	draft.Account, draft.Code = vaulttest.Card("4242424242424242", "2026-11"), ""
	c.Clock.Pass(4 * 24 * time.Hour) // 28 November; the card's last day is the 30th
	c.must(c.Ring.ConfirmClock())
	c.Tick()
	draft.Created = c.Clock.Now()
	draft.Until = draft.Created.Add(sixDays)
	c.take(c.shop.Seal(draft))
	c.Clock.Pass(4 * 24 * time.Hour)
	c.finish(c.engine(nil))
	if p := c.Payment("shop-1", draft.ID); p.Stage != book.StageRejected || p.Code != envelope.CodeExpiredCard {
		t.Errorf("sale is %s %s", p.Stage, p.Code)
	}
}

func TestLateIsSweptWhileTheLineIsDown(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	ids := c.post(1999)
	down := &spy{Acquirer: c.client, down: func() error { return errors.New("no line") }}
	c.while(c.engine(func(cfg *Config) { cfg.Acquirer = down }), func() {
		c.Clock.Pass(2 * time.Hour)
		waittest.For(t, "the late payment to be refused", func() bool { return c.stage(ids[0]) == book.StageRejected })
	})
	if p := c.Payment("shop-1", ids[0]); p.Code != envelope.CodeLate {
		t.Errorf("refused as %s", p.Code)
	}
}

// TestUnsentIsSentAgainUnderItsTrace: what certainly did not leave may be sent again, and is.
func TestUnsentIsSentAgainUnderItsTrace(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	ids := c.post(1999)
	var mu sync.Mutex
	var traces []acquirer.Trace
	flaky := &spy{Acquirer: c.client, sales: func(s acquirer.Request) error {
		mu.Lock()
		defer mu.Unlock()
		if traces = append(traces, s.Trace); len(traces) < 3 {
			return acquirer.ErrNotSent
		}
		return nil
	}}
	c.finish(c.engine(func(cfg *Config) { cfg.Acquirer = flaky }))
	if c.stage(ids[0]) != book.StageApproved || len(slices.Compact(traces)) != 1 {
		t.Errorf("sale is %s after traces %v", c.stage(ids[0]), traces)
	}
	c.agree()
}

// TestUnsentIsRejectedInTime: of an intent that finds no line until its time is over nothing was
// sent: it is neither unknown nor reversed.
func TestUnsentIsRejectedInTime(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	ids := c.post(1999)
	flaky := &spy{Acquirer: c.client, sales: func(acquirer.Request) error {
		c.Clock.Pass(unsentLimit + time.Second)
		return acquirer.ErrNotSent
	}}
	c.finish(c.engine(func(cfg *Config) { cfg.Acquirer = flaky }))
	c.want("the sale", ids[0], book.StageRejected, envelope.CodeNoAnswer, "rejected")
	c.noParts(ids[0])
	c.agree()
}

// TestReversalsAreAdvicesThenAPersons: 0420 once, 0421 under the same trace for a day, then manual.
func TestReversalsAreAdvicesThenAPersons(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	ids := c.post(amountDropped)
	var mu sync.Mutex
	var sent []acquirer.Reversal
	deaf := &spy{Acquirer: c.client, undo: func(r acquirer.Reversal) error {
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, r)
		return acquirer.ErrNoAnswer
	}}
	c.while(c.engine(func(cfg *Config) { cfg.Acquirer = deaf }), func() {
		waittest.For(t, "eight tries", func() bool { return c.Payment("shop-1", ids[0]).Tries >= 8 })
		if got := c.stage(ids[0]); got != book.StageUnknown {
			t.Errorf("after eight tries in a moment the sale is %s", got)
		}
		c.Clock.Pass(24 * time.Hour)
		waittest.For(t, "a person to be needed", func() bool { return c.stage(ids[0]) == book.StageManual })
	})
	for i, r := range sent {
		if r.Repeat != i || r.Trace != sent[0].Trace || r.Original.Trace == r.Trace || r.Original.RRN == "" {
			t.Errorf("reversal %d: repeat %d, trace %v of %v", i, r.Repeat, r.Trace, r.Original)
		}
	}
}

// TestStopLeavesNothingOpen: a stop waits for answers, and what has none by then is unknown at
// once.
func TestStopLeavesNothingOpen(t *testing.T) {
	c := newCounter(t, time.Minute)
	ids := c.post(amountSilent, 1999)
	c.while(c.engine(func(cfg *Config) { cfg.Drain = 300 * time.Millisecond }), func() {
		waittest.For(t, "the good sale to be approved", func() bool { return c.stage(ids[1]) == book.StageApproved })
	})
	if got := c.stage(ids[0]); got != book.StageUnknown {
		t.Errorf("the outstanding sale is %s", got)
	}
	c.finish(c.engine(nil))
	if got := c.stage(ids[0]); got != book.StageReversed {
		t.Errorf("after the next start it is %s", got)
	}
	c.agree()
}

// TestManyOutstanding: a slow host does not make sales wait for one another.
func TestManyOutstanding(t *testing.T) {
	c := newCounter(t, 20*time.Second)
	amounts := make([]int64, 96)
	for i := range amounts {
		amounts[i] = int64(1000 + i)
	}
	ids := c.post(amounts...)
	var now, most atomic.Int64
	full := make(chan struct{})
	fill := sync.OnceFunc(func() { close(full) })
	slow := &spy{Acquirer: c.client, sales: func(acquirer.Request) error {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if n == 64 {
			fill()
		}
		select { // nobody is answered before 64 wait
		case <-full:
		case <-time.After(10 * time.Second):
		}
		return nil
	}}
	c.finish(c.engine(func(cfg *Config) { cfg.Acquirer = slow }))
	if got := c.count(book.StageApproved); got != len(ids) {
		t.Errorf("%d of %d approved", got, len(ids))
	}
	if most.Load() != 64 {
		t.Errorf("%d were outstanding at once, want 64", most.Load())
	}
	c.agree()
}

// TestNoTraceNumberLeft: payments wait for the next day, and nothing else stops.
func TestNoTraceNumberLeft(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	waiting := c.post(1999)
	used := book.Trace{STAN: 999_999, RRN: "632800999999", Terminal: "ND000001", Acceptor: "ACCEPTOR1", Sent: envelope.At(c.Clock.Now())}
	c.Append("shop-1", book.BatchOpened{Batch: 1, Method: book.MethodCard}, book.AuthorisationIntended{ID: c.post(1)[0], Trace: used, Batch: 1})
	e := c.engine(nil)
	c.while(e, func() {
		waittest.For(t, "recovery", func() bool { return c.count(book.StageUnknown) == 1 })
		time.Sleep(50 * time.Millisecond)
	})
	if got := c.stage(waiting[0]); got != book.StageReceived {
		t.Errorf("the payment is %s", got)
	}
	c.Clock.Pass(12 * time.Hour) // past midnight
	c.finish(c.engine(nil))
	if p := c.Payment("shop-1", waiting[0]); p.Code != envelope.CodeLate {
		t.Errorf("the next day it is %s %s", p.Stage, p.Code)
	}
}

// TestLockedRingStopsTheEngine: a ring that cannot say anything about a part is no reason to refuse
// it.
func TestLockedRingStopsTheEngine(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	ids := c.post(1999)
	locked := c.engine(func(cfg *Config) { cfg.Opener = lockedRing{} })
	if err := locked.Run(t.Context()); !errors.Is(err, keyring.ErrLocked) {
		t.Errorf("the engine ended with %v", err)
	}
	if got := c.stage(ids[0]); got != book.StageReceived {
		t.Errorf("sale is %s", got)
	}
}

type lockedRing struct{}

func (lockedRing) OpenPart(envelope.PartName, string, string, envelope.Part) ([]byte, error) {
	return nil, keyring.ErrLocked
}
