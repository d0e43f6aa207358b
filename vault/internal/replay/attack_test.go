package replay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/audit"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/merkle"
)

// index returns the place of the n-th event of a kind, from 0.
func (v *vault) index(kind string, n int) int {
	v.t.Helper()
	for i, l := range v.history {
		if l.event.Body.Kind() == kind {
			if n == 0 {
				return i
			}
			n--
		}
	}
	v.t.Fatalf("no such %s", kind)
	return 0
}

// TestOneWhoOwnsTheLogsKeysIsFound: a log that was written anew, with every seal, hash and
// signature right, does not replay.
func TestOneWhoOwnsTheLogsKeysIsFound(t *testing.T) {
	v := newVault(t)
	v.month()
	answered := book.AuthorisationAnswered{}.Kind()
	for name, test := range map[string]func(h []logged) (history []logged, first int){
		"an entry removed": func(h []logged) ([]logged, int) {
			i := v.index(answered, 4)
			return slices.Delete(h, i, i+1), v.index(book.BatchClosed{}.Kind(), 0) - 1
		},
		"two entries in another order": func(h []logged) ([]logged, int) {
			i := v.index(answered, 4)
			h[i], h[i-1] = h[i-1], h[i]
			return h, i - 1
		},
		"an entry twice": func(h []logged) ([]logged, int) {
			i := v.index(answered, 4)
			return slices.Insert(h, i, h[i]), i + 1
		},
		"an entry in another's place": func(h []logged) ([]logged, int) {
			i := v.index(answered, 4)
			h[i] = h[v.index(answered, 2)]
			return h, i
		},
		"an amount altered, and the result that tells of it": func(h []logged) ([]logged, int) {
			i := v.index(book.EnvelopeReceived{}.Kind(), 4)
			b := h[i].event.Body.(book.EnvelopeReceived)
			b.Amount += 100
			h[i].event.Body = b
			j := v.index(answered, 4)
			facts := bytes.Replace(h[j].facts, []byte(`"amount":1004`), []byte(`"amount":1104`), 1)
			if bytes.Equal(facts, h[j].facts) {
				t.Fatalf("facts %s", facts)
			}
			h[j].facts = facts
			return h, v.index(book.BatchClosed{}.Kind(), 0)
		},
		"an amount altered, and the merchant told the old one": func(h []logged) ([]logged, int) {
			i := v.index(book.EnvelopeReceived{}.Kind(), 4)
			b := h[i].event.Body.(book.EnvelopeReceived)
			b.Amount += 100
			h[i].event.Body = b
			return h, v.index(answered, 4)
		},
		"a decline told as an approval": func(h []logged) ([]logged, int) {
			i := v.index(answered, 6)
			if b := h[i].event.Body.(book.AuthorisationAnswered); b.Code == envelope.ISOCode("00") {
				t.Fatal("the seventh is declined")
			}
			h[i].facts = h[v.index(answered, 5)].facts
			return h, i
		},
		"a result withheld from its leaf": func(h []logged) ([]logged, int) {
			i := v.index(answered, 4)
			h[i].facts = nil
			return h, i
		},
		"a result made up": func(h []logged) ([]logged, int) {
			i := v.index(book.AuthorisationIntended{}.Kind(), 4)
			h[i].facts = h[v.index(answered, 4)].facts
			return h, i
		},
		"an event of the future": func(h []logged) ([]logged, int) {
			i := v.index(answered, 4)
			h[i].event.Time = h[len(h)-1].event.Time
			return h, i + 1
		},
		"a settlement of more than was agreed": func(h []logged) ([]logged, int) {
			i := v.index(book.ReconciliationAnswered{}.Kind(), 0)
			b := h[i].event.Body.(book.ReconciliationAnswered)
			b.Host.Amount++
			h[i].event.Body = b
			return h, i
		},
	} {
		history, first := test(slices.Clone(v.history))
		w := v.rewritten(history)
		r, _, err := w.replay(w.export(), given{})
		if err != nil || !errors.Is(r.Err(), ErrDiverged) || r.First != int64(first) {
			t.Errorf("%s: %v, first at %d and not %d", name, errors.Join(err, r.Err()), r.First, first)
		}
	}
	w := v.rewritten(v.history)
	r, _, err := w.replay(w.export(), given{})
	if err != nil || r.Err() != nil {
		t.Errorf("nothing altered: %v", errors.Join(err, r.Err()))
	}
	if r, _, err = w.replay(w.export(), given{from: v.opening.Bytes()}); err != nil || !errors.Is(r.Err(), ErrDiverged) {
		t.Errorf("nothing altered, but not the log that the opening was signed of: %v", errors.Join(err, r.Err()))
	}
}

