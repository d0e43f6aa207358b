package proof_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/envelope/vector"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/shared/proof/prooftest"
)

var update = flag.Bool("update", false, "write testdata/vectors")

const vectorsDir = "../../testdata/vectors"

func TestInclusionAndConsistency(t *testing.T) {
	const size = 21
	tr := prooftest.Of(t, size)
	newest := tr.Checkpoint("vault.example", size)
	for i := range int64(size) {
		hashes, err := tlog.ProveRecord(size, i, tr)
		if err != nil {
			t.Fatal(err)
		}
		if err := proof.CheckInclusion(newest, i, prooftest.Record(i), hashes); err != nil {
			t.Errorf("leaf %d: %v", i, err)
		}
		for defect, err := range map[string]error{
			"another record": proof.CheckInclusion(newest, i, prooftest.Record(i+1), hashes),
			"another index":  proof.CheckInclusion(newest, (i+1)%size, prooftest.Record(i), hashes),
			"beyond the end": proof.CheckInclusion(newest, size, prooftest.Record(i), hashes),
			"below zero":     proof.CheckInclusion(newest, -1, prooftest.Record(i), hashes),
			"a hash less":    proof.CheckInclusion(newest, i, prooftest.Record(i), hashes[1:]),
			"another root":   proof.CheckInclusion(proof.Checkpoint{Origin: newest.Origin, Size: size}, i, prooftest.Record(i), hashes),
		} {
			if !errors.Is(err, proof.ErrDiverged) {
				t.Errorf("leaf %d with %s: %v", i, defect, err)
			}
		}
	}
	for old := int64(0); old <= size; old++ {
		older := tr.Checkpoint("vault.example", old)
		var hashes []tlog.Hash
		if old > 0 && old < size {
			var err error
			if hashes, err = tlog.ProveTree(size, old, tr); err != nil {
				t.Fatal(err)
			}
		}
		if err := proof.CheckConsistency(older, newest, hashes); err != nil {
			t.Errorf("size %d to %d: %v", old, size, err)
		}
		older.Root[0] ^= 1
		if err := proof.CheckConsistency(older, newest, hashes); !errors.Is(err, proof.ErrDiverged) {
			t.Errorf("another root of size %d: %v", old, err)
		}
	}
	if err := proof.CheckConsistency(newest, tr.Checkpoint("vault.example", 3), nil); !errors.Is(err, proof.ErrDiverged) {
		t.Errorf("a log that shrank: %v", err)
	}
}

// TestLeafRecordBytes pins the leaf to SHA-256 of salt and facts, then the entry's hash.
func TestLeafRecordBytes(t *testing.T) {
	salt := bytes.Repeat([]byte{0x5a}, proof.SaltBytes)
	entry := sha256.Sum256([]byte("sealed entry"))
	with := sha256.Sum256([]byte(strings.Repeat("\x5a", 16) + `{"code":"ok"}`))
	without := sha256.Sum256(salt)
	for name, c := range map[string]struct {
		got  [proof.LeafBytes]byte
		head [32]byte
	}{
		"with facts":    {proof.LeafRecord(salt, []byte(`{"code":"ok"}`), entry), with},
		"without facts": {proof.LeafRecord(salt, nil, entry), without},
	} {
		if want := hex.EncodeToString(c.head[:]) + hex.EncodeToString(entry[:]); hex.EncodeToString(c.got[:]) != want {
			t.Errorf("%s: got %x", name, c.got)
		}
	}
}

