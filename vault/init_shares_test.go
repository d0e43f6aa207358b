package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// onAnotherDisk makes a directory that is not on the disk of the tests' own, which goes with the
// test.
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
