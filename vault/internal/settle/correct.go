package settle

import (
	"context"
	"fmt"
	"slices"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
)

// Correct applies a person's correction of what a person said of a payment before: as is one of
// [book.Payment.Corrections]. Before the payment's batch is closed the payment moves, and what
// stands at the host though its merchant was told otherwise is reversed there; afterwards the batch
// gets an adjustment line, unless reverse orders the reversal all the same. reason is as in
// [Engine.Resolve]. Errors: [ErrReason], [ErrNotFound], [ErrConflict] (naming what may be said), or
// the ledger's.
func (e *Engine) Correct(ctx context.Context, merchant, id string, as envelope.Status, reverse bool, reason string, actor operator.Actor) error {
	return e.decide(ctx, merchant, id, reason, actor, func(tx *ledger.Tx, p book.Payment) (book.Body, error) {
		return book.PaymentCorrected{ID: id, As: as, Reason: reason, Reverse: reverse}, mayCorrect(tx, p, as, reverse)
	})
}

// mayCorrect returns why a correction is refused, and what can be done instead.
func mayCorrect(tx *ledger.Tx, p book.Payment, as envelope.Status, reverse bool) error {
	may, err := Corrections(tx, p)
	if err != nil {
		return err
	}
	stands := as == envelope.StatusApproved || as == envelope.StatusCaptured
	if reverse && p.MayReverse() {
		may = []envelope.Status{envelope.StatusApproved}
		if p.Flow() == book.FlowCapture {
			may[0] = envelope.StatusCaptured
		}
	}
	conflict := func(format string, args ...any) error {
		return fmt.Errorf("payment %s "+format+": %w", append(append([]any{p.Name()}, args...), ErrConflict)...)
	}
	var batch book.Batch
	if p.Batch != 0 {
		if batch, err = batchOf(tx, p.Batch); err != nil {
			return err
		}
	}
	switch {
	case p.Stage == book.StageCorrecting:
		return conflict("is being taken back at the host: resolve it when that was done by hand, or correct it again when it is answered, or was not")
	case p.Stage == book.StageAuthorised && p.Capturing > 0:
		return conflict("has captures: correct those")
	case len(may) == 0:
		return conflict("is %s, and no person said so: what the acquirer has otherwise is taken into its batch by `vault batch adjust`", p.Stage)
	case reverse && !stands:
		return conflict("does not stand by that word, and what does not stand is not reversed: leave --reverse out")
	case !slices.Contains(may, as):
		return conflict("cannot be corrected to %q; it can be corrected to %s", string(as), listed(may))
	case len(p.Decisions) >= book.MaxDecisions:
		return conflict("was decided %d times: take what the acquirer has otherwise into its batch by `vault batch adjust`", len(p.Decisions))
	case batch.Fixed() && !batch.MayAdjust():
		return conflict("is of %s, which has %d adjustment lines, and there is no room for more: have the acquirer put the rest right", batch.ID(), book.MaxAdjustments)
	}
	return nil
}

// Corrections lists how a person may correct what a person said of a payment; none where nobody
// said anything.
func Corrections(tx *ledger.Tx, p book.Payment) ([]envelope.Status, error) {
	var void book.Payment
	if p.Void != "" {
		var found bool
		var err error
		if void, found, err = tx.Payment(p.Merchant, p.Void); err != nil || !found {
			return nil, orMissing(err, "void "+p.Merchant+"/"+p.Void)
		}
	}
	return p.Corrections(void), nil
}
