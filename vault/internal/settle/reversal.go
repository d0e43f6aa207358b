package settle

import (
	"context"
	"errors"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/payment"
)

// reverse takes one payment of unknown outcome to reversed, or to a person. An error is the ledger's; when ctx ends it returns nil
// and the payment stays unknown, for the next start.
func (e *Engine) reverse(ctx context.Context, p payment.Payment) error {
	for try := 1; try <= MaxTries; try++ {
		request, err := e.intendReversal(ctx, p)
		if err != nil || request == nil {
			return e.unsent(ctx, err)
		}
		// A crash from here on leaves the payment unknown: the next start repeats the reversal under its trace.
		answer, err := e.advise(ctx, *request)
		code := envelope.ISOCode(answer.Code)
		if err == nil && answer.Undone {
			return e.cfg.Ledger.Commit(context.WithoutCancel(ctx), func(tx *ledger.Tx) error {
				return appendEvent(tx, "acquirer", "host", p.Merchant, payment.ReversalAnswered{ID: p.ID, Code: code})
			})
		}
		e.cfg.Logger.Warn("reversal was not taken", "merchant", p.Merchant, "payment", p.ID, "try", try, "code", string(code), "cause", err)
		if try < MaxTries && pause(ctx, min(e.cfg.ReversalRetry<<(try-1), maxBackoff)) != nil {
			return nil
		}
	}
	e.cfg.Logger.Error("no reversal was answered: ask the acquirer what became of the payment", "merchant", p.Merchant, "payment", p.ID)
	return e.abandon(ctx, p)
}

// intendReversal commits the next try. The request is nil when the payment is not unknown any more.
func (e *Engine) intendReversal(ctx context.Context, p payment.Payment) (request *acquirer.Reversal, err error) {
	err = e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		request = nil
		now, found, err := tx.Payment(p.Merchant, p.ID)
		if err != nil || !found || now.Stage != payment.StageUnknown {
			return err
		}
		trace := now.Reversal
		if trace == nil {
			fresh, err := e.nextTrace(tx, now.Trace.Acceptor)
			if err != nil {
				return err
			}
			trace = &fresh
		}
		request = &acquirer.Reversal{Trace: onWire(*trace), Original: acquirer.Original{Trace: onWire(*now.Trace), Kind: acquirer.KindSale}, Batch: now.Batch,
			Amount: now.Amount, Currency: now.Currency, Repeat: now.Tries}
		return appendEvent(tx, "vault", "timer", p.Merchant, payment.ReversalIntended{ID: p.ID, Trace: *trace, Try: now.Tries + 1})
	})
	if err != nil {
		return nil, err
	}
	return request, nil
}

// advise sends the reversal and waits for its answer; what certainly did not leave is sent again, as the same try.
func (e *Engine) advise(ctx context.Context, request acquirer.Reversal) (acquirer.Answer, error) {
	for {
		answer, err := e.cfg.Acquirer.Reverse(ctx, request)
		if !errors.Is(err, acquirer.ErrNotSent) || errors.Is(err, acquirer.ErrRequest) {
			return answer, err
		}
		if pause(ctx, linePoll) != nil {
			return acquirer.Answer{}, err
		}
	}
}

func (e *Engine) abandon(ctx context.Context, p payment.Payment) error {
	return e.cfg.Ledger.Commit(context.WithoutCancel(ctx), func(tx *ledger.Tx) error {
		now, found, err := tx.Payment(p.Merchant, p.ID)
		if err != nil || !found || now.Stage != payment.StageUnknown {
			return err
		}
		return appendEvent(tx, "vault", "timer", p.Merchant, payment.ReversalAbandoned{ID: p.ID, Tries: now.Tries})
	})
}

// until asks done every few milliseconds until it says so, fails, ctx ends, or Config.Patience is over (then it returns false).
func (e *Engine) until(ctx context.Context, done func() (bool, error)) (bool, error) {
	for deadline := time.Now().Add(e.cfg.Patience); ; {
		ok, err := done()
		if ok || err != nil {
			return ok, err
		}
		if time.Now().After(deadline) {
			return false, nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return false, err
		}
	}
}
