package calls

import (
	"context"
	"errors"
	"fmt"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
)

// errEnough ends a walk through findings.
var errEnough = errors.New("enough")

// Findings lists integrity findings, the newest first.
func (c *Calls) Findings(_ context.Context, q control.FindingQuery) ([]control.Finding, error) {
	return view(c, func(tx *ledger.Tx) ([]control.Finding, error) {
		shown := []control.Finding{}
		err := tx.Findings(q.Before, func(f book.Found) error {
			if q.Kind != "" && f.What.Finding != q.Kind || q.Open && !f.Open() {
				return nil
			}
			if shown = append(shown, showFinding(f)); len(shown) == q.Limit {
				return errEnough
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			err = nil
		}
		return shown, err
	})
}

// Finding shows one, with its place in the log.
func (c *Calls) Finding(_ context.Context, number uint64) (control.Finding, error) {
	return view(c, func(tx *ledger.Tx) (control.Finding, error) {
		f, err := findingOf(tx, number)
		if err != nil {
			return control.Finding{}, err
		}
		shown := showFinding(f)
		entry, err := tx.FindingEntry(f)
		shown.Entry = &entry
		return shown, err
	})
}

// findingOf reads a finding that has to be there.
func findingOf(tx *ledger.Tx, number uint64) (book.Found, error) {
	f, known, err := tx.Finding(number)
	if err == nil && !known {
		err = &control.Error{Code: control.CodeNotFound, Detail: fmt.Sprintf("there is no finding %d: see vault findings list --all", number)}
	}
	return f, err
}

func showFinding(f book.Found) control.Finding {
	w := f.What
	shown := control.Finding{Number: f.Number, Kind: w.Finding, Time: f.Time, Actor: f.Actor, Origin: f.Origin, Count: w.Times(), Relay: w.Relay,
		Run: w.Run, Bag: w.Number, Through: w.Through, Merchant: f.Merchant, Evidence: f.Evidence, Detail: w.Detail,
		Alarming: w.Finding.Alarming(), Acknowledged: f.Acknowledged}
	if ofEnvelope(w.Finding) {
		shown.Index = &w.Index
	}
	return shown
}

// ofEnvelope reports whether findings of a kind are of one envelope in a bag.
func ofEnvelope(kind book.Finding) bool {
	switch kind {
	case book.FindingForgedEnvelope, book.FindingBadEnvelope, book.FindingUnknownMerchant, book.FindingConflicts, book.FindingMismatches:
		return true
	}
	return false
}

// Acknowledge commits a person's word about the findings of a range that wait for it.
func (c *Calls) Acknowledge(ctx context.Context, actor operator.Actor, a control.Acknowledging) ([]control.Finding, error) {
	return commit(ctx, c, func(tx *ledger.Tx) ([]control.Finding, error) {
		waiting, err := waitingFindings(tx, a)
		if err != nil {
			return nil, err
		}
		done := []control.Finding{}
		for _, number := range waiting {
			if _, err := tx.Append(actor.Event("", book.FindingAcknowledged{Number: number, Withdrawn: a.Withdraw})); err != nil {
				return nil, err
			}
			f, err := findingOf(tx, number)
			if err != nil {
				return nil, err
			}
			done = append(done, showFinding(f))
		}
		return done, nil
	})
}

// waitingFindings are the findings that wait for a word, the oldest first. One that is named alone
// must.
func waitingFindings(tx *ledger.Tx, a control.Acknowledging) (numbers []uint64, err error) {
	if a.From == a.Through {
		f, err := findingOf(tx, a.From)
		if err == nil && !waitsFor(f, a) {
			err = &control.Error{Code: control.CodeConflict, Detail: fmt.Sprintf("finding %d does not wait for that word: see vault findings show %d", a.From, a.From)}
		}
		return []uint64{a.From}, err
	}
	err = tx.Findings(a.Through+1, func(f book.Found) error {
		if f.Number < a.From {
			return errEnough
		}
		if waitsFor(f, a) {
			numbers = append([]uint64{f.Number}, numbers...)
		}
		if len(numbers) > control.MaxPage {
			return &control.Error{Code: control.CodeUsage, Detail: fmt.Sprintf("these are over %d findings: name fewer", control.MaxPage)}
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return numbers, err
}

func waitsFor(f book.Found, a control.Acknowledging) bool {
	return f.What.Finding.Alarming() && (f.Acknowledged != nil) == a.Withdraw && (a.Kind == "" || f.What.Finding == a.Kind)
}
