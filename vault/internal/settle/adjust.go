package settle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
)

// maxAdjustment bounds each member of an adjustment, in payments or minor units.
const maxAdjustment = 1e15

// Adjust adds a named difference to a closed card batch that is not settled: what the acquirer has
// more than the ledger, or less where negative. id names the payment it is about and may be empty;
// reason is as in [Engine.Resolve]. Errors: [ErrReason], [ErrNotFound], [ErrConflict], or the
// ledger's.
func (e *Engine) Adjust(ctx context.Context, batch uint32, difference book.Total, id, reason string, actor operator.Actor) (book.Batch, error) {
	if err := checkWord(reason, actor); err != nil {
		return book.Batch{}, err
	}
	body := book.BatchAdjusted{Batch: batch, Total: difference, Payment: id, Reason: reason}
	err := e.change(ctx, batch, body, actor, func(tx *ledger.Tx, b book.Batch) error { return mayAdjust(tx, b, difference, id) })
	if err != nil {
		return book.Batch{}, err
	}
	return e.batch(batch)
}

func mayAdjust(tx *ledger.Tx, b book.Batch, t book.Total, id string) error {
	conflict := func(format string, args ...any) error {
		return fmt.Errorf("%s: "+format+": %w", append(append([]any{b.ID()}, args...), ErrConflict)...)
	}
	// also a withdrawn one: what was paid in it is settled
	_, listed := envelope.KnownCurrency(t.Currency)
	ours := slices.ContainsFunc(b.Totals, func(own book.Total) bool { return own.Currency == t.Currency })
	switch {
	case !listed && !ours:
		return conflict("%q is not an ISO 4217 currency", t.Currency)
	case t == book.Total{Currency: t.Currency}:
		return conflict("a difference of nothing changes nothing: say how many payments, and how much")
	case !within(t.Count) || !within(t.Amount) || !within(t.Credits) || !within(t.CreditAmount):
		return conflict("a difference is at most %d, either way", int64(maxAdjustment))
	case !b.MayTake(t):
		return conflict("with lines it comes to %s now, and with this difference it would come to less than nothing, or "+
			"to less than one minor unit a payment: check the signs, --count and --amount", allInWords(b.Expected()))
	case !b.MayAdjust():
		return conflict("it has %d adjustment lines, and there is no room for more: have the acquirer put the rest right", book.MaxAdjustments)
	}
	if id == "" {
		return nil
	}
	_, found, err := tx.Payment(b.Merchant, id)
	if err != nil || !found {
		return orMissing(err, "payment "+b.Merchant+"/"+id)
	}
	return nil
}

func within(n int64) bool { return -maxAdjustment <= n && n <= maxAdjustment }

// unsettled reads a card batch that is closed and not settled.
func unsettled(tx *ledger.Tx, number uint32) (book.Batch, error) {
	b, err := batchOf(tx, number)
	switch {
	case err != nil:
		return b, err
	case b.Method == book.MethodBank:
		return b, fmt.Errorf("%s is settled by a file, and the bank answers with returns: import those: %w", b.ID(),
			ErrConflict)
	case !b.Fixed():
		return b, fmt.Errorf("%s is %s; close it first: %w", b.ID(), b.Stage, ErrConflict)
	case b.Stage == book.BatchDone:
		return b, fmt.Errorf("%s is settled, and stays as it is; what a person said of its payments can be corrected: %w", b.ID(), ErrConflict)
	}
	return b, nil
}