func checkpointCorpus(t testing.TB) vector.File {
	vault := vector.Signer(t, "vault.example", "vault.example")
	tr := prooftest.Of(t, 21)
	c := tr.Checkpoint("vault.example", 21)
	good, err := proof.SignCheckpoint(c, vault)
	if err != nil {
		t.Fatal(err)
	}
	text, err := note.Text(good)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	f := vector.File{Format: "checkpoint", About: "Checkpoints of a vault's log (C2SP tlog-checkpoint), three lines each.", Keys: []string{vault.Verifier().String()}}
	add := func(want, defect, msg string) {
		f.Vectors = append(f.Vectors, vector.New(defect, want, defect, []byte(msg)))
	}
	sign := func(text string, signers ...*note.Signer) string {
		msg, err := note.Sign([]byte(text), signers...)
		if err != nil {
			t.Fatal(err)
		}
		return string(msg)
	}
	bad := func(defect, text string) { add(vector.Malformed, defect, sign(text, vault)) }
	empty, err := proof.SignCheckpoint(tr.Checkpoint("vault.example", 0), vault)
	if err != nil {
		t.Fatal(err)
	}
	add(vector.Accepted, "of 21 leaves", string(good))
	add(vector.Accepted, "of an empty log", string(empty))
	for i := range f.Vectors {
		f.Vectors[i].Exact = true
	}
	add(vector.Accepted, "with a witness's line", sign(string(text), vault, vector.Signer(t, "witness.example", "witness.example")))
	bad("two lines", lines[0]+lines[1])
	bad("an extension line", string(text)+"more\n")
	bad("an empty line at the end", string(text)+"\n")
	bad("an empty origin", "\n"+lines[1]+lines[2])
	bad("a size with a leading zero", lines[0]+"021\n"+lines[2])
	bad("a size with a sign", lines[0]+"+21\n"+lines[2])
	bad("a negative size", lines[0]+"-21\n"+lines[2])
	bad("a size in hex", lines[0]+"0x15\n"+lines[2])
	bad("a size of 2^53", lines[0]+"9007199254740992\n"+lines[2])
	bad("a size of 2^64", lines[0]+"18446744073709551616\n"+lines[2])
	bad("an empty size", lines[0]+"\n"+lines[2])
	bad("a root of 31 bytes", lines[0]+lines[1]+strings.Repeat("A", 42)+"==\n")
	bad("a root with spare bits", lines[0]+lines[1]+strings.Repeat("A", 42)+"B=\n")
	bad("a root without padding", lines[0]+lines[1]+strings.Repeat("A", 43)+"\n")
	bad("a root in hex", lines[0]+lines[1]+strings.Repeat("00", 32)+"\n")
	add(vector.Unverified, "another log's origin", sign("other.example\n"+lines[1]+lines[2], vault))
	add(vector.Unverified, "another key of the vault's name", sign(string(text), vector.Signer(t, "vault.example", "impostor of vault.example")))
	add(vector.Unverified, "a witness's line alone", sign(string(text), vector.Signer(t, "witness.example", "witness.example")))
	over := vector.New("65,537 bytes", vector.TooLarge, "one byte over a note's limit", good)
	over.Fill = &vector.Fill{At: 0, Count: note.MaxBytes + 1 - len(good)}
	f.Vectors = append(f.Vectors, over)
	return f
}

// isClass reports whether err is of a vector's class; a malformed note is of note's own class.
func isClass(err error, want string) bool {
	switch want {
	case vector.TooLarge:
		return errors.Is(err, note.ErrTooLarge)
	case vector.Unverified:
		return errors.Is(err, note.ErrUnverified)
	}
	return errors.Is(err, proof.ErrMalformed) || errors.Is(err, note.ErrMalformed)
}

