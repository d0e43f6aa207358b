package journal

import (
	"context"
	"errors"
	"fmt"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// Begin looks at the place before the vault does anything that it could not take back. It tries
// until ctx ends, and returns nil when the ledger holds everything that the place does, and the
// place everything that the ledger says; ledger.ErrRolledBack when the ledger does not; ErrDoubted
// when the place does not; ErrFenced; ErrForeign; or ErrUnavailable when the place was not to be
// had. After ErrDoubted, ErrForeign and ErrUnavailable a vault may begin its work: nothing is sent
// before Run has found the place in order.
func (j *Journal) Begin(ctx context.Context) error {
	for {
		err := j.look(ctx)
		if _, place := errors.AsType[placeError](err); !place {
			if err != nil {
				j.failed(err)
			}
			return err
		}
		if j.wait(ctx, j.cfg.Retry/10); ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

// contents is what a place was found to hold, as far as a look shows.
type contents struct {
	first, size int64  // entries from first up to size; size 0: none
	damage      error  // what was altered, where the place shows that
	hole        string // what is missing between, as far as that was read; "" for nothing
	room        Room
}

// look finds out how far the journal has come by what its place holds, and compares that with the
// ledger.
func (j *Journal) look(ctx context.Context) error {
	generation, err := j.generation()
	if err != nil {
		return err
	}
	if err := j.fenced(ctx, generation); err != nil {
		return err
	}
	now, err := j.inspect(ctx, generation)
	if err != nil {
		return err
	}
	lack := j.lack(generation, now)
	if known := j.cfg.Ledger.Journalled()[j.cfg.Name]; lack == "" && known.Generation == generation && known.Size > 0 {
		j.mu.Lock()
		j.proved = true
		j.mu.Unlock()
	}
	if lack != "" {
		if now, err = j.mend(ctx, generation, now, lack); err != nil {
			return err
		}
	}
	j.found(generation, now)
	return nil
}

func (j *Journal) generation() (generation uint64, err error) {
	err = j.cfg.Ledger.View(func(tx *ledger.Tx) error {
		v, err := tx.Vault()
		generation = v.Generation
		return err
	})
	return generation, err
}

// inspect looks at both ends of what a place holds. What it lost without that showing there is
// found by reading (readOn).
func (j *Journal) inspect(ctx context.Context, generation uint64) (now contents, err error) {
	// first: what was lost meanwhile is not remembered then
	if now.room, err = j.cfg.Place.Room(ctx); err != nil {
		return now, placeError{err}
	}
	newest, err := j.cfg.Place.Newest(ctx, generation)
	if errors.Is(err, ErrDamaged) {
		now.damage, err = err, nil
	}
	if err != nil {
		return now, placeError{err}
	}
	if newest == nil {
		return now, nil
	}
	if now.size, err = j.compare(newest, generation); err != nil {
		return now, err
	}
	oldest, err := j.cfg.Place.Oldest(ctx, generation)
	if err != nil {
		return now, placeError{err}
	}
	if m, err := Decode(oldest, j.cfg.Signer.Verifier()); err == nil && m.Generation == generation {
		now.first = min(m.First, now.size)
	} else {
		now.first = now.size
	}
	if now.damage == nil && !j.trusted() {
		now.hole, err = j.survey(ctx, generation, now.size)
	}
	return now, err
}

// lack says what the place lacks of what the ledger says was journalled there, "" for nothing.
func (j *Journal) lack(generation uint64, now contents) string {
	known, is := j.cfg.Ledger.Journalled()[j.cfg.Name]
	is = is && known.Generation == generation
	switch {
	case now.damage != nil:
		return now.damage.Error()
	case is && now.hole != "":
		return now.hole
	case is && now.size < known.Size:
		return fmt.Sprintf("the %s holds the log's first %d entries, and %d were journalled there", j.cfg.Name, now.size, known.Size)
	case is && now.first > known.First && !now.room.Dropping():
		return fmt.Sprintf("the oldest entry in the %s is %d, and those from %d on were kept there", j.cfg.Name, now.first, known.First)
	case !is && j.cfg.Strange && !j.trusted():
		return fmt.Sprintf("the ledger was journalled elsewhere, and never in this %s", j.cfg.Name)
	}
	return ""
}

// trusted reports whether what is lacking was lost, and does not show an older ledger: the place
// was in order since the start, or custodians vouched for the ledger.
func (j *Journal) trusted() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.believed || j.vouched
}

// mend takes what is damaged out of the way, where the ledger is known to be the newest, and says
// from where on the place is filled again. Otherwise it fails with ErrDoubted.
func (j *Journal) mend(ctx context.Context, generation uint64, now contents, lack string) (contents, error) {
	if !j.trusted() {
		return now, j.doubts(ctx, lack)
	}
	known := j.cfg.Ledger.Journalled()[j.cfg.Name]
	if now.damage != nil {
		if err := j.cfg.Place.SetAside(ctx, generation); err != nil {
			return now, placeError{err}
		}
		var err error
		if now, err = j.inspect(ctx, generation); err != nil {
			return now, err
		}
		now.damage = nil // that is left is in nobody's way
	}
	if now.first > known.First && !now.room.Dropping() {
		now.size = min(now.size, known.First) // sent again they stand behind the others
	}
	return now, j.lost(ctx, generation, now, lack)
}

// lost has the ledger know, with a finding, how much less the place holds: a crash while it is
// filled again is no older ledger then.
func (j *Journal) lost(ctx context.Context, generation uint64, now contents, lack string) error {
	j.lines.Error("lost", "the journal's place has lost entries; they are sent again", "place", j.cfg.Name, "missing", lack, "from", now.size)
	j.cfg.Ledger.SetJournalled(j.cfg.Name, ledger.Journalled{Generation: generation, Size: now.size, First: now.first})
	return j.cfg.Tell(ctx, book.IntegrityFound{Finding: book.FindingJournalLost, Detail: lack + "; it is filled again from the ledger"})
}

// doubts reports each doubt once.
func (j *Journal) doubts(ctx context.Context, lack string) error {
	j.mu.Lock()
	fresh := j.reported != lack
	j.doubt, j.reported = lack, lack
	j.mu.Unlock()
	err := fmt.Errorf("%w: %s", ErrDoubted, lack)
	if fresh {
		err = errors.Join(err, j.cfg.Tell(ctx, book.IntegrityFound{Finding: book.FindingJournalDoubted, Detail: lack}))
	}
	return err
}

// Confirm accepts the custodians' statement that the ledger is the newest though the place lacks
// what was journalled there. commit puts that into the log, with what was lacking; then the place
// is filled again. It fails with ErrNotDoubted. A crash after the commit leaves a statement that
// had no effect: the journal is in doubt again until they give it once more.
func (j *Journal) Confirm(commit func(lack string) error) error {
	j.mu.Lock()
	lack := j.doubt
	j.mu.Unlock()
	if lack == "" {
		return ErrNotDoubted
	}
	if err := commit(lack); err != nil {
		return err
	}
	j.mu.Lock()
	j.vouched = true
	j.mu.Unlock()
	select {
	case j.vouch <- struct{}{}:
	default:
	}
	return nil
}

// fenced reports whether a vault of the next generation has begun its journal. What others wrote
// there says nothing.
func (j *Journal) fenced(ctx context.Context, generation uint64) error {
	data, err := j.cfg.Place.Newest(ctx, generation+1)
	if err != nil {
		return placeError{err}
	}
	if data == nil {
		return nil
	}
	m, err := Decode(data, j.cfg.Signer.Verifier())
	if err != nil || m.Generation != generation+1 {
		j.lines.Warn("foreign", "the journal's place holds something that no standby of this vault wrote", "generation", generation+1)
		return nil
	}
	return ErrFenced
}

// compare holds the newest message against the ledger and returns the log's size with it.
func (j *Journal) compare(data []byte, generation uint64) (int64, error) {
	m, err := Decode(data, j.cfg.Signer.Verifier())
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	if m.Generation != generation {
		return 0, fmt.Errorf("%w: it is of generation %d, and the vault is of %d", ErrForeign, m.Generation, generation)
	}
	return m.Size(), j.sameRoot(m)
}

// putBack is what to do about an older ledger.
const putBack = "Put the newest copy back, or restore the vault from its backup and the journal"

// sameRoot compares a message with the ledger, which must be as long and of the same history.
func (j *Journal) sameRoot(m Message) error {
	return j.cfg.Ledger.View(func(tx *ledger.Tx) error {
		have, err := tx.TreeSize()
		if err != nil {
			return err
		}
		if have < m.Size() {
			return fmt.Errorf("%w (%d events; the journal has %d). %s", ledger.ErrRolledBack, have, m.Size(), putBack)
		}
		root, err := tx.RootAt(m.Size())
		if err == nil && root != m.Root {
			err = fmt.Errorf("%w: its first %d events are not those in the journal. %s", ledger.ErrRolledBack, m.Size(), putBack)
		}
		return err
	})
}

// found takes up what look saw. What the place has lost is sent again.
func (j *Journal) found(generation uint64, now contents) {
	j.mu.Lock()
	scarce := now.room.Scarce() && !j.limited
	j.again, j.room, j.limited, j.first = false, now.room, now.room.Scarce(), now.first
	if now.room.Shrunk {
		j.reading = reading{}
	}
	j.mu.Unlock()
	if scarce {
		j.lines.Warn("full", "the journal is nearly full: its oldest entries go when it is; make a backup, or give it more room",
			"place", j.cfg.Name, "used", now.room.Used, "limit", now.room.Limit)
	}
	j.reached(generation, now.size)
}
