package settle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/journal"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

// valve is a place of a journal that can be closed, and remembers how much of the log it let
// through. It is safe for concurrent use.
type valve struct {
	journal.Place
	mu   sync.Mutex
	shut bool
	size int64
	key  *vaulttest.Vault
}

var errShut = errors.New("the disk is gone")

func (v *valve) err() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.shut {
		return errShut
	}
	return nil
}

func (v *valve) turn(shut bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shut = shut
}

func (v *valve) Ready() error { return errors.Join(v.err(), v.Place.Ready()) }

func (v *valve) Append(ctx context.Context, generation uint64, message []byte) error {
	if err := v.err(); err != nil {
		return err
	}
	m, err := journal.Decode(message, v.key.Ring.Verifier())
	if err != nil {
		return err
	}
	if err := v.Place.Append(ctx, generation, message); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.size = m.Size()
	return nil
}

func (v *valve) has() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.size
}

// journaled gives the counter a journal in a directory, which runs until the test ends, and the
// valve before it.
func (c *counter) journaled() (*journal.Journal, *valve) {
	c.t.Helper()
	dir, err := journal.OpenDirectory(c.t.TempDir(), 0)
	c.must(err)
	v := &valve{Place: dir, key: c.Vault}
	j := journal.New(journal.Config{Ledger: c.Ledger, Place: v, Signer: c.Ring.Signer(), Retry: 5 * time.Millisecond})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	c.t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, dir.Close()); err != nil {
			c.t.Error(err)
		}
	})
	return j, v
}

// intentOf is the index of the last event of a kind about a payment; -1 where there is none.
func (c *counter) intentOf(kind string, trace uint32) (index int64) {
	c.t.Helper()
	index = -1
	c.View(func(tx *ledger.Tx) error {
		size, err := tx.TreeSize()
		for i := size - 1; i >= 0 && err == nil; i-- {
			var e ledger.LogEntry
			if e, err = tx.LogEntry(uint64(i)); err == nil && e.Event.Body.Kind() == kind && stanOf(e.Event.Body) == trace {
				index = i
				return nil
			}
		}
		return err
	})
	return index
}

func stanOf(b book.Body) uint32 {
	switch b := b.(type) {
	case book.AuthorisationIntended:
		return b.Trace.STAN
	case book.CaptureIntended:
		return b.Trace.STAN
	case book.ReversalIntended:
		return b.Trace.STAN
	}
	return 0
}

// TestNothingLeavesBeforeItsIntentIsInTheJournal: of every 0100, 0200, 0220 and 0420 that reaches
// the line, the journal has the intent.
func TestNothingLeavesBeforeItsIntentIsInTheJournal(t *testing.T) {
	c := newCounter(t, 3*time.Second) // a busy machine answers late
	j, v := c.journaled()
	seen := map[string]int{}
	var mu sync.Mutex
	check := func(kind string, trace acquirer.Trace) error {
		has, index := v.has(), c.intentOf(kind, trace.STAN)
		mu.Lock()
		defer mu.Unlock()
		seen[kind]++
		if index < 0 || has <= index {
			t.Errorf("a message left for entry %d, and the journal ends at %d", index, has)
		}
		return nil
	}
	e := c.engine(func(cfg *Config) {
		cfg.Journal = j
		cfg.Acquirer = &spy{Acquirer: c.client,
			sales:   func(r acquirer.Request) error { return check(book.AuthorisationIntended{}.Kind(), r.Trace) },
			capture: func(r acquirer.Capture) error { return check(book.CaptureIntended{}.Kind(), r.Trace) },
			undo:    func(r acquirer.Reversal) error { return check(book.ReversalIntended{}.Kind(), r.Trace) }}
	})
	c.post(1999, 2500, amountDropped) // whatever is outstanding when the line drops is reversed
	c.finish(e)
	hold := c.send(c.shop.Authorize(5000)) // so this comes later
	c.finish(e)
	c.send(c.shop.Capture(hold, 2000))
	c.finish(e)
	if len(seen) != 3 || seen[book.AuthorisationIntended{}.Kind()] != 4 {
		t.Errorf("messages seen: %v", seen)
	}
	c.agree()
}

// TestPaymentsWaitForTheJournal: while the journal stands still nothing is sent: what is received
// waits, or is refused late, and everything goes on when the journal does.
func TestPaymentsWaitForTheJournal(t *testing.T) {
	c := newCounter(t, time.Second)
	j, v := c.journaled()
	v.turn(true)
	c.post(1999) // something for the journal to fail with
	waittest.For(t, "the journal to stand still", func() bool { return j.Ready() != nil })
	e := c.engine(func(cfg *Config) { cfg.Journal = j })
	late := c.shop.Sale()
	late.Until = c.Clock.Now().Add(time.Minute)
	c.send(late)
	ids := c.post(1999, 2500)
	c.while(e, func() {
		c.Clock.Pass(2 * time.Minute)
		waittest.For(t, "the late one to be refused", func() bool { return c.stage(late.ID) == book.StageRejected })
		for _, id := range ids {
			if stage := c.stage(id); stage != book.StageReceived {
				t.Errorf("%s is %s", id, stage)
			}
		}
		if s := c.statement(); s.Charged != 0 {
			t.Errorf("the host charged %d", s.Charged)
		}
		v.turn(false)
		waittest.For(t, "the approvals", func() bool { return c.count(book.StageApproved) == 3 })
	})
	c.agree()
}

