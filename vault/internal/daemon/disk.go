package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"nightdrop/shared/text"
	"nightdrop/shared/volume"
	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/settings"
	"nightdrop/vault/internal/settle"
)

const (
	// DiskEvery is how often free space is checked: a busy vault writes far less than any reserve
	// in it.
	DiskEvery = 2 * time.Second
	// The default reserve of a file system: the smaller of a part of it and a bound. It holds what
	// the vault must still write when it accepts nothing new: answers, reversals, results, and the
	// destruction of keys.
	reservePart = 20 // a twentieth: 5 percent
	reserveMost = 1 << 30
	// warnAt is how many reserves are left when the status begins to warn.
	warnAt = 2
)

// guarded is a directory that the vault writes to.
type guarded struct {
	name    string // for people
	dir     string
	waits   string // what waits while its reserve is touched
	takes   bool   // while it is, nothing new is taken: no bag, no new authorisation
	reserve volume.Reserve
	seen    control.Disk
	err     error // nil while its reserve is whole
}

// diskGuard makes new work wait while there is only room for what is under way: a full disk would
// end the process in the middle, and only custodians could start it again. It is safe for
// concurrent use.
type diskGuard struct {
	look  func(dir string) (volume.Room, error)
	least int64 // bytes of the reserve; 0: by default

	mu     sync.Mutex
	places []*guarded
}

// newDiskGuard watches the directories of a vault with these settings.
func newDiskGuard(s settings.Settings, look func(dir string) (volume.Room, error)) *diskGuard {
	const takes = "no bag is taken and no new authorisation is sent"
	g := &diskGuard{look: look, least: s.Limits.DiskReserve,
		places: []*guarded{{name: "ledger", dir: s.Dir, waits: takes, takes: true}}}
	if slices.Contains(s.Journal.Places(), settings.InDirectory) {
		g.places = append(g.places, &guarded{name: "journal", dir: s.Journal.Directory, waits: takes, takes: true})
	}
	if s.Bank.Enabled() {
		g.places = append(g.places, &guarded{name: "bank outbox", dir: s.Bank.Outbox, waits: "no settlement file is written"})
	}
	return g
}

// reserveOf is the reserve of a file system of size bytes.
func (g *diskGuard) reserveOf(size int64) int64 {
	if g.least > 0 {
		return g.least
	}
	return min(reserveMost, size/reservePart)
}

// renew checks every directory.
func (g *diskGuard) renew() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.places {
		room, err := g.look(p.dir)
		p.seen = control.Disk{Place: p.name, Path: p.dir, Free: room.Free, Size: room.Size,
			Reserve: g.reserveOf(room.Size)}
		if p.err = err; err != nil {
			p.err = fmt.Errorf("the room of the %s is not known, so %s: %w", p.name, p.waits, err)
		} else if needs := p.reserve.Needs(p.seen.Reserve); p.reserve.Touched(room.Free, p.seen.Reserve) {
			p.err = fmt.Errorf("%s: on the disk of the %s (%s) %s are free, and %s must be: "+
				"free space or enlarge it; then it goes on by itself", p.waits, p.name, p.dir, text.Size(room.Free), text.Size(needs))
		}
		switch {
		case p.err != nil:
			p.seen.Note = p.err.Error()
		case room.Free < warnAt*p.seen.Reserve:
			p.seen.Note = fmt.Sprintf("near its reserve: below %s %s", text.Size(p.seen.Reserve), p.waits)
		}
	}
}

// verdict joins the errors of those directories that pick admits; nil where there is none.
func (g *diskGuard) verdict(pick func(*guarded) bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []error
	for _, p := range g.places {
		if pick(p) {
			all = append(all, p.err)
		}
	}
	return errors.Join(all...)
}

// room is nil while new work may begin, as of the last check.
func (g *diskGuard) room() error { return g.verdict(func(p *guarded) bool { return p.takes }) }

// fresh is room, after a check.
func (g *diskGuard) fresh() error {
	g.renew()
	return g.room()
}

// disks are all directories as of the last check, for the status.
func (g *diskGuard) disks() (list []control.Disk) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.places {
		list = append(list, p.seen)
	}
	return list
}

// guardedOutbox refuses to write a settlement file while the outbox's reserve is touched.
type guardedOutbox struct {
	settle.Disk
	guard *diskGuard
}

func (g *diskGuard) outbox() settle.Disk { return guardedOutbox{nacha.Disk{}, g} }

// Stage implements settle.Disk.
func (o guardedOutbox) Stage(dir, name string) (nacha.StagedFile, error) {
	o.guard.renew()
	if err := o.guard.verdict(func(p *guarded) bool { return p.dir == dir }); err != nil {
		return nil, fmt.Errorf("%w: %w", settle.ErrUnavailable, err)
	}
	return o.Disk.Stage(dir, name)
}

// watchDisk checks for room, and logs when it is used up and when there is some again.
func (u *unlocked) watchDisk(ctx context.Context) error {
	logged, err := u.lowLogged()
	if err != nil {
		return err
	}
	ticker := time.NewTicker(DiskEvery)
	defer ticker.Stop()
	for {
		if logged, err = u.logDisk(ctx, logged); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// lowLogged reports whether the log has a shortage that has not ended.
func (u *unlocked) lowLogged() (logged bool, err error) {
	err = u.ledger.View(func(tx *ledger.Tx) error {
		v, err := tx.Vault()
		logged = v.Findings[book.FindingDiskLow] > v.Findings[book.FindingDiskRoom]
		return err
	})
	return logged, err
}

// logDisk checks, and commits what the log lacks. After a crash before that the next start does.
func (u *unlocked) logDisk(ctx context.Context, logged bool) (bool, error) {
	u.disk.renew()
	low := u.disk.verdict(func(*guarded) bool { return true })
	if logged == (low != nil) {
		return logged, nil
	}
	found := book.IntegrityFound{Finding: book.FindingDiskRoom, Detail: "there is room again on every disk"}
	if low != nil {
		found = book.IntegrityFound{Finding: book.FindingDiskLow, Detail: u.disk.lowPlaces()}
		u.config.Logger.Warn("a disk has less room than its reserve", "reason", low)
	} else {
		u.config.Logger.Info("there is room again: what waited goes on")
	}
	return !logged, u.commit(context.WithoutCancel(ctx), book.Event{Actor: "vault", Origin: "disk", Body: found})
}

// lowPlaces names the directories whose reserve is used, for the log, which keeps no path.
func (g *diskGuard) lowPlaces() (list string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.places {
		if p.err == nil {
			continue
		}
		if list != "" {
			list += "; "
		}
		list += fmt.Sprintf("%s: %s free, %s must be", p.name, text.Size(p.seen.Free), text.Size(p.seen.Reserve))
	}
	return list
}
