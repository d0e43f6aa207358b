package flips

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// stored makes a ledger-like file: a bucket of many pages, one inside its parent's page, and free
// pages.
func stored(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: boltPage})
	must(t, err)
	for range 3 {
		must(t, db.Update(func(tx *bbolt.Tx) error {
			many, err := tx.CreateBucketIfNotExists([]byte("many"))
			must(t, err)
			few, err := tx.CreateBucketIfNotExists([]byte("few"))
			must(t, err)
			must(t, few.Put([]byte("a key of few"), []byte("a value of few")))
			for i := range 300 {
				must(t, many.Put([]byte(strings.Repeat("k",
					10)+string(rune('a'+i/26))+string(rune('a'+i%26))), bytes.Repeat([]byte("v"), 100)))
			}
			return nil
		}))
	}
	must(t, db.Close())
	return filepath.Dir(path)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestUsedBytesOfALedger: keys and values are found where they are, whole, and no byte twice.
func TestUsedBytesOfALedger(t *testing.T) {
	d, err := Read(stored(t))
	must(t, err)
	spans := Survey(d)["ledger"]
	text := func(what string) string {
		var b strings.Builder
		for _, s := range spans[what] {
			b.Write(d[0].Content[s.From:s.To])
		}
		return b.String()
	}
	if text("key of few") != "a key of few" || text("value of few") != "a value of few" {
		t.Errorf("few: key %q, value %q", text("key of few"), text("value of few"))
	}
	if n := len(spans["key of many"]); n != 300 || text("value of many") != strings.Repeat("v", 300*100) {
		t.Errorf("many: %d keys", n)
	}
	for what, least := range map[string]int{"meta page": 2, "list of free pages": 1,
		"branch key of many": 2, "branch element of many": 2, "page header of many": 3,
		"bucket header of many": 1, "page header of few": 1, "element of root": 2} {
		if len(spans[what]) < least {
			t.Errorf("%s: %d spans, want %d at least", what, len(spans[what]), least)
		}
	}
	seen := map[int]string{}
	for what, all := range spans {
		for _, s := range all {
			for at := s.From; at < s.To; at++ {
				if other, taken := seen[at]; taken {
					t.Fatalf("byte %d is of %s and of %s", at, other, what)
				}
				seen[at] = what
			}
		}
	}
}

// TestOneBitIsFlipped: what is laid out is the disk but for one bit, with its times; a seed draws
// the same flip again, and every structure comes up.
func TestOneBitIsFlipped(t *testing.T) {
	from := stored(t)
	must(t, os.WriteFile(filepath.Join(from, "ledger.db.clean"), []byte("mark"), 0o600))
	long := time.Now().Add(-time.Hour).Truncate(time.Second)
	must(t, os.Chtimes(filepath.Join(from, "ledger.db"), long, long))
	d, err := Read(from)
	must(t, err)
	ground := Survey(d)
	kinds := map[string]bool{}
	for seed := range uint64(500) {
		f := ground.Pick(seed, "")
		if again := ground.Pick(seed, ""); again != f {
			t.Fatalf("seed %d: %v, then %v", seed, f, again)
		}
		kinds[f.What] = true
	}
	if n := len(ground["ledger"]) + len(ground["marks"]); len(kinds) != n {
		t.Errorf("%d of %d structures came up", len(kinds), n)
	}
	f := ground.Pick(1, "ledger")
	dir := t.TempDir()
	must(t, d.Lay(dir, f))
	was, err := os.ReadFile(filepath.Join(from, f.File))
	must(t, err)
	is, err := os.ReadFile(filepath.Join(dir, f.File))
	must(t, err)
	if len(is) != len(was) || is[f.Offset] != was[f.Offset]^1<<f.Bit {
		t.Fatalf("%s: %d bytes, the byte %x, was %d bytes, %x", f, len(is), is[f.Offset], len(was), was[f.Offset])
	}
	is[f.Offset] = was[f.Offset]
	if info, err := os.Stat(filepath.Join(dir, f.File)); err != nil || !bytes.Equal(is,
		was) || !info.ModTime().Equal(long) {
		t.Errorf("%s: other bytes changed too, or the time did: %v %v", f, info, err)
	}
	_, err = os.Stat(filepath.Join(dir, "ledger.db.clean"))
	if (err != nil) != f.Killed {
		t.Errorf("killed %v, and the mark of a proper end: %v", f.Killed, err)
	}
	must(t, d.Replace(dir, f.File))
	if is, err = os.ReadFile(filepath.Join(dir, f.File)); err != nil || !bytes.Equal(is, was) {
		t.Errorf("a sound copy is not what was there: %v", err)
	}
}

// TestDiffers: what is missing and what is too many is reported, with how often.
func TestDiffers(t *testing.T) {
	a := Truth{"x": {"1", "2", "2"}}
	for _, c := range []struct {
		b    []string
		want bool
	}{{[]string{"1", "2", "2"}, false}, {[]string{"2", "1", "2"}, false}, {[]string{"1", "2"},
		true}, {[]string{"1", "2", "2", "2"}, true}, {nil, true}} {
		if got := a.Differs(Truth{"x": c.b, "y": {"not asked"}}, Truth{"x": nil}); (got != "") != c.want {
			t.Errorf("%v: %q", c.b, got)
		}
	}
	counts := Table{}
	counts.Add(Flip{File: "v/ledger.db", What: "key of ids"}, Wrong)
	counts.Add(Flip{File: "v/ledger.db", What: "key of ids"}, Harmless)
	if lines := strings.Split(counts.String(),
		"\n"); len(lines) != 3 || !slices.Equal(strings.Fields(lines[1]), []string{"all", "1", "0", "0", "0", "1"}) {
		t.Errorf("the table is\n%s", counts)
	}
}
