package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"nightdrop/shared/durable"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/audit"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
	"nightdrop/vault/internal/replay"
)

// WriteOpening folds the log up to an auditor's first entry and writes what it comes to, signed. That it goes out stands in the log first.
func (d *daemon) WriteOpening(ctx context.Context, actor operator.Actor, q control.OpeningQuery, progress operator.Progress) (control.Opening, error) {
	h, err := d.open()
	if err != nil {
		return control.Opening{}, err
	}
	if !filepath.IsAbs(q.File) || inside(resolved(q.File), resolved(d.settings.Dir)) {
		return control.Opening{}, &control.Error{Code: control.CodeUsage, Detail: "write to an absolute path outside the vault's own directory"}
	}
	if err := isNew(q.File); err != nil {
		return control.Opening{}, err
	}
	known, err := view(d, func(tx *ledger.Tx) (bool, error) {
		_, known, err := tx.Auditor(q.Auditor)
		return known, err
	})
	if err != nil {
		return control.Opening{}, err
	}
	if !known {
		return control.Opening{}, notFound("auditor", q.Auditor, envelope.ValidMerchant(q.Auditor))
	}
	told := book.LogExported{Dir: q.File}
	if err := h.tell(ctx, actor, told); err != nil {
		return control.Opening{}, err
	}
	opening, err := d.writeOpening(ctx, q, progress)
	if err != nil {
		told.Failed = true
		return control.Opening{}, errors.Join(err, h.tell(context.WithoutCancel(ctx), actor, told))
	}
	return opening, nil
}

func (d *daemon) writeOpening(ctx context.Context, q control.OpeningQuery, progress operator.Progress) (control.Opening, error) {
	state, err := d.opening(ctx, q.Auditor, progress)
	if err != nil {
		return control.Opening{}, err
	}
	defer state.Close() //nolint:errcheck // a file without a name
	if err := saveState(q.File, func(f *os.File) error { return state.SaveOpening(f, d.ring.Signer()) }); err != nil {
		return control.Opening{}, err
	}
	return control.Opening{Auditor: q.Auditor, File: q.File, Size: state.Size, Root: state.Root.String()}, nil
}

// saveState writes a new file of mode 0600, whole or not at all.
func saveState(path string, write func(*os.File) error) error {
	f, err := durable.Begin(path, durable.Private)
	if err != nil {
		return err
	}
	if err := write(f.File); err != nil {
		return errors.Join(err, f.Discard())
	}
	return f.Create()
}

// opening folds the log before the auditor's first entry. The ledger is read some hundred entries at a time: a long reader would keep its pages.
func (d *daemon) opening(ctx context.Context, auditor string, progress operator.Progress) (*replay.State, error) {
	state, err := replay.NewState(d.ring.Name())
	if err != nil {
		return nil, err
	}
	var tail audit.Tail
	for found := false; !found; {
		_, err := view(d, func(tx *ledger.Tx) (struct{}, error) {
			size, err := tx.TreeSize()
			if err != nil {
				return struct{}{}, err
			}
			for until := min(size, tail.Size()+rowsAtOnce); tail.Size() < until && !found && err == nil; {
				found, err = openNext(tx, state, &tail, auditor)
			}
			if progress != nil {
				progress(int(tail.Size()), int(size))
			}
			return struct{}{}, err
		})
		if err := errors.Join(err, ctx.Err()); err != nil {
			return nil, errors.Join(err, state.Close())
		}
	}
	state.Size, state.Root = tail.Size(), tail.Root()
	return state, nil
}

// openNext folds the next entry, or has found the auditor's first.
func openNext(tx *ledger.Tx, state *replay.State, tail *audit.Tail, auditor string) (found bool, err error) {
	e, err := tx.LogEntry(uint64(tail.Size()))
	if err != nil {
		return false, err
	}
	if added, ok := e.Event.Body.(book.AuditorAdded); ok && added.Name == auditor {
		return true, nil
	}
	if _, err := state.Apply(e.Event); err != nil {
		return false, fmt.Errorf("entry %d: %w", tail.Size(), err)
	}
	state.Time = e.Event.Time
	tail.Follow(e.Record)
	return false, nil
}
