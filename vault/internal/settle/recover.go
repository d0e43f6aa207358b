package settle

import (
	"context"
	"fmt"
	"slices"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// chunk is how many payments one commit settles or recovers: large enough to make an fsync cheap,
// small enough that a progress bar moves and other commits do not wait.
const chunk = 200

// Recover commits for every message that a stop left outstanding that its outcome is unknown:
// requests are then reversed; captures and voids without a result are repeated until they are
// answered. It runs before anything else issues a result: an envelope that was acted on gets its
// first result after a stop before any other (specification 4). While Run runs it would call live
// requests unknown; once done, it does nothing in this process.
func (e *Engine) Recover(ctx context.Context) error {
	if e.recovered.Load() {
		return nil
	}
	for what, w := range map[string]waiting{
		"requests": {stage: book.StageAuthorising, do: func(tx *ledger.Tx, p book.Payment) (bool, error) { return true, unanswered(tx, p, "start", "") }},
		"captures": {stage: book.StageCapturing, do: func(tx *ledger.Tx, p book.Payment) (bool, error) { return firstResult(tx, p, "start") }},
		"voids":    {stage: book.StageVoiding, do: func(tx *ledger.Tx, p book.Payment) (bool, error) { return voidResult(tx, p, "start") }},
	} {
		n, err := e.each(ctx, w)
		if err != nil {
			return fmt.Errorf("recover outstanding %s: %w", what, err)
		}
		if n > 0 {
			e.cfg.Logger.Warn("messages were outstanding at the stop: their outcome is unknown", "kind", what, "payments", n)
		}
	}
	e.started = e.cfg.Now()
	if err := e.resumeBreaker(); err != nil {
		return err
	}
	e.recovered.Store(true)
	return nil
}

// waiting is what is done to those payments of a stage that are meant.
type waiting struct {
	stage book.Stage
	more  func(book.Payment) bool // whether this one or any younger one may be meant; nil: yes
	meant func(book.Payment) bool // nil: all
	do    func(tx *ledger.Tx, p book.Payment) (bool, error)
}

// each does it, oldest first and some hundred a commit, and counts the payments that do reports as
// changed. do runs again when its commit does.
func (e *Engine) each(ctx context.Context, w waiting) (changed int, err error) {
	for after := uint64(0); ; {
		next, err := e.some(w, after)
		if err != nil || len(next) == 0 {
			return changed, err
		}
		did := 0
		err = e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
			did = 0
			for _, p := range next {
				now, found, err := tx.Payment(p.Merchant, p.ID)
				if err != nil {
					return err
				}
				if !found || now.Stage != w.stage {
					continue
				}
				done, err := w.do(tx, now)
				if err != nil {
					return err
				}
				if done {
					did++
				}
			}
			return nil
		})
		if err != nil {
			return changed, err
		}
		changed += did
		if len(next) < chunk {
			return changed, nil
		}
		after = next[len(next)-1].Number
	}
}

// some reads up to a chunk of those that are meant and have higher numbers than after.
func (e *Engine) some(w waiting, after uint64) (found []book.Payment, err error) {
	err = e.cfg.Ledger.View(func(tx *ledger.Tx) error {
		return tx.Payments(ledger.Query{Stage: w.stage, After: after}, func(p book.Payment) error {
			if w.more != nil && !w.more(p) {
				return errEnough
			}
			if w.meant != nil && !w.meant(p) {
				return nil
			}
			if found = append(found, p); len(found) == chunk {
				return errEnough
			}
			return nil
		})
	})
	return found, unlessEnough(err)
}

// inCommits does something to each of all, some hundred a commit.
func inCommits[T any](ctx context.Context, l Ledger, all []T, do func(*ledger.Tx, T) error) error {
	for some := range slices.Chunk(all, chunk) {
		err := l.Commit(ctx, func(tx *ledger.Tx) (err error) {
			for i := 0; i < len(some) && err == nil; i++ {
				err = do(tx, some[i])
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unanswered commits that p's outcome is unknown and drops what was kept to send it: it is never
// sent again. code is that of an answer that was not taken, "" where there was none.
func unanswered(tx *ledger.Tx, p book.Payment, origin string, code envelope.Code) error {
	if err := appendEvent(tx, "vault", origin, p.Merchant, book.AuthorisationUnanswered{ID: p.ID, Code: code}); err != nil {
		return err
	}
	return deleteParts(tx, p.Merchant, p.ID)
}

// firstResult gives a capture or void that has no result its first one, unknown, and reports
// whether it did.
func firstResult(tx *ledger.Tx, p book.Payment, origin string) (bool, error) {
	if len(p.Results) > 0 {
		return false, nil
	}
	return true, appendEvent(tx, "vault", origin, p.Merchant, book.OutcomeUnknown{ID: p.ID, Code: p.Answer})
}

// voidResult is firstResult of the void that takes p back.
func voidResult(tx *ledger.Tx, p book.Payment, origin string) (bool, error) {
	void, found, err := tx.Payment(p.Merchant, p.Void)
	if err != nil || !found {
		return false, orMissing(err, "void "+p.Merchant+"/"+p.Void)
	}
	void.Answer = p.Answer // the reversal is the payment's
	return firstResult(tx, void, origin)
}

// deleteParts drops the sealed account and code of a payment: its request has an outcome, and a
// reversal needs neither.
func deleteParts(tx *ledger.Tx, merchant, id string) error {
	if err := tx.DeletePart(merchant, id, envelope.PartAccount); err != nil {
		return err
	}
	return tx.DeletePart(merchant, id, envelope.PartCode)
}

// appendEvent appends an event that the vault itself or the acquirer caused.
func appendEvent(tx *ledger.Tx, actor, origin, merchant string, body book.Body) error {
	_, err := tx.Append(book.Event{Actor: actor, Origin: origin, Merchant: merchant, Body: body})
	return err
}
