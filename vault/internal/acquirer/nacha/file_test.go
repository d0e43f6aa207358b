package nacha_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"nightdrop/vault/internal/acquirer/nacha"
)

func appear(dir, name string, write func(io.Writer) error) error {
	var disk nacha.Disk
	if err := stage(dir, name, write); err != nil {
		return err
	}
	return disk.Appear(dir, name)
}

func stage(dir, name string, write func(io.Writer) error) error {
	file, err := nacha.Disk{}.Stage(dir, name)
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		return errors.Join(err, file.Discard())
	}
	return file.Keep()
}

func content(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

// only checks that a directory holds one file, with this content and mode 0600.
func only(t *testing.T, dir, name, want string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != name {
		t.Fatalf("the directory holds %v, want %s only", entries, name)
	}
	info, err := entries[0].Info()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil || string(got) != want || info.Mode().Perm() != 0o600 {
		t.Errorf("%q, mode %v, %v; want %q, 0600", got, info.Mode(), err, want)
	}
}

func TestFileAppearsWhole(t *testing.T) {
	dir := t.TempDir()
	if err := appear(dir, "a.ach", content("one")); err != nil {
		t.Fatal(err)
	}
	only(t, dir, "a.ach", "one")
	if err := appear(dir, "a.ach", content("one")); err != nil {
		t.Errorf("the same file again: %v", err)
	}
	if err := appear(dir, "a.ach", content("two")); !errors.Is(err, nacha.ErrExists) {
		t.Errorf("another file of that name: %v, want ErrExists", err)
	}
	if err := os.Remove(filepath.Join(dir, ".partial-a.ach")); err != nil {
		t.Errorf("the other content is not kept: %v", err)
	}
	only(t, dir, "a.ach", "one")
}

func TestStagedFileIsHiddenUntilItAppears(t *testing.T) {
	dir := t.TempDir()
	var disk nacha.Disk
	if err := disk.Appear(dir, "a.ach"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing appears: %v", err)
	}
	if err := stage(dir, "a.ach", content("one")); err != nil {
		t.Fatal(err)
	}
	only(t, dir, ".partial-a.ach", "one")
	staged, err := disk.Staged(dir, "a.ach")
	if err != nil {
		t.Error(err)
	}
	if _, err := disk.Digest(dir, "a.ach"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that has not appeared: %v", err)
	}
	for range 2 {
		if err := disk.Appear(dir, "a.ach"); err != nil {
			t.Fatal(err)
		}
		only(t, dir, "a.ach", "one")
	}
	if digest, err := disk.Digest(dir, "a.ach"); err != nil || digest != staged || digest != "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed" {
		t.Errorf("digest %s after %s, %v", digest, staged, err)
	}
}

func TestNothingAppearsWhenWritingFails(t *testing.T) {
	dir := t.TempDir()
	stop := errors.New("stop")
	err := appear(dir, "a.ach", func(w io.Writer) error {
		if err := content("half")(w); err != nil {
			return err
		}
		if seen, err := os.ReadDir(dir); err != nil || len(seen) != 1 || seen[0].Name() == "a.ach" {
			t.Errorf("the file is seen while it is written: %v, %v", seen, err)
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Errorf("error %v, want that of the writing", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// The next call repairs what a crash left.
func TestWhatACrashLeftIsRemoved(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".partial-a.ach"), []byte("ha"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := appear(dir, "a.ach", content("whole")); err != nil {
		t.Fatal(err)
	}
	only(t, dir, "a.ach", "whole")
	if err := os.Link(filepath.Join(dir, "a.ach"), filepath.Join(dir, ".partial-a.ach")); err != nil {
		t.Fatal(err)
	}
	if err := appear(dir, "a.ach", content("whole")); err != nil {
		t.Fatal(err)
	}
	only(t, dir, "a.ach", "whole")
}

func TestNamesThatAreNoFile(t *testing.T) {
	for _, name := range []string{"", ".", "..", ".hidden", "a/b", "../a", "/a"} {
		if err := appear(t.TempDir(), name, content("")); err == nil {
			t.Errorf("%q: taken", name)
		}
	}
	if err := appear(filepath.Join(t.TempDir(), "missing"), "a.ach", content("")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}
