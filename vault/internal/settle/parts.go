package settle

import (
	"context"
	"slices"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// partLife bounds how long after its arrival a part can be opened: the life of a day key
// (specification 5).
const partLife = 168 * time.Hour

// DropParts deletes what is kept of accounts that cannot be opened any more: parts sealed to
// destroyed keys, or older than any key. A payment that waits for its account keeps it, and is
// refused for the right reason. It may be repeated at any time.
func (e *Engine) DropParts(ctx context.Context, keys []envelope.KeyName) error {
	oldest := e.cfg.Now().Add(-partLife)
	var dead []book.Key
	err := e.cfg.Ledger.View(func(tx *ledger.Tx) error {
		return tx.EachPart(func(p book.Payment, name envelope.PartName, key envelope.KeyName) error {
			gone := slices.Contains(keys, key) || p.Received.Before(oldest)
			if gone && name == envelope.PartAccount && !waitsForAccount(p) {
				dead = append(dead, book.Key{Merchant: p.Merchant, ID: p.ID})
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	if err := inCommits(ctx, e.cfg.Ledger, dead, func(tx *ledger.Tx, at book.Key) error {
		return deleteParts(tx, at.Merchant, at.ID)
	}); err != nil {
		return err
	}
	if len(dead) > 0 {
		e.cfg.Logger.Info("accounts that cannot be opened any more were dropped", "payments", len(dead))
	}
	return nil
}

// waitsForAccount reports whether p's account is still to be used.
func waitsForAccount(p book.Payment) bool {
	return p.Stage == book.StageReceived || p.Stage == book.StageAccepted || p.Stage == book.StageFiling
}
