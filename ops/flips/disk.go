package flips

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// File is one of a disk's, as it lies at rest.
type File struct {
	Name    string // below the disk's directory
	Content []byte // without the empty pages at its end
	Size    int64  // with them
	Mode    fs.FileMode
	Changed time.Time
}

// Disk is what lies in a directory while nobody runs, in memory.
type Disk []File

// Read takes the regular files of a directory into memory.
func Read(dir string) (d Disk, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path) //nolint:gosec // a test's own directory
		if err != nil {
			return err
		}
		used := len(content)
		for used > 0 && content[used-1] == 0 {
			used--
		}
		used = min(len(content), (used+boltPage-1)/boltPage*boltPage)
		name, err := filepath.Rel(dir, path)
		d = append(d, File{Name: name, Content: slices.Clone(content[:used]), Size: int64(len(content)),
			Mode: info.Mode().Perm(), Changed: info.ModTime()})
		return err
	})
	return d, err
}

// Lay writes the disk into a directory, with a bit flipped; the zero Flip flips none. A vault that
// was killed left no word that it closed its ledger.
func (d Disk) Lay(dir string, flipped Flip) error {
	for _, f := range d {
		if flipped.Killed && filepath.Ext(f.Name) == ".clean" {
			continue
		}
		if f.Name == flipped.File {
			f.Content = slices.Concat(f.Content, make([]byte, max(0, flipped.Offset+1-len(f.Content))))
			f.Content[flipped.Offset] ^= 1 << flipped.Bit
		}
		if err := f.write(dir); err != nil {
			return err
		}
	}
	return nil
}

// Replace puts a sound copy in a file's place.
func (d Disk) Replace(dir, name string) error {
	for _, f := range d {
		if f.Name == name {
			return f.write(dir)
		}
	}
	return fmt.Errorf("the disk has no file %s", name)
}

// write lays a file out. What flips by itself leaves no trace: its time of change stays.
func (f File) write(dir string) error {
	path := filepath.Join(dir, f.Name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path, f.Content, f.Mode); err != nil {
		return err
	}
	return errors.Join(os.Truncate(path, f.Size), os.Chtimes(path, f.Changed, f.Changed))
}

// Flip is one bit of one file.
type Flip struct {
	Seed   uint64
	File   string
	What   string // the structure that the byte belongs to
	Offset int
	Bit    int
	Killed bool // the vault was killed, not stopped
}

func (f Flip) String() string {
	if f.File == "" {
		return "nothing flipped"
	}
	end := "stopped"
	if f.Killed {
		end = "killed"
	}
	return fmt.Sprintf("seed %d: bit %d of byte %d of %s (%s), vault %s", f.Seed, f.Bit, f.Offset, f.File, f.What, end)
}
