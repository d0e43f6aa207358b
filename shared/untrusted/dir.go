// Package untrusted reads and writes files in directories that somebody else may have prepared: a
// courier's stick, a copy of the log. Whoever did so can withhold files and alter them, and gains
// nothing else: no link leads out of the directory, neither to read what the reader may read nor to
// overwrite what the writer may write; a pipe or a device blocks nobody; and no more memory is used
// than the caller allows.
package untrusted

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// ErrUnfit is returned for what is there under a file's name and cannot be that file: no regular
// file, a link out of the directory, or more bytes than the caller allows.
var ErrUnfit = errors.New("it is not what belongs there")

// Unfinished ends the name of a file that is being written; one that stays behind was broken off.
const Unfinished = ".new"

// Dir is a directory. Paths below it are separated by slashes. It holds nothing open, and is safe
// for concurrent use.
type Dir string

// Open opens a regular file for reading. Where there is none the error is fs.ErrNotExist; ErrUnfit.
func (d Dir) Open(name string) (*os.File, error) {
	root, err := os.OpenRoot(string(d))
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	return open(root, name)
}

// open opens nothing but a regular file: to open a device may do something already (a watchdog
// begins to count), and to open a pipe may block.
func open(root *os.Root, name string) (*os.File, error) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, refused(name, err)
	}
	if err := regular(name, info); err != nil {
		return nil, err
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, refused(name, err)
	}
	if info, err = f.Stat(); err == nil { // it may be another by now
		err = regular(name, info)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func regular(name string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file: %w", name, ErrUnfit)
	}
	return nil
}

// refused makes ErrUnfit of what links and other things in a file's place cause. Errors without a
// number are os.Root's own: the path leads out.
func refused(name string, err error) error {
	number, ok := errors.AsType[syscall.Errno](err)
	if ok && number != syscall.ELOOP && number != syscall.ENOTDIR && number != syscall.ENXIO {
		return err
	}
	return fmt.Errorf("%s: %w: %w", name, ErrUnfit, err)
}

// ReadFile returns a file, whole. It fails as Open does, and with ErrUnfit where the file has more
// than limit bytes, of which it reads one more.
func (d Dir) ReadFile(name string, limit int) ([]byte, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return ReadAll(f, name, limit)
}

// ReadAll reads all of what has a name, and fails with ErrUnfit where it has more than limit bytes,
// of which it reads one more.
func ReadAll(r io.Reader, name string, limit int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err == nil && len(data) > limit {
		return nil, fmt.Errorf("%s has over %d bytes: %w", name, limit, ErrUnfit)
	}
	return data, err
}

// Has reports whether anything is there under a name, be it fit or not.
func (d Dir) Has(name string) (bool, error) {
	root, err := os.OpenRoot(string(d))
	if err != nil {
		return false, unlessAbsent(err)
	}
	defer func() { _ = root.Close() }()
	if _, err = root.Lstat(name); err == nil || errors.Is(refused(name, err), ErrUnfit) {
		return true, nil
	}
	return false, unlessAbsent(err)
}

// WriteFile makes a file hold data, whole or not at all, in directories that it makes where they
// are not there. A file that does so already is left alone; what else has the name is replaced, but
// for a directory: ErrUnfit. It is not durable before the file system is synchronised.
func (d Dir) WriteFile(name string, data []byte) error {
	if err := os.MkdirAll(string(d), 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(string(d))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	same, err := holds(root, name, data)
	if err != nil || same {
		return err
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return refused(name, err)
	}
	unfinished := name + Unfinished
	for _, in := range []string{name, unfinished} {
		if info, err := root.Lstat(in); err == nil && info.IsDir() {
			return fmt.Errorf("%s is a directory: %w", in, ErrUnfit)
		}
	}
	if err := unlessAbsent(root.Remove(unfinished)); err != nil {
		return err
	}
	if err = create(root, unfinished, data); err == nil {
		err = root.Rename(unfinished, name)
	}
	if err != nil {
		_ = root.Remove(unfinished) // it takes room, and on a full disk there is none
	}
	return err
}

// create makes a file where there is nothing, and so no link.
func create(root *os.Root, name string, data []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func holds(root *os.Root, name string, data []byte) (bool, error) {
	f, err := open(root, name)
	if err == nil {
		defer func() { _ = f.Close() }()
		var old []byte
		if old, err = ReadAll(f, name, len(data)); err == nil {
			return string(old) == string(data), nil
		}
	}
	if errors.Is(err, ErrUnfit) {
		return false, nil
	}
	return false, unlessAbsent(err)
}

// Remove removes a file, or a directory that is empty. Where there is none it does nothing.
func (d Dir) Remove(name string) error {
	root, err := os.OpenRoot(string(d))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return unlessAbsent(root.Remove(name))
}

// maxNames bounds what one directory holds: honest ones have a name for each of the vault's log
// keys, of which a busy day makes some tens.
const maxNames = 1 << 18

// Walk gives fn the path of each thing below a directory that is no directory, and of directories
// that lie depth levels below it, into which it does not go: in the order of their names, until fn
// fails. Links are given, not followed; what is no directory itself is given alone. Where there is
// nothing of that name there is nothing; ErrUnfit where it leads out, or a directory has over
// 262,144 names.
func (d Dir) Walk(name string, depth int, fn func(name string) error) error {
	root, err := os.OpenRoot(string(d))
	if err != nil {
		return unlessAbsent(err)
	}
	defer func() { _ = root.Close() }()
	info, err := root.Lstat(name)
	if err != nil {
		return unlessAbsent(refused(name, err))
	}
	if !info.IsDir() {
		return fn(name)
	}
	return walk(root, name, depth, fn)
}

func walk(root *os.Root, name string, depth int, fn func(name string) error) error {
	entries, err := list(root, name)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		below := path.Join(name, entry.name)
		if entry.isDir && depth > 1 {
			err = walk(root, below, depth-1, fn)
		} else {
			err = fn(below)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// listed is a name in a directory.
type listed struct {
	name  string
	isDir bool
}

// list returns what a directory holds, by name. One that is gone holds nothing.
func list(root *os.Root, name string) (all []listed, err error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, unlessAbsent(refused(name, err))
	}
	defer func() { _ = f.Close() }()
	for {
		entries, err := f.ReadDir(1024)
		for _, entry := range entries {
			all = append(all, listed{entry.Name(), entry.IsDir()})
		}
		switch {
		case errors.Is(err, io.EOF):
			slices.SortFunc(all, func(a, b listed) int { return strings.Compare(a.name, b.name) })
			return all, nil
		case err != nil:
			return nil, refused(name, err)
		case len(all) > maxNames:
			return nil, fmt.Errorf("%s has over %d names in it: %w", name, maxNames, ErrUnfit)
		}
	}
}

func unlessAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
