package nacha

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// ErrExists is returned when another file of that name is there: it is left as it is.
var ErrExists = errors.New("nacha: another file of that name is there; nothing was overwritten")

// partial begins the names of files that are being written; the bank's pick-up takes no hidden files.
const partial = ".partial-"

// digestBuffer is how many bytes of a file are in memory while files are compared; they are cleared afterwards.
const digestBuffer = 64 << 10

// WriteFile makes dir/name from what write writes, so that whoever looks into dir sees the whole file or none: it is written beside its
// name, readable for its owner only, made durable, linked under its name, and the directory made durable too. A file that is there with the
// same content is success, and one with another content is ErrExists. After an error of fsync or link the file may be there: call again with
// the same content.
//
// What a crash left behind under another name, account data with it, is removed by the next call for the same name. Calls for one name are
// not to overlap.
func WriteFile(dir, name string, write func(io.Writer) error) (err error) {
	if name == "" || strings.HasPrefix(name, ".") || filepath.Base(name) != name {
		return fmt.Errorf("nacha: %q is no name for a file in a directory", name)
	}
	temporary := filepath.Join(dir, partial+name)
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("nacha: removing what a crash left behind: %w", err)
	}
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("nacha: making a file: %w", err)
	}
	defer func() {
		if removed := os.Remove(temporary); err == nil && removed != nil {
			err = fmt.Errorf("nacha: removing the file's other name: %w", removed)
		}
	}()
	if err := errors.Join(write(file), file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("nacha: writing %s: %w", name, err)
	}
	// A crash up to here leaves a partial file, which the next call removes.
	if err := os.Link(temporary, filepath.Join(dir, name)); errors.Is(err, os.ErrExist) {
		if err := same(temporary, filepath.Join(dir, name)); err != nil {
			return err
		}
	} else if err != nil {
		return fmt.Errorf("nacha: giving the file its name: %w", err)
	}
	return syncDirectory(dir)
}

// same returns nil where two files hold the same bytes, and ErrExists where they do not.
func same(written, there string) error {
	first, err := digest(written)
	if err != nil {
		return err
	}
	second, err := digest(there)
	if err != nil {
		return err
	}
	if !bytes.Equal(first, second) {
		return fmt.Errorf("%w: %s", ErrExists, there)
	}
	return nil
}

func digest(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("nacha: comparing files: %w", err)
	}
	defer file.Close()
	sum, buffer := sha256.New(), make([]byte, digestBuffer)
	defer clear(buffer)
	if _, err := io.CopyBuffer(sum, struct{ io.Reader }{file}, buffer); err != nil { // the struct hides ways around the buffer
		return nil, fmt.Errorf("nacha: comparing files: %w", err)
	}
	return sum.Sum(nil), nil
}

func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("nacha: making the directory durable: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("nacha: making the directory durable: %w", err)
	}
	return nil
}
