package settle

import (
	"context"
	"strings"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

func (e *Engine) capture(ctx context.Context, p book.Payment) error {
	if p.Stage == book.StageReceived && e.cfg.Now().After(p.Until.Time) {
		return ended(ctx, e.refuse(ctx, p, envelope.CodeLate))
	}
	return e.advise(ctx, p, advice{what: "capture", at: e.captures, intend: e.intendCapture,
		stands: func(p book.Payment, said envelope.Code, answer acquirer.Answer) book.Body {
			return book.CaptureAnswered{ID: p.ID, Code: said, Approval: answer.Approval, Stands: answer.Code != acquirer.Approved}
		},
		leave: func(tx *ledger.Tx, p book.Payment) error {
			if _, err := firstResult(tx, p, "timer"); err != nil {
				return err
			}
			return appendEvent(tx, "vault", "timer", p.Merchant, book.CaptureAbandoned{ID: p.ID, Tries: p.Tries, Code: p.Answer})
		}})
}

// intendCapture commits the next try, and the answer to the one before. It is nil when there is
// nothing to send: the capture is late before its first try (and refused), or has its outcome.
func (e *Engine) intendCapture(ctx context.Context, p book.Payment, last lastTry) (next *try, err error) {
	err = e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		next = nil
		now, found, err := tx.Payment(p.Merchant, p.ID)
		if err != nil || !found {
			return err
		}
		switch {
		case now.Stage == book.StageReceived && tx.Now().After(now.Until.Time):
			return refuse(tx, now, envelope.CodeLate)
		case now.Stage != book.StageReceived && now.Stage != book.StageCapturing:
			return nil
		}
		original, err := originalOf(tx, now)
		if err != nil {
			return err
		}
		trace, batch, err := e.traceAndBatch(tx, now, original)
		if err != nil {
			return err
		}
		if batch == 0 {
			return refuseBatch(tx, now)
		}
		if last.unsent {
			now.Tries-- // the event of this try is there
		}
		request := acquirer.Capture{Trace: onWire(trace), Original: original, Batch: batch, Amount: now.Amount, Currency: now.Currency,
			Repeat: now.Tries, First: firstAnswer(now, last.said)}
		next = tryOf(now, tx.Now(), func() (acquirer.Answer, error) { return e.cfg.Acquirer.Capture(ctx, request) })
		if last.unsent {
			return nil
		}
		return appendEvent(tx, "vault", "timer", p.Merchant, book.CaptureIntended{ID: p.ID, Trace: trace, Batch: batch, Try: now.Tries + 1, Code: last.said})
	})
	if err != nil {
		return nil, err
	}
	return next, nil
}

// traceAndBatch gives a capture its trace numbers, at the authorisation's terminal, and its batch;
// those that it has where it was sent before. The batch is 0 when the last number of one is used.
func (e *Engine) traceAndBatch(tx *ledger.Tx, capture book.Payment, original acquirer.Original) (trace book.Trace, batch uint32, err error) {
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
	batch, err = joinBatch(tx, m, capture)
	return trace, batch, err
}

// firstAnswer is the code that a capture's first try was answered with, "" without one; said is the
// newest answer's.
func firstAnswer(capture book.Payment, said envelope.Code) string {
	first := capture.First
	if capture.Tries == 1 && first == "" {
		first = said
	}
	return strings.TrimPrefix(string(first), "iso-")
}
