package settle

import (
	"context"
	"errors"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
)

// keepTime does what is due by the clock, whether the acquirer can be reached or not: results, late
// payments, expired authorisations, closing batches. It returns when ctx ends, or with the ledger's
// error.
func (e *Engine) keepTime(ctx context.Context) error {
	var swept time.Time
	closing := closer{engine: e}
	for {
		now := e.cfg.Now()
		if now.Sub(swept).Abs() >= sweepEvery {
			swept = now
			if err := e.sweep(ctx, now); err != nil {
				return ended(ctx, err)
			}
		}
		if err := e.watchHost(ctx); err != nil {
			return ended(ctx, err)
		}
		e.watchRoom()
		if err := closing.close(ctx, now); err != nil {
			return ended(ctx, err)
		}
		if pause(ctx, linePoll) != nil {
			return nil
		}
	}
}

func (e *Engine) sweep(ctx context.Context, now time.Time) error {
	waited := e.waited(now)
	for _, w := range []waiting{
		{stage: book.StageAuthorised, more: func(p book.Payment) bool {
			// and none that came later was authorised earlier
			return !now.Before(p.Received.Add(book.AuthorisationLife))
		}, do: expire},
		{stage: book.StageCapturing, do: overdue},
		{stage: book.StageVoiding, do: overdueVoid},
		{stage: book.StageReceived, meant: func(p book.Payment) bool { return now.After(p.Until.Time) || waited(p) },
			do: func(tx *ledger.Tx, p book.Payment) (bool, error) { return e.late(tx, p, waited) }},
	} {
		if _, err := e.each(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// expire ends an authorisation of which no more may be captured; one with a capture under way waits
// for its outcome.
func expire(tx *ledger.Tx, p book.Payment) (bool, error) {
	if !p.MayExpire(tx.Now()) {
		return false, nil
	}
	return true, appendEvent(tx, "vault", "timer", p.Merchant, book.AuthorisationExpired{ID: p.ID})
}

// overdue gives a capture its first result when it has waited too long for a line, or for its
// answer.
func overdue(tx *ledger.Tx, p book.Payment) (bool, error) {
	if tx.Now().Before(p.Trace.Sent.Add(unsentLimit)) {
		return false, nil
	}
	return firstResult(tx, p, "timer")
}

// overdueVoid is [overdue] of the void that takes p back, which counts from when it was accepted.
func overdueVoid(tx *ledger.Tx, p book.Payment) (bool, error) {
	void, found, err := tx.Payment(p.Merchant, p.Void)
	if err != nil || !found {
		return false, orMissing(err, "void "+p.Merchant+"/"+p.Void)
	}
	if tx.Now().Before(void.Received.Add(unsentLimit)) {
		return false, nil
	}
	return firstResult(tx, void, "timer")
}

// waited reports whether a received payment cannot be sent now and has waited too long, since it
// came or since the vault started. One that can be sent is sent, however long it waited.
func (e *Engine) waited(now time.Time) func(book.Payment) bool {
	down := e.cfg.Acquirer.Ready() != nil
	opened, _ := e.breaker.state()
	held := !opened.IsZero() || e.hasRoom() != nil
	return func(p book.Payment) bool {
		since := p.Received.Time
		if since.Before(e.started) {
			since = e.started
		}
		return (down || held && !isCapture(p)) && !now.Before(since.Add(e.cfg.OrderWait))
	}
}

// late refuses a payment that waits and is late, or has waited too long for a host that answers or
// for disk space. Nothing of it was sent.
func (e *Engine) late(tx *ledger.Tx, p book.Payment, waited func(book.Payment) bool) (bool, error) {
	switch {
	case tx.Now().After(p.Until.Time):
		return true, refuse(tx, p, envelope.CodeLate)
	case waited(p):
		return true, refuse(tx, p, envelope.CodeNoAnswer)
	}
	return false, nil
}

// closer closes batches at Config.CloseAt, once for each time, also for the last one over which the
// vault was down.
type closer struct {
	engine *Engine
	done   time.Time // the last time of closing that is done with
	tried  time.Time
}

// closeLast is how long after midnight a time of closing can be.
const closeLast = 24 * time.Hour

// close closes what was open at the last time of closing. What cannot be closed yet, because
// answers are outstanding, is tried again every minute; no new payment joins it meanwhile.
func (c *closer) close(ctx context.Context, now time.Time) error {
	due, ok := lastClosing(c.engine.cfg.CloseAt, now)
	if !ok || !due.After(c.done) || now.Sub(c.tried).Abs() < sweepEvery {
		return nil
	}
	c.tried = now
	switch err := c.engine.closeAt(ctx, due); {
	case errors.Is(err, ErrConflict):
		c.engine.cfg.Logger.Warn("batches cannot be closed yet; it is tried again every minute", "due", due, "error", err)
		return nil
	case err != nil:
		return err
	}
	c.done = due
	return nil
}

// lastClosing is the last time of closing at or before now.
func lastClosing(times []time.Duration, now time.Time) (last time.Time, ok bool) {
	midnight := now.UTC().Truncate(closeLast)
	for _, at := range times {
		t := midnight.Add(at)
		if t.After(now) {
			t = t.Add(-closeLast)
		}
		if !ok || t.After(last) {
			last, ok = t, true
		}
	}
	return last, ok
}

// closeAt closes every batch that was open at a time and holds a payment that joined it before.
func (e *Engine) closeAt(ctx context.Context, due time.Time) error {
	_, err := e.closeBatches(ctx, closing{due: func(tx *ledger.Tx, number uint32) (bool, error) { return joined(tx, number, due) },
		actor: operator.Actor{Name: "vault", Origin: "timer", Purpose: "closing at " + due.Format("15:04")}})
	return err
}

// joined reports whether a payment that counts in a batch joined it before a time.
func joined(tx *ledger.Tx, number uint32, before time.Time) (found bool, err error) {
	b, known, err := tx.Batch(number)
	if err != nil || !known || !b.Opened.Before(before) {
		return false, err
	}
	for _, stage := range standing() {
		err := tx.Payments(ledger.Query{Merchant: b.Merchant, Batch: number, Stage: stage, Limit: 1}, func(p book.Payment) error {
			at := p.Received
			if p.Trace != nil {
				at = p.Trace.Sent
			}
			found = found || at.Before(before)
			return nil
		})
		if err != nil || found {
			return found, err
		}
	}
	return false, nil
}

// standing lists the stages of a batch's payments that count in it, or may come to.
func standing() []book.Stage {
	return []book.Stage{book.StageApproved, book.StageCaptured, book.StageAccepted, book.StageAuthorising, book.StageCapturing,
		book.StageVoiding, book.StageUnknown, book.StageManual, book.StageCorrecting}
}
