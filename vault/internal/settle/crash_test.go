package settle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

var errCrash = errors.New("the process is dead")

// fate kills the process at its n-th step, just before or just after the step took effect. What is
// dead does nothing more.
type fate struct {
	mu    sync.Mutex
	left  int
	after bool // the step takes effect and nobody learns of it
	dead  bool
}

// step runs effect, unless the process is dead or dies before it.
func (f *fate) step(effect func() error) error {
	f.mu.Lock()
	f.left--
	dies := f.left == 0
	f.dead = f.dead || dies
	dead, after := f.dead, f.after
	f.mu.Unlock()
	if dead && (!dies || !after) {
		return errCrash
	}
	if err := effect(); err != nil || !dies {
		return err
	}
	return errCrash
}

func (f *fate) struck() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

// mortalLedger and mortalLine die at a step of their fate.
type mortalLedger struct {
	Ledger
	fate *fate
}

func (l mortalLedger) Commit(ctx context.Context, fn func(*ledger.Tx) error) error {
	return l.fate.step(func() error { return l.Ledger.Commit(ctx, fn) })
}

type mortalLine struct {
	acquirer.Acquirer
	fate *fate
}

func (l mortalLine) Authorise(ctx context.Context, s acquirer.Request) (a acquirer.Answer, err error) {
	err = l.fate.step(func() error { a, err = l.Acquirer.Authorise(ctx, s); return err })
	return a, err
}

func (l mortalLine) Capture(ctx context.Context, r acquirer.Capture) (a acquirer.Answer, err error) {
	err = l.fate.step(func() error { a, err = l.Acquirer.Capture(ctx, r); return err })
	return a, err
}

func (l mortalLine) Reverse(ctx context.Context, r acquirer.Reversal) (a acquirer.Answer, err error) {
	err = l.fate.step(func() error { a, err = l.Acquirer.Reverse(ctx, r); return err })
	return a, err
}

func (l mortalLine) Reconcile(ctx context.Context, t acquirer.Totals) (r acquirer.Reconciliation, err error) {
	err = l.fate.step(func() error { r, err = l.Acquirer.Reconcile(ctx, t); return err })
	return r, err
}

// mortalDisk dies before or after a file is begun, is staged whole, or appears; what was staged
// stays.
type mortalDisk struct {
	Disk
	fate *fate
}

func (d mortalDisk) Stage(dir, name string) (file nacha.StagedFile, err error) {
	err = d.fate.step(func() error { file, err = d.Disk.Stage(dir, name); return err })
	return mortalFile{file, d.fate}, err
}

type mortalFile struct {
	nacha.StagedFile
	fate *fate
}

func (f mortalFile) Keep() error { return f.fate.step(f.StagedFile.Keep) }

func (f mortalFile) Discard() error { return f.fate.step(f.StagedFile.Discard) }

func (d mortalDisk) Appear(dir, name string) error {
	return d.fate.step(func() error { return d.Disk.Appear(dir, name) })
}

// dying is an engine that dies at a step of fate.
func (c *counter) dying(f *fate) *Engine {
	return c.engine(func(cfg *Config) {
		cfg.Ledger, cfg.Acquirer, cfg.Outstanding = mortalLedger{c.Ledger, f}, mortalLine{c.client, f}, 1
		cfg.Bank.Disk = mortalDisk{nacha.Disk{}, f}
	})
}

// dies runs an engine that dies at step n, or until it has nothing more to do, and reports whether
// it died.
func (c *counter) dies(n int, after bool) bool {
	c.t.Helper()
	f := &fate{left: n, after: after}
	ctx, stop := context.WithCancel(c.t.Context())
	ended := make(chan error, 1)
	e := c.dying(f)
	go func() { ended <- e.Run(ctx) }()
	waittest.For(c.t, "the crash, or all done", func() bool { return f.struck() || c.underWay() == 0 })
	stop()
	if err := <-ended; f.struck() && err != nil && !errors.Is(err, errCrash) {
		c.t.Fatalf("step %d: %v", n, err)
	}
	c.Reopen()
	return f.struck()
}

// atEveryStep calls crash for each step, dying before and after it took effect, until it says that
// nobody died.
func atEveryStep(t *testing.T, atLeast int, crash func(n int, after bool) bool) {
	t.Helper()
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			died := crash(n, after)
			if t.Failed() {
				t.Fatalf("after a crash at step %d (after it took effect: %v)", n, after)
			}
			if !died {
				if n < atLeast {
					t.Fatalf("only %d steps were seen", n)
				}
				break
			}
		}
	}
}

// TestCrashAtEveryStepOfSales kills the engine before and after each commit and each message,
// starts another one, and compares books: nobody is charged twice, nothing is left open, and every
// charge is an approved sale.
func TestCrashAtEveryStepOfSales(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	atEveryStep(t, 8, func(n int, after bool) bool {
		ids := c.post(1999, amountDeclined, amountDropped)
		died := c.dies(n, after)
		c.finish(c.engine(nil))
		c.noParts(ids...)
		c.agree()
		return died
	})
}

