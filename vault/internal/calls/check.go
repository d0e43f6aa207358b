package calls

import (
	"context"
	"time"

	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
)

// Check checks the whole ledger, as it is when it begins.
func (c *Calls) Check(ctx context.Context, progress operator.Progress) (done control.Checked, err error) {
	parts, err := c.parts()
	if err != nil {
		return done, err
	}
	begun := time.Now()
	if err := parts.Ledger.Check(ctx, func(done, total int64) {
		if progress != nil {
			progress(int(done), int(total))
		}
	}); err != nil {
		return done, err
	}
	done.Seconds = time.Since(begun).Seconds()
	return done, parts.Ledger.View(func(tx *ledger.Tx) error {
		v, err := tx.Vault()
		if err != nil {
			return err
		}
		done.Payments = v.Payments
		done.Entries, err = tx.TreeSize()
		return err
	})
}
