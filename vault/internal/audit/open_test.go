package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"nightdrop/shared/frame"
	"nightdrop/shared/seal"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/merkle"
)

// begin begins the next log key, wrapped for these auditors.
func (s *store) begin(auditors ...*keyring.Auditor) {
	s.t.Helper()
	number := s.key.Number + 1
	wrapped, box, err := s.ring.NewBox(keyring.LogKeyPurpose(number))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, a := range auditors {
		to, err := seal.ParseAuditor(a.Line())
		if err != nil {
			s.t.Fatal(err)
		}
		if s.wraps[wrapPath(number, a.Name())], err = s.ring.WrapLogKey(number, wrapped, to); err != nil {
			s.t.Fatal(err)
		}
	}
	s.key = merkle.Key{Number: number, Box: box}
}

func (s *store) eachWrap(fn func(number uint32, auditor string, wrap []byte) error) error {
	for name, wrap := range s.wraps {
		var number uint32
		if _, err := fmt.Sscanf(name, "keys/%d/", &number); err != nil {
			return err
		}
		if err := fn(number, filepath.Base(name), wrap); err != nil {
			return err
		}
	}
	return nil
}

// event appends a real event.
func (s *store) event(body book.Body) {
	s.t.Helper()
	text, err := json.Marshal(book.Event{Actor: "user:root", Origin: "socket", Body: body})
	if err != nil {
		s.t.Fatal(err)
	}
	s.add(text, nil)
}

