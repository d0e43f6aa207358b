package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"nightdrop/shared/durable"
	"nightdrop/shared/durable/durabletest"
)

func TestMain(m *testing.M) {
	durabletest.Enter()
	os.Exit(m.Run())
}

// contract is what every file system must show.
func contract(t *testing.T) {
	t.Run("create never replaces", createNeverReplaces)
	t.Run("replace replaces", replaceReplaces)
	t.Run("rename", rename)
	t.Run("an empty file is taken over", emptyIsTakenOver)
	t.Run("of many who create one name one does", oneOfMany)
	t.Run("what fails leaves nothing", failureLeavesNothing)
	t.Run("directories", directories)
}

func TestOnThisFileSystem(t *testing.T) { contract(t) }

// FAT, exFAT and SMB have no hard links, and their drivers know no flags of renameat2.
func TestWithoutLinksAndRenameFlags(t *testing.T) {
	if !durabletest.Alone(t, durabletest.Links) {
		return
	}
	dir := t.TempDir()
	put(t, dir+"/a", "a")
	// Controls: this process is as on such a disk.
	if err := os.Link(dir+"/a", dir+"/b"); !errors.Is(err, fs.ErrPermission) {
		t.Fatalf("a link gives %v, not EPERM", err)
	}
	err := unix.Renameat2(unix.AT_FDCWD, dir+"/a", unix.AT_FDCWD, dir+"/b", unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) {
		t.Fatalf("RENAME_NOREPLACE gives %v, not EINVAL", err)
	}
	contract(t)
}

// An error of fsync is returned, and nothing stands under the name that was not made durable.
func TestOnAFailingDisk(t *testing.T) {
	if !durabletest.Alone(t, durabletest.Sync) {
		return
	}
	dir := t.TempDir()
	put(t, dir+"/kept", "before")
	for name, err := range map[string]error{
		"Create": durable.Create(dir+"/new", []byte("x")), "Replace": durable.Replace(dir+"/kept", []byte("x")),
		"SyncDir": durable.SyncDir(dir), "SyncFileSystem": durable.SyncFileSystem(dir),
	} {
		if !errors.Is(err, unix.EIO) {
			t.Errorf("%s on a disk that fails gives %v", name, err)
		}
	}
	holds(t, dir+"/kept", "before")
	alone(t, dir+"/kept")
}

func createNeverReplaces(t *testing.T) {
	path := t.TempDir() + "/key"
	if err := durable.Create(path, []byte("first")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != durable.Private {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := durable.Create(path, []byte("second")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second Create gives %v", err)
	}
	if err := durable.Absent(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Absent gives %v", err)
	}
	holds(t, path, "first")
	alone(t, path)
	link := filepath.Dir(path) + "/link"
	if err := errors.Join(os.Symlink("nowhere", link)); err != nil {
		t.Fatal(err)
	}
	if err := durable.Create(link, []byte("third")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create of a name that is a link gives %v", err)
	}
}

func replaceReplaces(t *testing.T) {
	path := t.TempDir() + "/state"
	for _, content := range []string{"first", "second", ""} {
		if err := durable.Replace(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		holds(t, path, content)
	}
	alone(t, path)
}

func rename(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(dir+"/from", 0o700), os.Mkdir(dir+"/to", 0o700)); err != nil {
		t.Fatal(err)
	}
	put(t, dir+"/from/a", "a")
	put(t, dir+"/to/taken", "b")
	if err := durable.Rename(dir+"/from/a", dir+"/to/taken"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a rename onto a name that is taken gives %v", err)
	}
	holds(t, dir+"/to/taken", "b")
	if err := durable.Rename(dir+"/from/a", dir+"/to/free"); err != nil {
		t.Fatal(err)
	}
	holds(t, dir+"/to/free", "a")
	if err := durable.Rename(dir+"/from/a", dir+"/to/nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a rename of what is not there gives %v", err)
	}
	if _, err := os.Lstat(dir + "/to/nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it left something under the new name: %v", err)
	}
	if err := durable.RenameOver(dir+"/to/free", dir+"/to/taken"); err != nil {
		t.Fatal(err)
	}
	holds(t, dir+"/to/taken", "a")
}

func emptyIsTakenOver(t *testing.T) {
	path := t.TempDir() + "/file"
	put(t, path, "") // as a crash leaves it where there is no RENAME_NOREPLACE
	if err := durable.Absent(path); err != nil {
		t.Error(err)
	}
	if err := durable.Create(path, []byte("whole")); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "whole")
}

func oneOfMany(t *testing.T) {
	for range 50 {
		path := t.TempDir() + "/file"
		var made atomic.Int32
		var of sync.WaitGroup
		for i := range 8 {
			of.Go(func() {
				switch err := durable.Create(path, []byte{'0' + byte(i)}); {
				case err == nil:
					made.Add(1)
				case !errors.Is(err, fs.ErrExist):
					t.Error(err)
				}
			})
		}
		of.Wait()
		if made.Load() != 1 {
			t.Fatalf("%d of 8 say that they made the file", made.Load())
		}
		alone(t, path)
	}
}

func failureLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/taken", "b")
	if err := durable.Create(dir+"/taken", []byte("c")); err == nil {
		t.Error("a name that is taken was given")
	}
	f, err := durable.Begin(dir+"/other", durable.Private)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("half"); err != nil {
		t.Fatal(err)
	}
	if err := f.Discard(); err != nil {
		t.Error(err)
	}
	if err := os.Mkdir(dir+"/directory", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.Replace(dir+"/directory", []byte("c")); err == nil {
		t.Error("a directory was replaced")
	}
	if err := os.Remove(dir + "/directory"); err != nil {
		t.Fatal(err)
	}
	alone(t, dir+"/taken")
	if err := durable.Create(dir+"/missing/file", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a directory that is not there: %v", err)
	}
}

func directories(t *testing.T) {
	dir := t.TempDir()
	if err := durable.MkdirAll(dir+"/a/b/c", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.MkdirAll(dir+"/a/b/c/", 0o700); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if err := durable.Mkdir(dir+"/a/b", 0o700); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Mkdir of what is there gives %v", err)
	}
	put(t, dir+"/file", "")
	if err := durable.MkdirAll(dir+"/file/below", 0o700); err == nil {
		t.Error("a directory below a file was made")
	}
	f, err := durable.OpenFile(dir + "/a/b/c/written-in-place")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("x"); err != nil {
		t.Error(err)
	}
	if err := errors.Join(f.Close(), durable.SyncFileSystem(dir), durable.SyncDir(dir)); err != nil {
		t.Error(err)
	}
	if f, err = durable.OpenFile(dir + "/a/b/c/written-in-place"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	holds(t, dir+"/a/b/c/written-in-place", "x")
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q, not %q: %v", path, got, want, err)
	}
}

// alone fails where something is beside the file: what was unfinished stayed.
func alone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the file: %v, %v", entries, err)
	}
}
