package audit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"

	"nightdrop/shared/proof"
	"nightdrop/shared/untrusted"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/merkle"
)

// promptly fails the test when do does not end soon.
func promptly(t *testing.T, what string, do func()) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		do()
	}()
	waittest.Receive(t, what+" to end", ended)
}

// TestStickOfAnAttacker: no prepared file in an auditor's directory can block the reader, fill its
// memory, or be read from elsewhere: each is a problem of the export.
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
					if _, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{}); !errors.Is(err, ErrIntegrity) {
						t.Errorf("verified: %v", err)
					}
				})
				if name == "tile/0/001" {
					return // the reader uses the tiles above
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
			if _, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{}); !errors.Is(err, ErrIntegrity) {
				t.Errorf("verified: %v", err)
			}
			if _, _, err := opens(t, dir, s, 0, bert); !errors.Is(err, ErrIntegrity) {
				t.Errorf("read: %v", err)
			}
		})
	}
}

// TestExportOntoAnAttackersStick: prepared links change nothing outside the stick.
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
					if _, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{}); err != nil {
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

// TestExportTakesNobodysDirectory: an export neither overwrites nor mixes with other files of its
// names; an unfinished one is recognised by its log.json.
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
	if _, err := Verify(t.Context(), beside, s.signer.Verifier(), VerifyOptions{}); err != nil {
		t.Error(err)
	}
}

// TestAgainRepairs: whatever happened to an export's files, --again repairs them, or the error says
// what to do.
func TestAgainRepairs(t *testing.T) {
	s, _, _ := audited(t)
	damages := map[string]func(path string) error{
		"lost": os.Remove,
		// as after a power failure
		"emptied":     func(path string) error { return os.Truncate(path, 0) },
		"overwritten": func(path string) error { return os.WriteFile(path, []byte("garbage"), 0o644) },
		"a directory": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o755)) },
		"a pipe":      func(path string) error { return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o644)) },
	}
	files := map[string][]string{"checkpoint": {"checkpoint"}, "log.json": {"log.json"}, "both": {"checkpoint", "log.json"}, "bodies": {"bodies/001"},
		"a tile": {"tile/1/000.p/2"}, "a key": {"keys/4/bert"}}
	for what, damage := range damages {
		for which, names := range files {
			t.Run(which+" "+what, func(t *testing.T) {
				dir := t.TempDir()
				if err := s.export(dir); err != nil {
					t.Fatal(err)
				}
				for _, name := range names {
					if err := damage(filepath.Join(dir, name)); err != nil {
						t.Fatal(err)
					}
				}
				x := s.exporter()
				if _, err := x.Export(t.Context(), dir); names[0] == "checkpoint" && what != "lost" && (!errors.Is(err, ErrOccupied) || !strings.Contains(err.Error(), "--again")) {
					t.Errorf("without --again: %v", err)
				}
				x.Again = true
				_, err := x.Export(t.Context(), dir)
				for _, name := range names { // does what the errors say
					path := filepath.Join(dir, name)
					if err == nil {
						break
					}
					if !errors.Is(err, ErrOccupied) || !strings.Contains(err.Error(), "remove it") {
						t.Errorf("with --again: %v", err)
					}
					if err := os.Remove(path); err != nil {
						t.Fatal(err)
					}
					_, err = x.Export(t.Context(), dir)
				}
				if err != nil {
					t.Errorf("at last: %v", err)
				}
				if report, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{}); err != nil || report.Verified != s.tail.Size() {
					t.Errorf("verified %+v, %v", report, err)
				}
			})
		}
	}
}

// TestAgainRepairsNobodysCheckpoint: --again does not change another vault's export.
func TestAgainRepairsNobodysCheckpoint(t *testing.T) {
	s, other := newStore(t), newStore(t)
	s.grow(300)
	other.grow(300)
	dir := t.TempDir()
	if err := other.export(dir); err != nil {
		t.Fatal(err)
	}
	x := s.exporter()
	x.Again = true
	if _, err := x.Export(t.Context(), dir); !errors.Is(err, ErrOccupied) {
		t.Errorf("exported: %v", err)
	}
	if _, err := Verify(t.Context(), dir, other.signer.Verifier(), VerifyOptions{}); err != nil {
		t.Errorf("the other's: %v", err)
	}
}

