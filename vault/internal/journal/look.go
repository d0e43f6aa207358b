package journal

import (
	"context"
	"errors"
	"fmt"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// Begin checks the place before the vault does anything irreversible, and retries until ctx ends.
// It returns nil when the ledger holds everything that the place does, and the place everything
// that was journalled there; [ledger.ErrRolledBack] when the ledger does not; [ErrDoubted] when the
// place does not; [ErrFenced]; [ErrForeign]; or [ErrUnavailable]. After ErrDoubted, ErrForeign and
// ErrUnavailable a vault may begin its work: nothing is sent before [Journal.Run] has found the
// place in order.
func (j *Journal) Begin(ctx context.Context) error {
	for {
		err := j.check(ctx)
		if _, place := errors.AsType[placeError](err); !place {
			if err != nil {
				j.setFailed(err)
			}
			return err
		}
		if j.wait(ctx, j.cfg.Retry/10); ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

// contents is what a place holds, as far as inspect shows.
type contents struct {
	first, size int64  // entries from first up to size; size 0: none
	damage      error  // what was altered, if known
	gap         string // what is missing between, as far as it was read, or ""
	room        Room
}

// check compares what the place holds with the ledger.
func (j *Journal) check(ctx context.Context) error {
	generation, err := j.generation()
	if err != nil {
		return err
	}
	if err := j.checkFence(ctx, generation); err != nil {
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
		if now, err = j.repair(ctx, generation, now, lack); err != nil {
			return err
		}
	}
	j.adopt(generation, now)
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

// inspect reads both ends of what a place holds; readOn reads the rest.
func (j *Journal) inspect(ctx context.Context, generation uint64) (now contents, err error) {
	// first, as what is lost meanwhile must not count
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
		now.gap, err = j.survey(ctx, generation, now.size)
	}
	return now, err
}

// lack returns what the place lacks of what was journalled there, or "".
func (j *Journal) lack(generation uint64, now contents) string {
	known, is := j.cfg.Ledger.Journalled()[j.cfg.Name]
	is = is && known.Generation == generation
	switch {
	case now.damage != nil:
		return now.damage.Error()
	case is && now.gap != "":
		return now.gap
	case is && now.size < known.Size:
		return fmt.Sprintf("the %s holds the log's first %d entries, but %d were journalled there", j.cfg.Name, now.size, known.Size)
	case is && now.first > known.First && !now.room.Dropping():
		return fmt.Sprintf("the oldest entry in the %s is %d, but those from %d on were kept there", j.cfg.Name, now.first, known.First)
	case !is && j.cfg.Strange && !j.trusted():
		return fmt.Sprintf("the ledger was journalled elsewhere, never in this %s", j.cfg.Name)
	}
	return ""
}

// trusted reports whether the ledger is the newest, so that what is lacking was lost: the place was
// in order since the start, or custodians confirmed the ledger.
func (j *Journal) trusted() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.wasInOrder || j.confirmed
}

// repair sets aside what is damaged, where the ledger is trusted, and returns from where on the
// place is filled again. Otherwise it fails with [ErrDoubted].
func (j *Journal) repair(ctx context.Context, generation uint64, now contents, lack string) (contents, error) {
	if !j.trusted() {
		return now, j.raiseDoubt(ctx, lack)
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
		now.damage = nil // the rest does no harm
	}
	if now.first > known.First && !now.room.Dropping() {
		now.size = min(now.size, known.First) // they are appended again
	}
	return now, j.recordLoss(ctx, generation, now, lack)
}

// recordLoss records in the ledger, with a finding, how much the place holds now: after a crash
// while it is filled again the ledger does not look older.
func (j *Journal) recordLoss(ctx context.Context, generation uint64, now contents, lack string) error {
	j.lines.Error("lost", "the journal's place has lost entries; they are sent again", "place", j.cfg.Name, "missing", lack, "from", now.size)
	j.cfg.Ledger.SetJournalled(j.cfg.Name, ledger.Journalled{Generation: generation, Size: now.size, First: now.first})
	return j.cfg.Tell(ctx, book.IntegrityFound{Finding: book.FindingJournalLost, Detail: lack + "; it is filled again from the ledger"})
}

// raiseDoubt fails with [ErrDoubted], and reports each doubt once.
func (j *Journal) raiseDoubt(ctx context.Context, lack string) error {
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
// entries. commit puts that into the log; then the place is filled again. It fails with
// [ErrNotDoubted]. After a crash following the commit the journal is in doubt again, and they must
// confirm again.
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
	j.confirmed = true
	j.mu.Unlock()
	select {
	case j.confirms <- struct{}{}:
	default:
	}
	return nil
}

// checkFence returns [ErrFenced] where a vault of the next generation has begun its journal. It
// ignores what others wrote there.
func (j *Journal) checkFence(ctx context.Context, generation uint64) error {
	data, err := j.cfg.Place.Newest(ctx, generation+1)
	if err != nil {
		return placeError{err}
	}
	if data == nil {
		return nil
	}
	m, err := Decode(data, j.cfg.Signer.Verifier())
	if err != nil || m.Generation != generation+1 {
		j.lines.Warn("foreign", "the journal's place holds a next generation that no standby of this vault wrote", "generation", generation+1)
		return nil
	}
	return ErrFenced
}

// compare compares the newest message with the ledger and returns the log's size with it.
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

const restoreAdvice = "Put the newest copy back, or restore the vault from its backup and the journal"

// sameRoot checks that the ledger is at least as long as a message and of the same history.
func (j *Journal) sameRoot(m Message) error {
	return j.cfg.Ledger.View(func(tx *ledger.Tx) error {
		have, err := tx.TreeSize()
		if err != nil {
			return err
		}
		if have < m.Size() {
			return fmt.Errorf("%w (%d events; the journal has %d). %s", ledger.ErrRolledBack, have, m.Size(), restoreAdvice)
		}
		root, err := tx.RootAt(m.Size())
		if err == nil && root != m.Root {
			err = fmt.Errorf("%w: its first %d events are not those in the journal. %s", ledger.ErrRolledBack, m.Size(), restoreAdvice)
		}
		return err
	})
}

// adopt sets the state by what the place holds, from which the journal goes on.
func (j *Journal) adopt(generation uint64, now contents) {
	j.mu.Lock()
	scarce := now.room.Scarce() && !j.limited
	j.recheck, j.room, j.limited, j.first = false, now.room, now.room.Scarce(), now.first
	if now.room.Shrunk {
		j.reading = reading{}
	}
	j.mu.Unlock()
	if scarce {
		j.lines.Warn("full", "the journal is nearly full: when it is full it drops its oldest entries; make a backup, or give it more room",
			"place", j.cfg.Name, "used", now.room.Used, "limit", now.room.Limit)
	}
	j.setDurable(generation, now.size)
}
