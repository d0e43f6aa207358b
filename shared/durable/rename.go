package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Rename gives a file that is durable another name, on the same file system, and makes that
// durable. Where the new name is taken the error is fs.ErrExist and nothing was changed. An empty
// file is not in the way: it is what a crash leaves where there is no RENAME_NOREPLACE.
func Rename(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch {
	case err == nil:
		return syncBoth(from, to)
	case errors.Is(err, fs.ErrExist), lacking(err):
		// The name stands there empty for a moment; a crash leaves it so, and the next Rename takes
		// it over.
		return renameOntoEmpty(from, to)
	}
	return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
}

// lacking reports whether an error says that a file system, or the kernel, does not know what was
// asked for.
func lacking(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP)
}

// renameOntoEmpty takes the new name by an empty file under a lock, then renames over that: two who
// do it at once do not overwrite each other.
func renameOntoEmpty(from, to string) error {
	if _, err := os.Lstat(from); err != nil { // before the new name is taken
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: unix.ENOENT}
	}
	place, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, Private)
	made := err == nil
	if errors.Is(err, fs.ErrExist) {
		if err := Absent(to); err != nil {
			return err
		}
		place, err = os.OpenFile(to, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	}
	if err != nil {
		return err
	}
	defer func() { _ = place.Close() }() // nothing was written
	if err := unix.Flock(int(place.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil && (!made || !lacking(err)) {
		// another is about to rename over it
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: unix.EEXIST}
	}
	// Another may have renamed over it before it was locked: what has the name now counts.
	if err := Absent(to); err != nil {
		return err
	}
	if err := Move(from, to); err != nil {
		if made {
			err = errors.Join(err, os.Remove(to))
		}
		return err
	}
	return syncBoth(from, to)
}

// vacant reports whether that is an empty file.
func vacant(info fs.FileInfo) bool { return info.Mode().IsRegular() && info.Size() == 0 }

// RenameOver gives a file that is durable another name, on the same file system, whatever file had
// that, and makes it durable.
func RenameOver(from, to string) error {
	if err := Move(from, to); err != nil {
		return err
	}
	return syncBoth(from, to)
}

// Move is RenameOver without making it durable: for many at once, after which SyncDir is called for
// both directories.
func Move(from, to string) error { return os.Rename(from, to) }

// syncBoth makes durable that a name went and another came.
func syncBoth(from, to string) error {
	came, went := filepath.Dir(to), filepath.Dir(from)
	// First where it came to: a power cut between the two leaves it under both names rather than
	// under none.
	if err := SyncDir(came); err != nil || came == went {
		return err
	}
	return SyncDir(went)
}
