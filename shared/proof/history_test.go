package proof_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"nightdrop/shared/envelope/vector"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/shared/proof/prooftest"
)

// Every subtree that a proof shows is one of the log's, and the log up to the leaf, before it and
// with it, is among them.
func TestProofShowsTheLogBeforeItsLeaf(t *testing.T) {
	vault := vector.Signer(t, "vault.example", "vault.example")
	log := prooftest.Of(t, 40)
	for size := int64(1); size <= 40; size++ {
		for i := range size {
			p := log.Prove(i, size, vault)
			shown, err := p.Subtrees(size, prooftest.Record(i))
			if err != nil {
				t.Fatalf("leaf %d of %d: %v", i, size, err)
			}
			for _, prefix := range []int64{i, i + 1} {
				root, known := shown.Root(prefix)
				if want := log.Checkpoint("vault.example", prefix).Root; !known || root != want {
					t.Errorf("leaf %d of %d shows root %v of the first %d, known %v", i, size, root, prefix, known)
				}
			}
			for prefix := range size {
				if root, known := shown.Root(prefix); known && root != log.Checkpoint("vault.example", prefix).Root {
					t.Errorf("leaf %d of %d shows another root of the first %d", i, size, prefix)
				}
			}
			if len(p.Hashes) > 0 {
				p.Hashes = p.Hashes[1:]
				if _, err := p.Subtrees(size, prooftest.Record(i)); !errors.Is(err, proof.ErrDiverged) {
					t.Errorf("leaf %d of %d with a hash less: %v", i, size, err)
				}
			}
		}
	}
}

// reader is one who is shown a log.
type reader struct {
	t     *testing.T
	vault *note.Signer
	proof.History
}

func (r *reader) prove(log *prooftest.Log, index, size int64) error {
	r.t.Helper()
	p := log.Prove(index, size, r.vault)
	_, err := r.AddProof(p, prooftest.Record(index), r.vault.Verifier())
	return err
}

func (r *reader) head(log *prooftest.Log, size int64) error {
	r.t.Helper()
	_, err := r.AddCheckpoint(log.Sign(size, r.vault), r.vault.Verifier())
	return err
}

func readers(t *testing.T) (a, b *reader, log *prooftest.Log) {
	vault := vector.Signer(t, "vault.example", "vault.example")
	return &reader{t: t, vault: vault}, &reader{t: t, vault: vault}, prooftest.Of(t, 100)
}

// rewritten is the log with another leaf at index, as long as before.
func rewritten(t *testing.T, size, index int64) *prooftest.Log {
	log := prooftest.Of(t, index)
	log.Add(prooftest.Record(1 << 40))
	log.Grow(size)
	return log
}

func TestHonestLogContradictsNothing(t *testing.T) {
	r, _, log := readers(t)
	for size := int64(1); size <= 100; size++ {
		if err := errors.Join(r.prove(log, size-1, size), r.prove(log, size/2, size), r.head(log, size)); err != nil {
			t.Fatalf("size %d: %v", size, err)
		}
	}
	if newest, ok := r.Newest(); !ok || newest.Size != 100 || len(r.Heads()) != 100 || !r.Changed() {
		t.Errorf("newest %d of %d", newest.Size, len(r.Heads()))
	}
	again := r.Clone()
	if _, err := again.AddCheckpoint(log.Sign(100, r.vault), r.vault.Verifier()); err != nil || again.Changed() {
		t.Errorf("the same again: %v, changed %v", err, again.Changed())
	}
}

