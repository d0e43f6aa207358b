package proof_test

import (
	"errors"
	"strings"
	"testing"

	"nightdrop/shared/envelope/vector"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/shared/proof/prooftest"
)

// prefixText is what the first size entries of 21 are.
func prefixText(t testing.TB, size int64) string {
	t.Helper()
	vault := vector.Signer(t, "vault.example", "vault.example")
	tiles, err := proof.OpenTiles(t.Context(), prooftest.Of(t, 21).Export(21, vault), vault.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	p, err := tiles.Prefix(t.Context(), size)
	if err != nil {
		t.Fatal(err)
	}
	text, err := proof.EncodePrefix(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func prefixCorpus(t testing.TB) vector.File {
	vault := vector.Signer(t, "vault.example", "vault.example")
	f := vector.File{Format: "prefix", About: "What a log's first entries are by a checkpoint, as evidence against another checkpoint; read for form.",
		Keys: []string{vault.Verifier().String()}}
	add := func(want, defect, text string) {
		v := vector.New(defect, want, defect, []byte(text))
		v.Exact = want == vector.Accepted
		f.Vectors = append(f.Vectors, v)
	}
	text := prefixText(t, 7)
	line := strings.SplitAfter(text, "\n")[3]
	replace := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in the text", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	add(vector.Accepted, "7 of 21 entries", text)
	add(vector.Accepted, "8 of 21 entries", prefixText(t, 8))
	add(vector.Accepted, "no entries", prefixText(t, 0))
	add(vector.Accepted, "all entries", prefixText(t, 21))
	add(vector.Malformed, "nothing", "")
	add(vector.Malformed, "another version", replace("/v1", "/v2"))
	add(vector.Malformed, "no size", replace("size 7\n", ""))
	add(vector.Malformed, "a size with a leading zero", replace("size 7", "size 07"))
	add(vector.Malformed, "a negative size", replace("size 7", "size -7"))
	add(vector.Malformed, "no root", replace("root ", ""))
	add(vector.Malformed, "a root of 35 bytes", replace("root ", "root AAAA"))
	add(vector.Malformed, "a hash of 3 bytes", replace(line, "AAAA\n"))
	add(vector.Malformed, "64 hashes", replace(line, strings.Repeat(line, 64)))
	add(vector.Malformed, "no blank line before the checkpoint", replace("\n\nvault", "\nvault"))
	add(vector.Malformed, "no checkpoint", text[:strings.Index(text, "\n\n")+2])
	add(vector.Malformed, "a checkpoint without a signature", text[:strings.LastIndex(text, "\n\n")+1])
	add(vector.Malformed, "bytes after the checkpoint", text+"x")
	add(vector.Malformed, "a proof of inclusion", string(prooftest.Of(t, 21).Text(7, 21, vault)))
	return f
}

func TestPrefixVectors(t *testing.T) {
	vault := vector.Signer(t, "vault.example", "vault.example")
	stranger := vector.Signer(t, "vault.example", "second vault.example")
	for _, v := range vector.Corpus(t, vectorsDir, prefixCorpus(t), *update).Vectors {
		t.Run(v.Name, func(t *testing.T) {
			p, accepted := decoded(t, v, proof.DecodePrefix, proof.EncodePrefix)
			if !accepted {
				return
			}
			if _, err := p.Verify(vault.Verifier()); err != nil {
				t.Error(err)
			}
			if _, err := p.Verify(stranger.Verifier()); !errors.Is(err, note.ErrUnverified) {
				t.Errorf("by a stranger: %v", err)
			}
			p.Root[0] ^= 1
			if _, err := p.Verify(vault.Verifier()); !errors.Is(err, proof.ErrDiverged) {
				t.Errorf("with another root: %v", err)
			}
		})
	}
	if _, err := proof.EncodePrefix(proof.Prefix{Size: -1, Checkpoint: prooftest.Of(t, 3).Sign(3, vault)}); !errors.Is(err, proof.ErrMalformed) {
		t.Errorf("a size below zero: %v", err)
	}
}

func FuzzDecodePrefix(f *testing.F) {
	for _, v := range prefixCorpus(f).Vectors {
		f.Add(v.Bytes())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := proof.DecodePrefix(text)
		if err != nil {
			return
		}
		if again, err := proof.EncodePrefix(p); err != nil || string(again) != string(text) {
			t.Fatalf("decode-then-encode is not byte-identical: %v", err)
		}
	})
}
