package main

import (
	"context"
	"time"

	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
)

// Check checks the whole ledger, as it is when it begins.
func (d *daemon) Check(ctx context.Context, progress operator.Progress) (done control.Checked, err error) {
	h, err := d.open()
	if err != nil {
		return done, err
	}
	begun := time.Now()
	if err := h.ledger.Check(ctx, func(done, total int64) {
		if progress != nil {
			progress(int(done), int(total))
		}
	}); err != nil {
		return done, err
	}
	done.Seconds = time.Since(begun).Seconds()
	return done, h.ledger.View(func(tx *ledger.Tx) error {
		v, err := tx.Vault()
		if err != nil {
			return err
		}
		done.Payments = v.Payments
		done.Entries, err = tx.TreeSize()
		return err
	})
}
