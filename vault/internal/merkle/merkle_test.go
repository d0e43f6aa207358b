package merkle

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/proof"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/keyring/keyringtest"
)

const origin = "vault.example"

// log is a log in memory, under a real log key.
type log struct {
	rows Memory
	tail Tail
	key  Key
}

func newLog(t *testing.T) *log {
	t.Helper()
	ring, _ := keyringtest.New(t, t.TempDir(), origin, time.Now)
	_, box, err := ring.NewBox(keyring.LogKeyPurpose(1))
	if err != nil {
		t.Fatal(err)
	}
	return &log{key: Key{Number: 1, Box: box}}
}

// grow appends until the log has size leaves; every third issues a result.
func (l *log) grow(t *testing.T, size int64) {
	t.Helper()
	for l.tail.Size() < size {
		var facts []byte
		if l.tail.Size()%3 == 0 {
			facts = fmt.Appendf(nil, `{"payment":%d}`, l.tail.Size())
		}
		event := fmt.Appendf(nil, `{"number":%d}`, l.tail.Size())
		if _, err := Append(&l.rows, &l.tail, origin, l.key, event, facts); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTailIsTlogsTree(t *testing.T) {
	l := newLog(t)
	for size := int64(1); size <= 70; size++ {
		l.grow(t, size)
		root, err := tlog.TreeHash(size, Hashes(l.rows))
		if err != nil {
			t.Fatal(err)
		}
		if root != l.tail.Root() {
			t.Errorf("root of %d leaves differs from tlog's", size)
		}
		again, err := ReadTail(l.rows, size, root)
		if err != nil || again != l.tail {
			t.Errorf("tail of %d leaves reads back differently: %v", size, err)
		}
		if _, err := ReadTail(l.rows, size, tlog.Hash{}); !errors.Is(err, ErrIntegrity) {
			t.Errorf("tail of %d leaves under another root: %v", size, err)
		}
	}
	if _, err := ReadTail(l.rows, 71, l.tail.Root()); !errors.Is(err, ErrIntegrity) {
		t.Errorf("tail beyond the end: %v", err)
	}
}

// TestRowIsItsLeafs: a leaf determines its row, bit by bit.
func TestRowIsItsLeafs(t *testing.T) {
	l := newLog(t)
	l.grow(t, 8)
	for index := range int64(8) {
		record, _, err := Stored(l.rows, index)
		if err != nil {
			t.Fatal(err)
		}
		before := Tail{}
		for i := range index {
			earlier, _, err := Stored(l.rows, i)
			if err != nil {
				t.Fatal(err)
			}
			before.Add(earlier[:])
		}
		whole := before
		if err := whole.CheckRow(l.rows, record[:]); err != nil {
			t.Errorf("row %d: %v", index, err)
		}
		for at := range l.rows.Node(index) {
			l.rows[index][1][at] ^= 1
			flipped := before
			if err := flipped.CheckRow(l.rows, record[:]); !errors.Is(err, ErrIntegrity) {
				t.Errorf("row %d with byte %d flipped: %v", index, at, err)
			}
			l.rows[index][1][at] ^= 1
		}
	}
}

func TestEntryReadsBackInItsPlaceOnly(t *testing.T) {
	l := newLog(t)
	l.grow(t, 3)
	keys := func(uint32) (Box, error) { return l.key.Box, nil }
	e, err := Read(l.rows, 1, origin, keys)
	if err != nil || string(e.Event) != `{"number":1}` || len(e.Salt) != proof.SaltBytes || e.Key != 1 {
		t.Errorf("entry %+v, %v", e, err)
	}
	if _, err := Read(l.rows, 1, "other.example", keys); !errors.Is(err, ErrIntegrity) {
		t.Errorf("opened under another origin: %v", err)
	}
	if _, err := Read(l.rows, 3, origin, keys); !errors.Is(err, ErrIntegrity) {
		t.Errorf("an entry beyond the end: %v", err)
	}
	l.rows[2][0] = l.rows[1][0] // moved to another index
	if _, err := Read(l.rows, 2, origin, keys); !errors.Is(err, ErrIntegrity) {
		t.Errorf("opened in another place: %v", err)
	}
}

// TestCarriedLogIsTheSame: a log carried into another store is the same log.
func TestCarriedLogIsTheSame(t *testing.T) {
	l := newLog(t)
	l.grow(t, 21)
	var to Memory
	var tail Tail
	for index := range l.tail.Size() {
		record, entry, err := Stored(l.rows, index)
		if err != nil {
			t.Fatal(err)
		}
		if err := Carry(&to, &tail, record, entry); err != nil {
			t.Fatal(err)
		}
	}
	if tail != l.tail {
		t.Error("the carried log ends otherwise")
	}
	for index := range l.tail.Size() {
		if string(to.Entry(index)) != string(l.rows.Entry(index)) || string(to.Node(index)) != string(l.rows.Node(index)) {
			t.Errorf("leaf %d was carried otherwise", index)
		}
	}
}

func TestEntryHasOneForm(t *testing.T) {
	good := string(plaintext(make([]byte, 16), []byte(`{"kind":"x"}`)))
	var e Entry
	if err := e.Parse([]byte(good)); err != nil || string(e.Event) != `{"kind":"x"}` || len(e.Salt) != 16 {
		t.Fatalf("%+v, %v", e, err)
	}
	for name, text := range map[string]string{
		"empty":         "",
		"cut":           good[:30],
		"no event":      `{"salt":"AAAAAAAAAAAAAAAAAAAAAA==","event":}`,
		"another order": `{"event":{},"salt":"AAAAAAAAAAAAAAAAAAAAAA=="}`,
		"spare bits":    strings.Replace(good, "AA==", "AB==", 1),
		"a short salt":  strings.Replace(good, "AAAA", "AAA=", 1),
		"another end":   good + " ",
		"another name":  strings.Replace(good, "event", "evenT", 1),
	} {
		var e Entry
		if err := e.Parse([]byte(text)); !errors.Is(err, ErrIntegrity) {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
}