// TestAnOlderDatabaseIsFound: a log that was cut, or grown again from an older copy, folds without
// a fault; the vault's own word is against it.
func TestAnOlderDatabaseIsFound(t *testing.T) {
	v := newVault(t)
	v.month()
	half := len(v.history) / 2
	cut := v.rewritten(slices.Clone(v.history[:half]))
	regrown := v.rewritten(slices.Clone(v.history[:half]))
	for range v.history[half:] {
		regrown.log(regrown.event("", book.LogExported{Dir: "/media/other"}), nil)
	}
	for name, w := range map[string]*vault{"cut": cut, "regrown": regrown} {
		dir := w.export()
		if r, _, err := w.replay(dir, given{}); err != nil || r.Err() != nil {
			t.Errorf("%s, and nothing to compare with: %v", name, errors.Join(err, r.Err()))
		}
		s := NewStatements(v.signer.Verifier())
		v.must(s.Add(v.checkpoint()))
		if r, _, err := w.replay(dir, given{statements: s}); err != nil || !errors.Is(r.Err(), ErrDiverged) {
			t.Errorf("%s: %v", name, errors.Join(err, r.Err()))
		}
	}
}

// frames cuts an exported file into its frames of a length of prefix bytes.
func frames(data []byte, prefix int) (all [][]byte) {
	for len(data) > 0 {
		n := int(binary.BigEndian.Uint16(data))
		if prefix == 4 {
			n = int(binary.BigEndian.Uint32(data))
		}
		all = append(all, data[:prefix+n])
		data = data[prefix+n:]
	}
	return all
}

// TestOneWhoOwnsTheFilesIsFound: whatever is done to records and bodies together, without the
// vault's key, the tree tells.
func TestOneWhoOwnsTheFilesIsFound(t *testing.T) {
	v := newVault(t)
	v.month()
	for name, change := range map[string]func(all [][]byte) [][]byte{
		"removed":     func(all [][]byte) [][]byte { return slices.Delete(all, 40, 41) },
		"reordered":   func(all [][]byte) [][]byte { all[40], all[41] = all[41], all[40]; return all },
		"duplicated":  func(all [][]byte) [][]byte { return slices.Insert(all, 40, all[40]) },
		"replaced":    func(all [][]byte) [][]byte { all[40] = all[50]; return all },
		"the end cut": func(all [][]byte) [][]byte { return all[:40] },
	} {
		dir := v.export()
		for folder, prefix := range map[string]int{"tile/entries": 2, "bodies": 4} {
			path := filepath.Join(dir, folder, "000")
			data, err := os.ReadFile(path)
			v.must(err)
			v.must(os.WriteFile(path, bytes.Join(change(frames(data, prefix)), nil), 0o600))
		}
		r, _, err := v.replay(dir, given{})
		if err != nil || !errors.Is(r.Err(), ErrDiverged) || r.Through != r.From {
			t.Errorf("%s: %v", name, errors.Join(err, r.Err()))
		}
	}
}

// TestDamageBeforeTheState has its own entry's index, though only what comes after is folded, and
// blames no key.
func TestDamageBeforeTheState(t *testing.T) {
	v := newVault(t)
	v.sale(1)
	dir := v.export()
	matches, err := filepath.Glob(filepath.Join(dir, "tile/entries/000.p/*"))
	v.must(err)
	if len(matches) != 1 {
		t.Fatal(matches)
	}
	data, err := os.ReadFile(matches[0])
	v.must(err)
	data[40] ^= 1 // of entry 0
	v.must(os.WriteFile(matches[0], data, 0o644))
	r, _, err := v.replay(dir, given{})
	v.must(err)
	if !errors.Is(r.Err(), ErrDiverged) || r.First != 0 || r.Findings[0].Index != 0 || r.Gap != "" {
		t.Errorf("%+v, %v", r, r.Err())
	}
}

func TestWrongKeysAreFound(t *testing.T) {
	v := newVault(t)
	v.month()
	v.begin(v.anna)
	v.sale(1)
	dir := v.export()
	if first, err := keyring.NewAuditor("anna"); err != nil {
		t.Fatal(err)
	} else if r, _, err := v.replay(dir, given{who: first}); err != nil || !errors.Is(r.Err(), ErrDiverged) {
		t.Errorf("another key of that name: %v", errors.Join(err, r.Err()))
	}
	// A log key in another's place.
	data, err := os.ReadFile(filepath.Join(dir, "keys", "3", "anna"))
	v.must(err)
	v.must(os.WriteFile(filepath.Join(dir, "keys", "2", "anna"), data, 0o600))
	if r, _, err := v.replay(dir, given{}); err != nil || !errors.Is(r.Err(), ErrDiverged) {
		t.Errorf("log keys exchanged: %v", errors.Join(err, r.Err()))
	}
	// Entries that were sealed under a key of somebody else's.
	w := *v
	w.history = slices.Clone(v.history)
	other := newVault(t)
	for i := range w.history {
		w.history[i].key = merkle.Key{Number: w.history[i].key.Number, Box: other.key.Box}
	}
	x := w.rewritten(w.history)
	if r, _, err := x.replay(x.export(), given{}); err != nil || !errors.Is(r.Err(), ErrDiverged) {
		t.Errorf("sealed under another log key: %v", errors.Join(err, r.Err()))
	}
	// A checkpoint of another vault.
	stranger, err := note.GenerateSigner(origin)
	v.must(err)
	if _, err := audit.OpenExport(dir, stranger.Verifier()); !errors.Is(err, audit.ErrIntegrity) {
		t.Errorf("another vault's: %v", err)
	}
}
