package daemon

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
	"nightdrop/vault/internal/settings"
)

// openLedger opens the ledger, and rebuilds it from its log first where its format is older or an
// operator asks for it (anew).
func (d *Daemon) openLedger(anew bool) (*ledger.Ledger, error) {
	path := filepath.Join(d.config.Settings.Dir, settings.LedgerFile)
	o := ledger.Options{Now: d.config.Now, Logger: d.config.Logger, Check: d.config.Inspect, Failed: d.failure.fail}
	if !anew {
		l, err := ledger.Open(path, d.ring, o)
		if !errors.Is(err, ledger.ErrOlder) {
			return l, err
		}
		d.config.Logger.Info("the ledger has an older format; it is rebuilt from its log", "error", err)
	}
	if err := d.rebuildLedger(path, o, anew); err != nil {
		return nil, err
	}
	return ledger.Open(path, d.ring, o)
}

// rebuildEvery is how often the process's log has the progress of a rebuild.
const rebuildEvery = 10 * time.Second

// rebuildLedger runs until it is done or the daemon ends; the next unlock goes on.
func (d *Daemon) rebuildLedger(path string, o ledger.Options, anew bool) error {
	defer d.rebuilding.Store(nil)
	d.rebuilding.Store(&control.Rebuilding{})
	logged := time.Now()
	done, err := ledger.Rebuild(d.running, path, d.ring, ledger.RebuildOptions{Options: o, Cure: anew, Progress: func(done, total int64) {
		d.rebuilding.Store(&control.Rebuilding{Done: done, Total: total})
		if time.Since(logged) > rebuildEvery {
			logged = time.Now()
			d.config.Logger.Info("rebuilding the ledger", "entries", done, "of", total)
		}
	}})
	if d.running.Err() != nil && errors.Is(err, context.Canceled) {
		return fmt.Errorf("the vault is stopped while it rebuilds its ledger; the next unlock goes on: %w", err)
	}
	if err != nil {
		return err
	}
	d.config.Logger.Info("the ledger was rebuilt", "format", done.Format, "entries", done.Entries, "kept", done.Kept)
	return nil
}

// logRebuild commits that the ledger was rebuilt, for whom, and where the old file is.
func (u *unlocked) logRebuild(ctx context.Context, d *Daemon, actor operator.Actor) (*control.Rebuilt, error) {
	path := filepath.Join(d.config.Settings.Dir, settings.LedgerFile)
	done, found, err := ledger.UntoldRebuild(path)
	if err != nil || !found {
		return nil, err
	}
	detail := fmt.Sprintf("%s of %d entries; the file before is %s", done.Format, done.Entries, filepath.Base(done.Kept))
	if err := u.commit(ctx, actor.Event("", book.IntegrityFound{Finding: book.FindingLedgerRebuilt, Detail: detail})); err != nil {
		return nil, err
	}
	return &control.Rebuilt{Format: done.Format, Entries: done.Entries, Kept: done.Kept}, ledger.RebuildTold(path)
}
