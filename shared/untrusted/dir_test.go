package untrusted_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nightdrop/shared/untrusted"
)

// prepared is a directory as an attacker prepares it, and the one outside that its links lead to.
func prepared(t *testing.T) (d untrusted.Dir, outside string) {
	t.Helper()
	dir, outside := t.TempDir(), t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600),
		os.MkdirAll(in("sub/deep"), 0o755),
		os.WriteFile(in("sub/file"), []byte("five."), 0o600),
		os.WriteFile(in("sub/deep/other"), nil, 0o600),
		os.Symlink("sub/file", in("within")),
		os.Symlink(filepath.Join(outside, "secret"), in("out")),
		os.Symlink("../"+filepath.Base(outside)+"/secret", in("up")),
		os.Symlink(outside, in("outdir")),
		os.Symlink("loop", in("loop")),
		os.Symlink("/dev/zero", in("device")),
		unix.Mkfifo(in("pipe"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return untrusted.Dir(dir), outside
}

func TestReading(t *testing.T) {
	d, _ := prepared(t)
	for name, want := range map[string]error{"sub/file": nil, "within": nil, "none": fs.ErrNotExist, "sub/none": fs.ErrNotExist, "none/file": fs.ErrNotExist,
		"out": untrusted.ErrUnfit, "up": untrusted.ErrUnfit, "outdir/secret": untrusted.ErrUnfit, "../x": untrusted.ErrUnfit, "/etc/passwd": untrusted.ErrUnfit,
		"loop": untrusted.ErrUnfit, "device": untrusted.ErrUnfit, "pipe": untrusted.ErrUnfit, "sub": untrusted.ErrUnfit, "sub/file/below": untrusted.ErrUnfit} {
		data, err := d.ReadFile(name, 5)
		if !errors.Is(err, want) || err == nil && string(data) != "five." || err != nil && data != nil {
			t.Errorf("%s: %q, %v, want %v", name, data, err, want)
		}
		there, err := d.Has(name)
		if err != nil || there == errors.Is(want, fs.ErrNotExist) {
			t.Errorf("%s is there: %v, %v", name, there, err)
		}
	}
	if _, err := d.ReadFile("sub/file", 4); !errors.Is(err, untrusted.ErrUnfit) {
		t.Errorf("a byte too many: %v", err)
	}
	var names []string
	if err := d.Walk("sub", 2, func(name string) error { names = append(names, name); return nil }); err != nil || !slices.Equal(names, []string{"sub/deep/other", "sub/file"}) {
		t.Errorf("walked %v, %v", names, err)
	}
	stop := errors.New("stop")
	if err := d.Walk("sub", 2, func(string) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a walk that is stopped: %v", err)
	}
	none := d + "/none"
	if there, err := none.Has("x"); there || err != nil {
		t.Errorf("in no directory: %v, %v", there, err)
	}
	if err := errors.Join(d.Walk("none", 1, nil), none.Walk(".", 1, nil)); err != nil {
		t.Errorf("walk of nothing: %v", err)
	}
}

func TestWriting(t *testing.T) {
	d, outside := prepared(t)
	for name, fits := range map[string]bool{"new/deep/file": true, "sub/file": true, "within": true, "out": true, "up": true, "loop": true, "device": true, "pipe": true,
		"outdir/file": false, "outdir/secret": false, "../x": false, "sub/deep": false} {
		planted := filepath.Join(string(d), name+".new")
		if fits && filepath.Dir(name) == "." {
			if err := os.Symlink(filepath.Join(outside, "secret"), planted); err != nil {
				t.Fatal(err)
			}
		}
		for _, text := range []string{"first", "first", "second text"} {
			err := d.WriteFile(name, []byte(text))
			if (err == nil) != fits {
				t.Errorf("%s: %v", name, err)
			}
			if data, err := d.ReadFile(name, 100); fits && (err != nil || string(data) != text) {
				t.Errorf("%s holds %q, %v", name, data, err)
			}
		}
		if _, err := os.Lstat(planted); fits && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: an unfinished file stays: %v", name, err)
		}
	}
	if err := errors.Join(d.Remove("out"), d.Remove("new/deep/file"), d.Remove("none")); err != nil {
		t.Error(err)
	}
	if err := d.Remove("outdir/secret"); err == nil {
		t.Error("something outside was removed")
	}
	if err := d.Remove("sub"); err == nil {
		t.Error("a directory with something in it was removed")
	}
	entries, err := os.ReadDir(outside)
	data, readErr := os.ReadFile(filepath.Join(outside, "secret"))
	if err != nil || readErr != nil || len(entries) != 1 || string(data) != "secret" {
		t.Errorf("outside are %v with %q, %v, %v", entries, data, err, readErr)
	}
	fresh := d + "/made/here"
	if err := fresh.WriteFile("a/b", []byte("b")); err != nil {
		t.Error(err)
	}
}