func TestContradictionsAreFoundAndNothingIsAdded(t *testing.T) {
	for name, c := range map[string]struct {
		first, then func(r *reader, log *prooftest.Log) error
		want        error
	}{
		"two roots of one size": {
			func(r *reader, log *prooftest.Log) error { return r.head(log, 50) },
			func(r *reader, _ *prooftest.Log) error { return r.head(rewritten(t, 50, 20), 50) }, proof.ErrDiverged},
		"a proof by another root of that size": {
			func(r *reader, log *prooftest.Log) error { return r.prove(log, 10, 50) },
			func(r *reader, _ *prooftest.Log) error { return r.prove(rewritten(t, 50, 49), 10, 50) }, proof.ErrDiverged},
		"shorter than it was": {
			func(r *reader, log *prooftest.Log) error { return r.head(log, 50) },
			func(r *reader, log *prooftest.Log) error { return r.head(log, 49) }, proof.ErrRewound},
		"cut, and grown again with other entries": {
			func(r *reader, log *prooftest.Log) error { return r.prove(log, 40, 50) },
			func(r *reader, _ *prooftest.Log) error { return r.prove(rewritten(t, 90, 30), 60, 90) }, proof.ErrDiverged},
		"other entries before an older checkpoint": {
			func(r *reader, log *prooftest.Log) error { return errors.Join(r.head(log, 44), r.prove(log, 10, 50)) },
			func(r *reader, _ *prooftest.Log) error { return r.prove(rewritten(t, 90, 43), 44, 90) }, proof.ErrDiverged},
		"an older checkpoint that the proof does not begin with": {
			func(r *reader, log *prooftest.Log) error { return r.prove(log, 44, 90) },
			func(r *reader, _ *prooftest.Log) error { return r.head(rewritten(t, 44, 43), 44) }, proof.ErrDiverged},
	} {
		t.Run(name, func(t *testing.T) {
			r, _, log := readers(t)
			if err := c.first(r, log); err != nil {
				t.Fatal(err)
			}
			before, _ := json.Marshal(&r.History)
			err := c.then(r, log)
			wrong, ok := errors.AsType[*proof.Contradiction](err)
			if !ok || !errors.Is(err, c.want) || len(wrong.Kept) == 0 || len(wrong.Got) == 0 {
				t.Fatalf("got %v, want %v with evidence", err, c.want)
			}
			if after, _ := json.Marshal(&r.History); string(after) != string(before) {
				t.Error("it was added all the same")
			}
		})
	}
}

func TestSplitViewBetweenTwoReaders(t *testing.T) {
	for name, c := range map[string]struct {
		a, b  func(a *reader, log *prooftest.Log) error
		split bool
		want  int64 // entries proved the same
	}{
		"the same checkpoint":   {func(a *reader, log *prooftest.Log) error { return a.head(log, 60) }, func(b *reader, log *prooftest.Log) error { return b.head(log, 60) }, false, 60},
		"sizes without a proof": {func(a *reader, log *prooftest.Log) error { return a.head(log, 60) }, func(b *reader, log *prooftest.Log) error { return b.head(log, 61) }, false, 0},
		"two roots":             {func(a *reader, log *prooftest.Log) error { return a.head(log, 60) }, func(b *reader, _ *prooftest.Log) error { return b.head(rewritten(t, 60, 3), 60) }, true, 0},
		"a proof that begins with the other's checkpoint": {func(a *reader, log *prooftest.Log) error { return a.head(log, 60) },
			func(b *reader, log *prooftest.Log) error { return b.prove(log, 60, 90) }, false, 60},
		"the other way round": {func(a *reader, log *prooftest.Log) error { return a.prove(log, 60, 90) },
			func(b *reader, log *prooftest.Log) error { return b.head(log, 60) }, false, 60},
		"a proof that does not begin with it": {func(a *reader, log *prooftest.Log) error { return a.head(log, 60) },
			func(b *reader, _ *prooftest.Log) error { return b.prove(rewritten(t, 90, 59), 60, 90) }, true, 0},
		"the other way round, split": {func(a *reader, _ *prooftest.Log) error { return a.prove(rewritten(t, 90, 59), 60, 90) },
			func(b *reader, log *prooftest.Log) error { return b.head(log, 60) }, true, 0},
		"two proofs, the same so far": {func(a *reader, log *prooftest.Log) error { return a.prove(log, 40, 50) },
			func(b *reader, log *prooftest.Log) error { return b.prove(log, 47, 90) }, false, 48},
		"two proofs, another past": {func(a *reader, log *prooftest.Log) error { return a.prove(log, 40, 50) },
			func(b *reader, _ *prooftest.Log) error { return b.prove(rewritten(t, 90, 5), 60, 90) }, true, 0},
		"two proofs without a subtree in common": {func(a *reader, log *prooftest.Log) error { return a.prove(log, 40, 50) },
			func(b *reader, log *prooftest.Log) error { return b.prove(log, 80, 90) }, false, 0},
		"nothing shown": {func(a *reader, log *prooftest.Log) error { return a.head(log, 60) }, func(*reader, *prooftest.Log) error { return nil }, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a, b, log := readers(t)
			if err := errors.Join(c.a(a, log), c.b(b, log)); err != nil {
				t.Fatal(err)
			}
			got, err := proof.Compare(&a.History, &b.History)
			if wrong, split := errors.AsType[*proof.Contradiction](err); split != c.split || split && (len(wrong.Kept) == 0 || len(wrong.Got) == 0) || !split && err != nil {
				t.Fatalf("got %v", err)
			}
			if got.Common != c.want {
				t.Errorf("%d entries proved the same, want %d", got.Common, c.want)
			}
			if fmt.Sprint(got) == "" || c.want > 0 && !strings.Contains(got.String(), fmt.Sprint(c.want)) {
				t.Errorf("says %q", got)
			}
		})
	}
}

