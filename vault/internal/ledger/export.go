package ledger

import (
	"context"
	"sort"
	"time"

	"nightdrop/shared/proof"
	"nightdrop/vault/internal/audit"
	"nightdrop/vault/internal/merkle"
)

// ExportOptions say what an export holds. The zero value is all of the log.
type ExportOptions struct {
	Bodies   int64                   // as audit.Exporter.Bodies
	Summary  []byte                  // a page for people, which the vault signs; nil to leave out
	Again    bool                    // as audit.Exporter.Again
	Progress func(done, total int64) // entries; may be nil
}

// Export writes the log, up to a checkpoint that it signs now and returns, into dir as files
// (audit.Exporter), with all log keys that are wrapped for auditors. Commits go on meanwhile. It
// fails with audit.ErrOccupied where dir holds another vault's log, and with audit.ErrIntegrity
// where it holds another history of this one.
func (l *Ledger) Export(ctx context.Context, dir string, o ExportOptions) (proof.Checkpoint, error) {
	signer := l.keys.Signer()
	var signed []byte
	err := l.View(func(tx *Tx) (err error) {
		if signed, err = tx.Checkpoint(signer); err != nil || o.Summary == nil {
			return err
		}
		size, err := tx.TreeSize()
		if err == nil {
			o.Summary, err = audit.SignSummary(o.Summary, size, signer)
		}
		return err
	})
	if err != nil {
		return proof.Checkpoint{}, err
	}
	x := audit.Exporter{
		Vault: signer.Verifier(), Checkpoint: signed, Progress: o.Progress, Bodies: o.Bodies, Summary: o.Summary, Again: o.Again,
		View: func(fn func(merkle.Rows) error) error {
			return l.View(func(tx *Tx) error { return fn(rows{tx.bolt}) })
		},
		Wraps: func(fn func(uint32, string, []byte) error) error {
			return l.View(func(tx *Tx) error { return tx.Wraps(fn) })
		},
	}
	return x.Export(ctx, dir)
}

// FirstSince returns the index of the first entry not before t, the log's size if there is none.
func (tx *Tx) FirstSince(t time.Time) (index int64, err error) {
	size, err := tx.TreeSize()
	if err != nil {
		return 0, err
	}
	found := sort.Search(int(size), func(i int) bool { // times never fall
		e, failed := tx.LogEntry(uint64(i))
		if failed != nil {
			err = failed
		}
		return !e.Event.Time.Before(t)
	})
	return int64(found), err
}
