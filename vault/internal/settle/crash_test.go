package settle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/intake/intaketest"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/payment"
)

var errCrash = errors.New("the process is dead")

// fate kills the process at its n-th step, just before or just after the step took effect. What is dead does nothing more.
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

func (l mortalLine) Reverse(ctx context.Context, r acquirer.Reversal) (a acquirer.Answer, err error) {
	err = l.fate.step(func() error { a, err = l.Acquirer.Reverse(ctx, r); return err })
	return a, err
}

func (l mortalLine) Reconcile(ctx context.Context, t acquirer.Totals) (r acquirer.Reconciliation, err error) {
	err = l.fate.step(func() error { r, err = l.Acquirer.Reconcile(ctx, t); return err })
	return r, err
}

// dying is an engine that dies at a step of fate.
func (c *counter) dying(f *fate) *Engine {
	return c.engine(func(cfg *Config) {
		cfg.Ledger, cfg.Acquirer, cfg.Outstanding = mortalLedger{c.Ledger, f}, mortalLine{c.client, f}, 1
	})
}

// TestCrashAtEveryStepOfSales kills the engine before and after each commit and each message, starts another one, and compares books:
// nobody is charged twice, nothing is left open, and every charge is an approved sale.
func TestCrashAtEveryStepOfSales(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			f := &fate{left: n, after: after}
			ids := c.post(1999, amountDeclined, amountDropped)
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			e := c.dying(f)
			go func() { ended <- e.Run(ctx) }()
			intaketest.WaitFor(t, "the crash, or all done", func() bool {
				return f.struck() || c.count(payment.StageReceived)+c.count(payment.StageAuthorising)+c.count(payment.StageUnknown) == 0
			})
			stop()
			if err := <-ended; f.struck() && err != nil && !errors.Is(err, errCrash) {
				t.Fatalf("step %d: %v", n, err)
			}
			c.Reopen()
			c.finish(c.engine(nil))
			c.noParts(ids...)
			c.agree()
			if t.Failed() {
				t.Fatalf("after a crash at step %d (after it took effect: %v)", n, after)
			}
			if !f.struck() {
				if n < 8 {
					t.Fatalf("only %d steps were seen", n)
				}
				break
			}
		}
	}
}

// TestCrashAtEveryStepOfSettling does the same while a batch is closed and settled: each crash is answered by the same command.
func TestCrashAtEveryStepOfSettling(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			c.post(1999, 2500)
			c.finish(c.engine(nil))
			f := &fate{left: n, after: after}
			err := closeAndSettle(t.Context(), c.dying(f))
			if f.struck() && err == nil {
				t.Fatalf("step %d: a crash was not noticed", n)
			}
			c.Reopen()
			c.must(closeAndSettle(t.Context(), c.engine(nil)))
			if open := c.count(payment.StageApproved); open != 0 {
				t.Fatalf("step %d: %d payments are not settled", n, open)
			}
			c.agree()
			if t.Failed() {
				t.Fatalf("after a crash at step %d (after it took effect: %v)", n, after)
			}
			if !f.struck() {
				if n < 7 {
					t.Fatalf("only %d steps were seen", n)
				}
				break
			}
		}
	}
}

func closeAndSettle(ctx context.Context, e *Engine) error {
	if _, err := e.CloseBatch(ctx, "", "", operator(), nil); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	_, err := e.Settle(ctx, All, "", operator(), nil)
	return err
}
