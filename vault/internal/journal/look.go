package journal

import (
	"context"
	"errors"
	"fmt"

	"nightdrop/vault/internal/ledger"
)

// Begin looks at the place before the vault does anything that it could not take back. It tries until ctx ends, and returns nil when the
// ledger holds everything that the place does; ledger.ErrRolledBack when it does not; ErrFenced; ErrForeign; or ErrUnavailable when the
// place was not to be had. After the last two a vault may begin its work: nothing is sent before Run has found the place in order.
func (j *Journal) Begin(ctx context.Context) error {
	for {
		err := j.look(ctx)
		if _, place := errors.AsType[placeError](err); !place {
			if err != nil {
				j.failed(err)
			}
			return err
		}
		if pause(ctx, j.cfg.Retry/10); ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

// look finds out how far the journal has come by what its place holds, and compares that with the ledger.
func (j *Journal) look(ctx context.Context) error {
	var generation uint64
	err := j.cfg.Ledger.View(func(tx *ledger.Tx) error {
		v, err := tx.Vault()
		generation = v.Generation
		return err
	})
	if err != nil {
		return err
	}
	if err := j.fenced(ctx, generation); err != nil {
		return err
	}
	data, err := j.cfg.Place.Newest(ctx, generation)
	if err != nil {
		return placeError{err}
	}
	size := int64(0)
	if data != nil {
		if size, err = j.compare(data, generation); err != nil {
			return err
		}
	}
	used, limit, err := j.cfg.Place.Room(ctx)
	if err != nil {
		return placeError{err}
	}
	j.found(size, Room{Used: used, Limit: limit})
	return nil
}

// fenced tells whether a vault of the next generation has begun its journal. What others wrote there says nothing.
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
	return m.Size(), j.cfg.Ledger.View(func(tx *ledger.Tx) error {
		have, err := tx.TreeSize()
		if err != nil {
			return err
		}
		if have < m.Size() {
			return fmt.Errorf("%w (%d events; the journal has %d). Put the newest copy back, or restore the vault from its backup and the journal",
				ledger.ErrRolledBack, have, m.Size())
		}
		root, err := tx.RootAt(m.Size())
		if err != nil {
			return err
		}
		if root != m.Root {
			return fmt.Errorf("%w: its first %d events are not those in the journal. Put the newest copy back, or restore the vault from its backup and the journal",
				ledger.ErrRolledBack, m.Size())
		}
		return nil
	})
}

// found takes up what look saw. What the place has lost is sent again.
func (j *Journal) found(size int64, room Room) {
	j.mu.Lock()
	lost, scarce := j.size-size, room.Scarce() && !j.limited
	j.again, j.room, j.limited = false, room, room.Scarce()
	j.mu.Unlock()
	if lost > 0 {
		j.lines.Error("lost", "the journal's place has lost its end; it is sent again", "entries", lost)
	}
	if scarce {
		j.lines.Warn("full", "the journal is nearly full: its oldest entries go when it is; make a backup, or give it more room",
			"used", room.Used, "limit", room.Limit)
	}
	j.reached(size)
}
