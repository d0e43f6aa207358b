// Package durable writes files so that they last: a file is written under another name in its own
// directory, made durable, and then takes its name in one step, without replacing what is there
// unless that is asked for; directories are made durable with the names in them. It uses no hard
// links, and works where renameat2 knows no RENAME_NOREPLACE (FAT, exFAT, SMB).
//
// What is there after a crash or a power cut, at any moment, of a disk that keeps what it
// acknowledged:
//
//   - [Create], [File.Create]: before they return the name is not there or has the whole content;
//     after that the whole content. Where there is no RENAME_NOREPLACE the name may also stand
//     there as an empty file, which the next Create takes over.
//   - [Replace], [File.Replace]: before they return the old content or the new, whole; after that
//     the new.
//   - [Rename]: before it returns the old name or the new one, whole; after that the new one. For
//     the new name holds what is said of Create.
//   - [RenameOver]: the same, and the new name has what it had before or what was renamed. [Move]
//     is durable with [SyncDir] only.
//   - [Mkdir], [MkdirAll], [OpenFile]: once they have returned, the names that they made are there.
//
// A crash may leave an unfinished file whose name begins with a dot and ends in .new; nothing reads
// it, and it may be removed. After an error of a step that makes durable, what is on disk is
// unknown. Nothing here is for directories into which a stranger may write: see package untrusted.
package durable

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Unfinished ends the names of files that are being written; they begin with a dot.
const Unfinished = ".new"

// Private is the mode of most files: only their owner reads and writes them.
const Private fs.FileMode = 0o600

// Create makes a file of mode 0600 that holds content. Where the name is taken the error is
// fs.ErrExist and nothing was changed.
func Create(path string, content []byte) error {
	f, err := begin(path, content)
	if err != nil {
		return err
	}
	return f.Create()
}

// Replace makes path a file of mode 0600 that holds content, whatever was there before.
func Replace(path string, content []byte) error {
	f, err := begin(path, content)
	if err != nil {
		return err
	}
	return f.Replace()
}

func begin(path string, content []byte) (*File, error) {
	f, err := Begin(path, Private)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(content); err != nil {
		return nil, errors.Join(err, f.Discard())
	}
	return f, nil
}

// File is a file that is being written and has not its name yet. One of [File.Create],
// [File.Replace] and [File.Discard] ends it. It is for one goroutine.
type File struct {
	*os.File
	path string
}

// Begin opens an unfinished file for the content of path. Others may do so at the same time.
func Begin(path string, mode fs.FileMode) (*File, error) {
	dir, name := filepath.Split(path)
	// A name of its own, so that two who write the same file do not write into each other's.
	unfinished := filepath.Join(dir, "."+shortened(name)+"."+rand.Text()[:12]+Unfinished)
	f, err := os.OpenFile(unfinished, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	return &File{f, path}, nil
}

// maxName keeps an unfinished file's name within the 255 bytes that a name may have.
const maxName = 200

func shortened(name string) string { return name[:min(len(name), maxName)] }

// Create gives the file its name, if that is free, and makes both durable. Where the name is taken
// the error is fs.ErrExist. After an error nothing unfinished stays.
func (f *File) Create() error { return f.finish(Rename) }

// Replace gives the file its name, whatever had it, and makes both durable. After an error nothing
// unfinished stays.
func (f *File) Replace() error { return f.finish(RenameOver) }

func (f *File) finish(rename func(from, to string) error) error {
	err := errors.Join(f.Sync(), f.Close())
	if err == nil {
		err = rename(f.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, removed(f.Name()))
	}
	return nil
}

// Discard takes the unfinished file away.
func (f *File) Discard() error { return errors.Join(f.Close(), removed(f.Name())) }

func removed(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// OpenFile opens a file that is written in place for reading and writing. Where there is none it
// makes one of mode 0600, empty, whose name is durable; its content is as durable as the caller
// makes it.
func OpenFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, Private)
	if err != nil {
		return nil, err
	}
	// A file that was there may have been made just before a crash: its name is not durable because
	// it is seen.
	if err := SyncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Absent returns fs.ErrExist where path is taken, as Create would: for those who are long in
// writing. An empty file is not in the way.
func Absent(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case vacant(info):
		return nil
	}
	return fmt.Errorf("%s: %w", path, fs.ErrExist)
}

// Fresh returns fs.ErrExist where anything has the name path, an empty file too, which Create would
// take over. "" names nothing.
func Fresh(path string) error {
	if path == "" {
		return nil
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, fmt.Errorf("%s is there, name a new file: %w", path, fs.ErrExist))
	}
	return nil
}

// WriteNew is Create for content that write gives: the file is there whole or not at all.
func WriteNew(path string, write func(*os.File) error) error {
	f, err := Begin(path, Private)
	if err != nil {
		return err
	}
	if err := write(f.File); err != nil {
		return errors.Join(err, f.Discard())
	}
	return f.Create()
}
