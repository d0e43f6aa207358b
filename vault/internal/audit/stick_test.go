package audit

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// promptly fails the test when something does not end.
func promptly(t *testing.T, what string, do func()) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		do()
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal(what + " does not end")
	}
}

// TestStickOfAnAttacker: whoever prepared the directory that an auditor reads can make no file block the reader, fill its memory, or be read from
// elsewhere: each is found as what is wrong with the export.
func TestStickOfAnAttacker(t *testing.T) {
	s, _, bert := audited(t)
	whole := t.TempDir()
	if err := s.export(whole); err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	if err := os.CopyFS(elsewhere, os.DirFS(whole)); err != nil {
		t.Fatal(err)
	}
	replaced := map[string]func(path, name string) error{
		"a pipe":              func(path, _ string) error { return unix.Mkfifo(path, 0o644) },
		"a directory":         func(path, _ string) error { return os.Mkdir(path, 0o755) },
		"a link to its equal": func(path, name string) error { return os.Symlink(filepath.Join(elsewhere, name), path) },
		"a link to a device":  func(path, _ string) error { return os.Symlink("/dev/zero", path) },
		"a link to itself":    func(path, _ string) error { return os.Symlink(filepath.Base(path), path) },
		"a file without an end": func(path, _ string) error {
			return errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, 1<<40))
		},
		"a frame without an end": func(path, _ string) error {
			return errors.Join(os.WriteFile(path, []byte("\xff\xff\xff\xff"), 0o644), os.Truncate(path, 1<<40))
		},
	}
	for _, name := range []string{"checkpoint", "log.json", "tile/0/001", "tile/1/000.p/2", "tile/entries/001", "bodies/001", "keys/4/bert"} {
		for what, put := range replaced {
			t.Run(strings.ReplaceAll(name, "/", "-")+" is "+what, func(t *testing.T) {
				dir := t.TempDir()
				if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(dir, name)
				if err := errors.Join(os.Remove(path), put(path, name)); err != nil {
					t.Fatal(err)
				}
				promptly(t, "verifying", func() {
					withheld := name == "keys/4/bert" && what == "a directory" // which only bert finds out
					if _, err := Verify(dir, s.signer.Verifier(), VerifyOptions{}); !errors.Is(err, ErrIntegrity) && !withheld {
						t.Errorf("verified: %v", err)
					}
				})
				if name == "tile/0/001" {
					return // reading goes by the tiles above
				}
				promptly(t, "reading", func() {
					if _, _, err := opens(t, dir, s, 0, bert); !errors.Is(err, ErrIntegrity) {
						t.Errorf("read: %v", err)
					}
				})
			})
		}
	}
	for _, name := range []string{"tile", "bodies", "keys"} {
		t.Run(name+" leads elsewhere", func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, name)
			if err := errors.Join(os.RemoveAll(path), os.Symlink(filepath.Join(elsewhere, name), path)); err != nil {
				t.Fatal(err)
			}
			if _, err := Verify(dir, s.signer.Verifier(), VerifyOptions{}); !errors.Is(err, ErrIntegrity) {
				t.Errorf("verified: %v", err)
			}
			if _, _, err := opens(t, dir, s, 0, bert); !errors.Is(err, ErrIntegrity) {
				t.Errorf("read: %v", err)
			}
		})
	}
}

// TestExportOntoAnAttackersStick: links that somebody prepared for the vault to write through change nothing outside the stick.
func TestExportOntoAnAttackersStick(t *testing.T) {
	s, _, _ := audited(t)
	for name, prepare := range map[string]func(dir, outside string) error{
		"links for unfinished files": func(dir, outside string) error {
			return errors.Join(os.Symlink(filepath.Join(outside, "victim"), filepath.Join(dir, "checkpoint.new")),
				os.Symlink(filepath.Join(outside, "victim"), filepath.Join(dir, "log.json.new")))
		},
		"a link for the checkpoint": func(dir, outside string) error {
			return os.Symlink(filepath.Join(outside, "victim"), filepath.Join(dir, "checkpoint"))
		},
		"a link for a directory": func(dir, outside string) error { return os.Symlink(outside, filepath.Join(dir, "bodies")) },
		"a pipe for a file":      func(dir, _ string) error { return unix.Mkfifo(filepath.Join(dir, "summary.html"), 0o644) },
		"links below": func(dir, outside string) error {
			return errors.Join(os.MkdirAll(filepath.Join(dir, "tile"), 0o755), os.Symlink(outside, filepath.Join(dir, "tile", "entries")))
		},
	} {
		for _, again := range []bool{false, true} {
			dir, outside := t.TempDir(), t.TempDir()
			victim := filepath.Join(outside, "victim")
			if err := errors.Join(os.WriteFile(victim, []byte("precious"), 0o600), prepare(dir, outside)); err != nil {
				t.Fatal(err)
			}
			x := s.exporter()
			x.Again, x.Summary = again, []byte("a page")
			promptly(t, "exporting", func() {
				if _, err := x.Export(t.Context(), dir); err != nil && !errors.Is(err, ErrOccupied) {
					t.Errorf("%s: %v", name, err)
				} else if err == nil {
					if _, err := Verify(dir, s.signer.Verifier(), VerifyOptions{}); err != nil {
						t.Errorf("%s: what was exported: %v", name, err)
					}
				}
			})
			entries, err := os.ReadDir(outside)
			data, readErr := os.ReadFile(victim)
			if err != nil || readErr != nil || len(entries) != 1 || string(data) != "precious" {
				t.Errorf("%s: outside are %v, with %q (%v, %v)", name, entries, data, err, readErr)
			}
		}
	}
}

// TestExportTakesNobodysDirectory: an export neither overwrites nor mixes with what somebody else keeps under one of its names, and one that was
// broken off is known by its log.json.
func TestExportTakesNobodysDirectory(t *testing.T) {
	s := newStore(t)
	s.grow(300)
	for _, name := range []string{"log.json", "summary.html", "keys/mine", "tile/mine", "bodies/mine"} {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("mine"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := s.export(dir); !errors.Is(err, ErrOccupied) || !strings.Contains(err.Error(), filepath.ToSlash(strings.Split(name, "/")[0])) {
			t.Errorf("%s: %v", name, err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("%s: the directory holds %v, %v", name, entries, err)
		}
	}
	beside := t.TempDir()
	if err := os.WriteFile(filepath.Join(beside, "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.export(beside); err != nil {
		t.Errorf("beside another file: %v", err)
	}
	if err := errors.Join(os.Remove(filepath.Join(beside, "checkpoint")), os.RemoveAll(filepath.Join(beside, "bodies"))); err != nil {
		t.Fatal(err)
	}
	if err := s.export(beside); err != nil { // as after a crash
		t.Errorf("after one that was broken off: %v", err)
	}
	if _, err := Verify(beside, s.signer.Verifier(), VerifyOptions{}); err != nil {
		t.Error(err)
	}
}