func newAuditor(t testing.TB, name string) *keyring.Auditor {
	t.Helper()
	a, err := keyring.NewAuditor(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// audited is a log of 700 entries: anna's are 100 to 449, over three log keys; bert's 300 to the
// end.
func audited(t testing.TB) (s *store, anna, bert *keyring.Auditor) {
	t.Helper()
	return auditedBy(t, 100)
}

// auditedBy is the same in steps of other lengths.
func auditedBy(t testing.TB, step int64) (s *store, anna, bert *keyring.Auditor) {
	t.Helper()
	s, anna, bert = newStore(t), newAuditor(t, "anna"), newAuditor(t, "bert")
	s.grow(step)
	s.begin(anna)
	s.event(book.AuditorAdded{Name: "anna", Key: anna.Line()})
	s.grow(2 * step)
	s.begin(anna) // a new day
	s.grow(3 * step)
	s.begin(anna, bert)
	s.event(book.AuditorAdded{Name: "bert", Key: bert.Line()})
	s.grow(4*step + step/2 - 1)
	s.event(book.AuditorRemoved{Name: "anna"})
	s.begin(bert)
	s.grow(6 * step)
	s.begin(bert)
	s.grow(7 * step)
	return s, anna, bert
}

// opens reads an export from an index on and returns which entries open, and the error.
func opens(t testing.TB, dir string, s *store, from int64, who Identity) (opened []int64, read int64, err error) {
	t.Helper()
	x, err := OpenExport(dir, s.signer.Verifier())
	if err != nil {
		return nil, 0, err
	}
	err = x.Entries(context.Background(), from, who, func(e Entry) error {
		if e.Index != from+read {
			t.Errorf("entry %d comes as number %d", e.Index, from+read)
		}
		read++
		switch {
		case e.Err == nil && (len(e.Event) == 0 || len(e.Salt) != 16):
			t.Errorf("entry %d is opened and empty", e.Index)
		case e.Err == nil:
			opened = append(opened, e.Index)
		case !errors.Is(e.Err, ErrNotYours) && !errors.Is(e.Err, ErrNoBody) || e.Event != nil:
			t.Errorf("entry %d: %v, %s", e.Index, e.Err, e.Event)
		}
		return nil
	})
	return opened, read, err
}

func span(from, to int64) (all []int64) {
	for i := from; i <= to; i++ {
		all = append(all, i)
	}
	return all
}

func TestAuditorsOpenTheirTime(t *testing.T) {
	s, anna, bert := audited(t)
	dir := t.TempDir()
	if err := s.export(dir); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		who  Identity
		from int64
		want []int64
	}{
		"anna":                {anna, 0, span(100, 449)},
		"anna from within":    {anna, 256, span(256, 449)},
		"anna from after":     {anna, 500, nil},
		"bert":                {bert, 0, span(300, 699)},
		"bert from the last":  {bert, 699, span(699, 699)},
		"a stranger":          {newAuditor(t, "cora"), 0, nil},
		"nobody":              {nil, 0, nil},
		"from beyond the end": {bert, 700, nil},
	} {
		opened, read, err := opens(t, dir, s, test.from, test.who)
		if err != nil || !slices.Equal(opened, test.want) || read != 700-test.from {
			t.Errorf("%s: opened %v of %d, %v", name, opened, read, err)
		}
	}
	stop := errors.New("enough")
	x, err := OpenExport(dir, s.signer.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Entries(t.Context(), 0, nil, func(Entry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("fn's error: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := x.Entries(ended, 0, nil, func(Entry) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
}

// TestWrapsThatAreNotRight: the attacked auditor detects each attack on the wrapped log keys, and
// at which entry.
func TestWrapsThatAreNotRight(t *testing.T) {
	s, anna, bert := audited(t)
	impostor := newAuditor(t, "anna")
	file := func(dir, name string) string { return filepath.Join(dir, keysDir, name) }
	read := func(t *testing.T, path string) []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, test := range map[string]struct {
		who    Identity
		attack func(t *testing.T, dir string) error
	}{
		"another key under the auditor's name": {impostor, func(*testing.T, string) error { return nil }},
		"two log keys exchanged": {anna, func(t *testing.T, dir string) error {
			a, b := read(t, file(dir, "2/anna")), read(t, file(dir, "3/anna"))
			return errors.Join(os.WriteFile(file(dir, "2/anna"), b, 0o600), os.WriteFile(file(dir, "3/anna"), a, 0o600))
		}},
		"another auditor's wrap": {anna, func(t *testing.T, dir string) error {
			return os.WriteFile(file(dir, "4/anna"), read(t, file(dir, "4/bert")), 0o600)
		}},
		"a log key that somebody made up": {bert, func(t *testing.T, dir string) error {
			to, err := seal.ParseAuditor(bert.Line())
			if err != nil {
				return err
			}
			wrap, err := to.WrapLogKey(origin, 5, make([]byte, seal.LogKeyBytes))
			return errors.Join(err, os.WriteFile(file(dir, "5/bert"), wrap, 0o600))
		}},
		"the first wrap withheld":  {anna, func(_ *testing.T, dir string) error { return os.Remove(file(dir, "2/anna")) }},
		"a wrap between withheld":  {anna, func(_ *testing.T, dir string) error { return os.Remove(file(dir, "3/anna")) }},
		"the last wrap withheld":   {anna, func(_ *testing.T, dir string) error { return os.Remove(file(dir, "4/anna")) }},
		"the newest wrap withheld": {bert, func(_ *testing.T, dir string) error { return os.Remove(file(dir, "6/bert")) }},
		"a wrap cut":               {bert, func(_ *testing.T, dir string) error { return os.Truncate(file(dir, "5/bert"), 1000) }},
		"an older wrap of the name": {anna, func(t *testing.T, dir string) error {
			older, _, _ := audited(t)
			return os.WriteFile(file(dir, "3/anna"), older.wraps[wrapPath(3, "anna")], 0o600)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := s.export(dir); err != nil {
				t.Fatal(err)
			}
			if err := test.attack(t, dir); err != nil {
				t.Fatal(err)
			}
			if _, _, err := opens(t, dir, s, 0, test.who); !errors.Is(err, ErrIntegrity) {
				t.Errorf("read to the end: %v", err)
			}
		})
	}
}

func TestVerifyLooksAtTheFormOfWraps(t *testing.T) {
	s, _, _ := audited(t)
	for name, attack := range map[string]func(dir string) error{
		"cut": func(dir string) error { return os.Truncate(filepath.Join(dir, "keys/3/anna"), 10) },
		"another key": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "keys/3/anna"), s.wraps["keys/4/bert"], 0o600)
		},
		"no number": func(dir string) error { return os.Rename(filepath.Join(dir, "keys/3"), filepath.Join(dir, "keys/03")) },
		"no name": func(dir string) error {
			return os.Rename(filepath.Join(dir, "keys/3/anna"), filepath.Join(dir, "keys/3/An na"))
		},
	} {
		dir := t.TempDir()
		if err := s.export(dir); err != nil {
			t.Fatal(err)
		}
		if report, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{}); err != nil || report.Wraps != 6 {
			t.Fatalf("before: %+v, %v", report, err)
		}
		if err := attack(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{}); !errors.Is(err, ErrIntegrity) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBodiesMayBeLeftOut: leading bundles, and back again; undeclared omissions are detected.
func TestBodiesMayBeLeftOut(t *testing.T) {
	s, _, bert := audited(t)
	dir := t.TempDir()
	for _, test := range []struct{ bodies, absent int64 }{{0, 0}, {255, 0}, {256, 256}, {700, 512}, {600, 512}, {300, 256}, {0, 0}} {
		x := s.exporter()
		x.Bodies = test.bodies
		if _, err := x.Export(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		report, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{})
		if err != nil || report.Absent != test.absent || report.Verified != s.tail.Size()-test.absent {
			t.Errorf("bodies from %d: %+v, %v", test.bodies, report, err)
		}
		opened, read, err := opens(t, dir, s, 0, bert)
		if err != nil || read != s.tail.Size() || !slices.Equal(opened, span(max(300, test.absent), s.tail.Size()-1)) {
			t.Errorf("bodies from %d: opened %v of %d, %v", test.bodies, opened, read, err)
		}
		s.grow(s.tail.Size() + 10)
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, "bodies/000")), os.Remove(filepath.Join(dir, logFile)), s.export(dir)); err != nil {
		t.Fatal(err)
	}
	if report, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{}); err != nil || report.Absent != 0 {
		t.Errorf("log.json was lost, and the export made again: %+v, %v", report, err)
	}
	if err := os.Remove(filepath.Join(dir, "bodies/000")); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{}); !errors.Is(err, ErrIntegrity) {
		t.Errorf("bodies were removed: %v", err)
	}
	if _, _, err := opens(t, dir, s, 0, bert); !errors.Is(err, ErrIntegrity) {
		t.Errorf("bodies were removed, reading: %v", err)
	}
}

