package settle

import (
	"context"
	"fmt"
	"strings"

	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/payment"
)

// maxNamed is how many payments an error names.
const maxNamed = 10

// CloseBatch closes the open batch of a merchant, or of every merchant when merchant is empty: first no authorisation joins any
// of them any more, then each waits for its answers in flight and is fixed with its control totals. It returns the batches that it
// fixed, in order of their numbers; none is no error. A close that was interrupted is finished by the next. Errors: ErrNotFound,
// ErrConflict (naming what is in flight), or the ledger's.
func (e *Engine) CloseBatch(ctx context.Context, merchant string, actor Actor, progress Progress) ([]payment.Batch, error) {
	if !e.operation.TryLock() {
		return nil, fmt.Errorf("another close or settlement is under way: %w", ErrConflict)
	}
	defer e.operation.Unlock()
	if err := e.cutOver(ctx, merchant, actor); err != nil {
		return nil, err
	}
	closing, err := e.batches(func(b payment.Batch) bool {
		return b.Stage == payment.BatchCutover && (merchant == "" || b.Merchant == merchant)
	})
	if err != nil {
		return nil, err
	}
	var closed []payment.Batch
	for i, b := range closing {
		progress.report(i, len(closing))
		b, err := e.fix(ctx, b.Number, actor)
		if err != nil {
			return closed, err
		}
		closed = append(closed, b)
	}
	progress.report(len(closing), len(closing))
	return closed, nil
}

// cutOver begins to close the open batches of one or of all merchants, in one commit.
func (e *Engine) cutOver(ctx context.Context, merchant string, actor Actor) error {
	return e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		var open []payment.Merchant
		if merchant != "" {
			m, found, err := tx.Merchant(merchant)
			if err != nil || !found {
				return orMissing(err, "merchant "+merchant)
			}
			open = append(open, m)
		} else if err := tx.Merchants(func(m payment.Merchant) error {
			open = append(open, m)
			return nil
		}); err != nil {
			return err
		}
		for _, m := range open {
			if m.OpenBatch == 0 {
				continue
			}
			if _, err := tx.Append(actor.Event(m.ID, payment.BatchClosing{Batch: m.OpenBatch})); err != nil {
				return err
			}
		}
		return nil
	})
}

func orMissing(err error, what string) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("no %s: %w", what, ErrNotFound)
}

// batches reads those that pass keep, in order of their numbers.
func (e *Engine) batches(keep func(payment.Batch) bool) ([]payment.Batch, error) {
	var kept []payment.Batch
	err := e.cfg.Ledger.View(func(tx *ledger.Tx) error {
		return tx.Batches(func(b payment.Batch) error {
			if keep(b) {
				kept = append(kept, b)
			}
			return nil
		})
	})
	return kept, err
}

func (e *Engine) batch(number uint32) (b payment.Batch, err error) {
	err = e.cfg.Ledger.View(func(tx *ledger.Tx) error {
		found := false
		b, found, err = tx.Batch(number)
		if err != nil || !found {
			return orMissing(err, fmt.Sprintf("batch %d", number))
		}
		return nil
	})
	return b, err
}

// fix waits for a closing batch's answers in flight and closes it with its control totals.
func (e *Engine) fix(ctx context.Context, number uint32, actor Actor) (payment.Batch, error) {
	drained, err := e.until(ctx, func() (bool, error) {
		b, err := e.batch(number)
		return b.Outstanding == 0, err
	})
	if err != nil {
		return payment.Batch{}, err
	}
	if !drained {
		return payment.Batch{}, e.inFlight(number, "its answer is outstanding", payment.StageAuthorising)
	}
	err = e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		b, found, err := tx.Batch(number)
		if err != nil || !found {
			return orMissing(err, fmt.Sprintf("batch %d", number))
		}
		_, err = tx.Append(actor.Event(b.Merchant, payment.BatchClosed{Batch: number, Totals: b.Totals}))
		return err
	})
	if err != nil {
		return payment.Batch{}, err
	}
	return e.batch(number)
}

// inFlight is the conflict that names the payments of a batch that are in one of stages.
func (e *Engine) inFlight(number uint32, why string, stages ...payment.Stage) error {
	var names []string
	b, err := e.batch(number)
	if err != nil {
		return err
	}
	err = e.cfg.Ledger.View(func(tx *ledger.Tx) error {
		for _, stage := range stages {
			err := tx.Payments(ledger.Query{Merchant: b.Merchant, Stage: stage, Batch: number, Limit: maxNamed}, func(p payment.Payment) error {
				names = append(names, fmt.Sprintf("%s/%s (%s)", p.Merchant, p.ID, p.Stage))
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return fmt.Errorf("%s waits for payments of which %s: %s; run it again when they are resolved: %w", b.ID(), why, strings.Join(names, ", "), ErrConflict)
}
