package ledger

import (
	"context"

	"go.etcd.io/bbolt"

	"nightdrop/shared/proof"
	"nightdrop/vault/internal/audit"
)

// Export writes the log, up to a checkpoint that it signs now, into dir as files (audit.Exporter), and returns that checkpoint. Commits go
// on meanwhile. progress counts entries; it may be nil. It fails with audit.ErrIntegrity where dir holds another log.
func (l *Ledger) Export(ctx context.Context, dir string, progress func(done, total int64)) (proof.Checkpoint, error) {
	signer := l.keys.Signer()
	var signed []byte
	err := l.View(func(tx *Tx) (err error) {
		signed, err = tx.Checkpoint(signer)
		return err
	})
	if err != nil {
		return proof.Checkpoint{}, err
	}
	x := audit.Exporter{Vault: signer.Verifier(), Checkpoint: signed, Progress: progress, View: func(fn func(*bbolt.Tx) error) error {
		return l.View(func(tx *Tx) error { return fn(tx.bolt) })
	}}
	return x.Export(ctx, dir)
}