// TestReadingFindsWhatVerifyFinds: every file that a reader uses, with one defect.
func TestReadingFindsWhatVerifyFinds(t *testing.T) {
	s, _, bert := audited(t)
	for name, attack := range map[string]func(t *testing.T, dir string){
		"a record":            func(t *testing.T, dir string) { edit(t, filepath.Join(dir, "tile/entries/001"), flip(70)) },
		"a record at the end": func(t *testing.T, dir string) { edit(t, filepath.Join(dir, "tile/entries/002.p/188"), flip(70)) },
		"a sealed entry":      func(t *testing.T, dir string) { edit(t, filepath.Join(dir, "bodies/001"), flip(70)) },
		"bodies cut":          func(t *testing.T, dir string) { edit(t, filepath.Join(dir, "bodies/002.p/188"), cut) },
		"a tile of the end":   func(t *testing.T, dir string) { edit(t, filepath.Join(dir, "tile/0/002.p/188"), flip(5)) },
		"the upper tile":      func(t *testing.T, dir string) { edit(t, filepath.Join(dir, "tile/1/000.p/2"), flip(5)) },
		"the upper tile cut":  func(t *testing.T, dir string) { edit(t, filepath.Join(dir, "tile/1/000.p/2"), cut) },
		"the checkpoint":      func(t *testing.T, dir string) { edit(t, filepath.Join(dir, "checkpoint"), flip(20)) },
		"log.json":            func(t *testing.T, dir string) { edit(t, filepath.Join(dir, "log.json"), flip(20)) },
		"two sealed entries exchanged": func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "bodies/001"), func(data []byte) []byte {
				frames := make([][]byte, 102)
				for i, rest := 0, data; i < len(frames); i++ {
					frames[i], rest, _ = frame.Cut(rest)
				}
				one, other := frames[100], frames[101]
				if len(one) != len(other) {
					t.Fatal("entries 356 and 357 are not of one length")
				}
				first := bytes.Clone(one)
				copy(one, other)
				copy(other, first)
				return data
			})
		},
		"an entry taken out": func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "tile/entries/001"), func(data []byte) []byte { return slices.Delete(data, 66*9, 66*10) })
		},
		"records exchanged": func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "tile/entries/001"), func(data []byte) []byte {
				first := bytes.Clone(data[:66])
				copy(data, data[66:132])
				copy(data[66:], first)
				return data
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := s.export(dir); err != nil {
				t.Fatal(err)
			}
			attack(t, dir)
			if _, _, err := opens(t, dir, s, 0, bert); !errors.Is(err, ErrIntegrity) {
				t.Errorf("read to the end: %v", err)
			}
			if _, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{}); !errors.Is(err, ErrIntegrity) {
				t.Errorf("verified: %v", err)
			}
		})
	}
}

// TestNoFlippedBitIsAcceptedInSilence flips one bit at 10,000 random positions of an export: each
// time the verification or an auditor detects it, or both auditors read exactly the same.
func TestNoFlippedBitIsAcceptedInSilence(t *testing.T) {
	s, anna, bert := auditedBy(t, 39) // a full bundle and a short one
	dir := t.TempDir()
	x := s.exporter()
	x.Summary = []byte("<!doctype html>")
	if _, err := x.Export(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	files, total := exported(t, dir)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	found, byAuditors, harmless := 0, 0, map[string]int{}
	names := slices.Sorted(maps.Keys(files))
	for range 10_000 {
		place, bit := random.IntN(total), byte(1)<<random.IntN(8)
		name := ""
		for _, name = range names {
			if place < len(files[name]) {
				break
			}
			place -= len(files[name])
		}
		overwrite(t, filepath.Join(dir, name), place, files[name][place]^bit)
		if _, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{}); err != nil {
			found++
		} else if _, _, err := opens(t, dir, s, 0, anna); err != nil {
			byAuditors++
		} else if _, _, err := opens(t, dir, s, 0, bert); err != nil {
			byAuditors++
		} else {
			harmless[name]++
		}
		overwrite(t, filepath.Join(dir, name), place, files[name][place])
	}
	t.Logf("%d found by verifying, %d by auditors, harmless: %v", found, byAuditors, harmless)
	if delete(harmless, summaryFile); len(harmless) > 0 || found == 0 || byAuditors == 0 {
		t.Errorf("accepted in silence: %v", harmless)
	}
	if _, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{}); err != nil {
		t.Errorf("control: restored, and %v", err)
	}
}

// overwrite writes one byte in place without a sync, which is quick.
func overwrite(t *testing.T, path string, at int, b byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt([]byte{b}, int64(at))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func exported(t *testing.T, dir string) (files map[string][]byte, total int) {
	t.Helper()
	files = map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[name], err = os.ReadFile(path)
		total += len(files[name])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, total
}
