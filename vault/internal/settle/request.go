package settle

import (
	"context"
	"errors"
	"fmt"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// request takes one received sale, authorisation or card refund to its outcome. An error is the
// ledger's.
func (e *Engine) request(ctx context.Context, p book.Payment) error {
	if _, known := requestKind(p.Flow()); !known {
		return fmt.Errorf("payment %s waits as received, and %s is not a request: %w", p.Name(), p.Flow(), book.ErrTransition)
	}
	if e.cfg.Now().After(p.Until.Time) {
		return ended(ctx, e.refuse(ctx, p, envelope.CodeLate))
	}
	card, code, refusal, err := e.openCard(p)
	if err != nil {
		return err
	}
	defer card.Clear()
	defer code.Clear()
	if refusal != envelope.CodeOK {
		return ended(ctx, e.refuse(ctx, p, refusal))
	}
	request, err := e.intend(ctx, p)
	if err != nil || request == nil {
		return e.unsent(ctx, err)
	}
	// A crash from here on leaves an intent: the next start calls it unknown and reverses it, sent
	// or not.
	if card != nil {
		request.Card, request.Code = card.Card, code
	}
	answer, err := e.authorise(ctx, *request, p)
	return e.conclude(ctx, p, answer, err)
}

// requestKind is what a payment of a flow asks the host for.
func requestKind(flow book.Flow) (kind acquirer.Kind, known bool) {
	switch flow {
	case book.FlowSale:
		return acquirer.KindSale, true
	case book.FlowAuthorise:
		return acquirer.KindAuthorisation, true
	case book.FlowRefund:
		return acquirer.KindRefund, true
	}
	return "", false
}

// refuse ends a payment that is still only received.
func (e *Engine) refuse(ctx context.Context, p book.Payment, code envelope.Code) error {
	return e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		now, found, err := tx.Payment(p.Merchant, p.ID)
		if err != nil || !found || now.Stage != book.StageReceived {
			return err
		}
		return refuse(tx, p, code)
	})
}

func refuse(tx *ledger.Tx, p book.Payment, code envelope.Code) error {
	return refuseAs(tx, p, book.PaymentRefused{ID: p.ID, Code: code})
}

// refuseBatch is refuse where the last number of a batch is used.
func refuseBatch(tx *ledger.Tx, p book.Payment) error {
	return refuseAs(tx, p, book.PaymentRefused{ID: p.ID, Code: envelope.CodeLimit, Limit: book.ExceededBatches})
}

func refuseAs(tx *ledger.Tx, p book.Payment, refused book.PaymentRefused) error {
	if err := appendEvent(tx, "vault", "timer", p.Merchant, refused); err != nil {
		return err
	}
	return deleteParts(tx, p.Merchant, p.ID)
}

// intend commits the request's trace and batch. The request is nil when there is nothing to send:
// the payment is late (and refused), or does not wait any more.
func (e *Engine) intend(ctx context.Context, p book.Payment) (request *acquirer.Request, err error) {
	err = e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		request = nil
		now, found, err := tx.Payment(p.Merchant, p.ID)
		if err != nil || !found || now.Stage != book.StageReceived {
			return err
		}
		if tx.Now().After(p.Until.Time) {
			return refuse(tx, p, envelope.CodeLate)
		}
		asked, err := e.requestOf(tx, now)
		if err != nil {
			return err
		}
		m, found, err := tx.Merchant(p.Merchant)
		if err != nil || !found {
			return orMissing(err, "merchant "+p.Merchant)
		}
		if now.Flow() != book.FlowAuthorise { // which only holds money
			if asked.Batch, err = joinBatch(tx, m, now); err != nil {
				return err
			}
			if asked.Batch == 0 {
				return refuseBatch(tx, p)
			}
		}
		trace, err := e.nextTrace(tx, e.cfg.Terminals, m.Acceptor)
		if err != nil {
			return err
		}
		asked.Trace = onWire(trace)
		request = &asked
		return appendEvent(tx, "vault", "timer", p.Merchant, book.AuthorisationIntended{ID: p.ID, Trace: trace, Batch: asked.Batch})
	})
	if err != nil {
		return nil, err
	}
	return request, nil
}

// requestOf is what the payment asks for, still without trace, batch and card.
func (e *Engine) requestOf(tx *ledger.Tx, p book.Payment) (acquirer.Request, error) {
	kind, _ := requestKind(p.Flow())
	r := acquirer.Request{Kind: kind, Amount: p.Amount, Currency: p.Currency, Descriptor: p.Descriptor}
	if kind != acquirer.KindRefund {
		return r, nil
	}
	original, err := originalOf(tx, p)
	r.Original = &original
	return r, err
}

// originalOf names the request that a refund or capture is about.
func originalOf(tx *ledger.Tx, p book.Payment) (acquirer.Original, error) {
	of, found, err := tx.Payment(p.Merchant, p.Of)
	if err != nil || !found {
		return acquirer.Original{}, orMissing(err, "payment "+p.Merchant+"/"+p.Of)
	}
	return asOriginal(of)
}

