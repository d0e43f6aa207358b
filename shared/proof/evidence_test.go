package proof_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"nightdrop/shared/envelope/vector"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/shared/proof/prooftest"
)

func TestCheckpointsOfWhatReadersKeep(t *testing.T) {
	vault, stranger := vector.Signer(t, "vault.example", "vault.example"), vector.Signer(t, "other.example", "other.example")
	impostor := vector.Signer(t, "vault.example", "impostor of vault.example")
	log := prooftest.Of(t, 40)
	kept := func(s *note.Signer) []byte {
		r := &reader{t: t, vault: s}
		for _, size := range []int64{7, 20} {
			if err := errors.Join(r.head(log, size), r.prove(log, 3, size+5)); err != nil {
				t.Fatal(err)
			}
		}
		text, err := json.Marshal(&r.History)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, c := range map[string]struct {
		of    func(*note.Signer) []byte
		sizes []int64
	}{
		"a checkpoint": {func(s *note.Signer) []byte { return log.Sign(20, s) }, []int64{20}},
		"a proof":      {func(s *note.Signer) []byte { return log.Text(3, 20, s) }, []int64{20}},
		"a history":    {kept, []int64{7, 12, 20, 25}},
	} {
		got, err := proof.Checkpoints(c.of(vault), vault.Verifier())
		if err != nil || len(got) != len(c.sizes) {
			t.Errorf("%s: %v, %v", name, got, err)
			continue
		}
		for i, size := range c.sizes {
			if got[i] != log.Checkpoint("vault.example", size) {
				t.Errorf("%s holds %+v", name, got[i])
			}
		}
		for _, s := range []*note.Signer{stranger, impostor} {
			if got, err := proof.Checkpoints(c.of(s), vault.Verifier()); !errors.Is(err, note.ErrUnverified) {
				t.Errorf("%s by somebody else: %v, %v", name, got, err)
			}
		}
	}
	for _, text := range []string{"{}", `{"hello":[1]}`, `{"checkpoints":[],"offered":0}`, `{"format":"nightdrop/log/v1","origin":"vault.example","vkey":"x"}`} {
		if got, err := proof.Checkpoints([]byte(text), vault.Verifier()); !errors.Is(err, proof.ErrMalformed) {
			t.Errorf("%s shows nothing of the log: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "{", "{}x", `{"checkpoints":["x"]}`, "c2sp.org/tlog-proof@v1\n", "nonsense\n"} {
		if got, err := proof.Checkpoints([]byte(text), vault.Verifier()); err == nil {
			t.Errorf("%q holds %v", text, got)
		}
	}
}

// TestTheLastProofCounts: what a reader holds the vault's word of is held against a copy, also when
// later checkpoints have pushed it out.
func TestTheLastProofCounts(t *testing.T) {
	vault := vector.Signer(t, "vault.example", "vault.example")
	log := prooftest.Of(t, 1900)
	fork := prooftest.Of(t, 1150)
	fork.Add(prooftest.Record(1 << 40))
	fork.Grow(1200)
	h := &proof.History{}
	if _, err := h.AddProof(fork.Prove(1160, 1200, vault), prooftest.Record(1160), vault.Verifier()); err != nil {
		t.Fatal(err)
	}
	for size := int64(1201); size <= 1201+proof.MaxHeads; size++ {
		if _, err := h.AddCheckpoint(log.Sign(size, vault), vault.Verifier()); err != nil {
			t.Fatal(err)
		}
	}
	copied, err := proof.OpenTiles(t.Context(), log.Export(1900, vault), vault.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	if a, err := h.CheckTiles(t.Context(), copied); !errors.Is(err, proof.ErrDiverged) {
		t.Errorf("the log was rewritten, and a reader has the proof: %v, %v", a, err)
	}
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := proof.Checkpoints(text, vault.Verifier()); err != nil || !slices.Contains(got, fork.Checkpoint("vault.example", 1200)) {
		t.Errorf("%d checkpoints, without that of the proof: %v", len(got), err)
	}
}