// TestKeysOfAnAttacker: what is deeper under keys/ than keys is a problem, and not read.
func TestKeysOfAnAttacker(t *testing.T) {
	s, _, _ := audited(t)
	dir := t.TempDir()
	if err := s.export(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "keys/1/mallory/deeper/still"), 0o755); err != nil {
		t.Fatal(err)
	}
	report, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{})
	if !errors.Is(err, ErrIntegrity) || report.Count != 1 || report.Problems[0].File != "keys/1/mallory" {
		t.Errorf("%+v: %v", report.Problems, err)
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	s, _, _ := audited(t)
	dir := t.TempDir()
	if err := s.export(dir); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := Verify(ended, dir, s.signer.Verifier(), VerifyOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
}

// exporterAt exports the log's first size leaves.
func (s *store) exporterAt(size int64) Exporter {
	s.t.Helper()
	x := s.exporter()
	root, err := tlog.TreeHash(size, merkle.Hashes(s.rows))
	if err == nil {
		x.Checkpoint, err = proof.SignCheckpoint(proof.Checkpoint{Origin: origin, Size: size, Root: root}, s.signer)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return x
}

// TestExportsBrokenOffGoOn: wherever an export breaks off, the next completes it, whatever each
// leaves out and however the log has grown.
func TestExportsBrokenOffGoOn(t *testing.T) {
	s := newStore(t)
	s.grow(1600)
	enough := errors.New("broken off")
	type step struct {
		size, bodies int64
		again        bool
	}
	for _, steps := range [][3]step{
		{{0, 0, false}, {700, 0, false}, {900, 0, false}},
		{{0, 0, false}, {900, 512, false}, {900, 0, false}},
		{{900, 0, false}, {1300, 512, false}, {1400, 256, false}},
		{{1400, 768, false}, {1500, 0, false}, {1600, 256, true}},
		{{1600, 1024, false}, {1600, 0, true}, {1600, 512, false}},
	} {
		for calls, broken := 0, true; broken; calls++ {
			dir, left := t.TempDir(), calls
			for i, step := range steps {
				x := s.exporterAt(step.size)
				x.Bodies, x.Again = step.bodies, step.again
				if i == 1 {
					x.View = func(fn func(merkle.Rows) error) error {
						if left--; left < 0 {
							return enough
						}
						return fn(s.rows)
					}
				}
				if _, err := x.Export(t.Context(), dir); err != nil && (i != 1 || !errors.Is(err, enough)) {
					t.Fatalf("%v, broken off at %d, step %d: %v", steps, calls, i, err)
				}
				broken = left < 0
			}
			report, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{})
			if last := steps[2]; err != nil || report.Absent != last.bodies || report.Verified != last.size-last.bodies {
				t.Fatalf("%v, broken off at %d: %+v, %v", steps, calls, report, err)
			}
		}
	}
}

func TestBodiesOfExportsBrokenOffAreLeftOutToo(t *testing.T) {
	s := newStore(t)
	s.grow(1600)
	dir := t.TempDir()
	if _, err := s.exporterAt(700).Export(t.Context(), dir); err != nil { // bodies/002.p/188
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, "checkpoint")), os.WriteFile(filepath.Join(dir, "bodies/001.new"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	x := s.exporter()
	x.Bodies = 1024
	if _, err := x.Export(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	var names []string
	err := untrusted.Dir(dir).Walk(bodiesDir, 9, func(name string) error { names = append(names, name); return nil })
	if want := []string{"bodies/004", "bodies/005", "bodies/006.p/64"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("bodies are %v, %v", names, err)
	}
	if entries, err := os.ReadDir(filepath.Join(dir, bodiesDir)); err != nil || len(entries) != 3 {
		t.Errorf("bodies are in %v, %v", entries, err)
	}
}