func TestHistoryOfAnotherLogOrKey(t *testing.T) {
	a, b, log := readers(t)
	b.vault = vector.Signer(t, "other.example", "other.example")
	if err := errors.Join(a.head(log, 10), b.head(log, 10)); err != nil {
		t.Fatal(err)
	}
	if _, err := proof.Compare(&a.History, &b.History); !errors.Is(err, note.ErrUnverified) {
		t.Errorf("histories of two logs: %v", err)
	}
	if err := b.Verify(a.vault.Verifier()); !errors.Is(err, note.ErrUnverified) {
		t.Errorf("checkpoints of a stranger: %v", err)
	}
	if _, err := a.AddCheckpoint(log.Sign(20, b.vault), b.vault.Verifier()); !errors.Is(err, note.ErrUnverified) {
		t.Errorf("a checkpoint of another log: %v", err)
	}
	p := log.Prove(3, 20, b.vault)
	if _, err := a.AddProof(p, prooftest.Record(3), a.vault.Verifier()); !errors.Is(err, note.ErrUnverified) {
		t.Errorf("a proof by a stranger's checkpoint: %v", err)
	}
	p = log.Prove(3, 20, a.vault)
	if _, err := a.AddProof(p, prooftest.Record(4), a.vault.Verifier()); !errors.Is(err, proof.ErrDiverged) {
		t.Errorf("the proof of another leaf: %v", err)
	}
}

// Two keys of one vault, as while it changes keys.
func TestCheckpointByAnyOfTheVaultsKeys(t *testing.T) {
	old, next := vector.Signer(t, "vault.example", "vault.example"), vector.Signer(t, "vault.example", "second vault.example")
	log := prooftest.Of(t, 5)
	for _, by := range []*note.Signer{old, next} {
		if _, err := proof.OpenCheckpoint(log.Sign(5, by), old.Verifier(), next.Verifier()); err != nil {
			t.Error(err)
		}
	}
	if _, err := proof.OpenCheckpoint(log.Sign(5, next), old.Verifier()); !errors.Is(err, note.ErrUnverified) {
		t.Errorf("a key that is not listed: %v", err)
	}
}

