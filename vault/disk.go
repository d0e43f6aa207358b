package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"nightdrop/shared/volume"
	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/settings"
	"nightdrop/vault/internal/settle"
)

const (
	// diskEvery is how often room is looked for: well under what a busy vault writes in it, of any reserve.
	diskEvery = 2 * time.Second
	// The default reserve of a file system: the smaller of a part of it and a bound. It holds what the vault still
	// has to write when nothing new is taken: answers, reversals and results of what is under way, and the death of
	// keys.
	reservePart = 20 // a twentieth: 5 percent
	reserveMost = 1 << 30
	// warnAt is how many reserves are left when the status begins to warn.
	warnAt = 2
)

// place is a directory that the vault writes to.
type place struct {
	name    string // for people
	dir     string
	waits   string // what waits while its reserve is touched
	takes   bool   // while it is, nothing new is taken: no bag, no new authorisation
	reserve volume.Reserve
	seen    control.Disk
	err     error // nil while its reserve is whole
}

// diskGuard has what is new wait while there is room for what is under way: a full disk would end the process in the
// middle of it, and only custodians could begin again. It is safe for concurrent use.
type diskGuard struct {
	look  func(dir string) (volume.Room, error)
	least int64 // bytes of the reserve; 0: by default

	mu     sync.Mutex
	places []*place
}

// newDiskGuard watches the places of a vault with these settings.
func newDiskGuard(s settings.Settings) *diskGuard {
	const takes = "no bag is taken and no new authorisation is sent"
	g := &diskGuard{look: volume.Look, least: s.Limits.DiskReserve,
		places: []*place{{name: "ledger", dir: s.Dir, waits: takes, takes: true}}}
	if slices.Contains(s.Journal.Places(), settings.InDirectory) {
		g.places = append(g.places, &place{name: "journal", dir: s.Journal.Directory, waits: takes, takes: true})
	}
	if s.Bank.Enabled() {
		g.places = append(g.places, &place{name: "bank outbox", dir: s.Bank.Outbox, waits: "no settlement file is written"})
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

// renew looks at every place.
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
				"free space or enlarge it; then it goes on by itself", p.waits, p.name, p.dir, size(room.Free), size(needs))
		}
		switch {
		case p.err != nil:
			p.seen.Note = p.err.Error()
		case room.Free < warnAt*p.seen.Reserve:
			p.seen.Note = fmt.Sprintf("near its reserve: below %s %s", size(p.seen.Reserve), p.waits)
		}
	}
}

// verdict joins what is wrong with those places that pick admits; nil where nothing is.
func (g *diskGuard) verdict(pick func(*place) bool) error {
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

// room is nil while new things may be taken, as of the last look.
func (g *diskGuard) room() error { return g.verdict(func(p *place) bool { return p.takes }) }

// fresh is room, after a look.
func (g *diskGuard) fresh() error {
	g.renew()
	return g.room()
}

// disks are all places as they were last seen, for the status.
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
func (o guardedOutbox) Stage(dir, name string, write func(io.Writer) error) error {
	o.guard.renew()
	if err := o.guard.verdict(func(p *place) bool { return p.dir == dir }); err != nil {
		return fmt.Errorf("%w: %w", settle.ErrUnavailable, err)
	}
	return o.Disk.Stage(dir, name, write)
}

// watchDisk looks at the room, and has the beginning and the end of each time without it stand in the log.
func (h *house) watchDisk(ctx context.Context) error {
	told, err := h.toldLow()
	if err != nil {
		return err
	}
	ticker := time.NewTicker(diskEvery)
	defer ticker.Stop()
	for {
		if told, err = h.tellDisk(ctx, told); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// toldLow reports whether the log tells of a time without room that has not ended.
func (h *house) toldLow() (told bool, err error) {
	err = h.ledger.View(func(tx *ledger.Tx) error {
		v, err := tx.Vault()
		told = v.Findings[book.FindingDiskLow] > v.Findings[book.FindingDiskRoom]
		return err
	})
	return told, err
}

// tellDisk looks, and commits what the log does not say yet. A crash before that leaves it to the next start.
func (h *house) tellDisk(ctx context.Context, told bool) (bool, error) {
	h.disk.renew()
	low := h.disk.verdict(func(*place) bool { return true })
	if told == (low != nil) {
		return told, nil
	}
	found := book.IntegrityFound{Finding: book.FindingDiskRoom, Detail: "there is room again on every disk"}
	if low != nil {
		found = book.IntegrityFound{Finding: book.FindingDiskLow, Detail: h.disk.lowPlaces()}
		h.log.Warn("a disk has less room than its reserve", "reason", low)
	} else {
		h.log.Info("there is room again: what waited goes on")
	}
	err := h.ledger.Commit(context.WithoutCancel(ctx), func(tx *ledger.Tx) error {
		_, err := tx.Append(book.Event{Actor: "vault", Origin: "disk", Body: found})
		return err
	})
	return !told, err
}

// lowPlaces names the places whose reserve is touched, for the log, which keeps no path.
func (g *diskGuard) lowPlaces() (text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.places {
		if p.err == nil {
			continue
		}
		if text != "" {
			text += "; "
		}
		text += fmt.Sprintf("%s: %s free, %s must be", p.name, size(p.seen.Free), size(p.seen.Reserve))
	}
	return text
}
