package calls

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"nightdrop/shared/durable"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/merkle"
	"nightdrop/vault/internal/operator"
	"nightdrop/vault/internal/replay"
	"nightdrop/vault/internal/settings"
)

// WriteOpening folds the log up to an auditor's first entry and writes what it comes to, signed.
// That it goes out stands in the log first.
func (c *Calls) WriteOpening(ctx context.Context, actor operator.Actor, q control.OpeningQuery, progress operator.Progress) (opening control.Opening, err error) {
	if !filepath.IsAbs(q.File) || settings.Inside(settings.Resolved(q.File), settings.Resolved(c.config.Dir)) {
		return control.Opening{}, &control.Error{Code: control.CodeUsage, Detail: "write to an absolute path outside the vault's own directory"}
	}
	if err := durable.Fresh(q.File); err != nil {
		return control.Opening{}, err
	}
	known, err := view(c, func(tx *ledger.Tx) (bool, error) {
		_, known, err := tx.Auditor(q.Auditor)
		return known, err
	})
	if err != nil {
		return control.Opening{}, err
	}
	if !known {
		return control.Opening{}, notFound("auditor", q.Auditor, envelope.ValidMerchant(q.Auditor))
	}
	err = c.goesOut(ctx, actor, book.LogExported{Dir: q.File}, func() (err error) {
		opening, err = c.writeOpening(ctx, q, progress)
		return err
	})
	return opening, err
}

func (c *Calls) writeOpening(ctx context.Context, q control.OpeningQuery, progress operator.Progress) (control.Opening, error) {
	state, err := c.opening(ctx, q.Auditor, progress)
	if err != nil {
		return control.Opening{}, err
	}
	defer state.Close() //nolint:errcheck // a file without a name
	if err := durable.WriteNew(q.File, func(f *os.File) error { return state.SaveOpening(f, c.config.Keys.Signer()) }); err != nil {
		return control.Opening{}, err
	}
	return control.Opening{Auditor: q.Auditor, File: q.File, Size: state.Size, Root: state.Root.String()}, nil
}

// opening folds the log before the auditor's first entry. The ledger is read some hundred entries
// at a time: a long reader would keep its pages.
func (c *Calls) opening(ctx context.Context, auditor string, progress operator.Progress) (*replay.State, error) {
	state, err := replay.NewState(c.config.Keys.Name())
	if err != nil {
		return nil, err
	}
	var tail merkle.Tail
	for found := false; !found; {
		_, err := view(c, func(tx *ledger.Tx) (struct{}, error) {
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
func openNext(tx *ledger.Tx, state *replay.State, tail *merkle.Tail, auditor string) (found bool, err error) {
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
	tail.Add(e.Record[:])
	return false, nil
}
