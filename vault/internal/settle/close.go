package settle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
)

// maxNamed is how many payments an error names.
const maxNamed = 10

// CloseBatch closes the open batches of a merchant (of all when it is empty) and of one method (of
// both when it is empty). First no payment joins any of them any more; then each waits until
// nothing of it is outstanding or unresolved, and is fixed with its control totals. It returns the
// batches that it fixed, in order of their numbers; none is no error. One that cannot be fixed does
// not stop the others, and the next close finishes what was interrupted. Errors (joined):
// [ErrNotFound], [ErrConflict] (naming the payments), or the ledger's.
func (e *Engine) CloseBatch(ctx context.Context, merchant string, method book.Method, actor operator.Actor, progress operator.Progress) ([]book.Batch, error) {
	return e.closeBatches(ctx, closing{merchant: merchant, method: method, actor: actor, patience: e.cfg.Patience, progress: progress})
}

// closing is which batches are closed, and how long each is waited for.
type closing struct {
	merchant string
	method   book.Method
	due      func(tx *ledger.Tx, number uint32) (bool, error) // of open batches; nil: all
	actor    operator.Actor
	patience time.Duration
	progress operator.Progress
}

func (e *Engine) closeBatches(ctx context.Context, c closing) ([]book.Batch, error) {
	if !e.operation.TryLock() {
		return nil, busy()
	}
	defer e.operation.Unlock()
	if err := e.cfg.Ledger.Commit(ctx, c.cutOver); err != nil {
		return nil, err
	}
	// A crash here leaves batches that are closing, which nothing joins: the next close fixes them.
	return e.fixAll(ctx, c)
}

func busy() error {
	return fmt.Errorf("another close or settlement is under way: %w", ErrConflict)
}

func merchantsOf(tx *ledger.Tx, merchant string) (all []book.Merchant, err error) {
	if merchant != "" {
		m, found, err := tx.Merchant(merchant)
		if err != nil || !found {
			return nil, orMissing(err, "merchant "+merchant)
		}
		return []book.Merchant{m}, nil
	}
	err = tx.Merchants(func(m book.Merchant) error {
		all = append(all, m)
		return nil
	})
	return all, err
}

// cutOver begins to close those of the open batches that are due.
func (c closing) cutOver(tx *ledger.Tx) error {
	merchants, err := merchantsOf(tx, c.merchant)
	if err != nil {
		return err
	}
	for _, m := range merchants {
		for _, kind := range []book.Method{book.MethodCard, book.MethodBank} {
			number := m.Open(kind)
			if number == 0 || c.method != "" && c.method != kind {
				continue
			}
			if c.due != nil {
				if yes, err := c.due(tx, number); err != nil {
					return err
				} else if !yes {
					continue
				}
			}
			if _, err := tx.Append(c.actor.Event(m.ID, book.BatchClosing{Batch: number})); err != nil {
				return err
			}
		}
	}
	return nil
}

// fixAll fixes the batches that are closing, of those that are meant, due or not.
func (e *Engine) fixAll(ctx context.Context, c closing) ([]book.Batch, error) {
	begun, err := e.batches(func(b book.Batch) bool {
		return b.Stage == book.BatchCutover && (c.merchant == "" || b.Merchant == c.merchant) && (c.method == "" || b.Method == c.method)
	})
	if err != nil {
		return nil, err
	}
	var closed []book.Batch
	var failures []error
	for i, b := range begun {
		c.progress.Report(i, len(begun))
		b, err := e.fix(ctx, b.Number, c.patience, c.actor)
		switch {
		case errors.Is(err, ErrConflict):
			failures = append(failures, err)
		case err != nil:
			return closed, errors.Join(append(failures, err)...)
		default:
			closed = append(closed, b)
		}
	}
	c.progress.Report(len(begun), len(begun))
	return closed, errors.Join(failures...)
}

func orMissing(err error, what string) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("no %s: %w", what, ErrNotFound)
}

