package settle

import (
	"context"
	"errors"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// advice is a message that says what has happened: a capture or a reversal, repeated under its
// trace until it stands at the host.
type advice struct {
	what string // for log lines
	at   sender
	// intend commits the next try; nil: there is nothing to send any more.
	intend func(ctx context.Context, p book.Payment, last lastTry) (*try, error)
	stands func(p book.Payment, said envelope.Code, answer acquirer.Answer) book.Body
	// to a person; p.Answer is what the host said at last
	leave func(tx *ledger.Tx, p book.Payment) error
}

// lastTry is the outcome of the try before.
type lastTry struct {
	said   envelope.Code // the host's answer; "" where there was none
	unsent bool          // it certainly did not leave: it is sent now, and no other try is begun
}

// try is one sending of an advice.
type try struct {
	send  func() (acquirer.Answer, error)
	since time.Time // of the first one, or of a person's order to send it again
	tries int       // since then, this one included
	fresh bool      // nothing of it was ever sent
}

// advise sends one try of an advice. Without an answer by which it stands it is due again after a
// wait that doubles with each try. It goes to a person after Config.RepeatFor, or at once where the
// host says that repeating cannot help. An error is the ledger's; when ctx ends it returns nil and
// the advice goes on at the next start.
func (e *Engine) advise(ctx context.Context, p book.Payment, a advice) error {
	t, err := a.intend(ctx, p, e.advices.last(p.Number))
	if errors.Is(err, ErrUnavailable) {
		e.cfg.Logger.Error("a payment waits", "error", err)
		e.advices.again(p.Number, p.Changed.Time, time.Now().Add(traceWait), lastTry{})
		return nil
	}
	if err != nil || t == nil {
		return ended(ctx, err)
	}
	// A crash from here on leaves a message that may have been taken: it is repeated under its
	// trace.
	answer, err := a.at.ask(ctx, t.send)
	said, outcome := readAnswer(answer, err)
	log := e.cfg.Logger.With("kind", a.what, "merchant", p.Merchant, "payment", p.ID, "tries", t.tries,
		"code", string(said), "error", err)
	switch {
	case outcome == acquirer.Stands:
		return e.cfg.Ledger.Commit(context.WithoutCancel(ctx), func(tx *ledger.Tx) error {
			return appendEvent(tx, "acquirer", "host", p.Merchant, a.stands(p, said, answer))
		})
	case t.fresh && p.Flow() == book.FlowCapture && !isReversing(p) && errors.Is(err, acquirer.ErrRequest):
		return e.giveUp(ctx, p, err)
	case outcome == acquirer.Person || errors.Is(err, acquirer.ErrRequest):
		log.Error("a message can never be taken: ask the acquirer what became of the payment")
		return e.abandon(ctx, p, a, said)
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, acquirer.ErrNotSent):
		e.advices.again(p.Number, t.since, time.Now().Add(linePoll), lastTry{unsent: true})
		return nil
	case !e.cfg.Now().Before(t.since.Add(e.cfg.RepeatFor)):
		log.Error("a message was repeated in vain: ask the acquirer what became of the payment")
		return e.abandon(ctx, p, a, said)
	case t.tries == 1:
		log.Warn("a message was not taken; it is repeated")
	}
	e.advices.again(p.Number, t.since, time.Now().Add(e.backoff(t.tries)), lastTry{said: said})
	return nil
}

// readAnswer returns what the host said to a try of an advice, and what that means; without an
// answer the advice is repeated.
func readAnswer(answer acquirer.Answer, err error) (said envelope.Code, outcome acquirer.Outcome) {
	if said = envelope.ISOCode(answer.Code); err != nil || !said.Valid() {
		return "", acquirer.Repeat
	}
	return said, answer.Outcome
}

// abandon leaves a payment to a person.
func (e *Engine) abandon(ctx context.Context, p book.Payment, a advice, said envelope.Code) error {
	return e.cfg.Ledger.Commit(context.WithoutCancel(ctx), func(tx *ledger.Tx) error {
		now, found, err := tx.Payment(p.Merchant, p.ID)
		if err != nil || !found || now.Stage != book.StageCapturing && !isReversing(now) {
			return err
		}
		now.Answer = said
		return a.leave(tx, now)
	})
}

// backoff is the wait after so many tries, from 1.
func (e *Engine) backoff(tries int) time.Duration {
	wait := e.cfg.ReversalRetry
	for ; tries > 1 && wait < e.cfg.RepeatEvery; tries-- {
		wait *= 2
	}
	return min(wait, e.cfg.RepeatEvery)
}

// tryOf is the next try of p's advice. p is as it was before the event of that try.
func tryOf(p book.Payment, now envelope.Time, send func() (acquirer.Answer, error)) *try {
	since, tries := p.Repeated()
	if since.IsZero() {
		since = now
	}
	return &try{send: send, since: since.Time, tries: tries + 1, fresh: p.Tries == 0}
}
