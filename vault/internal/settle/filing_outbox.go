package settle

import (
	"errors"
	"fmt"
	"os"

	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/book"
)

// vacant tells whether a name is free in the outbox.
func (b *Bank) vacant(name string) error {
	switch _, err := b.Disk.Digest(b.Outbox, name); {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return outboxFault(err)
	}
	return fmt.Errorf("%s: %w", name, ErrFileThere)
}

// outboxFault adds to an error of the outbox what to do about it. What the system calls it is text
// only, so that a missing directory is no missing batch.
func outboxFault(err error) error {
	return fmt.Errorf("the bank's outbox cannot be used: %s; see that it is there, that the vault may write into it and that it is not full, then settle again: %w",
		err.Error(), ErrUnavailable)
}

// ofOutbox is outboxFault of what the file system refused, and any other error as it is.
func ofOutbox(err error) error {
	_, path := errors.AsType[*os.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	if path || link {
		return outboxFault(err)
	}
	return err
}

// there tells whether a file whose digest is in the log is in the outbox, or staged there. It was
// staged before its digest was logged, and what was staged goes only when the file appears: where
// there is neither, somebody may have taken the file to the bank, and made once more it could move
// its money twice. Then it is ErrConflict, until a person leaves something else staged: its word
// that the bank has not got it.
func (b *Bank) there(f book.File) (bool, error) {
	switch digest, err := b.Disk.Digest(b.Outbox, f.Name); {
	case err == nil && nacha.Half(digest): // a crash came between its name and its content, which is staged
	case err == nil && digest != f.Digest:
		return false, fmt.Errorf("%s: %w", f.Name, ErrFileThere)
	case err == nil:
		return true, nil
	case !errors.Is(err, os.ErrNotExist):
		return false, outboxFault(err)
	}
	digest, err := b.Disk.Staged(b.Outbox, f.Name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, fmt.Errorf("%s has left the outbox before the log says so, and may be at the bank: ask the bank whether it has the file of SHA-256 %s. If it has, put a copy "+
			"into the outbox; if it has not, make an empty file %s there, and the file is made again. Then settle again: %w", f.Name, f.Digest, nacha.StagedName(f.Name), ErrConflict)
	case err != nil:
		return false, outboxFault(err)
	}
	return digest == f.Digest, nil
}
