package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// CheckMakeable checks that a directory can be written to, or, where it is not there, that it could
// be made. Errors are Problems without a key.
func CheckMakeable(dir string) error {
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at):
			continue
		case err != nil:
			return &Problem{What: err.Error(), Do: "give a directory that this user can write to", Cause: err}
		case !info.IsDir():
			return &Problem{What: at + " is no directory", Do: "move it away, or give another place"}
		}
		return writable(at)
	}
}

// CheckFilePlace checks that a file can be written, or made in its directory, which must be there.
// Errors are Problems without a key.
func CheckFilePlace(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return &Problem{What: path + " is no regular file", Do: "move it away, or give another place"}
	case err == nil:
		return writable(path)
	case !errors.Is(err, fs.ErrNotExist):
		return &Problem{What: err.Error(), Do: "give a place that this user can write to", Cause: err}
	}
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); err != nil {
		return &Problem{What: err.Error(), Do: "make the directory, with mode 0700", Cause: err}
	}
	return writable(dir)
}

// writable asks the kernel, which knows of read-only mounts too.
func writable(path string) error {
	if err := unix.Access(path, unix.W_OK); err != nil {
		err = &fs.PathError{Op: "write to", Path: path, Err: err}
		return &Problem{What: fmt.Sprintf("%s cannot be written by this user: %v", path, errors.Unwrap(err)), Do: "give it to the user that the program runs as", Cause: err}
	}
	return nil
}
