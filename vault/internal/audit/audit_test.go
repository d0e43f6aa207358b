package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/keyring/keyringtest"
	"nightdrop/vault/internal/merkle"
)

const origin = "vault.example"

// store is a log in memory, under a real log key.
type store struct {
	t      testing.TB
	rows   merkle.Memory
	ring   *keyring.Ring
	signer *note.Signer
	key    merkle.Key
	tail   merkle.Tail
	wraps  map[string][]byte // log keys wrapped for auditors, by file
}

func newStore(t testing.TB) *store {
	t.Helper()
	ring, _ := keyringtest.New(t, t.TempDir(), origin, time.Now)
	s := &store{t: t, ring: ring, signer: ring.Signer(), wraps: map[string][]byte{}}
	s.begin()
	return s
}

// grow appends until the log has size leaves; every third issues a result.
func (s *store) grow(size int64) {
	s.t.Helper()
	for s.tail.Size() < size {
		var facts []byte
		if s.tail.Size()%3 == 0 {
			facts = fmt.Appendf(nil, `{"payment":%d}`, s.tail.Size())
		}
		s.add(fmt.Appendf(nil, `{"number":%d}`, s.tail.Size()), facts)
	}
}

// add appends one entry.
func (s *store) add(event, facts []byte) {
	s.t.Helper()
	if _, err := merkle.Append(&s.rows, &s.tail, origin, s.key, event, facts); err != nil {
		s.t.Fatal(err)
	}
}

func (s *store) view(fn func(merkle.Rows) error) error { return fn(s.rows) }

func (s *store) exporter() Exporter {
	s.t.Helper()
	signed, err := proof.SignCheckpoint(proof.Checkpoint{Origin: origin, Size: s.tail.Size(), Root: s.tail.Root()}, s.signer)
	if err != nil {
		s.t.Fatal(err)
	}
	return Exporter{View: s.view, Vault: s.signer.Verifier(), Checkpoint: signed, Wraps: s.eachWrap}
}

func (s *store) export(dir string) error {
	_, err := s.exporter().Export(context.Background(), dir)
	return err
}

func TestExportGrowsAndVerifies(t *testing.T) {
	s := newStore(t)
	dir := filepath.Join(t.TempDir(), "log")
	for _, size := range []int64{1, 5, 255, 256, 257, 600, 600, 1000} {
		s.grow(size)
		if err := s.export(dir); err != nil {
			t.Fatal(err)
		}
		report, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{})
		if err != nil || report.Size != size || report.Verified != size || report.FirstBad != -1 {
			t.Fatalf("size %d: %+v, %v", size, report, err)
		}
	}
	// Of smaller sizes only partial tiles of a tile that is not full are left, for readers of their
	// checkpoints.
	want := map[string]bool{"checkpoint": true, "log.json": true}
	for n := range bundlesOf(1000) {
		want[entriesPath(n, widthOf(n, 1000))] = true
		want[bodiesPath(n, widthOf(n, 1000))] = true
	}
	for _, tile := range tlog.NewTiles(tileHeight, 0, 1000) {
		want[tilePath(tile)] = true
	}
	for _, w := range []int{1, 2} {
		want[tilePath(tlog.Tile{H: tileHeight, L: 1, N: 0, W: w})] = true
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if !want[name] {
			t.Errorf("%s is left over", name)
		}
		delete(want, name)
		return err
	})
	if err != nil || len(want) > 0 {
		t.Errorf("missing %v, %v", want, err)
	}
}

func TestExportGoesOnAfterBeingBrokenOff(t *testing.T) {
	s := newStore(t)
	dir := filepath.Join(t.TempDir(), "log")
	s.grow(300)
	if err := s.export(dir); err != nil {
		t.Fatal(err)
	}
	s.grow(2000)
	ctx, cancel := context.WithCancel(context.Background())
	x := s.exporter()
	x.Progress = func(done, _ int64) {
		if done > 1000 {
			cancel()
		}
	}
	if _, err := x.Export(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Fatalf("broken off export: %v", err)
	}
	if report, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{}); err != nil || report.Size != 300 {
		t.Errorf("the earlier checkpoint does not hold meanwhile: %+v, %v", report, err)
	}
	if err := s.export(dir); err != nil {
		t.Fatal(err)
	}
	var counted, of int64
	if report, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{Progress: func(done, total int64) { counted, of = done, total }}); err != nil || report.Verified != 2000 {
		t.Errorf("%+v, %v", report, err)
	}
	if counted != 2000 || of != 2000 {
		t.Errorf("progress ended with %d of %d", counted, of)
	}
}

