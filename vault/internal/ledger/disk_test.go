package ledger

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestErrorOfTheDiskNamesItsFile: fsync and flock give bare error numbers; whoever reads them must
// know which file and what to do.
func TestErrorOfTheDiskNamesItsFile(t *testing.T) {
	v := newVault(t)
	v.stop()
	if err := os.Remove(cleanMark(v.path())); err != nil {
		t.Fatal(err)
	}
	for errno, advice := range map[unix.Errno]string{unix.EIO: "look at the system's log", unix.ENOSPC: "Make room", unix.EROFS: "cannot be written"} {
		opts := v.opts
		opts.Check = func(string) error { return errno }
		_, err := Open(v.path(), v.ring, opts)
		if !errors.Is(err, errno) || errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), v.path()) || !strings.Contains(err.Error(), advice) {
			t.Errorf("of %v Open says: %v", errno, err)
		}
		_, err = v.rebuild(RebuildOptions{Cure: true, free: func(string) (uint64, error) { return 0, errno }})
		if !errors.Is(err, errno) || !strings.Contains(err.Error(), v.path()) || !strings.Contains(err.Error(), advice) {
			t.Errorf("of %v Rebuild says: %v", errno, err)
		}
	}
	opts := v.opts
	opts.openFile = func(name string, _ int, mode os.FileMode) (*os.File, error) {
		return os.OpenFile(name, os.O_RDONLY, mode)
	}
	if _, err := Open(v.path(), v.ring, opts); err == nil || !strings.Contains(err.Error(), v.path()) {
		t.Errorf("where it cannot write Open says: %v", err)
	}
	v.open()
	if err := v.latch(onDisk(v.path(), unix.EIO)); !strings.Contains(err.Error(), v.path()) {
		t.Errorf("a failed commit says: %v", err)
	}
	if err := v.Close(); err != nil { // which marks nothing
		t.Fatal(err)
	}
	v.open()
}
