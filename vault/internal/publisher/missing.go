package publisher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// errUnseen is returned when the broker does not list a merchant's results.
var errUnseen = errors.New("what RESULTS holds of a merchant cannot be seen")

// absent is one merchant's results that RESULTS has lost, by serial.
type absent struct {
	merchant string
	serials  []uint64
}

// missing returns what RESULTS lost of each merchant, and when to look again for those who were
// republished within a day, or zero. Its error is errUnseen or the ledger's.
func (o *Publisher) missing(ctx context.Context, hint ledger.ResultsHint, differs difference) (found []absent, due time.Time, err error) {
	var merchants []book.Merchant
	err = o.Ledger.View(func(tx *ledger.Tx) error {
		return tx.Merchants(func(m book.Merchant) error {
			merchants = append(merchants, m)
			return nil
		})
	})
	if err != nil {
		return nil, due, err
	}
	// merchants with more results than the broker can list, and no fewer than expected
	var uncertain []absent
	count := uint64(0)
	for _, m := range merchants {
		a, sure, err := o.missingOf(ctx, m.ID, hint.Floors[m.ID])
		if err != nil {
			return nil, due, err
		}
		next := m.Republished.Add(republishEvery)
		switch waits := !m.Republished.IsZero() && o.Now().Before(next); {
		case len(a.serials) == 0:
		case sure && waits:
			due = earlier(due, next)
		case sure:
			found, count = append(found, a), count+uint64(len(a.serials))
		case !waits:
			uncertain = append(uncertain, a)
		}
	}
	if count < differs.lost {
		found = append(found, uncertain...)
	}
	return found, due, nil
}

// earlier returns the earlier of two times, of which a may be zero.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// missingOf returns a merchant's results of the last 30 days, from floor on, that were sent and are
// not in RESULTS. Where there are too many for the broker to list it returns all of them: sure
// where the broker has fewer.
func (o *Publisher) missingOf(ctx context.Context, merchant string, floor uint64) (a absent, sure bool, err error) {
	a.merchant = merchant
	var first, last uint64
	err = o.Ledger.View(func(tx *ledger.Tx) (err error) {
		first, last, err = tx.ResultsSince(merchant, o.Now().Add(-ResultsKept+ageMargin))
		return err
	})
	first = max(first, floor)
	if err != nil || first > last {
		return a, true, err
	}
	sure = true
	for range 2 { // what was sent after the first list is in the second
		kept, err := o.Channel.KeptResults(ctx, merchant)
		if err != nil {
			return a, false, fmt.Errorf("%w: %w", errUnseen, err)
		}
		if a.serials, err = o.sent(merchant, first, last, kept.Serials); err != nil || len(a.serials) == 0 {
			return a, true, err
		}
		if kept.Serials == nil {
			return a, kept.Results < uint64(len(a.serials)), nil
		}
	}
	return a, sure, nil
}

// sent lists the serials of a range that were sent and are not kept.
func (o *Publisher) sent(merchant string, first, last uint64, kept map[uint64]bool) (serials []uint64, err error) {
	err = o.Ledger.View(func(tx *ledger.Tx) error {
		for serial := first; serial <= last; serial++ {
			if kept[serial] {
				continue
			}
			_, unsent, err := tx.SealedResult(merchant, serial)
			if err != nil {
				return err
			}
			if !unsent {
				serials = append(serials, serial)
			}
		}
		return nil
	})
	return serials, err
}

// republish records what RESULTS lost, as one finding, and marks a page of each merchant to be sent
// again. It returns when to look again.
func (o *Publisher) republish(ctx context.Context, differs difference, found []absent, due time.Time) (time.Time, error) {
	if len(found) == 0 {
		return due, nil
	}
	results, pages := uint64(0), make([]absent, len(found))
	for k, a := range found {
		results += uint64(len(a.serials))
		pages[k] = absent{a.merchant, a.serials[:min(uint64(len(a.serials)), o.shares.maxPage())]}
		if len(pages[k].serials) < len(a.serials) {
			due = earlier(due, o.Now().Add(republishEvery))
		}
	}
	detail := fmt.Sprintf("RESULTS has lost %d results of %d merchants: %s; they are published again", results, len(found), differs.why)
	for k, page := range pages {
		err := o.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
			if k == 0 {
				found := book.IntegrityFound{Finding: book.FindingResultsLost, Detail: detail, Count: uint64(len(found))}
				if _, err := tx.Append(book.Event{Actor: "vault", Origin: "timer", Body: found}); err != nil {
					return err
				}
			}
			return page.begin(tx)
		})
		if err != nil {
			return due, err
		}
		if err := o.markRest(ctx, page); err != nil {
			return due, err
		}
	}
	o.losses.republished(results, len(found), o.Now())
	o.Logger.Warn("RESULTS has lost results: they are published again", "results", results, "merchants", len(found),
		"reason", differs.why)
	return due, nil
}

// begin records what is republished, and marks the first of it. It starts the merchant's day.
func (a absent) begin(tx *ledger.Tx) error {
	_, err := tx.Append(book.Event{Actor: "vault", Origin: "timer", Merchant: a.merchant, Body: book.ResultsResent{From: a.serials[0],
		Through: a.serials[len(a.serials)-1], Lost: uint64(len(a.serials))}})
	if err != nil {
		return err
	}
	return a.mark(tx, 0)
}

func (a absent) mark(tx *ledger.Tx, from int) error {
	for _, serial := range a.serials[from:min(from+resendChunk, len(a.serials))] {
		if err := tx.ResendResult(a.merchant, serial); err != nil {
			return err
		}
	}
	return nil
}

// markRest marks the rest after begin. A crash here leaves it for tomorrow.
func (o *Publisher) markRest(ctx context.Context, a absent) error {
	for from := resendChunk; from < len(a.serials); from += resendChunk {
		if err := o.Ledger.Commit(ctx, func(tx *ledger.Tx) error { return a.mark(tx, from) }); err != nil {
			return err
		}
	}
	return nil
}

// setFloor records that a purge by the vault left a merchant its newest results only: what is below
// is not missing.
func (o *Publisher) setFloor(ctx context.Context, merchant string, keep, purged uint64) error {
	if purged == 0 {
		return nil
	}
	o.losses.countPurged(purged)
	return o.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		hint, err := tx.ResultsHint()
		if err != nil {
			return err
		}
		end, _, err := tx.PreviousDigest(merchant)
		if err != nil {
			return err
		}
		floor := o.losses.top(merchant, end)
		floor = floor - min(keep, floor) + 1
		if floor <= hint.Floors[merchant] {
			return nil
		}
		floors := map[string]uint64{merchant: floor}
		for m, f := range maps.All(hint.Floors) {
			if m != merchant {
				floors[m] = f
			}
		}
		hint.Floors = floors
		return tx.SetResultsHint(hint)
	})
}
