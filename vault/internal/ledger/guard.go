package ledger

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"nightdrop/shared/durable"
)

// guard runs fn and turns what a damaged file does (bbolt's panics, and faults in the mapped file)
// into ErrDamaged. Panics of other code go on.
func guard(fn func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(before)
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		// A fault that names its address is one in the mapped file, whoever reads there.
		if _, fault := cause.(interface{ Addr() uintptr }); !fault && !panickedInStore() {
			panic(cause)
		}
		err = fmt.Errorf("the store stopped with %q: %w", fmt.Sprint(cause), ErrDamaged)
	}()
	return fn()
}

// naming adds to an error of damage its file, where it lacks that.
func naming(path string, err error) error {
	if err == nil || !errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), path) {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// panickedInStore reports, in a deferred call, whether it was bbolt that panicked.
func panickedInStore() bool {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	panicking := false
	for {
		frame, more := frames.Next()
		switch {
		case strings.HasPrefix(frame.Function, "runtime."):
			panicking = panicking || frame.Function == "runtime.gopanic"
		case panicking:
			return strings.HasPrefix(frame.Function, "go.etcd.io/bbolt")
		}
		if !more {
			return false
		}
	}
}

// cleanMark names the file that reports that the ledger was closed properly and not touched since.
func cleanMark(path string) string { return path + ".clean" }

// fileMark is what the mark holds: size and time of the last change of the ledger's file.
func fileMark(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	return strconv.FormatInt(info.Size(), 10) + " " + strconv.FormatInt(info.ModTime().UnixNano(), 10) + "\n", nil
}

func markClean(path string) error {
	mark, err := fileMark(path)
	if err != nil {
		return err
	}
	if err := durable.Replace(cleanMark(path), []byte(mark)); err != nil {
		return fmt.Errorf("mark the ledger as closed: %w", err)
	}
	return nil
}

func wasClean(path string) bool {
	want, err := fileMark(path)
	if err != nil {
		return false
	}
	got, err := os.ReadFile(cleanMark(path))
	return err == nil && string(got) == want
}