// stuck is a journal that takes what it is given and, while it is shut, comes no further.
type stuck struct{ shut atomic.Bool }

func (*stuck) Ready() error { return nil }

func (s *stuck) Durable(ctx context.Context, _ int64) error {
	for s.shut.Load() {
		if err := pause(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("%w: %w", journal.ErrUnavailable, err)
		}
	}
	return nil
}

// TestJournalThatStopsUnderARequest: an intent that the journal does not get is answered unknown
// within the hour and is never sent: its reversal waits for the journal too.
func TestJournalThatStopsUnderARequest(t *testing.T) {
	c := newCounter(t, time.Second)
	j := &stuck{}
	j.shut.Store(true)
	id := c.post(1999)[0]
	c.while(c.engine(func(cfg *Config) { cfg.Journal = j }), func() {
		waittest.For(t, "the intent", func() bool { return c.stage(id) == book.StageAuthorising })
		c.Clock.Pass(31 * time.Minute)
		waittest.For(t, "a first result", func() bool { return c.stage(id) == book.StageUnknown })
		if told := c.told(id); len(told) != 1 || told[0] != envelope.StatusUnknown {
			t.Errorf("told %v", told)
		}
		if s := c.statement(); len(s.Transactions) != 0 || s.Reversals != 0 {
			t.Errorf("something was sent: %+v", s)
		}
		j.shut.Store(false)
		waittest.For(t, "the reversal", func() bool { return c.stage(id) == book.StageReversed })
	})
	c.agree()
}

// TestFileWaitsForTheJournal: a settlement file appears when its digest is in the journal, and not
// before.
func TestFileWaitsForTheJournal(t *testing.T) {
	c := newCounter(t, time.Second)
	c.send(c.shop.BankSale(1250))
	c.finish(c.engine(nil))
	j := &stuck{}
	j.shut.Store(true)
	e := c.engine(func(cfg *Config) { cfg.Journal, cfg.Patience = j, 50*time.Millisecond })
	_, err := e.CloseBatch(t.Context(), "", "", person(), nil)
	c.must(err)
	out, err := e.Settle(t.Context(), book.AllBatches, "", person(), nil)
	if !errors.Is(err, ErrUnavailable) || len(out.Files) != 1 || out.Files[0].Stage != book.FileHashed {
		t.Fatalf("settled %+v, %v", out, err)
	}
	if _, err := os.Stat(filepath.Join(c.outbox, out.Files[0].Name)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file: %v", err)
	}
	j.shut.Store(false)
	out, err = e.Settle(t.Context(), book.AllBatches, "", person(), nil)
	if err != nil || len(out.Files) != 1 || out.Files[0].Stage != book.FileOut {
		t.Errorf("settled %+v, %v", out, err)
	}
}

// mortalJournal dies at a step of its fate.
type mortalJournal struct {
	Journal
	fate *fate
}

func (m mortalJournal) Durable(ctx context.Context, size int64) error {
	return m.fate.step(func() error { return m.Journal.Durable(ctx, size) })
}

// TestCrashAroundTheJournal kills the engine before and after each commit, each wait for the
// journal and each message, and starts another one: between commit and journal nothing had left,
// between journal and message neither, and after it the next start reverses it.
func TestCrashAroundTheJournal(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	j, _ := c.journaled()
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			f := &fate{left: n, after: after}
			c.post(1999)
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			e := c.engine(func(cfg *Config) {
				cfg.Ledger, cfg.Acquirer, cfg.Journal, cfg.Outstanding = mortalLedger{c.Ledger, f}, mortalLine{c.client, f}, mortalJournal{j, f}, 1
			})
			go func() { ended <- e.Run(ctx) }()
			waittest.For(t, "the crash, or all done", func() bool { return f.struck() || c.underWay() == 0 })
			stop()
			if err := <-ended; f.struck() && err != nil && !errors.Is(err, errCrash) {
				t.Fatalf("step %d: %v", n, err)
			}
			c.finish(c.engine(func(cfg *Config) { cfg.Journal = j }))
			c.agree()
			if t.Failed() {
				t.Fatalf("after a crash at step %d (after it took effect: %v)", n, after)
			}
			if !f.struck() {
				if n < 4 {
					t.Fatalf("only %d steps were seen", n)
				}
				break
			}
		}
	}
}