func TestExportRefusesAnotherHistory(t *testing.T) {
	s, stranger := newStore(t), newStore(t)
	s.grow(10)
	stranger.grow(10)
	dir := t.TempDir()
	if err := s.export(dir); err != nil {
		t.Fatal(err)
	}
	if err := stranger.export(dir); !errors.Is(err, ErrOccupied) {
		t.Errorf("over another vault's log: %v", err)
	}
	if err := s.export(filepath.Join(dir, checkpointFile)); !errors.Is(err, ErrOccupied) {
		t.Errorf("into a file: %v", err)
	}
	stranger.signer = s.signer
	stranger.grow(11)
	if err := stranger.export(dir); !errors.Is(err, ErrIntegrity) {
		t.Errorf("over another history of the same vault: %v", err)
	}
	older := newStore(t)
	older.signer = s.signer
	older.grow(9)
	if err := older.export(dir); !errors.Is(err, ErrIntegrity) {
		t.Errorf("over a longer log: %v", err)
	}
}

// TestExportAgainRepairs: an export that writes everything again repairs what was damaged, cut or
// lost.
func TestExportAgainRepairs(t *testing.T) {
	s := newStore(t)
	s.grow(700)
	dir := t.TempDir()
	if err := s.export(dir); err != nil {
		t.Fatal(err)
	}
	edit(t, filepath.Join(dir, "tile/0/001"), flip(70))
	edit(t, filepath.Join(dir, "tile/entries/000"), cut)
	if err := os.Remove(filepath.Join(dir, "bodies/001")); err != nil {
		t.Fatal(err)
	}
	s.grow(1000)
	if err := s.export(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{}); !errors.Is(err, ErrIntegrity) {
		t.Fatalf("the damage is not found: %v", err)
	}
	x := s.exporter()
	x.Again = true
	if _, err := x.Export(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if report, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{}); err != nil || report.Verified != 1000 {
		t.Errorf("%+v, %v", report, err)
	}
}

// edit rewrites one exported file.
func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func flip(at int) func([]byte) []byte {
	return func(data []byte) []byte {
		data[at] ^= 1
		return data
	}
}

func cut(data []byte) []byte { return data[:len(data)-1] }

func TestVerifyFindsWhatIsWrong(t *testing.T) {
	s := newStore(t)
	s.grow(700)
	record := func(i int) int { return i * (2 + proof.LeafBytes) }
	for name, sabotage := range map[string]struct {
		file   string
		change func([]byte) []byte
		first  int64
	}{
		"facts half of a record":  {"tile/entries/001", flip(record(44) + 2), 300},
		"entry half of a record":  {"tile/entries/001", flip(record(44) + 2 + 63), 300},
		"length of a record":      {"tile/entries/001", flip(record(44) + 1), 256},
		"bundle cut":              {"tile/entries/002.p/188", cut, 512},
		"bundle with more":        {"tile/entries/000", func(d []byte) []byte { return append(d, 0) }, 0},
		"sealed entry":            {"bodies/000", func(d []byte) []byte { d[4+10] ^= 1; return d }, 0},
		"bodies cut":              {"bodies/001", cut, 511},
		"bodies with more":        {"bodies/001", func(d []byte) []byte { return append(d, 0) }, 511},
		"hash of a leaf":          {"tile/0/001", flip(32*5 + 3), 261},
		"hash of the upper level": {"tile/1/000.p/2", flip(40), -1},
		"tile cut":                {"tile/0/002.p/188", cut, 512},
		"checkpoint's root":       {"checkpoint", func(d []byte) []byte { return bytes.Replace(d, []byte("700\n"), []byte("700\nA"), 1) }, -1},
		"checkpoint's size":       {"checkpoint", func(d []byte) []byte { return bytes.Replace(d, []byte("700\n"), []byte("699\n"), 1) }, -1},
		"log.json":                {"log.json", func(d []byte) []byte { return bytes.Replace(d, []byte("vault"), []byte("fault"), 1) }, -1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := s.export(dir); err != nil {
				t.Fatal(err)
			}
			edit(t, filepath.Join(dir, sabotage.file), sabotage.change)
			report, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{})
			if !errors.Is(err, ErrIntegrity) || report.FirstBad != sabotage.first || report.Count == 0 {
				t.Errorf("report %+v, %v", report, err)
			}
			if _, err := json.Marshal(report); err != nil {
				t.Error(err)
			}
		})
	}
	for _, file := range []string{"log.json", "tile/entries/001", "bodies/002.p/188", "tile/0/000", "tile/1/000.p/2"} {
		t.Run("missing "+file, func(t *testing.T) {
			dir := t.TempDir()
			if err := s.export(dir); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(dir, file)); err != nil {
				t.Fatal(err)
			}
			if _, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{}); !errors.Is(err, ErrIntegrity) {
				t.Error(err)
			}
		})
	}
}

