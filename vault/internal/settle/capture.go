package settle

import (
	"context"
	"errors"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/payment"
)

// capture takes one capture to its outcome, or to a person. A capture is an advice: it may be repeated under its trace until it is
// answered. An error is the ledger's; when ctx ends it returns nil and the capture goes on at the next start.
func (e *Engine) capture(ctx context.Context, p payment.Payment) error {
	if p.Stage == payment.StageReceived && e.cfg.Now().After(p.Until.Time) {
		return ended(ctx, e.refuse(ctx, p, envelope.CodeLate))
	}
	var said envelope.Code // the answer to the newest try, "" where there was none
	for try := 1; try <= MaxTries; try++ {
		request, err := e.intendCapture(ctx, p, said)
		if err != nil || request == nil {
			return e.unsent(ctx, err)
		}
		// A crash from here on leaves a capture that may be booked: the next start calls it unknown and repeats it under its trace.
		answer, err := untilSent(ctx, e.captures, func() (acquirer.Answer, error) { return e.cfg.Acquirer.Capture(ctx, *request) })
		var outcome acquirer.Outcome
		if said, outcome = heard(answer, err); outcome == acquirer.Stands {
			return e.cfg.Ledger.Commit(context.WithoutCancel(ctx), func(tx *ledger.Tx) error {
				return appendEvent(tx, "acquirer", "host", p.Merchant, payment.CaptureAnswered{ID: p.ID, Code: said, Approval: answer.Approval,
					Stands: answer.Code != acquirer.Approved})
			})
		}
		e.cfg.Logger.Warn("capture was not taken", "merchant", p.Merchant, "payment", p.ID, "try", try, "code", string(said), "cause", err)
		if outcome == acquirer.Person {
			break
		}
		if ctx.Err() != nil || try < MaxTries && pause(ctx, e.backoff(try)) != nil {
			return nil
		}
	}
	e.cfg.Logger.Error("no capture was taken: ask the acquirer what became of it", "merchant", p.Merchant, "payment", p.ID, "code", string(said))
	return e.abandonCapture(ctx, p, said)
}

// heard is what the host said to a try of an advice, and what that means; without an answer the advice is repeated.
func heard(answer acquirer.Answer, err error) (said envelope.Code, outcome acquirer.Outcome) {
	if said = envelope.ISOCode(answer.Code); err != nil || !said.Valid() {
		return "", acquirer.Repeat
	}
	return said, answer.Outcome
}

// abandonCapture leaves a capture to a person; its merchant has heard by then that its outcome is unknown.
func (e *Engine) abandonCapture(ctx context.Context, p payment.Payment, said envelope.Code) error {
	return e.cfg.Ledger.Commit(context.WithoutCancel(ctx), func(tx *ledger.Tx) error {
		now, found, err := tx.Payment(p.Merchant, p.ID)
		if err != nil || !found || now.Stage != payment.StageCapturing {
			return err
		}
		now.Answer = said
		if _, err := firstResult(tx, now, "timer"); err != nil {
			return err
		}
		return appendEvent(tx, "vault", "timer", p.Merchant, payment.CaptureAbandoned{ID: p.ID, Tries: now.Tries, Code: said})
	})
}

// intendCapture commits the next try, and what was said to the one before. The request is nil when there is nothing to send: the capture's time has passed before its first
// try (and it is refused as late), or it has its outcome.
func (e *Engine) intendCapture(ctx context.Context, p payment.Payment, said envelope.Code) (request *acquirer.Capture, err error) {
	err = e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		request = nil
		now, found, err := tx.Payment(p.Merchant, p.ID)
		if err != nil || !found {
			return err
		}
		switch {
		case now.Stage == payment.StageReceived && tx.Now().After(now.Until.Time):
			return refuse(tx, now, envelope.CodeLate)
		case now.Stage != payment.StageReceived && now.Stage != payment.StageCapturing:
			return nil
		}
		original, err := originalOf(tx, now)
		if err != nil {
			return err
		}
		trace, batch, err := e.place(tx, now, original)
		if err != nil {
			return err
		}
		if batch == 0 {
			return refuse(tx, now, envelope.CodeLimit)
		}
		request = &acquirer.Capture{Trace: onWire(trace), Original: original, Batch: batch, Amount: now.Amount, Currency: now.Currency, Repeat: now.Tries}
		return appendEvent(tx, "vault", "timer", p.Merchant, payment.CaptureIntended{ID: p.ID, Trace: trace, Batch: batch, Try: now.Tries + 1, Code: said})
	})
	if err != nil {
		return nil, err
	}
	return request, nil
}

// place gives a capture its trace numbers, at the authorisation's terminal, and its batch; those that it has where it was sent before. The
// batch is 0 when the last number of one is used.
func (e *Engine) place(tx *ledger.Tx, capture payment.Payment, original acquirer.Original) (trace payment.Trace, batch uint32, err error) {
	if capture.Trace != nil {
		return *capture.Trace, capture.Batch, nil
	}
	m, found, err := tx.Merchant(capture.Merchant)
	if err != nil || !found {
		return trace, 0, orMissing(err, "merchant "+capture.Merchant)
	}
	if trace, err = e.nextTrace(tx, []string{original.Terminal}, original.Acceptor); err != nil {
		return trace, 0, err
	}
	batch, err = openBatch(tx, m)
	return trace, batch, err
}

// untilSent sends an advice and waits for its answer; what certainly did not leave is sent again, as the same try.
func untilSent(ctx context.Context, at door, send func() (acquirer.Answer, error)) (acquirer.Answer, error) {
	for {
		answer, err := at.ask(ctx, send)
		if !errors.Is(err, acquirer.ErrNotSent) || errors.Is(err, acquirer.ErrRequest) {
			return answer, err
		}
		if pause(ctx, linePoll) != nil {
			return acquirer.Answer{}, err
		}
	}
}
