package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// onAnotherDisk makes a directory that is not on the disk of the tests' own, which goes with the test.
func onAnotherDisk(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "nightdrop-shares-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var here, there unix.Stat_t
	if unix.Stat(dir, &there) != nil || unix.Stat(t.TempDir(), &here) != nil || here.Dev == there.Dev {
		t.Fatalf("%s is on the disk of %s: set TMPDIR to a directory on a disk", dir, t.TempDir())
	}
	return dir
}

// initTo makes a vault of which each share goes to a directory.
func initTo(t *testing.T, to ...string) (code int, said string) {
	t.Helper()
	var out, errOut bytes.Buffer
	args := []string{"init", "--dir", filepath.Join(t.TempDir(), "v"), "--name", "vault.example.com", "--threshold", "1",
		"--shares", fmt.Sprint(len(to)), "--shares-to", strings.Join(to, ",")}
	code = run(t.Context(), args, console{in: strings.NewReader(""), out: &out, errOut: &errOut, now: time.Now})
	return code, errOut.String()
}

func TestSharesGoToOtherDisks(t *testing.T) {
	a, b := filepath.Join(onAnotherDisk(t), "a"), filepath.Join(onAnotherDisk(t), "b")
	for _, dir := range []string{a, b} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if code, said := initTo(t, a); code != 0 || strings.Contains(said, "warning") {
		t.Errorf("to another disk: exit %d, %s", code, said)
	}
	if err := os.Remove(filepath.Join(a, "vault.example.com-share-1")); err != nil {
		t.Fatal(err)
	}
	if code, said := initTo(t, a, b); code != 0 || !strings.Contains(said, "warning: shares 1 and 2 are on one disk") {
		t.Errorf("two on one disk: exit %d, %s", code, said)
	}
	if code, said := initTo(t, t.TempDir()); code != 2 || !strings.Contains(said, "--shares-on-own-disk") {
		t.Errorf("to the vault's own disk: exit %d, %s", code, said)
	}
	missing := filepath.Join(onAnotherDisk(t), "missing")
	if code, said := initTo(t, missing); code != 5 || !strings.Contains(said, "stick mounted") {
		t.Errorf("to a directory that is not there: exit %d, %s", code, said)
	}
	if _, err := os.Lstat(missing); !os.IsNotExist(err) {
		t.Errorf("the directory was made: %v", err)
	}
}

// TestDisksBelowAFileSystem: a partition is its disk, and a volume all that it is made of.
func TestDisksBelowAFileSystem(t *testing.T) {
	sys := t.TempDir()
	put := func(name, content string) {
		t.Helper()
		path := filepath.Join(sys, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(name, to string) {
		t.Helper()
		path := filepath.Join(sys, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	}
	put("devices/sda/dev", "8:0\n")
	put("devices/sda/sda1/dev", "8:1\n")
	put("devices/sda/sda1/partition", "1\n")
	put("devices/sda/sda2/dev", "8:2\n")
	put("devices/sda/sda2/partition", "2\n")
	put("devices/sdb/dev", "8:16\n")
	put("devices/dm-0/dev", "252:0\n")
	link("devices/dm-0/slaves/sda2", "../../sda/sda2")
	devices := map[string]string{"8:0": "sda", "8:1": "sda/sda1", "8:2": "sda/sda2", "8:16": "sdb", "252:0": "dm-0"}
	for number, at := range devices {
		link("dev/block/"+number, "../../devices/"+at)
	}
	of := func(number string) disks {
		d := disks{}
		d.add(sys, number)
		return d
	}
	for number, want := range map[string][]string{
		"8:1": {"8:0", "8:1"}, "252:0": {"252:0", "8:0", "8:2"}, "8:16": {"8:16"}, "0:44": {"0:44"},
	} {
		if got := slices.Sorted(maps.Keys(of(number))); !slices.Equal(got, want) {
			t.Errorf("%s lies on %v, not %v", number, got, want)
		}
	}
	if !of("8:1").meet(of("252:0")) || of("8:1").meet(of("8:16")) {
		t.Error("two file systems on one disk meet, two on different ones do not")
	}
	here, err := disksOf(sysfs, filepath.Join(t.TempDir(), "not", "there", "yet"))
	if err != nil || len(here) == 0 {
		t.Errorf("of a directory that is to come: %v, %v", here, err)
	}
}
