package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Mkdir makes a directory whose name is durable. Where the name is taken the error is fs.ErrExist,
// as os.Mkdir's.
func Mkdir(path string, mode fs.FileMode) error {
	if err := os.Mkdir(path, mode); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(filepath.Clean(path)))
}

// MkdirAll makes a directory and those above it that are not there, all of whose names are durable.
// One that is there already is left as it is.
func MkdirAll(path string, mode fs.FileMode) error {
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &os.PathError{Op: "mkdir", Path: path, Err: unix.ENOTDIR}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if above := filepath.Dir(path); above != path {
		if err := MkdirAll(above, mode); err != nil {
			return err
		}
	}
	if err := Mkdir(path, mode); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(filepath.Dir(path)) // another made it meanwhile, and may not have come so far
}

// SyncDir makes the names in a directory durable. Where the file system has no fsync of
// directories, all of it is made durable.
func SyncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("make the names in a directory durable: %w", err)
	}
	err = dir.Sync()
	if lacking(err) {
		err = unix.Syncfs(int(dir.Fd()))
	}
	if err := errors.Join(err, dir.Close()); err != nil {
		return fmt.Errorf("make the names in %s durable: %w", path, err)
	}
	return nil
}

// SyncFileSystem makes all durable that was written to path's file system: one call for thousands
// of small files.
func SyncFileSystem(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Syncfs(int(f.Fd())), f.Close()); err != nil {
		return fmt.Errorf("make the file system of %s durable: %w", path, err)
	}
	return nil
}