// AgreeByListing accepts an acquirer's listing of a closed card batch instead of its host's 0510,
// where Config.Reconciliation is ByListing and the listing agrees: payment by payment or, where
// differences were added by [Engine.Adjust], in its sums. The listing's digest is the event's
// evidence. Errors: those of [Engine.Compare], [ErrTotalsDiffer], or [ErrConflict] where the batch
// cannot be agreed so.
func (e *Engine) AgreeByListing(ctx context.Context, batch uint32, listing io.Reader, actor operator.Actor) (Comparison, error) {
	if way := e.way(); way != book.ByListing {
		return Comparison{}, fmt.Errorf("batches are agreed by %q (acquirer.reconciliation in vault.toml), not by a listing: settle without one: %w", way, ErrConflict)
	}
	if err := e.cfg.Ledger.View(func(tx *ledger.Tx) error { _, err := unsettled(tx, batch); return err }); err != nil {
		return Comparison{}, err
	}
	digest := sha256.New()
	compared, err := e.Compare(ctx, batch, io.TeeReader(listing, digest))
	if err != nil {
		return Comparison{}, err
	}
	if expected := compared.Batch.Expected(); !compared.agrees(expected) {
		return compared, fmt.Errorf("the listing has %s, we have %s, and they differ in %d payments: see which with `vault batch compare`, and have it put right, or "+
			"take it in with `vault batch adjust`: %w", allInWords(compared.Sums), allInWords(expected), len(compared.Differences), ErrTotalsDiffer)
	}
	actor.Evidence = hex.EncodeToString(digest.Sum(nil))
	return compared, e.agree(ctx, batch, book.BatchAgreed{Batch: batch, By: book.ByListing,
		Totals: compared.Batch.Expected()}, actor)
}

// agrees reports whether a listing is what is expected: the same payments, or sums that differ from
// ours by what was adjusted.
func (c Comparison) agrees(expected []book.Total) bool {
	adjusted := slices.ContainsFunc(c.Batch.Lines, func(l book.Adjustment) bool { return !l.Corrects })
	return slices.Equal(c.Sums, expected) && (len(c.Differences) == 0 || adjusted)
}

// agree commits that a batch was agreed; totals that were adjusted meanwhile are refused.
func (e *Engine) agree(ctx context.Context, batch uint32, body book.BatchAgreed, actor operator.Actor) error {
	return e.change(ctx, batch, body, actor, func(*ledger.Tx, book.Batch) error { return nil })
}

// change commits an event of a card batch that is closed and not settled, where may allows it.
func (e *Engine) change(ctx context.Context, batch uint32, body book.Body, actor operator.Actor, may func(*ledger.Tx, book.Batch) error) error {
	return e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		b, err := unsettled(tx, batch)
		if err == nil {
			err = may(tx, b)
		}
		if err == nil {
			_, err = tx.Append(actor.Event(b.Merchant, body))
		}
		return err
	})
}

// way is what card batches are agreed with the acquirer by.
func (e *Engine) way() book.Way {
	if e.cfg.Reconciliation == "" {
		return book.ByTotals
	}
	return e.cfg.Reconciliation
}

// agreed has a card batch agreed in the way that is configured.
func (s *settlement) agreed(ctx context.Context, b book.Batch) error {
	if b.Unresolved > 0 {
		return fmt.Errorf("%d payments of it are being taken back at the host on a person's order, or wait for a person; settle again when that is done "+
			"(`vault payment list --status correcting`, and manual): %w", b.Unresolved, ErrConflict)
	}
	expected := b.Expected()
	if slices.Equal(expected, b.Agreed) {
		return nil
	}
	switch s.engine.way() {
	case book.ByListing:
		return fmt.Errorf("this acquirer agrees by its listing: get its listing of the batch, and `vault batch settle %s --listing FILE`: %w", b.ID(), ErrConflict)
	case book.ByWord:
		if err := checkWord(s.actor.Purpose, s.actor); err != nil {
			return fmt.Errorf("this acquirer agrees to nothing, so a person's statement settles the batch: say with --reason what it rests on: %w", err)
		}
		return s.engine.agree(ctx, b.Number, book.BatchAgreed{Batch: b.Number, By: book.ByWord, Totals: expected,
			Reason: s.actor.Purpose}, s.actor)
	}
	return s.reconcile(ctx, b)
}

func allInWords(totals []book.Total) string {
	if len(totals) == 0 {
		return "nothing"
	}
	words := make([]string, len(totals))
	for i, t := range totals {
		words[i] = inWords(t)
	}
	return strings.Join(words, "; ")
}