// TestCrashAtEveryStepOfCapturesAndVoids does the same while money that is held is captured, and
// given back.
func TestCrashAtEveryStepOfCapturesAndVoids(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	atEveryStep(t, 6, func(n int, after bool) bool {
		hold, sale := c.send(c.shop.Authorize(3000)), c.send(c.shop.Sale())
		c.finish(c.engine(nil))
		capture, void := c.send(c.shop.Capture(hold, 2000)), c.send(c.shop.Void(sale))
		died := c.dies(n, after)
		c.finish(c.engine(nil))
		if c.stage(capture) != book.StageCaptured || c.stage(void) != book.StageDone || c.stage(sale) != book.StageVoided {
			t.Errorf("the capture is %s, the void %s, the sale %s", c.stage(capture), c.stage(void), c.stage(sale))
		}
		c.agree()
		return died
	})
}

// TestCrashAtEveryStepOfSettling does the same while batches are closed and settled: each crash is
// answered by the same command.
func TestCrashAtEveryStepOfSettling(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	entries := 0
	atEveryStep(t, 16, func(n int, after bool) bool {
		if n == 1 {
			c.pass(24 * time.Hour) // a day has only so many files
		}
		c.post(1999, 2500)
		c.send(c.shop.BankSale(int64(1000 + n)))
		entries++
		c.finish(c.engine(nil))
		f := &fate{left: n, after: after}
		if err := closeAndSettle(t.Context(), c.dying(f)); f.struck() && err == nil {
			t.Errorf("a crash was not noticed")
		}
		c.Reopen()
		c.must(closeAndSettle(t.Context(), c.engine(nil)))
		if open := c.count(book.StageApproved) + c.count(book.StageAccepted) + c.count(book.StageFiling); open != 0 {
			t.Errorf("%d payments are not settled", open)
		}
		c.agree()
		c.entriesOnce(entries)
		return f.struck()
	})
}

// entriesOnce checks that the outbox holds whole files with this many entries, none twice, and
// nothing else.
func (c *counter) entriesOnce(want int) {
	c.t.Helper()
	all, err := os.ReadDir(c.outbox)
	c.must(err)
	traces := map[string]bool{}
	for _, one := range all {
		file := c.readFile(one.Name())
		f := c.file(one.Name())
		if f.Stage != book.FileOut || f.Entries != file.Control.EntryAddendaCount {
			c.t.Errorf("%s is %+v", one.Name(), f)
		}
		for _, b := range file.Batches {
			for _, e := range b.GetEntries() {
				if traces[e.TraceNumber] {
					c.t.Errorf("trace number %s is there twice", e.TraceNumber)
				}
				traces[e.TraceNumber] = true
			}
		}
	}
	if len(traces) != want {
		c.t.Errorf("%d entries are in the outbox, want %d", len(traces), want)
	}
}

func closeAndSettle(ctx context.Context, e *Engine) error {
	if _, err := e.CloseBatch(ctx, "", "", person(), nil); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	_, err := e.Settle(ctx, book.AllBatches, "", person(), nil)
	return err
}

// TestCrashAtEveryStepOfAFileThatLosesEntries does the same while an entry is left out of a file
// because its key died: one entry of two, and the only one.
func TestCrashAtEveryStepOfAFileThatLosesEntries(t *testing.T) {
	for name, good := range map[string]int{"one of two": 1, "the only one": 0} {
		t.Run(name, func(t *testing.T) {
			c := newCounter(t, 5*time.Second)
			entries := 0
			atEveryStep(t, 8, func(n int, after bool) bool {
				dies := c.send(c.shop.BankSale(int64(1000 + n)))
				c.pass(8 * 24 * time.Hour)
				for range good {
					c.send(c.shop.BankSale(int64(2000 + n)))
					entries++
				}
				f := &fate{left: n, after: after}
				if err := closeAndSettle(t.Context(), c.dying(f)); f.struck() && err == nil {
					t.Errorf("a crash was not noticed")
				}
				c.Reopen()
				c.must(closeAndSettle(t.Context(), c.engine(nil)))
				if c.stage(dies) != book.StageRejected || c.count(book.StageAccepted)+c.count(book.StageFiling) != 0 {
					t.Errorf("the sale whose key died is %s, and %d others are not settled", c.stage(dies), c.count(book.StageFiling))
				}
				c.entriesOnce(entries)
				return f.struck()
			})
		})
	}
}

// TestCrashAtEveryStepOfMakingAFileAgain: the same bytes are there in the end, and the log told of
// them before they appeared.
func TestCrashAtEveryStepOfMakingAFileAgain(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	c.send(c.shop.BankSale(1000))
	c.endOfDay(c.engine(nil))
	name, text, _ := c.theFile()
	path := filepath.Join(c.outbox, name)
	atEveryStep(t, 4, func(n int, after bool) bool {
		c.must(os.Remove(path))
		before := len(c.events(book.FileMadeAgain{}.Kind()))
		f := &fate{left: n, after: after}
		if _, err := c.dying(f).FileAgain(t.Context(), name, person()); f.struck() && !errors.Is(err, errCrash) {
			t.Errorf("a crash was not noticed: %v", err)
		}
		c.Reopen()
		_, err := os.Stat(path)
		if told := len(c.events(book.FileMadeAgain{}.Kind())) > before; err == nil && !told {
			t.Error("it appeared before the log told of it")
		}
		if err != nil {
			_, err := c.engine(nil).FileAgain(t.Context(), name, person())
			c.must(err)
		}
		if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, text) {
			t.Errorf("it is another file: %d bytes of %d, %v", len(again), len(text), err)
		}
		c.entriesOnce(1)
		return f.struck()
	})
}
