package settle

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/account"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

func oneBag(m channel.Message) []channel.Message { return []channel.Message{m} }

func (c *counter) batch(number uint32) (b book.Batch) {
	c.t.Helper()
	c.View(func(tx *ledger.Tx) (err error) {
		b, _, err = tx.Batch(number)
		return err
	})
	return b
}

func TestCloseAndSettle(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	ids := c.post(1999, amountDeclined, 2500, amountDropped)
	// so that the dropped line takes nothing along
	e := c.engine(func(cfg *Config) { cfg.Outstanding = 1 })
	c.while(e, func() {
		waittest.For(t, "four outcomes", func() bool {
			return c.stage(ids[0]) == book.StageApproved && c.stage(ids[3]) == book.StageReversed
		})
		closed, err := e.CloseBatch(t.Context(), "shop-1", "", person(), nil)
		c.must(err)
		want := []book.Total{{Currency: "USD", Count: 2, Amount: 4499}}
		if len(closed) != 1 || closed[0].Stage != book.BatchFixed || !slices.Equal(closed[0].Totals, want) {
			t.Fatalf("closed %+v", closed)
		}
		var seen []int
		done, err := e.Settle(t.Context(), book.AllBatches, "", person(), func(done, total int) { seen = append(seen, done, total) })
		c.must(err)
		if done.Payments != 2 || len(done.Batches) != 1 || done.Batches[0].Stage != book.BatchDone {
			t.Errorf("settled %+v", done)
		}
		if !slices.Equal(seen[len(seen)-2:], []int{2, 2}) {
			t.Errorf("progress ended at %v", seen)
		}
	})
	if c.stage(ids[0]) != book.StageSettled || c.stage(ids[1]) != book.StageDeclined || c.stage(ids[3]) != book.StageReversed {
		t.Errorf("after settling: %s %s %s", c.stage(ids[0]), c.stage(ids[1]), c.stage(ids[3]))
	}
	c.changesNothing(e)
	c.agree()
}

// changesNothing closes and settles again, which must leave the log as it is.
func (c *counter) changesNothing(e *Engine) {
	c.t.Helper()
	before := c.logSize()
	closed, err := e.CloseBatch(c.t.Context(), "", "", person(), nil)
	c.must(err)
	done, err := e.Settle(c.t.Context(), book.AllBatches, "", person(), nil)
	c.must(err)
	if len(closed) != 0 || done.Payments != 0 || c.logSize() != before {
		c.t.Errorf("a second run closed %d, settled %d and logged %d events", len(closed), done.Payments, c.logSize()-before)
	}
}

func (c *counter) logSize() (n int64) {
	c.t.Helper()
	c.View(func(tx *ledger.Tx) (err error) {
		n, err = tx.TreeSize()
		return err
	})
	return n
}

// TestNewSalesJoinTheNextBatch: a close does not wait for the world to stop.
func TestNewSalesJoinTheNextBatch(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	e := c.engine(nil)
	first := c.post(1000)
	c.finish(e)
	_, err := e.CloseBatch(t.Context(), "", "", person(), nil)
	c.must(err)
	second := c.post(2000)
	c.finish(e)
	if a, b := c.Payment("shop-1", first[0]).Batch, c.Payment("shop-1", second[0]).Batch; a != 1 || b != 2 {
		t.Errorf("batches %d and %d", a, b)
	}
	if _, err := e.Settle(t.Context(), 2, "", person(), nil); !errors.Is(err, ErrConflict) {
		t.Errorf("settling an open batch: %v", err)
	}
}

// TestCloseWaitsForAnswers: what is in flight belongs to the batch that it joined.
func TestCloseWaitsForAnswers(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	ids := c.post(1000)
	release := make(chan struct{})
	slow := &spy{Acquirer: c.client, sales: func(acquirer.Request) error { <-release; return nil }}
	e := c.engine(func(cfg *Config) { cfg.Acquirer, cfg.Patience = slow, time.Second })
	c.while(e, func() {
		waittest.For(t, "the sale to be in flight", func() bool { return c.stage(ids[0]) == book.StageAuthorising })
		_, err := e.CloseBatch(t.Context(), "shop-1", "", person(), nil)
		if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), ids[0]) {
			t.Errorf("closing over an outstanding answer: %v", err)
		}
		close(release)
		closed, err := e.CloseBatch(t.Context(), "shop-1", "", person(), nil)
		c.must(err)
		if len(closed) != 1 || len(closed[0].Totals) != 1 || closed[0].Totals[0].Count != 1 {
			t.Errorf("closed %+v", closed)
		}
	})
}

// TestCloseWaitsForUnknown: totals cannot be fixed while an outcome is unknown.
func TestCloseWaitsForUnknown(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	ids := c.post(amountDropped)
	deaf := &spy{Acquirer: c.client, undo: func(acquirer.Reversal) error { return acquirer.ErrNoAnswer }}
	e := c.engine(func(cfg *Config) {
		cfg.Acquirer, cfg.Patience, cfg.ReversalRetry = deaf, 200*time.Millisecond, time.Hour
	})
	c.while(e, func() {
		waittest.For(t, "the sale to be unknown", func() bool { return c.stage(ids[0]) == book.StageUnknown })
		_, err := e.CloseBatch(t.Context(), "", "", person(), nil)
		if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), ids[0]) {
			t.Errorf("closing over an unknown outcome: %v", err)
		}
		if _, err := e.Settle(t.Context(), 1, "", person(), nil); !errors.Is(err, ErrConflict) {
			t.Errorf("settling a batch that is still closing: %v", err)
		}
	})
	e = c.engine(nil) // the next start reaches the host
	c.finish(e)
	_, err := e.CloseBatch(t.Context(), "", "", person(), nil)
	c.must(err)
	_, err = e.Settle(t.Context(), 1, "", person(), nil)
	c.must(err)
	if c.batch(1).Stage != book.BatchDone {
		t.Errorf("batch is %s", c.batch(1).Stage)
	}
}