// TestUnchangedFilesAreLeftAlone: what holds the same already is not written anew.
func TestUnchangedFilesAreLeftAlone(t *testing.T) {
	d := untrusted.Dir(t.TempDir())
	if err := d.WriteFile("file", []byte("text")); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(filepath.Join(string(d), "file"))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.WriteFile("file", []byte("text")); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(filepath.Join(string(d), "file")); err != nil || !os.SameFile(before, after) {
		t.Errorf("it was replaced (%v)", err)
	}
}

// TestWalkIsBounded: directories far below one another cost neither time nor memory, and each thing
// is given once.
func TestWalkIsBounded(t *testing.T) {
	dir := t.TempDir()
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("d", 200) // of these, a path cannot name 3000
	for range 3000 {
		below := -1
		if err = unix.Mkdirat(fd, long, 0o755); err == nil {
			below, err = unix.Openat(fd, long, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		}
		if err := errors.Join(err, unix.Close(fd)); err != nil {
			t.Fatal(err)
		}
		fd = below
	}
	if err := errors.Join(unix.Close(fd), os.Symlink(".", filepath.Join(dir, long, "link")), os.WriteFile(filepath.Join(dir, "file"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for depth, want := range map[int][]string{1: {long, "file"}, 2: {long + "/" + long, long + "/link", "file"}} {
		var names []string
		if err := untrusted.Dir(dir).Walk(".", depth, func(name string) error { names = append(names, name); return nil }); err != nil || !slices.Equal(names, want) {
			t.Errorf("to depth %d: %d names, %v", depth, len(names), err)
		}
	}
	var names []string
	if err := untrusted.Dir(dir).Walk("file", 1, func(name string) error { names = append(names, name); return nil }); err != nil || !slices.Equal(names, []string{"file"}) {
		t.Errorf("below a file: %v, %v", names, err)
	}
}

// TestNothingElseIsOpened: what is no regular file is not even opened, as that alone makes some
// devices do something.
func TestNothingElseIsOpened(t *testing.T) {
	d, _ := prepared(t)
	watch, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(watch) }()
	if _, err := unix.InotifyAddWatch(watch, filepath.Join(string(d), "pipe"), unix.IN_OPEN); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ReadFile("pipe", 5); !errors.Is(err, untrusted.ErrUnfit) {
		t.Errorf("read: %v", err)
	}
	if n, err := unix.Read(watch, make([]byte, 1024)); n > 0 {
		t.Error("it was opened")
	} else if !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
}

// TestDirectoriesInPlaceOfFiles: they are reported as what does not belong there, and nothing
// unfinished stays.
func TestDirectoriesInPlaceOfFiles(t *testing.T) {
	for _, name := range []string{"file", "file/below", "file.new", "file.new/below"} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := untrusted.Dir(dir).WriteFile("file", []byte("text")); !errors.Is(err, untrusted.ErrUnfit) {
			t.Errorf("%s: %v", name, err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("%s: then the directory holds %v, %v", name, entries, err)
		}
	}
}
