package settle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/loggable"
	"nightdrop/vault/internal/operator"
)

// Resolve does what a person says became of a payment whose reversal or capture is being repeated
// (stages unknown, voiding, capturing and correcting), or was in vain (manual): as is one of
// [book.Payment.Resolutions]. The repeating ends first: a message under way is waited for, and its
// answer, when one comes, counts instead. reason is 1 to 200 printable ASCII characters in which no
// account number could stand. Errors: [ErrReason], [ErrNotFound], [ErrConflict] (naming what may be
// said), ctx's, or the ledger's.
func (e *Engine) Resolve(ctx context.Context, merchant, id string, as envelope.Status, reason string, actor operator.Actor) error {
	if err := checkWord(reason, actor); err != nil {
		return err
	}
	before, err := e.payment(merchant, id)
	if err != nil {
		return err
	}
	if err := mayResolve(before, as); err != nil {
		return err
	}
	idle, release := e.advices.hold(before.Number)
	defer release()
	select {
	case <-idle:
	case <-ctx.Done():
		return fmt.Errorf("a message about payment %s is under way, and its answer or its end was not waited for: resolve it again: %w", before.Name(), ctx.Err())
	}
	// From here on nothing about the payment leaves the vault until release. A crash before the
	// commit leaves the payment as it is.
	err = e.decide(ctx, merchant, id, reason, actor, func(_ *ledger.Tx, p book.Payment) (book.Body, error) {
		if len(p.Resolutions()) == 0 {
			return nil, fmt.Errorf("payment %s was answered in this moment, and is %s (code %s): the answer counts, and nothing was resolved: %w",
				p.Name(), p.Stage, p.Code, ErrConflict)
		}
		return book.PaymentResolved{ID: id, As: as, Reason: reason, Remembered: true}, mayResolve(p, as)
	})
	if err == nil {
		e.advices.drop(before.Number)
	}
	return err
}

// mayResolve refuses what a person may not say of a payment as it stands.
func mayResolve(p book.Payment, as envelope.Status) error {
	if may := p.Resolutions(); len(may) == 0 {
		return fmt.Errorf("payment %s is %s: only what is manual, or is repeated (unknown, voiding, capturing, correcting), waits "+
			"for a person's word, and an earlier word is corrected with --correct: %w",
			p.Name(), p.Stage, ErrConflict)
	} else if !slices.Contains(may, as) {
		return fmt.Errorf("payment %s cannot be %q; it can be resolved as %s: %w", p.Name(), string(as), listed(may), ErrConflict)
	}
	return nil
}

// payment reads one, or fails with ErrNotFound.
func (e *Engine) payment(merchant, id string) (p book.Payment, err error) {
	err = e.cfg.Ledger.View(func(tx *ledger.Tx) error {
		var found bool
		if p, found, err = tx.Payment(merchant, id); err != nil || !found {
			return orMissing(err, "payment "+merchant+"/"+id)
		}
		return nil
	})
	return p, err
}

// decide commits a person's decision on a payment: the event that word returns for it as it stands,
// or its refusal.
func (e *Engine) decide(ctx context.Context, merchant, id, reason string, actor operator.Actor, word func(*ledger.Tx, book.Payment) (book.Body, error)) error {
	if err := checkWord(reason, actor); err != nil {
		return err
	}
	return e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		p, found, err := tx.Payment(merchant, id)
		if err != nil || !found {
			return orMissing(err, "payment "+merchant+"/"+id)
		}
		body, err := word(tx, p)
		if err != nil {
			return err
		}
		_, err = tx.Append(actor.Event(merchant, body))
		return err
	})
}

// checkWord checks the reason and the evidence of a person's decision.
func checkWord(reason string, actor operator.Actor) error {
	if len(reason) < 1 || len(reason) > maxText || !loggable.Text(reason) {
		return ErrReason
	}
	if digest, err := hex.DecodeString(actor.Evidence); err != nil || len(digest) != 0 && len(digest) != sha256.Size {
		return fmt.Errorf("evidence is the SHA-256 of a file, 64 hex digits: %w", ErrReason)
	}
	return nil
}

func listed(statuses []envelope.Status) string {
	names := make([]string, len(statuses))
	for i, s := range statuses {
		names[i] = string(s)
	}
	return strings.Join(names, " or ")
}

// Resend has the reversal or capture of a manual payment sent again at once, and repeated as if its
// first try were now. reason is as in [Engine.Resolve]. Errors: [ErrReason], [ErrNotFound],
// [ErrConflict], or the ledger's.
func (e *Engine) Resend(ctx context.Context, merchant, id, reason string, actor operator.Actor) error {
	return e.decide(ctx, merchant, id, reason, actor, func(_ *ledger.Tx, p book.Payment) (book.Body, error) {
		if p.Stage != book.StageManual {
			return nil, fmt.Errorf("payment %s is %s: only what is manual can be sent again: %w", p.Name(), p.Stage, ErrConflict)
		}
		return book.PaymentResent{ID: id, Reason: reason}, nil
	})
}

// ResendAll is [Engine.Resend] of every manual payment, of one merchant unless that is empty, and
// counts them. What was done before an error stays done.
func (e *Engine) ResendAll(ctx context.Context, merchant, reason string, actor operator.Actor) (resent int, err error) {
	if err := checkWord(reason, actor); err != nil {
		return 0, err
	}
	return e.each(ctx, waiting{stage: book.StageManual, meant: func(p book.Payment) bool { return merchant == "" || p.Merchant == merchant },
		do: func(tx *ledger.Tx, p book.Payment) (bool, error) {
			_, err := tx.Append(actor.Event(p.Merchant, book.PaymentResent{ID: p.ID, Reason: reason}))
			return true, err
		}})
}
