package settle

import (
	"context"
	"fmt"
	"strings"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
)

// RecordReturn takes a person's word that the bank returned an entry, told otherwise than in a file that could be
// taken. code is ach-RNN, none of R61 to R77; reason is 1 to 200 printable ASCII characters in which no account number
// could stand; the actor's evidence is needed. A file of the bank that brings the same return later is a repeat, and
// one with another reason is left. Errors: ErrReturn, ErrReason, ErrNotFound, ErrConflict (saying how the entry
// stands), or the ledger's.
func (e *Engine) RecordReturn(ctx context.Context, merchant, id string, code envelope.Code, reason string, actor operator.Actor) error {
	if why, ach := strings.CutPrefix(string(code), "ach-"); !ach || !nacha.Returns(why) || actor.Evidence == "" {
		return ErrReturn
	}
	if err := checkWord(reason, actor); err != nil {
		return err
	}
	return e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		p, found, err := tx.Payment(merchant, id)
		if err != nil || !found {
			return orMissing(err, "payment "+id+" of "+merchant)
		}
		switch {
		case p.Flow() != book.FlowEntry:
			return fmt.Errorf("payment %s is no bank entry, and the bank returns no other: %w", id, ErrConflict)
		case p.Stage == book.StageReturned:
			return fmt.Errorf("entry %s came back before, with %s, and comes back once: %w", id, p.Code, ErrConflict)
		case p.Stage != book.StageSettled:
			return fmt.Errorf("entry %s is %s: only one that is at the bank (settled) comes back: %w", id, p.Stage,
				ErrConflict)
		}
		_, err = tx.Append(actor.Event(merchant, book.PaymentReturned{ID: id, Code: code, Reason: reason}))
		return err
	})
}
