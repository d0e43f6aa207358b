package settle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/loggable"
	"nightdrop/vault/internal/payment"
)

// Resolve does what a person says became of a payment that no reversal or capture was answered for (stage manual): as is one of
// payment.Payment.Resolutions. reason is 1 to 200 printable ASCII characters in which no account number could stand. Errors: ErrReason,
// ErrNotFound, ErrConflict (naming what may be said of the payment), or the ledger's.
func (e *Engine) Resolve(ctx context.Context, merchant, id string, as envelope.Status, reason string, actor Actor) error {
	if err := checkWord(reason, actor); err != nil {
		return err
	}
	return e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		p, found, err := tx.Payment(merchant, id)
		if err != nil || !found {
			return orMissing(err, "payment "+id+" of "+merchant)
		}
		if may := p.Resolutions(); len(may) == 0 {
			return fmt.Errorf("payment %s is %s: only what is manual waits for a person's word, and an earlier word is corrected with --correct: %w",
				id, p.Stage, ErrConflict)
		} else if !slices.Contains(may, as) {
			return fmt.Errorf("payment %s cannot be %q; it can be resolved as %s: %w", id, string(as), listed(may), ErrConflict)
		}
		_, err = tx.Append(actor.Event(merchant, payment.PaymentResolved{ID: id, As: as, Reason: reason, Remembered: true}))
		return err
	})
}

// checkWord checks the reason and the evidence of a person's word.
func checkWord(reason string, actor Actor) error {
	if len(reason) < 1 || len(reason) > maxText || !loggable.Text(reason) {
		return ErrReason
	}
	if digest, err := hex.DecodeString(actor.Evidence); err != nil || len(digest) != 0 && len(digest) != sha256.Size {
		return fmt.Errorf("evidence is the SHA-256 of a file, 64 hex digits: %w", ErrReason)
	}
	return nil
}

func listed(statuses []envelope.Status) string {
	names := make([]string, len(statuses))
	for i, s := range statuses {
		names[i] = string(s)
	}
	return strings.Join(names, " or ")
}