func TestVerifyNeedsTheVaultsKey(t *testing.T) {
	s, stranger := newStore(t), newStore(t)
	s.grow(3)
	dir := t.TempDir()
	if _, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory: %v", err)
	}
	if err := s.export(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(t.Context(), dir, stranger.signer.Verifier(), VerifyOptions{}); !errors.Is(err, ErrIntegrity) {
		t.Errorf("by another vault's key: %v", err)
	}
}

// TestEarlierCheckpoints: an earlier checkpoint shows that a log was rewritten or cut, even if it
// verifies by itself.
func TestEarlierCheckpoints(t *testing.T) {
	s := newStore(t)
	var earlier []Earlier
	kept := func(s *store) Earlier {
		return Earlier{From: fmt.Sprintf("kept at %d", s.tail.Size()), Checkpoint: proof.Checkpoint{Origin: origin, Size: s.tail.Size(), Root: s.tail.Root()}}
	}
	for _, size := range []int64{0, 1, 255, 256, 257, 600, 700} {
		s.grow(size)
		earlier = append(earlier, kept(s))
	}
	dir := t.TempDir()
	if err := s.export(dir); err != nil {
		t.Fatal(err)
	}
	verifier := s.signer.Verifier()
	shuffled := []Earlier{earlier[5], earlier[0], earlier[6], earlier[2], earlier[1], earlier[2], earlier[4], earlier[3]}
	if report, err := Verify(t.Context(), dir, verifier, VerifyOptions{Earlier: shuffled}); err != nil || report.Earlier != len(shuffled) {
		t.Errorf("of this log: %+v, %v", report, err)
	}
	edit(t, filepath.Join(dir, "tile/entries/000"), flip(40)) // by an attacker
	report, err := Verify(t.Context(), dir, verifier, VerifyOptions{Earlier: earlier})
	for _, p := range report.Problems {
		if strings.Contains(p.What, "rewritten") {
			t.Errorf("damaged files are the vault's fault: %+v", p)
		}
	}
	if !errors.Is(err, ErrIntegrity) || report.Earlier != 1 {
		t.Errorf("damaged: %+v, %v", report, err)
	}
	edit(t, filepath.Join(dir, "tile/entries/000"), flip(40))
	other := newStore(t) // another history, under the same key
	other.signer = s.signer
	other.grow(600)
	longer := s
	longer.grow(701)
	for name, bad := range map[string]Earlier{"another history": kept(other), "a longer log": kept(longer)} {
		report, err := Verify(t.Context(), dir, verifier, VerifyOptions{Earlier: append(slices.Clone(earlier), bad)})
		if !errors.Is(err, ErrIntegrity) || report.Count != 1 || report.Problems[0].File != bad.From || report.Earlier != len(earlier) {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
	}
}
