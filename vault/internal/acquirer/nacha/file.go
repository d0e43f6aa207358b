package nacha

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"nightdrop/shared/durable"
)

// ErrExists is returned when another file of that name exists; it is not changed.
var ErrExists = errors.New("another file of that name is there; nothing was overwritten")

// hidden begins the names of staged files; the bank's pick-up ignores hidden files.
const hidden = ".partial-"

// StagedName is the hidden name under which the file of a name is staged.
func StagedName(name string) string { return hidden + name }

// digestBuffer is how many bytes of a file are in memory while it is read.
const digestBuffer = 64 << 10

// Disk puts files into a directory that others read: a file is staged under a hidden name, whole
// and durable, and appears under its own in one step. Between the two its digest goes into the log,
// so that a crash anywhere leaves a known file or none. Calls for one name must not overlap.
type Disk struct{}

// StagedFile is a file being written under its hidden name, until Keep or Discard.
type StagedFile interface {
	io.Writer
	// Keep makes the file durable under its hidden name, or removes it where that fails.
	Keep() error
	// Discard removes the file.
	Discard() error
}

// Stage begins the hidden file of a name, of mode 0600. One that an earlier call or a crash left,
// with account data, is removed first.
func (Disk) Stage(dir, name string) (StagedFile, error) {
	if name == "" || strings.HasPrefix(name, ".") || filepath.Base(name) != name {
		return nil, fmt.Errorf("%q is not a valid name for a file", name)
	}
	staged := filepath.Join(dir, hidden+name)
	if err := os.Remove(staged); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing what a crash left behind: %w", err)
	}
	file, err := os.OpenFile(staged, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making a file: %w", err)
	}
	return stagedFile{file, name}, nil
}

type stagedFile struct {
	*os.File
	name string
}

// Keep implements [StagedFile].
func (f stagedFile) Keep() error {
	if err := f.Sync(); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", f.name, err), f.Discard())
	}
	if err := f.Close(); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", f.name, err), os.Remove(f.Name()))
	}
	return durable.SyncDir(filepath.Dir(f.Name()))
}

// Discard implements [StagedFile].
func (f stagedFile) Discard() error { return errors.Join(f.Close(), os.Remove(f.Name())) }

// Appear gives a staged file its name, durably. It may be repeated: a file that exists with the
// staged content, or with nothing staged any more, is success. One with another content is
// [ErrExists]. After another error the file may exist. Where a file system has no RENAME_NOREPLACE
// (FAT, exFAT, SMB) the name is an empty file for a moment, and after a crash until the next call.
func (Disk) Appear(dir, name string) error {
	path, staged := filepath.Join(dir, name), filepath.Join(dir, hidden+name)
	err := durable.Rename(staged, path)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrNotExist):
		if err := checkNamed(path); err != nil {
			return fmt.Errorf("giving a file its name: nothing is staged: %w", err)
		}
		return durable.SyncDir(dir)
	case !errors.Is(err, os.ErrExist):
		return fmt.Errorf("giving a file its name: %w", err)
	}
	if err := same(staged, path); err != nil {
		return err
	}
	if err := os.Remove(staged); err != nil {
		return fmt.Errorf("removing a file's hidden name: %w", err)
	}
	return durable.SyncDir(dir)
}

// Digest returns the hex SHA-256 of dir/name, or [os.ErrNotExist].
func (Disk) Digest(dir, name string) (string, error) { return digest(filepath.Join(dir, name)) }

// Staged returns the hex SHA-256 of what is staged for dir/name, or [os.ErrNotExist].
func (Disk) Staged(dir, name string) (string, error) { return digest(filepath.Join(dir, hidden+name)) }

// Half reports whether a digest is that of an empty file, as a crash in [Disk.Appear] may leave
// one.
func Half(digest string) bool {
	empty := sha256.Sum256(nil)
	return digest == hex.EncodeToString(empty[:])
}

// checkNamed returns [os.ErrNotExist] where a file is missing or empty.
func checkNamed(path string) error {
	switch err := durable.Absent(path); {
	case err == nil:
		return &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
	case errors.Is(err, os.ErrExist):
		return nil
	default:
		return fmt.Errorf("looking for a file: %w", err)
	}
}

// same returns [ErrExists] where two files differ.
func same(staged, there string) error {
	first, err := digest(staged)
	if err != nil {
		return err
	}
	second, err := digest(there)
	if err != nil {
		return err
	}
	if first != second {
		return fmt.Errorf("%w: %s", ErrExists, there)
	}
	return nil
}

func digest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading a file: %w", err)
	}
	defer file.Close()
	sum, buffer := sha256.New(), make([]byte, digestBuffer)
	defer clear(buffer)
	// the struct hides ways around the buffer
	if _, err := io.CopyBuffer(sum, struct{ io.Reader }{file}, buffer); err != nil {
		return "", fmt.Errorf("reading a file: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
