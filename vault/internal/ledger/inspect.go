package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"nightdrop/vault/internal/ledger/pages"
)

// Inspect checks the ledger's file without its keys: the structure of its pages ([pages.Check]),
// then every record through bbolt. It changes nothing. It fails with [ErrDamaged] or [ErrInUse].
func Inspect(path string) error {
	if err := notEmpty(path); err != nil {
		return err
	}
	return guard(func() (err error) {
		lock, err := lockShared(path)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, lock.Close()) }()
		if err := pages.Check(path); err != nil {
			return err
		}
		// Its shared lock goes along with ours.
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second, PageSize: pages.Size})
		if err != nil {
			return openError(err)
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		return db.View(readAll)
	})
}

// lockShared keeps writers out, as bbolt's own lock does, for as long as the file is open.
func lockShared(path string) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrInUse
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func readAll(b *bbolt.Tx) error {
	return b.ForEach(func(_ []byte, bucket *bbolt.Bucket) error {
		return bucket.ForEach(func(k, v []byte) error {
			touch(k)
			touch(v)
			return nil
		})
	})
}

// touch reads one byte of every page of data.
func touch(data []byte) (sum byte) {
	for i := 0; i < len(data); i += pages.Size {
		sum ^= data[i]
	}
	return sum
}

// Limits of the process that inspects.
const (
	// inspectMemory and the inspectShare-th of the file are the private memory it may use
	// (RLIMIT_DATA): the list of free pages is at most a 512th of the file.
	inspectMemory = 256 << 20
	inspectShare  = 64
	inspectTime   = 30 * time.Minute // a file of 100 GB at 60 MB a second
)

// Exit codes of InspectMain, as in specification 9.
const (
	exitSound   = 0
	exitFailed  = 1
	exitDamaged = 7
	exitInUse   = 8
)

// InspectMain is the child process of [InspectByCommand]: it limits its own memory, inspects the
// file, writes what it found to out and returns the exit code.
func InspectMain(path string, out io.Writer) int {
	memory := uint64(inspectMemory)
	if info, err := os.Stat(path); err == nil {
		memory += uint64(info.Size()) / inspectShare
	}
	limit := unix.Rlimit{Cur: memory, Max: memory}
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &limit); err != nil {
		fmt.Fprintln(out, "limit the memory:", err)
		return exitFailed
	}
	err := Inspect(path)
	if err == nil {
		return exitSound
	}
	fmt.Fprintln(out, onDisk(path, err))
	switch {
	case errors.Is(err, ErrInUse):
		return exitInUse
	case errors.Is(err, ErrDamaged):
		return exitDamaged
	}
	return exitFailed
}

// InspectByCommand returns an Options.Check that runs argv with the path appended; the command must
// be [InspectMain]'s. However the child ends, other than well or because the file is in use or
// unreadable, the ledger is damaged.
func InspectByCommand(argv ...string) func(path string) error {
	return func(path string) error {
		ctx, cancel := context.WithTimeout(context.Background(), inspectTime)
		defer cancel()
		args := append(append([]string(nil), argv[1:]...), path)
		cmd := exec.CommandContext(ctx, argv[0], args...) //nolint:gosec // the caller's own constant command
		cmd.Env = append(os.Environ(), "GOTRACEBACK=none")
		out, err := cmd.CombinedOutput()
		if err == nil {
			return nil
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			return fmt.Errorf("start the inspection of the ledger: %w", err)
		}
		said, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		switch exit.ExitCode() {
		case exitInUse:
			return ErrInUse
		case exitFailed:
			return fmt.Errorf("inspect the ledger %s: %s", path, said)
		}
		return fmt.Errorf("the inspection ended with %q (%w): %w", said, err, ErrDamaged)
	}
}