// TestTotalsDiffer: the host has a sale that the vault does not know of; nothing is settled until
// the books are equal.
func TestTotalsDiffer(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	ids := c.post(1000, 2000)
	e := c.engine(nil)
	c.finish(e)
	stray := c.strayCharge(ids[0])
	_, err := e.CloseBatch(t.Context(), "", "", person(), nil)
	c.must(err)
	for range 2 {
		if _, err = e.Settle(t.Context(), book.AllBatches, "", person(), nil); !errors.Is(err, ErrTotalsDiffer) {
			t.Fatalf("settling with other totals: %v", err)
		}
	}
	if b := c.batch(1); b.Stage != book.BatchDiffers || len(b.Host) != 1 || b.Host[0].Count != 3 || b.Done != 0 {
		t.Errorf("batch %+v", b)
	}
	if n := c.State().Findings[book.FindingTotalsDiffer]; n != 2 {
		t.Errorf("%d findings", n)
	}
	_, err = c.client.Reverse(t.Context(), stray)
	c.must(err)
	done, err := e.Settle(t.Context(), book.AllBatches, "", person(), nil)
	c.must(err)
	if done.Payments != 2 || c.batch(1).Stage != book.BatchDone {
		t.Errorf("after the books are equal: %d settled, batch %s", done.Payments, c.batch(1).Stage)
	}
	c.changesNothing(e)
}

// strayCharge has the host book a sale into the batch of another that the vault never intended, and
// returns what undoes it.
func (c *counter) strayCharge(like string) acquirer.Reversal {
	c.t.Helper()
	p := c.Payment("shop-1", like)
	trace := onWire(*p.Trace)
	trace.STAN, trace.RRN = 900_001, "690100900001"
	card, err := account.Parse([]byte(vaulttest.Card("4242424242424242", "2031-12")))
	c.must(err)
	defer card.Clear()
	_, err = c.client.Authorise(c.t.Context(), acquirer.Request{Kind: acquirer.KindSale, Trace: trace, Batch: p.Batch, Amount: 77, Currency: "USD", Card: card.Card})
	c.must(err)
	undo := trace
	undo.STAN = 900_002
	return acquirer.Reversal{Trace: undo, Original: acquirer.Original{Trace: trace, Kind: acquirer.KindSale}, Batch: p.Batch, Amount: 77, Currency: "USD"}
}

// TestHostDownAtSettlement: nothing is settled and the next run goes on.
func TestHostDownAtSettlement(t *testing.T) {
	c := newCounter(t, 300*time.Millisecond)
	c.post(1000)
	e := c.engine(func(cfg *Config) { cfg.Patience = 300 * time.Millisecond })
	c.finish(e)
	_, err := e.CloseBatch(t.Context(), "", "", person(), nil)
	c.must(err)
	address := c.host.Addr()
	c.must(c.host.Close())
	waittest.For(t, "the line to be down", func() bool { return c.client.Ready() != nil })
	if _, err := e.Settle(t.Context(), book.AllBatches, "", person(), nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("settling without a host: %v", err)
	}
	c.startHost(address)
	waittest.For(t, "the line to be up", func() bool { return c.client.Ready() == nil })
	_, err = e.Settle(t.Context(), book.AllBatches, "", person(), nil)
	c.must(err)
	if c.batch(1).Stage != book.BatchDone {
		t.Errorf("batch is %s", c.batch(1).Stage)
	}
}

// TestSettleGoesOnWhereItStopped: an operator who goes away between two chunks loses nothing.
func TestSettleGoesOnWhereItStopped(t *testing.T) {
	c := newCounter(t, 20*time.Second)
	amounts := slices.Repeat([]int64{1500}, 120)
	for range 4 {
		c.post(amounts...)
	}
	e := c.engine(nil)
	c.finish(e)
	_, err := e.CloseBatch(t.Context(), "", "", person(), nil)
	c.must(err)
	ctx, leave := context.WithCancel(t.Context())
	_, err = e.Settle(ctx, book.AllBatches, "", person(), func(done, _ int) {
		if done > 0 {
			leave()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("an operator left and settling ended with %v", err)
	}
	if got := c.count(book.StageSettled); got != chunk {
		t.Errorf("%d settled before the stop", got)
	}
	done, err := e.Settle(t.Context(), book.AllBatches, "", person(), nil)
	c.must(err)
	if done.Payments != 480-chunk || c.count(book.StageSettled) != 480 {
		t.Errorf("the second run settled %d, in all %d", done.Payments, c.count(book.StageSettled))
	}
	c.agree()
}

func TestSettleRefusals(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	e := c.engine(nil)
	if _, err := e.Settle(t.Context(), 17, "", person(), nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("a batch that is not there: %v", err)
	}
	if _, err := e.CloseBatch(t.Context(), "shop-9", "", person(), nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("a merchant that is not there: %v", err)
	}
	closed, err := e.CloseBatch(t.Context(), "shop-1", "", person(), nil)
	if err != nil || len(closed) != 0 {
		t.Errorf("a merchant without a batch: %v %v", closed, err)
	}
	e.operation.Lock()
	if _, err := e.Settle(t.Context(), book.AllBatches, "", person(), nil); !errors.Is(err, ErrConflict) {
		t.Errorf("two settlements at once: %v", err)
	}
	if _, err := e.CloseBatch(t.Context(), "", "", person(), nil); !errors.Is(err, ErrConflict) {
		t.Errorf("a close during a settlement: %v", err)
	}
	e.operation.Unlock()
}
