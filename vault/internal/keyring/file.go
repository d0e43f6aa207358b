package keyring

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"nightdrop/shared/durable"
)

// lockDir locks the directory; the kernel releases the lock however the process ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open the vault: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", dir, ErrInUse)
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil
}

// checkMode fails with ErrMode where others than the owner may read or write f.
func checkMode(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s: %w", f.Name(), ErrMode)
	}
	return nil
}

// openPrivate opens a key file for writing in place and checks its mode. size is in bytes.
func openPrivate(path string) (f *os.File, size int64, err error) {
	if f, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil {
		err = checkMode(f)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// readPrivate reads a small file that only its owner may read.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := checkMode(f); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, maxCustodyBytes))
}

// writeNew makes a file of mode 0600 that did not exist, whole and durable or not at all.
func writeNew(path string, content []byte) error {
	if err := durable.Create(path, content); err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	return nil
}
