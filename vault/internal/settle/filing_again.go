package settle

import (
	"context"
	"errors"
	"fmt"
	"os"

	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/operator"
)

// FileAgain puts a settlement file that was out into the outbox once more, byte for byte, on a
// person's word that the bank has not got it: an outbox's disk may lose what was in it. It fails
// with ErrConflict where the file is there already, or is not out, or cannot be made as it was: the
// log's digest must come out. Accounts are kept for a week; after that there is no file any more. A
// crash leaves it staged, and the next call goes on.
func (e *Engine) FileAgain(ctx context.Context, name string, actor operator.Actor) (book.File, error) {
	if !e.operation.TryLock() {
		return book.File{}, busy()
	}
	defer e.operation.Unlock()
	if err := e.bankReady(); err != nil {
		return book.File{}, err
	}
	s := settlement{engine: e, actor: actor}
	f, err := s.filing(name)
	if err != nil {
		return f.file, err
	}
	if f.file.Stage != book.FileOut {
		return f.file, fmt.Errorf("%s is not out yet: settle its batches: %w", name, ErrConflict)
	}
	bank := e.cfg.Bank
	switch digest, err := bank.Disk.Digest(bank.Outbox, name); {
	case err == nil && digest == f.file.Digest:
		return f.file, fmt.Errorf("%s is in the outbox, as it was written: %w", name, ErrConflict)
	case err == nil && !nacha.Half(digest):
		return f.file, fmt.Errorf("%s is in the outbox, and is not the file that was written: find out who wrote it, and move it away: %w", name, ErrFileThere)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return f.file, outboxFault(err)
	}
	return f.file, f.makeAgain(ctx)
}

// makeAgain takes a file that was out into the outbox once more, by the steps that make took.
func (f *filing) makeAgain(ctx context.Context) error {
	if err := f.read(); err != nil {
		return err
	}
	if len(f.sections) == 0 {
		return fmt.Errorf("%s had no entries: there is no file: %w", f.file.Name, ErrConflict)
	}
	left, err := f.write(ctx)
	if len(left) > 0 {
		return fmt.Errorf("%s cannot be made again: the keys of %d of its accounts are destroyed, or the accounts were changed; tell the bank, and the shops: %w",
			f.file.Name, len(left), ErrConflict)
	}
	if err != nil {
		return err
	}
	// A crash here leaves a staged file that nobody asks for: the next call makes it anew.

	if err := f.commit(ctx, "", book.FileMadeAgain{Name: f.file.Name}); err != nil {
		return err
	}
	// A crash here leaves the log telling of a file that has not appeared: the next call makes it
	// anew, and tells of it again.

	return f.appear(ctx)
}
