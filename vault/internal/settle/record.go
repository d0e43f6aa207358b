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

// RecordReturn records a person's statement that the bank returned an entry, reported otherwise
// than in a file that could be imported. code is ach-RNN, none of R61 to R77; reason is 1 to 200
// printable ASCII characters in which no account number could stand; the actor's evidence is
// needed. The same return in a later file is a repeat, and one with another code is left. Errors:
// [ErrReturn], [ErrReason], [ErrNotFound], [ErrConflict] (saying how the entry stands), or the
// ledger's.
func (e *Engine) RecordReturn(ctx context.Context, merchant, id string, code envelope.Code, reason string, actor operator.Actor) error {
	if why, ach := strings.CutPrefix(string(code), "ach-"); !ach || !nacha.Returns(why) || actor.Evidence == "" {
		return ErrReturn
	}
	return e.decide(ctx, merchant, id, reason, actor, func(_ *ledger.Tx, p book.Payment) (book.Body, error) {
		switch {
		case p.Flow() != book.FlowEntry:
			return nil, fmt.Errorf("payment %s is not a bank entry, and the bank returns nothing else: %w", p.Name(), ErrConflict)
		case p.Stage == book.StageReturned:
			return nil, fmt.Errorf("payment %s came back before, with %s, and comes back once: %w", p.Name(), p.Code, ErrConflict)
		case p.Stage != book.StageSettled:
			return nil, fmt.Errorf("payment %s is %s: only one that is at the bank (settled) comes back: %w", p.Name(), p.Stage,
				ErrConflict)
		}
		return book.PaymentReturned{ID: id, Code: code, Reason: reason}, nil
	})
}
