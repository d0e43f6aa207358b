package calls

import (
	"context"
	"time"

	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
)

// Check checks the whole ledger, as it is when it begins.
func (c *Calls) Check(ctx context.Context, progress operator.Progress) (control.Checked, error) {
	begun := time.Now()
	_, err := using(c, func(p Parts) (struct{}, error) {
		return struct{}{}, p.Ledger.Check(ctx, func(done, total int64) {
			if progress != nil {
				progress(int(done), int(total))
			}
		})
	})
	if err != nil {
		return control.Checked{}, err
	}
	took := time.Since(begun)
	return view(c, func(tx *ledger.Tx) (control.Checked, error) {
		v, err := tx.Vault()
		if err != nil {
			return control.Checked{}, err
		}
		entries, err := tx.TreeSize()
		return control.Checked{Entries: entries, Payments: v.Payments, Seconds: took.Seconds()}, err
	})
}
