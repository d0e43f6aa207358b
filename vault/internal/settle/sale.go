package settle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/account"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/payment"
)

// sale takes one received payment to its outcome. An error is the ledger's.
func (e *Engine) sale(ctx context.Context, p payment.Payment) error {
	if e.cfg.Now().After(p.Until.Time) {
		return ended(ctx, e.refuse(ctx, p, envelope.CodeLate))
	}
	card, code, refusal, err := e.open(p)
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
	// A crash from here on leaves an intent: the next start calls it unknown and reverses it, sent or not.
	request.Card, request.Code = card.Card, code
	answer, err := e.authorise(ctx, *request, p.Until.Time)
	return e.conclude(ctx, p, answer, err)
}

// open opens and checks what the payment needs. A refusal other than ok ends the payment; an error is the ledger's or the key ring's.
func (e *Engine) open(p payment.Payment) (card *account.Account, code *account.Code, refusal envelope.Code, err error) {
	parts, refusal, err := e.parts(p)
	if err != nil || refusal != envelope.CodeOK {
		return nil, nil, refusal, err
	}
	plain, refusal, err := e.openPart(p, envelope.PartAccount, parts[0])
	if err != nil || refusal != envelope.CodeOK {
		return nil, nil, refusal, err
	}
	defer clear(plain)
	if card, err = account.Parse(plain); err != nil || card.Card == nil {
		card.Clear()
		return nil, nil, envelope.CodeBadAccount, nil
	}
	if refusal = card.Check(e.cfg.Now()); refusal == envelope.CodeOK && p.WithCode {
		code, refusal, err = e.openCode(p, parts[1])
	}
	if err != nil || refusal != envelope.CodeOK {
		card.Clear()
		return nil, nil, refusal, err
	}
	return card, code, envelope.CodeOK, nil
}

// parts reads the sealed account and, where the payment has one, code.
func (e *Engine) parts(p payment.Payment) (parts [2]envelope.Part, refusal envelope.Code, err error) {
	names := []envelope.PartName{envelope.PartAccount, envelope.PartCode}
	if !p.WithCode {
		names = names[:1]
	}
	refusal = envelope.CodeOK
	err = e.cfg.Ledger.View(func(tx *ledger.Tx) error {
		for i, name := range names {
			part, found, err := tx.Part(p.Merchant, p.ID, name)
			if err != nil {
				return err
			}
			if !found {
				refusal = envelope.CodeAccountGone
			}
			parts[i] = part
		}
		return nil
	})
	return parts, refusal, err
}

func (e *Engine) openPart(p payment.Payment, name envelope.PartName, part envelope.Part) ([]byte, envelope.Code, error) {
	plain, err := e.cfg.Opener.OpenPart(name, p.Merchant, p.ID, part)
	switch {
	case errors.Is(err, keyring.ErrKeyDead):
		return nil, envelope.CodeKeyDead, nil
	case errors.Is(err, keyring.ErrCannotOpen):
		return nil, envelope.CodeCannotOpen, nil
	}
	return plain, envelope.CodeOK, err // any other error says nothing about the part
}

func (e *Engine) openCode(p payment.Payment, part envelope.Part) (*account.Code, envelope.Code, error) {
	plain, refusal, err := e.openPart(p, envelope.PartCode, part)
	if err != nil || refusal != envelope.CodeOK {
		return nil, refusal, err
	}
	defer clear(plain)
	code, err := account.ParseCode(plain)
	if err != nil {
		return nil, envelope.CodeBadAccount, nil
	}
	return code, envelope.CodeOK, nil
}

// refuse ends a payment that is still only received.
func (e *Engine) refuse(ctx context.Context, p payment.Payment, code envelope.Code) error {
	return e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		now, found, err := tx.Payment(p.Merchant, p.ID)
		if err != nil || !found || now.Stage != payment.StageReceived {
			return err
		}
		return refuse(tx, p, code)
	})
}

func refuse(tx *ledger.Tx, p payment.Payment, code envelope.Code) error {
	if err := appendEvent(tx, "vault", "timer", p.Merchant, payment.PaymentRefused{ID: p.ID, Code: code}); err != nil {
		return err
	}
	return deleteParts(tx, p.Merchant, p.ID)
}

// intend commits the authorisation's trace and batch. The request is nil when there is nothing to send: the payment's time
// has passed (and it is refused as late), or it is not waiting any more.
func (e *Engine) intend(ctx context.Context, p payment.Payment) (request *acquirer.Request, err error) {
	err = e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		request = nil
		now, found, err := tx.Payment(p.Merchant, p.ID)
		if err != nil || !found || now.Stage != payment.StageReceived {
			return err
		}
		if tx.Now().After(p.Until.Time) {
			return refuse(tx, p, envelope.CodeLate)
		}
		m, found, err := tx.Merchant(p.Merchant)
		if err != nil || !found {
			return orMissing(err, "merchant "+p.Merchant)
		}
		batch, err := openBatch(tx, m)
		if err != nil {
			return err
		}
		trace, err := e.nextTrace(tx, m.Acceptor)
		if err != nil {
			return err
		}
		request = &acquirer.Request{Kind: acquirer.KindSale, Trace: onWire(trace), Batch: batch, Amount: p.Amount, Currency: p.Currency, Descriptor: p.Descriptor}
		return appendEvent(tx, "vault", "timer", p.Merchant, payment.AuthorisationIntended{ID: p.ID, Trace: trace, Batch: batch})
	})
	if err != nil {
		return nil, err
	}
	return request, nil
}