func TestHistoryIsKept(t *testing.T) {
	r, _, log := readers(t)
	if err := errors.Join(r.head(log, 30), r.prove(log, 40, 50)); err != nil {
		t.Fatal(err)
	}
	kept, err := json.Marshal(&r.History)
	if err != nil {
		t.Fatal(err)
	}
	var read reader
	if err := json.Unmarshal(kept, &read.History); err != nil {
		t.Fatal(err)
	}
	read.t, read.vault = t, r.vault
	if err := read.Verify(r.vault.Verifier()); err != nil {
		t.Errorf("what was kept does not verify: %v", err)
	}
	if again, err := json.Marshal(&read.History); err != nil || string(again) != string(kept) {
		t.Errorf("kept as %s, then as %s", kept, again)
	}
	if err := read.prove(rewritten(t, 90, 30), 60, 90); !errors.Is(err, proof.ErrDiverged) {
		t.Errorf("a rewritten log after reading: %v", err)
	}
	if err := read.head(log, 29); !errors.Is(err, proof.ErrRewound) {
		t.Errorf("a rewound log after reading: %v", err)
	}
	for name, text := range map[string]string{
		"no JSON":         `{`,
		"no note":         `{"checkpoints":["x"],"offered":0}`,
		"a size twice":    strings.Replace(string(kept), `"checkpoints":[`, `"checkpoints":["`+quoted(t, log.Sign(50, r.vault))+`",`, 1),
		"a record cut":    strings.Replace(string(kept), `"record":"`, `"record":"AAAA","x":"`, 1),
		"half a proof":    strings.Replace(string(kept), `index 40\n`, `index 40\nAAAA\n`, 1),
		"another's proof": strings.Replace(string(kept), `index 40\n`, `index 60\n`, 1),
	} {
		if err := json.Unmarshal([]byte(text), &proof.History{}); err == nil {
			t.Errorf("%s: read", name)
		}
	}
	forged := strings.Replace(string(kept), `index 40\n`, `index 41\n`, 1)
	var other proof.History
	if err := json.Unmarshal([]byte(forged), &other); err != nil {
		t.Fatal(err)
	}
	if err := other.Verify(r.vault.Verifier()); !errors.Is(err, proof.ErrDiverged) {
		t.Errorf("a history whose proof does not hold: %v", err)
	}
}

func quoted(t *testing.T, msg []byte) string {
	t.Helper()
	text, err := json.Marshal(string(msg))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Trim(string(text), `"`)
}

func TestHistoryIsBounded(t *testing.T) {
	r, _, log := readers(t)
	log.Grow(proof.MaxHeads + 50)
	for size := int64(1); size <= proof.MaxHeads+50; size++ {
		if err := r.head(log, size); err != nil {
			t.Fatal(err)
		}
	}
	heads := r.Heads()
	if len(heads) != proof.MaxHeads || heads[0].Size != 51 {
		t.Errorf("%d checkpoints from size %d", len(heads), heads[0].Size)
	}
}

// What a reader kept is damaged when a signature of a known key is wrong or the rest does not fit;
// keys that the vault gave up are no damage.
func TestVerifyKept(t *testing.T) {
	r, _, log := readers(t)
	if err := errors.Join(r.head(log, 7), r.prove(log, 3, 20), r.head(log, 30)); err != nil {
		t.Fatal(err)
	}
	kept, err := json.Marshal(&r.History)
	if err != nil {
		t.Fatal(err)
	}
	root := func(size int64) string { return base64.StdEncoding.EncodeToString(rootOf(log, size)) }
	next := vector.Signer(t, "vault.example", "the next key of vault.example").Verifier()
	for name, c := range map[string]struct {
		old, new  string
		vault     note.Verifier
		unchecked int
		whole     bool
	}{
		"whole":                                 {"", "", r.vault.Verifier(), 0, true},
		"signed by a key that was given up":     {"", "", next, 4, true},
		"another root":                          {root(7), root(8), r.vault.Verifier(), 0, false},
		"another size":                          {`"vault.example\n7\n`, `"vault.example\n8\n`, r.vault.Verifier(), 0, false},
		"another size that was offered":         {`"offered":30`, `"offered":31`, r.vault.Verifier(), 0, false},
		"a size that was offered and is there":  {`"offered":30`, `"offered":20`, r.vault.Verifier(), 0, true},
		"another leaf":                          {`"record":"`, `"record":"AA`, r.vault.Verifier(), 0, false},
		"another leaf, by a key that was given": {`"record":"`, `"record":"AA`, next, 0, false},
		"another log":                           {"vault.example", "other.example", next, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.ReplaceAll(string(kept), c.old, c.new)
			if c.old == "" {
				text = string(kept)
			} else if text == string(kept) {
				t.Fatal("nothing was changed")
			}
			if strings.HasSuffix(c.new, "AA") { // in the place of two others
				at := strings.Index(text, c.new) + len(c.new)
				text = text[:at] + text[at+2:]
			}
			h, err := proof.HistoryOf([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			unchecked, err := h.VerifyKept("vault.example", c.vault)
			if unchecked != c.unchecked || (err == nil) != c.whole {
				t.Errorf("%d unchecked, %v", unchecked, err)
			}
		})
	}
}

func rootOf(log *prooftest.Log, size int64) []byte {
	root := log.Checkpoint("vault.example", size).Root
	return root[:]
}