func TestCheckpointVectors(t *testing.T) {
	vault := vector.Signer(t, "vault.example", "vault.example")
	for _, v := range vector.Corpus(t, vectorsDir, checkpointCorpus(t), *update).Vectors {
		t.Run(v.Name, func(t *testing.T) {
			c, err := proof.OpenCheckpoint(v.Bytes(), vault.Verifier())
			if v.Want != vector.Accepted {
				if !isClass(err, v.Want) {
					t.Fatalf("got %v, want %s", err, v.Want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			again, err := proof.SignCheckpoint(c, vault)
			if err != nil || v.Exact && !bytes.Equal(again, v.Bytes()) {
				t.Errorf("signs as %s, %v", again, err)
			}
		})
	}
}

func proofCorpus(t testing.TB) vector.File {
	vault := vector.Signer(t, "vault.example", "vault.example")
	tr := prooftest.Of(t, 21)
	checkpoint, err := proof.SignCheckpoint(tr.Checkpoint("vault.example", 21), vault)
	if err != nil {
		t.Fatal(err)
	}
	hashes, err := tlog.ProveRecord(21, 7, tr)
	if err != nil {
		t.Fatal(err)
	}
	good, err := proof.EncodeProof(proof.Proof{Index: 7, Hashes: hashes, Checkpoint: checkpoint})
	if err != nil {
		t.Fatal(err)
	}
	f := vector.File{Format: "tlog-proof", About: "Proofs of inclusion (C2SP tlog-proof) as results hold them, read for form.", Keys: []string{vault.Verifier().String()}}
	add := func(want, defect, text string) {
		v := vector.New(defect, want, defect, []byte(text))
		v.Exact = want == vector.Accepted
		f.Vectors = append(f.Vectors, v)
	}
	text := string(good)
	lines := strings.SplitAfter(text, "\n")
	replace := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in the proof", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	add(vector.Accepted, "leaf 7 of 21", text)
	add(vector.Accepted, "the only leaf", "c2sp.org/tlog-proof@v1\nindex 0\n\n"+string(checkpoint))
	add(vector.Malformed, "nothing", "")
	add(vector.Malformed, "another version", replace("@v1", "@v2"))
	add(vector.Malformed, "no index", replace("index 7\n", ""))
	add(vector.Malformed, "an index with a leading zero", replace("index 7", "index 07"))
	add(vector.Malformed, "a negative index", replace("index 7", "index -7"))
	add(vector.Malformed, "two spaces before the index", replace("index 7", "index  7"))
	add(vector.Malformed, "an extra line: results have none", replace("index 7\n", "extra AAAA\nindex 7\n"))
	add(vector.Malformed, "a hash of 33 bytes", replace(lines[2], strings.Repeat("A", 44)+"\n"))
	add(vector.Malformed, "a hash with spare bits", replace(lines[2], strings.Repeat("A", 42)+"B=\n"))
	add(vector.Malformed, "a space after a hash", replace(lines[2], strings.TrimSuffix(lines[2], "\n")+" \n"))
	add(vector.Malformed, "64 hashes", replace("index 7\n", "index 7\n"+strings.Repeat(lines[2], 64-len(hashes))))
	add(vector.Malformed, "no blank line before the checkpoint", replace("\n\nvault", "\nvault"))
	add(vector.Malformed, "no checkpoint", text[:strings.Index(text, "\n\n")+2])
	add(vector.Malformed, "a checkpoint without a signature", text[:strings.LastIndex(text, "\n\n")+1])
	add(vector.Malformed, "a checkpoint with an extension line", replace("\n21\n", "\n21\n21\n"))
	add(vector.Malformed, "bytes after the checkpoint", text+"x")
	add(vector.Malformed, "spaces after the checkpoint", text+" ")
	add(vector.Malformed, "carriage returns", strings.ReplaceAll(text, "\n", "\r\n"))
	return f
}

// decoded decodes a vector, which must come out as it says, and encodes what is accepted again.
func decoded[P any](t *testing.T, v vector.Vector, decode func([]byte) (P, error), encode func(P) ([]byte, error)) (p P, accepted bool) {
	t.Helper()
	p, err := decode(v.Bytes())
	if v.Want != vector.Accepted {
		if !errors.Is(err, proof.ErrMalformed) {
			t.Fatalf("got %v, want %s", err, v.Want)
		}
		return p, false
	}
	if err != nil {
		t.Fatal(err)
	}
	if again, err := encode(p); err != nil || !bytes.Equal(again, v.Bytes()) {
		t.Errorf("encodes as %s, %v", again, err)
	}
	return p, true
}

func TestProofVectors(t *testing.T) {
	vault := vector.Signer(t, "vault.example", "vault.example")
	for _, v := range vector.Corpus(t, vectorsDir, proofCorpus(t), *update).Vectors {
		t.Run(v.Name, func(t *testing.T) {
			p, accepted := decoded(t, v, proof.DecodeProof, proof.EncodeProof)
			if !accepted {
				return
			}
			_, err := p.Verify(prooftest.Record(p.Index), vault.Verifier())
			if holds := p.Index == 7; (err == nil) != holds {
				t.Errorf("verifies: %v", err)
			}
		})
	}
}

func FuzzOpenCheckpoint(f *testing.F) {
	for _, v := range checkpointCorpus(f).Vectors {
		if v.Fill == nil {
			f.Add(v.Bytes())
		}
	}
	vault := vector.Signer(f, "vault.example", "vault.example")
	f.Fuzz(func(t *testing.T, msg []byte) {
		c, err := proof.OpenCheckpoint(msg, vault.Verifier())
		if err != nil {
			return
		}
		if _, err := proof.SignCheckpoint(c, vault); err != nil {
			t.Fatalf("what was opened does not sign: %v", err)
		}
	})
}

func FuzzDecodeProof(f *testing.F) {
	for _, v := range proofCorpus(f).Vectors {
		f.Add(v.Bytes())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := proof.DecodeProof(text)
		if err != nil {
			return
		}
		if again, err := proof.EncodeProof(p); err != nil || !bytes.Equal(again, text) {
			t.Fatalf("decode-then-encode is not byte-identical: %v", err)
		}
	})
}