// openBatch gives the batch that the merchant's new authorisations join, and opens one where there is none.
func openBatch(tx *ledger.Tx, m payment.Merchant) (uint32, error) {
	if m.OpenBatch != 0 {
		return m.OpenBatch, nil
	}
	v, err := tx.Vault()
	if err != nil {
		return 0, err
	}
	body := payment.BatchOpened{Batch: v.NextBatch, Method: payment.MethodCard}
	return body.Batch, appendEvent(tx, "vault", "timer", m.ID, body)
}

// nextTrace gives the next trace numbers; the event that carries them uses them up. It fails with ErrUnavailable when the day's
// numbers are used up.
func (e *Engine) nextTrace(tx *ledger.Tx, acceptor string) (payment.Trace, error) {
	v, err := tx.Vault()
	if err != nil {
		return payment.Trace{}, err
	}
	trace, err := v.NextTrace(e.cfg.Terminals, acceptor, tx.Now())
	if err != nil {
		return trace, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return trace, nil
}

// unsent is what becomes of an error before anything was sent: without a trace number the payment waits, for the next day or more
// terminals; a stop is none; everything else is the ledger's.
func (e *Engine) unsent(ctx context.Context, err error) error {
	if !errors.Is(err, ErrUnavailable) {
		return ended(ctx, err)
	}
	e.cfg.Logger.Error("a payment waits", "cause", err)
	return ended(ctx, pause(ctx, traceWait))
}

func onWire(t payment.Trace) acquirer.Trace {
	return acquirer.Trace{STAN: t.STAN, RRN: t.RRN, Terminal: t.Terminal, Acceptor: t.Acceptor, Sent: t.Sent.Time}
}

// authorise sends the request and waits for its answer. What certainly did not leave is sent again under the same trace, until
// the envelope's time has passed or its first result is due.
func (e *Engine) authorise(ctx context.Context, request acquirer.Request, until time.Time) (acquirer.Answer, error) {
	deadline := e.cfg.Now().Add(unsentLimit)
	if until.Before(deadline) {
		deadline = until
	}
	for {
		answer, err := e.cfg.Acquirer.Authorise(ctx, request)
		if !errors.Is(err, acquirer.ErrNotSent) || errors.Is(err, acquirer.ErrRequest) {
			return answer, err
		}
		if e.cfg.Now().After(deadline) || pause(ctx, linePoll) != nil {
			return acquirer.Answer{}, err
		}
	}
}

// conclude commits the outcome. It is not cut short by a stop: the commit is what the stop waits for.
func (e *Engine) conclude(ctx context.Context, p payment.Payment, answer acquirer.Answer, failure error) error {
	code := envelope.ISOCode(answer.Code)
	if failure == nil && !code.Valid() {
		failure = acquirer.ErrMalformedAnswer
	}
	if failure != nil {
		e.cfg.Logger.Warn("authorisation is unknown; it will be reversed", "merchant", p.Merchant, "payment", p.ID, "cause", failure)
	}
	return e.cfg.Ledger.Commit(context.WithoutCancel(ctx), func(tx *ledger.Tx) error {
		if failure != nil {
			return unanswered(tx, p, "host")
		}
		body := payment.AuthorisationAnswered{ID: p.ID, Code: code, Approval: answer.Approval}
		if err := appendEvent(tx, "acquirer", "host", p.Merchant, body); err != nil {
			return err
		}
		return deleteParts(tx, p.Merchant, p.ID)
	})
}

// lineForSales waits until the acquirer can be reached; meanwhile it refuses payments whose time passes.
func (e *Engine) lineForSales(ctx context.Context) error {
	var swept time.Time
	for e.cfg.Acquirer.Ready() != nil {
		if now := e.cfg.Now(); now.Sub(swept).Abs() >= sweepEvery {
			swept = now
			if err := e.sweep(ctx); err != nil {
				return err
			}
		}
		if err := pause(ctx, linePoll); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// sweep refuses the waiting payments whose time has passed.
func (e *Engine) sweep(ctx context.Context) error {
	var late []payment.Payment
	now := e.cfg.Now()
	err := e.cfg.Ledger.View(func(tx *ledger.Tx) error {
		return tx.Payments(ledger.Query{Stage: payment.StageReceived}, func(p payment.Payment) error {
			if now.After(p.Until.Time) {
				late = append(late, payment.Payment{Merchant: p.Merchant, ID: p.ID})
			}
			return nil
		})
	})
	for _, p := range late {
		if err == nil {
			err = e.refuse(ctx, p, envelope.CodeLate)
		}
	}
	return err
}
