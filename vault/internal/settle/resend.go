package settle

import (
	"context"
	"fmt"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
)

// Resend has the reversal or capture of a manual payment sent again, at once, and repeated as if its first try were
// now. reason is as Resolve has it. Errors: ErrReason, ErrNotFound, ErrConflict, or the ledger's.
func (e *Engine) Resend(ctx context.Context, merchant, id, reason string, actor operator.Actor) error {
	if err := checkWord(reason, actor); err != nil {
		return err
	}
	return e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		p, found, err := tx.Payment(merchant, id)
		if err != nil || !found {
			return orMissing(err, "payment "+id+" of "+merchant)
		}
		if p.Stage != book.StageManual {
			return fmt.Errorf("payment %s is %s: only what is manual can be sent again: %w", id, p.Stage, ErrConflict)
		}
		return resend(tx, p, reason, actor)
	})
}

// ResendAll is Resend of every manual payment, of one merchant unless that is empty, and counts them. What was done
// before an error stays done.
func (e *Engine) ResendAll(ctx context.Context, merchant, reason string, actor operator.Actor) (resent int, err error) {
	if err := checkWord(reason, actor); err != nil {
		return 0, err
	}
	return e.each(ctx, waiting{stage: book.StageManual, meant: func(p book.Payment) bool { return merchant == "" || p.Merchant == merchant },
		do: func(tx *ledger.Tx, p book.Payment) (bool, error) { return true, resend(tx, p, reason, actor) }})
}

func resend(tx *ledger.Tx, p book.Payment, reason string, actor operator.Actor) error {
	_, err := tx.Append(actor.Event(p.Merchant, book.PaymentResent{ID: p.ID, Reason: reason}))
	return err
}
