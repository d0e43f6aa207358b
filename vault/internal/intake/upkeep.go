package intake

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// Limits of a position, so that a relay that starts runs without end cannot make the note too long
// to sign: an entry is up to 200 of its 65,536 bytes.
const (
	maxPositions     = 256 // entries
	maxRelayPosition = 64  // of one relay, its newest
)

// Position returns how far each run of the last 7 days is committed. Where the last number up to
// which all is accounted for never came, its digest is 64 zeros.
func (i *Intake) Position(tx *ledger.Tx) (envelope.Position, error) {
	v, err := tx.Vault()
	if err != nil {
		return envelope.Position{}, err
	}
	byRelay := map[string][]book.Run{}
	err = tx.Runs(tx.Now().Add(-positionSpan), func(r book.Run) error {
		if r.Number > 0 {
			byRelay[r.Relay] = append(byRelay[r.Relay], r)
		}
		return nil
	})
	if err != nil {
		return envelope.Position{}, err
	}
	p := envelope.Position{Vault: v.Name, Generation: v.Generation, Issued: tx.Now()}
	share := min(maxRelayPosition, maxPositions/max(len(byRelay), 1))
	for _, runs := range byRelay {
		slices.SortFunc(runs, func(a, b book.Run) int {
			return cmp.Or(b.Latest.Compare(a.Latest.Time), cmp.Compare(a.ID, b.ID))
		})
		for _, r := range runs[:min(len(runs), share)] {
			digest := r.Digest
			if digest == "" {
				digest = envelope.ZeroDigest
			}
			p.Relays = append(p.Relays, envelope.PositionEntry{Relay: r.Relay, Run: r.ID, Number: r.Number, Digest: digest})
		}
	}
	slices.SortFunc(p.Relays, func(a, b envelope.PositionEntry) int {
		return cmp.Or(cmp.Compare(a.Relay, b.Relay), cmp.Compare(a.Run, b.Run))
	})
	return p, nil
}

// upkeep closes gaps, reports counts and purges the channel every hour until ctx ends, and relieves
// ENVELOPES more often. The first hour leaves time for reading a backlog, which may hold a gap's
// bags.
func (i *Intake) upkeep(ctx context.Context) error {
	next := time.Now().Add(upkeepEvery)
	for {
		if err := i.relieve(ctx); err != nil && ctx.Err() == nil {
			i.Logger.Warn("making room in ENVELOPES; trying again soon", "error", err)
		}
		if err := pause(ctx, roomEvery); err != nil {
			return err
		}
		if time.Now().Before(next) {
			continue
		}
		next = time.Now().Add(upkeepEvery)
		if err := i.closeOldGaps(ctx); err != nil {
			return err
		}
		if err := i.reportCounted(ctx, false); err != nil {
			return err
		}
		if err := i.purge(ctx); err != nil && ctx.Err() == nil {
			i.Logger.Warn("purging committed bags from the channel; trying again in an hour", "error", err)
		}
	}
}

// closeOldGaps records numbers as missing when later bags of their run came, the last over an hour
// ago. So the signed position passes every bag before it may be purged.
func (i *Intake) closeOldGaps(ctx context.Context) error {
	return i.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		var gaps []book.Run
		err := tx.Runs(time.Time{}, func(r book.Run) error {
			if len(r.Ahead) > 0 && tx.Now().Sub(r.Latest.Time) > gapPatience {
				gaps = append(gaps, r)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, r := range gaps {
			err := closeGaps(tx, r.Relay, r.ID, highest(r), func(f book.IntegrityFound) error {
				_, err := tx.Append(book.Event{Actor: "vault", Origin: "timer", Body: f})
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// purge deletes from the channel what was committed over Keep ago by the ledger's marks, after
// reading the bag at the mark: a broker that has no bag at a sequence, or says that it is old,
// proves nothing. The bag that the hint names always stays: it shows whether the channel is still
// the same.
func (i *Intake) purge(ctx context.Context) error {
	var (
		hint ledger.Hint
		mark ledger.Mark
	)
	err := i.Ledger.View(func(tx *ledger.Tx) (err error) {
		if hint, err = tx.BagHint(); err != nil {
			return err
		}
		mark, err = tx.MarkedBefore(i.Now().Add(-i.Keep))
		return err
	})
	if err != nil || mark.Sequence == 0 {
		return err
	}
	bag, err := i.Source.BagAt(ctx, mark.Sequence)
	if errors.Is(err, channel.ErrNotFound) || err == nil && digestOf(bag) != mark.Digest {
		// all up to it is gone, as after a purge under pressure, or the stream is another, which
		// the next start detects
		return nil
	}
	if err != nil {
		return err
	}
	return i.Source.PurgeBags(ctx, min(mark.Sequence+1, hint.Sequence))
}
