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
)

// Inspect looks at the structure of the ledger's file, without its keys: that it is whole, that every record can be read, and that
// no page is used twice or lost. It changes nothing. It fails with ErrDamaged or ErrInUse. A damaged file can
// exhaust the memory of the process: see InspectByCommand.
func Inspect(path string) error {
	if err := notEmpty(path); err != nil {
		return err
	}
	return guard(func() (err error) {
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second, PreLoadFreelist: true,
			FreelistType: bbolt.FreelistMapType, PageSize: filePageSize})
		if err != nil {
			return openError(err)
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		return db.View(inspect)
	})
}

func inspect(b *bbolt.Tx) error {
	if err := wholeFile(b); err != nil {
		return err
	}
	// First what a guard can catch: bbolt's own check runs in a goroutine of its own.
	err := b.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
		if bucket == nil {
			return damaged("%q is no bucket", name)
		}
		return bucket.ForEach(func(k, v []byte) error {
			if v == nil {
				return damaged("%q has a bucket within", name)
			}
			touch(k)
			touch(v)
			return nil
		})
	})
	if err != nil {
		return err
	}
	return structure(b)
}

// touch reads one byte of every page of data.
func touch(data []byte) (sum byte) {
	for i := 0; i < len(data); i += filePageSize {
		sum ^= data[i]
	}
	return sum
}

// wholeFile checks that the file is as long as its pages say: beyond its end the map faults.
func wholeFile(b *bbolt.Tx) error {
	info, err := os.Stat(b.DB().Path())
	if err != nil {
		return err
	}
	if info.Size() < b.Size() {
		return damaged("the file has %d bytes of %d", info.Size(), b.Size())
	}
	return nil
}

// maxProblems bounds how many problems of the structure are told.
const maxProblems = 10

// structure runs bbolt's own check. No writing transaction may be under way: it reads the list of free pages.
func structure(b *bbolt.Tx) error {
	var problems []error
	for problem := range b.Check() {
		if len(problems) < maxProblems {
			problems = append(problems, problem)
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("%w: %w", errors.Join(problems...), ErrDamaged)
	}
	return nil
}

// Limits of the process that inspects.
const (
	// inspectMemory and the inspectShare-th of the file are the private memory it may use (RLIMIT_DATA): bbolt's check keeps about
	// 100 bytes for each page of 4,096.
	inspectMemory = 256 << 20
	inspectShare  = 16
	inspectTime   = 30 * time.Minute // a file of 100 GB at 60 MB a second
)

// Exit codes of InspectMain, as in INTERFACES 9.
const (
	exitSound   = 0
	exitFailed  = 1
	exitDamaged = 7
	exitInUse   = 8
)

// InspectMain is the whole of the child process that InspectByCommand starts: it limits its own memory, inspects the file and
// returns the exit code. What it found goes to out.
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
	fmt.Fprintln(out, err)
	switch {
	case errors.Is(err, ErrInUse):
		return exitInUse
	case errors.Is(err, ErrDamaged):
		return exitDamaged
	}
	return exitFailed
}

// InspectByCommand returns an Options.Check that runs argv with the path appended; the command must be InspectMain's. However the
// child ends, other than well or because the file is in use or unreadable, the ledger is damaged.
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
			return fmt.Errorf("inspect the ledger: %s", said)
		}
		return fmt.Errorf("the inspection ended with %q (%w): %w", said, err, ErrDamaged)
	}
}
