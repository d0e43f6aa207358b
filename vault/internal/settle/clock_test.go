package settle

import (
	"errors"
	"testing"
	"time"

	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

func TestLastClosing(t *testing.T) {
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 11, day, hour, minute, 0, 0, time.UTC) }
	for _, test := range []struct {
		times []time.Duration
		now   time.Time
		want  time.Time
	}{
		{[]time.Duration{22 * time.Hour}, at(24, 12, 0), at(23, 22, 0)},
		{[]time.Duration{22 * time.Hour}, at(24, 22, 0), at(24, 22, 0)},
		{[]time.Duration{22 * time.Hour, 6 * time.Hour}, at(24, 12, 0), at(24, 6, 0)},
		{[]time.Duration{22 * time.Hour, 6 * time.Hour}, at(24, 5, 59), at(23, 22, 0)},
		{[]time.Duration{0}, at(24, 0, 0).In(time.FixedZone("", -5*3600)), at(24, 0, 0)},
	} {
		if got, ok := lastClosing(test.times, test.now); !ok || !got.Equal(test.want) {
			t.Errorf("of %v at %s: %s, want %s", test.times, test.now, got, test.want)
		}
	}
	if _, ok := lastClosing(nil, at(24, 12, 0)); ok {
		t.Error("without times there is one")
	}
}

// TestBatchesCloseByTheClock: at the time, once, both methods, but not one that has nothing in it;
// and after having been down over it.
func TestBatchesCloseByTheClock(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	timed := func() *Engine { return c.engine(func(cfg *Config) { cfg.CloseAt = []time.Duration{22 * time.Hour} }) }
	until := func(what string, done func() bool) {
		t.Helper()
		c.while(timed(), func() { waittest.For(t, what, done) })
	}
	stage := func(number uint32) book.BatchStage { return c.batch(number).Stage }
	c.send(c.shop.Sale())
	c.finish(timed())
	c.send(c.shop.BankSale(100))
	if stage(1) != book.BatchOpen || stage(2) != book.BatchOpen {
		t.Fatalf("before the time the batches are %s and %s", stage(1), stage(2))
	}
	c.while(timed(), func() {
		c.Clock.Pass(10 * time.Hour)
		waittest.For(t, "both batches to be closed", func() bool { return stage(1) == book.BatchFixed && stage(2) == book.BatchFixed })
	})
	size := c.logSize()
	c.View(func(tx *ledger.Tx) error {
		entry, err := tx.LogEntry(uint64(size - 1))
		if entry.Event.Actor != "vault" || entry.Event.Origin != "timer" || entry.Event.Time.Hour() != 22 {
			t.Errorf("closed by %+v", entry.Event)
		}
		return err
	})

	// A batch of which nothing stands is left open at the time, and what joins it afterwards stays
	// until the next.
	declined := c.send(c.bigSale(amountDeclined))
	c.finish(c.engine(nil))
	c.Clock.Pass(24 * time.Hour)
	c.while(timed(), func() { time.Sleep(5 * linePoll) })
	late := c.send(c.shop.Sale())
	c.finish(timed())
	if number := c.Payment("shop-1", late).Batch; stage(number) != book.BatchOpen || number != c.Payment("shop-1", declined).Batch {
		t.Errorf("batch %d is %s", number, stage(number))
	}
	c.Clock.Pass(50 * time.Hour) // the vault was down over two times
	until("the batch to be closed", func() bool { return stage(c.Payment("shop-1", late).Batch) == book.BatchFixed })
}

// TestClosingByTheClockWaits for what is outstanding, and tries again every minute.
func TestClosingByTheClockWaits(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	e := c.engine(func(cfg *Config) { cfg.CloseAt = []time.Duration{22 * time.Hour} })
	sale := c.send(c.shop.Sale())
	c.finish(c.engine(nil))
	number := c.Payment("shop-1", sale).Batch
	c.send(c.shop.Void(sale))
	c.Clock.Pass(10 * time.Hour)
	if err := e.closeAt(t.Context(), c.Clock.Now()); !errors.Is(err, ErrConflict) {
		t.Errorf("closing over a void: %v", err)
	}
	if got := c.batch(number).Stage; got != book.BatchCutover {
		t.Errorf("the batch is %s", got)
	}
	c.while(e, func() {
		waittest.For(t, "the void", func() bool { return c.stage(sale) == book.StageVoided })
		c.Clock.Pass(2 * time.Minute)
		waittest.For(t, "the batch to be closed", func() bool { return c.batch(number).Stage == book.BatchFixed })
	})
	if b := c.batch(number); b.Count() != 0 {
		t.Errorf("the batch is %+v", b)
	}
}