// batches reads those that pass keep, in order of their numbers.
func (e *Engine) batches(keep func(book.Batch) bool) ([]book.Batch, error) {
	var kept []book.Batch
	err := e.cfg.Ledger.View(func(tx *ledger.Tx) error {
		return tx.Batches(func(b book.Batch) error {
			if keep(b) {
				kept = append(kept, b)
			}
			return nil
		})
	})
	return kept, err
}

func (e *Engine) batch(number uint32) (b book.Batch, err error) {
	err = e.cfg.Ledger.View(func(tx *ledger.Tx) error {
		b, err = batchOf(tx, number)
		return err
	})
	return b, err
}

func batchOf(tx *ledger.Tx, number uint32) (book.Batch, error) {
	b, found, err := tx.Batch(number)
	if err != nil || !found {
		return b, orMissing(err, fmt.Sprintf("batch %d", number))
	}
	return b, nil
}

// fix waits until nothing of a closing batch is outstanding or unresolved and closes it with its
// control totals. It does not wait for a person's decision.
func (e *Engine) fix(ctx context.Context, number uint32, patience time.Duration, actor operator.Actor) (book.Batch, error) {
	var b book.Batch
	_, err := until(ctx, patience, func() (done bool, err error) {
		if b, err = e.batch(number); err != nil || b.Outstanding > 0 || b.Unresolved == 0 {
			return b.Outstanding == 0, err
		}
		manual, err := e.count(b, book.StageManual)
		return manual == b.Unresolved, err
	})
	if err != nil {
		return b, err
	}
	if b.Outstanding > 0 || b.Unresolved > 0 {
		return b, e.inFlight(b)
	}
	err = e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		now, err := batchOf(tx, number)
		if err != nil {
			return err
		}
		body := book.BatchClosed{Batch: number, Totals: now.Totals, HashTotal: now.HashTotal}
		_, err = tx.Append(actor.Event(now.Merchant, body))
		return err
	})
	if err != nil {
		return b, err
	}
	return e.batch(number)
}

func (e *Engine) count(b book.Batch, stage book.Stage) (n int64, err error) {
	err = e.cfg.Ledger.View(func(tx *ledger.Tx) error {
		n = 0
		return tx.Payments(ledger.Query{Merchant: b.Merchant, Stage: stage, Batch: b.Number}, func(book.Payment) error {
			n++
			return nil
		})
	})
	return n, err
}

// inFlight is the conflict that names what a batch waits for.
func (e *Engine) inFlight(b book.Batch) error {
	var names []string
	err := e.cfg.Ledger.View(func(tx *ledger.Tx) error {
		for _, stage := range []book.Stage{book.StageManual, book.StageUnknown, book.StageCorrecting, book.StageAuthorising, book.StageCapturing, book.StageVoiding} {
			err := tx.Payments(ledger.Query{Merchant: b.Merchant, Stage: stage, Batch: b.Number, Limit: maxNamed}, func(p book.Payment) error {
				if names = append(names, fmt.Sprintf("%s (%s)", p.Name(), p.Stage)); len(names) == maxNamed {
					return errEnough
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err = unlessEnough(err); err != nil {
		return err
	}
	return fmt.Errorf("%s of %s waits for %d answers and %d outcomes, among them %s; resolve what is manual, and close it again when the rest is answered: %w",
		b.ID(), b.Merchant, b.Outstanding, b.Unresolved, strings.Join(names, ", "), ErrConflict)
}

// until calls done every few milliseconds until it is true or fails, ctx ends, or patience is over
// (then it returns false).
func until(ctx context.Context, patience time.Duration, done func() (bool, error)) (bool, error) {
	for deadline := time.Now().Add(patience); ; {
		ok, err := done()
		if ok || err != nil {
			return ok, err
		}
		if time.Now().After(deadline) {
			return false, nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return false, err
		}
	}
}
