package settle

import (
	"context"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// reverse sends one try of the reversal of a payment of unknown outcome, or of one that is being
// voided. It is an advice.
func (e *Engine) reverse(ctx context.Context, p book.Payment) error {
	return e.advise(ctx, p, advice{what: "reversal", at: e.reversals, intend: e.intendReversal,
		stands: func(p book.Payment, said envelope.Code, _ acquirer.Answer) book.Body {
			return book.ReversalAnswered{ID: p.ID, Code: said}
		},
		leave: func(tx *ledger.Tx, p book.Payment) error {
			// its merchant has heard by then that its outcome is unknown
			if p.Stage == book.StageVoiding {
				if _, err := voidResult(tx, p, "timer"); err != nil {
					return err
				}
			}
			return appendEvent(tx, "vault", "timer", p.Merchant, book.ReversalAbandoned{ID: p.ID, Tries: p.Tries, Code: p.Answer})
		}})
}

// isReversing reports whether a reversal of p is due.
func isReversing(p book.Payment) bool {
	return p.Stage == book.StageUnknown || p.Stage == book.StageVoiding || p.Stage == book.StageCorrecting
}

// intendReversal commits the next try, and the answer to the one before. It is nil when no reversal
// is due any more.
func (e *Engine) intendReversal(ctx context.Context, p book.Payment, last lastTry) (next *try, err error) {
	err = e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		next = nil
		now, found, err := tx.Payment(p.Merchant, p.ID)
		if err != nil || !found || !isReversing(now) {
			return err
		}
		original, err := asOriginal(now)
		if err != nil {
			return err
		}
		trace := now.Reversal
		if trace == nil {
			fresh, err := e.nextTrace(tx, []string{original.Terminal}, original.Acceptor)
			if err != nil {
				return err
			}
			trace = &fresh
		}
		if last.unsent {
			now.Tries-- // the event of this try is there
		}
		request := acquirer.Reversal{Trace: onWire(*trace), Original: original, Batch: now.Batch, Amount: now.Amount, Currency: now.Currency,
			Repeat: now.Tries}
		next = tryOf(now, tx.Now(), func() (acquirer.Answer, error) { return e.cfg.Acquirer.Reverse(ctx, request) })
		if last.unsent {
			return nil
		}
		return appendEvent(tx, "vault", "timer", p.Merchant, book.ReversalIntended{ID: p.ID, Trace: *trace, Try: now.Tries + 1, Code: last.said})
	})
	if err != nil {
		return nil, err
	}
	return next, nil
}