// asOriginal names a request that was sent.
func asOriginal(p book.Payment) (acquirer.Original, error) {
	kind, known := requestKind(p.Flow())
	if p.Flow() == book.FlowCapture {
		kind, known = acquirer.KindCapture, true // of one that a person's correction takes back
	}
	if !known || p.Trace == nil {
		return acquirer.Original{}, fmt.Errorf("payment %s was never asked for at the host: %w", p.Name(), book.ErrTransition)
	}
	return acquirer.Original{Trace: onWire(*p.Trace), Kind: kind, Approval: p.Approval}, nil
}

// joinBatch returns the batch that a request or capture joins, which it begins where there is none;
// 0 when the last number of a batch is used.
func joinBatch(tx *ledger.Tx, m book.Merchant, p book.Payment) (uint32, error) {
	joins, err := book.Joins(tx, m, p)
	if err != nil {
		return 0, err
	}
	for _, body := range joins.Before() {
		if err := appendEvent(tx, "vault", "timer", m.ID, body); err != nil {
			return 0, err
		}
	}
	return joins.Batch, nil
}

// nextTrace returns the next trace numbers; the event that carries them uses them up. It fails with
// [ErrUnavailable] when the day has no more for these terminals. It never returns one that an open
// message of any day bears.
func (e *Engine) nextTrace(tx *ledger.Tx, terminals []string, acceptor string) (book.Trace, error) {
	v, err := tx.Vault()
	if err != nil {
		return book.Trace{}, err
	}
	trace, err := v.NextTrace(terminals, acceptor, tx.Now(), func(terminal string, stan uint32) bool {
		return tx.HoldsTrace(terminal, stan) || e.reconciling.holds(terminal, stan)
	})
	if err != nil {
		return trace, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return trace, nil
}

// unsent handles an error before anything was sent: without a trace number the payment waits for
// the next day or more terminals; a stop is no error; any other is the ledger's.
func (e *Engine) unsent(ctx context.Context, err error) error {
	if !errors.Is(err, ErrUnavailable) {
		return ended(ctx, err)
	}
	e.cfg.Logger.Error("a payment waits", "error", err)
	return ended(ctx, pause(ctx, traceWait))
}

func onWire(t book.Trace) acquirer.Trace {
	return acquirer.Trace{STAN: t.STAN, RRN: t.RRN, Terminal: t.Terminal, Acceptor: t.Acceptor, Sent: t.Sent.Time}
}

// errSilent is why a request waits although there is a line.
var errSilent = fmt.Errorf("%w: the host answers nothing", acquirer.ErrNotSent)

// authorise sends the request and waits for its answer. What certainly did not leave is sent again
// under the same trace, until the envelope is late or its first result is due, counted from its
// intent. It does not leave while the breaker is open.
func (e *Engine) authorise(ctx context.Context, request acquirer.Request, p book.Payment) (acquirer.Answer, error) {
	deadline := request.Sent.Add(unsentLimit)
	if p.Until.Before(deadline) {
		deadline = p.Until.Time
	}
	for {
		answer, err := e.requests.ask(ctx, func() (acquirer.Answer, error) {
			if !e.breaker.admits(p.Number, true) {
				return acquirer.Answer{}, errSilent
			}
			return e.cfg.Acquirer.Authorise(ctx, request)
		})
		if !errors.Is(err, acquirer.ErrNotSent) || errors.Is(err, acquirer.ErrRequest) {
			return answer, err
		}
		if e.cfg.Now().After(deadline) || pause(ctx, linePoll) != nil {
			return acquirer.Answer{}, err
		}
	}
}

// conclude commits the outcome. A stop waits for this commit and does not cut it short.
func (e *Engine) conclude(ctx context.Context, p book.Payment, answer acquirer.Answer, failure error) error {
	code := envelope.ISOCode(answer.Code)
	if failure == nil && !code.Valid() {
		failure = acquirer.ErrMalformedAnswer
	}
	if neverSent(ctx, failure) {
		return e.giveUp(ctx, p, failure)
	}
	if failure != nil {
		code, answer.Outcome = "", acquirer.Doubtful
	}
	taken := answer.Outcome == acquirer.Approves || answer.Outcome == acquirer.Declines
	if !taken {
		e.cfg.Logger.Warn("the outcome of a request is unknown; it will be reversed", "merchant", p.Merchant, "payment", p.ID,
			"code", string(code), "error", failure)
	}
	return e.cfg.Ledger.Commit(context.WithoutCancel(ctx), func(tx *ledger.Tx) error {
		if !taken {
			return unanswered(tx, p, "host", code)
		}
		body := book.AuthorisationAnswered{ID: p.ID, Code: code, Approval: answer.Approval,
			Approved: answer.Outcome == acquirer.Approves && answer.Code != acquirer.Approved}
		if err := appendEvent(tx, "acquirer", "host", p.Merchant, body); err != nil {
			return err
		}
		return deleteParts(tx, p.Merchant, p.ID)
	})
}
