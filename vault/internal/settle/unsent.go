package settle

import (
	"context"
	"errors"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// errUnlogged is wrapped where a message was not sent because its intent is not in the journal yet.
var errUnlogged = errors.New("the log's second place does not have the intent")

// neverSent reports whether a failed request certainly did not leave, and will not: then its
// outcome is known. After a stop it is not: the next start calls the intent unknown. Nor without
// the intent in the journal: who restores the vault from there would send what the shop was told is
// rejected.
func neverSent(ctx context.Context, failure error) bool {
	switch {
	case errors.Is(failure, acquirer.ErrRequest):
		return true
	case errors.Is(failure, errUnlogged):
		return false
	}
	return errors.Is(failure, acquirer.ErrNotSent) && ctx.Err() == nil
}

// giveUp commits that a request or a capture was never sent, and drops what was kept to send it.
func (e *Engine) giveUp(ctx context.Context, p book.Payment, failure error) error {
	e.cfg.Logger.Error("a request was not sent, and is given up",
		"merchant", p.Merchant, "payment", p.ID, "error", failure)
	return e.cfg.Ledger.Commit(context.WithoutCancel(ctx), func(tx *ledger.Tx) error {
		now, found, err := tx.Payment(p.Merchant, p.ID)
		if err != nil || !found {
			return orMissing(err, "payment "+p.Merchant+"/"+p.ID)
		}
		return refuse(tx, now, unsentCode(now, failure, tx.Now()))
	})
}

// unsentCode returns why a request was not sent.
func unsentCode(p book.Payment, failure error, now envelope.Time) envelope.Code {
	_, known := envelope.KnownCurrency(p.Currency)
	switch {
	case errors.Is(failure, acquirer.ErrRequest) && !known:
		return envelope.CodeCurrency
	case errors.Is(failure, acquirer.ErrRequest):
		return envelope.CodeNotPermitted // the acquirer's dialect has no words for it
	case now.After(p.Until.Time):
		return envelope.CodeLate
	}
	return envelope.CodeNoAnswer
}
