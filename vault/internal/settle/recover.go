package settle

import (
	"context"
	"fmt"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/payment"
)

// chunk is how many payments one commit settles or recovers: large enough to make an fsync cheap, small enough that a
// progress bar moves and other commits do not wait.
const chunk = 200

// Recover commits, for every payment that a stop left authorising, that its outcome is unknown. It is to run before anything
// else issues a result: an envelope that was acted on gets its first result after a stop before any other (INTERFACES 4).
// Running it while Run does would call live authorisations unknown.
func (e *Engine) Recover(ctx context.Context) error {
	for {
		var recovered int
		err := e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
			recovered = 0
			var open []payment.Payment
			err := tx.Payments(ledger.Query{Stage: payment.StageAuthorising, Limit: chunk}, func(p payment.Payment) error {
				open = append(open, p)
				return nil
			})
			if err != nil {
				return err
			}
			for _, p := range open {
				if err := unanswered(tx, p, "start"); err != nil {
					return err
				}
				recovered++
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("recover outstanding authorisations: %w", err)
		}
		if recovered > 0 {
			e.cfg.Logger.Warn("authorisations were outstanding at the stop; they are unknown and will be reversed", "payments", recovered)
		}
		if recovered < chunk {
			return nil
		}
	}
}

// unanswered commits that p's outcome is unknown and drops what was kept to send it: it is never sent again.
func unanswered(tx *ledger.Tx, p payment.Payment, origin string) error {
	if err := appendEvent(tx, "vault", origin, p.Merchant, payment.AuthorisationUnanswered{ID: p.ID}); err != nil {
		return err
	}
	return deleteParts(tx, p.Merchant, p.ID)
}

// deleteParts drops the sealed account and code of a payment: its authorisation has an outcome, and a reversal needs neither.
func deleteParts(tx *ledger.Tx, merchant, id string) error {
	if err := tx.DeletePart(merchant, id, envelope.PartAccount); err != nil {
		return err
	}
	return tx.DeletePart(merchant, id, envelope.PartCode)
}

// appendEvent appends an event that the vault itself or the acquirer caused.
func appendEvent(tx *ledger.Tx, actor, origin, merchant string, body payment.Body) error {
	_, err := tx.Append(payment.Event{Actor: actor, Origin: origin, Merchant: merchant, Body: body})
	return err
}
