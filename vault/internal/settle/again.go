package settle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
)

// FileAgain puts a settlement file that was out into the outbox once more, byte for byte, on a person's word that the bank has not got it: an
// outbox's disk may lose what was in it. It fails with ErrConflict where the file is there already, or is not out, or cannot be made as it was:
// the log's digest must come out. Accounts are kept for a week; after that there is no file any more. A crash leaves it staged, and the next call
// goes on.
func (e *Engine) FileAgain(ctx context.Context, name string, actor operator.Actor) (book.File, error) {
	if !e.operation.TryLock() {
		return book.File{}, busy()
	}
	defer e.operation.Unlock()
	if err := e.bankReady(); err != nil {
		return book.File{}, err
	}
	f, err := e.fileOf(name)
	if err != nil {
		return f, err
	}
	if f.Stage != book.FileOut {
		return f, fmt.Errorf("%s is not out yet: settle its batches: %w", name, ErrConflict)
	}
	bank := e.cfg.Bank
	switch digest, err := bank.Disk.Digest(bank.Outbox, name); {
	case err == nil && digest == f.Digest:
		return f, fmt.Errorf("%s is in the outbox, as it was written: %w", name, ErrConflict)
	case err == nil && !nacha.Half(digest):
		return f, fmt.Errorf("%s is in the outbox, and is not the file that was written: find out who wrote it, and move it away: %w", name, ErrFileThere)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return f, outboxFault(err)
	}
	s := settlement{engine: e, actor: actor}
	w, err := s.newFileWriter(ctx, f)
	if err != nil {
		return f, err
	}
	if len(w.sections) == 0 {
		return f, fmt.Errorf("%s had no entries: there is no file: %w", name, ErrConflict)
	}
	return f, e.appearAgain(ctx, w)
}

// appearAgain stages the file, which must come to its digest, tells the log, and lets it appear.
func (e *Engine) appearAgain(ctx context.Context, w *fileWriter) error {
	bank, name := e.cfg.Bank, w.file.Name
	w.file.Stage = book.FileHashed // as it was when it was written
	if err := w.stageAgain(); err != nil {
		return err
	}
	// A crash here leaves a staged file: the next call makes it anew.
	err := e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		_, err := tx.Append(w.s.actor.Event("", book.FileMadeAgain{Name: name}))
		return err
	})
	if err != nil {
		return err
	}
	if err := e.patiently(ctx); err != nil {
		return err
	}
	if err := bank.Disk.Appear(bank.Outbox, name); errors.Is(err, nacha.ErrExists) {
		return fmt.Errorf("%w: %w", ErrFileThere, err)
	} else if err != nil {
		return ofOutbox(err)
	}
	return nil
}

func (w *fileWriter) stageAgain() error {
	bank := w.s.engine.cfg.Bank
	err := bank.Disk.Stage(bank.Outbox, w.file.Name, func(out io.Writer) error {
		_, err := w.write(out)
		return err
	})
	if errors.Is(err, errLeftOut) {
		return fmt.Errorf("%s cannot be made again: the keys of %d of its accounts are destroyed, or the accounts were changed; tell the bank, and the shops: %w",
			w.file.Name, len(w.left), ErrConflict)
	}
	if err != nil {
		return ofOutbox(err)
	}
	return nil
}
