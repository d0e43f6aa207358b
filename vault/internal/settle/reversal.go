package settle

import (
	"context"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/payment"
)

// reverse takes one payment of unknown outcome, or one that is being voided, back, or to a person. An error is the ledger's; when ctx ends
// it returns nil and the reversal goes on at the next start.
func (e *Engine) reverse(ctx context.Context, p payment.Payment) error {
	var said envelope.Code // the answer to the newest try, "" where there was none
	for try := 1; try <= MaxTries; try++ {
		request, err := e.intendReversal(ctx, p, said)
		if err != nil || request == nil {
			return e.unsent(ctx, err)
		}
		// A crash from here on leaves the payment as it is: the next start repeats the reversal under its trace.
		answer, err := untilSent(ctx, e.reversals, func() (acquirer.Answer, error) { return e.cfg.Acquirer.Reverse(ctx, *request) })
		var outcome acquirer.Outcome
		if said, outcome = heard(answer, err); outcome == acquirer.Stands {
			return e.cfg.Ledger.Commit(context.WithoutCancel(ctx), func(tx *ledger.Tx) error {
				return appendEvent(tx, "acquirer", "host", p.Merchant, payment.ReversalAnswered{ID: p.ID, Code: said})
			})
		}
		e.cfg.Logger.Warn("reversal was not taken", "merchant", p.Merchant, "payment", p.ID, "try", try, "code", string(said), "cause", err)
		if outcome == acquirer.Person {
			break
		}
		if ctx.Err() != nil || try < MaxTries && pause(ctx, e.backoff(try)) != nil {
			return nil
		}
	}
	e.cfg.Logger.Error("no reversal was taken: ask the acquirer what became of the payment", "merchant", p.Merchant, "payment", p.ID, "code", string(said))
	return e.abandon(ctx, p, said)
}

// backoff is the wait after so many tries of a reversal or a capture.
func (e *Engine) backoff(tries int) time.Duration {
	return min(e.cfg.ReversalRetry<<(tries-1), maxBackoff)
}

// isReversing tells whether a reversal of p is due.
func isReversing(p payment.Payment) bool {
	return p.Stage == payment.StageUnknown || p.Stage == payment.StageVoiding
}

// intendReversal commits the next try, and what was said to the one before. The request is nil when no reversal is due any more.
func (e *Engine) intendReversal(ctx context.Context, p payment.Payment, said envelope.Code) (request *acquirer.Reversal, err error) {
	err = e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		request = nil
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
		request = &acquirer.Reversal{Trace: onWire(*trace), Original: original, Batch: now.Batch, Amount: now.Amount, Currency: now.Currency,
			Repeat: now.Tries}
		return appendEvent(tx, "vault", "timer", p.Merchant, payment.ReversalIntended{ID: p.ID, Trace: *trace, Try: now.Tries + 1, Code: said})
	})
	if err != nil {
		return nil, err
	}
	return request, nil
}

// abandon leaves the payment to a person. The merchant of a void has heard by then that its outcome is unknown.
func (e *Engine) abandon(ctx context.Context, p payment.Payment, said envelope.Code) error {
	return e.cfg.Ledger.Commit(context.WithoutCancel(ctx), func(tx *ledger.Tx) error {
		now, found, err := tx.Payment(p.Merchant, p.ID)
		if err != nil || !found || !isReversing(now) {
			return err
		}
		now.Answer = said
		if now.Stage == payment.StageVoiding {
			if _, err := voidResult(tx, now, "timer"); err != nil {
				return err
			}
		}
		return appendEvent(tx, "vault", "timer", p.Merchant, payment.ReversalAbandoned{ID: p.ID, Tries: now.Tries, Code: said})
	})
}
