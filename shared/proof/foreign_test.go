package proof_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	tdlog "github.com/transparency-dev/formats/log"
	tdproof "github.com/transparency-dev/formats/proof"
	tdtree "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"
	modnote "golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/envelope/vector"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/shared/proof/prooftest"
)

// The foreign reader is transparency-dev's: its tree (merkle), and its checkpoints and tlog-proofs
// (formats). Nothing of it is in the programs (ops/tidy).

// modKey is a vkey as golang.org/x/mod reads it.
func modKey(t testing.TB, v note.Verifier) modnote.Verifier {
	t.Helper()
	key, err := modnote.NewVerifier(v.String())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// toForeign is a proof as the foreign tree wants it: the hashes themselves, not copies.
func toForeign[H ~[tlog.HashSize]byte](hashes []H) [][]byte {
	all := make([][]byte, len(hashes))
	for i := range hashes {
		all[i] = hashes[i][:]
	}
	return all
}

// fromForeign is a proof of the foreign tree.
func fromForeign(t testing.TB, foreign [][]byte) (all []tlog.Hash) {
	t.Helper()
	for _, h := range foreign {
		if len(h) != tlog.HashSize {
			t.Fatalf("a hash of %d bytes", len(h))
		}
		all = append(all, tlog.Hash(h))
	}
	return all
}

// randomLog is a log of ours and the foreign tree of the same records, with a fixed sequence of
// random numbers.
func randomLog(t testing.TB, size int64) (*prooftest.Log, *testonly.Tree, *rand.Rand) {
	tree := testonly.New(rfc6962.DefaultHasher)
	for i := range size {
		record := prooftest.Record(i)
		tree.AppendData(record[:])
	}
	return prooftest.Of(t, size), tree, rand.New(rand.NewPCG(6962, uint64(size)))
}

// readForeign has the foreign reader read a tlog-proof and its signed checkpoint.
func readForeign(t testing.TB, text []byte, key modnote.Verifier) (p tdproof.TLogProof, c *tdlog.Checkpoint) {
	t.Helper()
	if err := p.Unmarshal(text); err != nil || !bytes.Equal(p.Marshal(), text) {
		t.Fatalf("%s\nis read as %+v, %v", text, p, err)
	}
	c, rest, _, err := tdlog.ParseCheckpoint(p.Checkpoint, "vault.example", key)
	if err != nil || len(rest) != 0 {
		t.Fatalf("%s\nhas a checkpoint %+v, %v", text, c, err)
	}
	return p, c
}

// TestForeignInclusion: the text of a proof of ours is read and verified by the foreign reader, and
// its proofs verify here.
func TestForeignInclusion(t *testing.T) {
	const most, rounds = 1500, 400
	vault := vector.Signer(t, "vault.example", "vault.example")
	key := modKey(t, vault.Verifier())
	ours, theirs, random := randomLog(t, most)
	for round := range rounds {
		size := 1 + random.Int64N(most)
		if round < 70 {
			size = int64(round) + 1 // every small tree has its own shape
		}
		index := random.Int64N(size)
		text := ours.Text(index, size, vault)
		p, c := readForeign(t, text, key)
		if p.Index != uint64(index) || c.Size != uint64(size) {
			t.Fatalf("leaf %d of %d: read as %+v and %+v", index, size, p, c)
		}
		record, path := prooftest.Record(index), toForeign(p.Hashes)
		leaf := rfc6962.DefaultHasher.HashLeaf(record[:])
		if err := tdtree.VerifyInclusion(rfc6962.DefaultHasher, p.Index, c.Size, leaf, path, c.Hash); err != nil {
			t.Errorf("leaf %d of %d: %v", index, size, err)
		}
		other := rfc6962.DefaultHasher.HashLeaf(record[1:])
		if tdtree.VerifyInclusion(rfc6962.DefaultHasher, p.Index, c.Size, other, path, c.Hash) == nil {
			t.Errorf("leaf %d of %d: another record is there too", index, size)
		}
		if len(path) > 0 {
			path[random.IntN(len(path))][random.IntN(tlog.HashSize)] ^= 1
			if tdtree.VerifyInclusion(rfc6962.DefaultHasher, p.Index, c.Size, leaf, path, c.Hash) == nil {
				t.Errorf("leaf %d of %d: verifies with a bit flipped", index, size)
			}
		}
		back, err := theirs.InclusionProof(uint64(index), uint64(size))
		if err != nil {
			t.Fatal(err)
		}
		head := proof.Checkpoint{Origin: "vault.example", Size: size, Root: tlog.Hash(theirs.HashAt(uint64(size)))}
		if err := proof.CheckInclusion(head, index, record, fromForeign(t, back)); err != nil {
			t.Errorf("leaf %d of %d, by the foreign tree's proof: %v", index, size, err)
		}
	}
}

// TestForeignConsistency: what tlog proves of two sizes the foreign tree verifies, and what it
// proves verifies here.
func TestForeignConsistency(t *testing.T) {
	const most, rounds = 1500, 400
	ours, theirs, random := randomLog(t, most)
	for round := range rounds {
		size := 2 + random.Int64N(most-1)
		if round < 70 {
			size = int64(round) + 2
		}
		old := 1 + random.Int64N(size-1)
		older, newer := ours.Checkpoint("vault.example", old), ours.Checkpoint("vault.example", size)
		path, err := tlog.ProveTree(size, old, ours)
		if err != nil {
			t.Fatal(err)
		}
		verify := func() error {
			return tdtree.VerifyConsistency(rfc6962.DefaultHasher, uint64(old), uint64(size), toForeign(path), older.Root[:], newer.Root[:])
		}
		if err := verify(); err != nil {
			t.Errorf("%d to %d: %v", old, size, err)
		}
		back, err := theirs.ConsistencyProof(uint64(old), uint64(size))
		if err != nil {
			t.Fatal(err)
		}
		if err := proof.CheckConsistency(older, newer, fromForeign(t, back)); err != nil {
			t.Errorf("%d to %d, by the foreign tree's proof: %v", old, size, err)
		}
		for _, root := range []*tlog.Hash{&older.Root, &newer.Root, &path[random.IntN(len(path))]} {
			at := random.IntN(tlog.HashSize)
			root[at] ^= 1
			if verify() == nil {
				t.Errorf("%d to %d: verifies with a bit flipped", old, size)
			}
			root[at] ^= 1
		}
	}
}

// TestForeignCheckpoints: what is accepted here is read there alike, and what the vault did not
// sign is refused there too.
func TestForeignCheckpoints(t *testing.T) {
	vault := vector.Signer(t, "vault.example", "vault.example").Verifier()
	key := modKey(t, vault)
	for _, v := range vector.Corpus(t, vectorsDir, checkpointCorpus(t), *update).Vectors {
		theirs, rest, _, err := tdlog.ParseCheckpoint(v.Bytes(), "vault.example", key)
		switch v.Want {
		case vector.Unverified:
			if err == nil {
				t.Errorf("%s: accepted", v.Name)
			}
		case vector.Accepted:
			ours, err2 := proof.OpenCheckpoint(v.Bytes(), vault)
			if err != nil || err2 != nil {
				t.Fatalf("%s: %v there, %v here", v.Name, err, err2)
			}
			if len(rest) > 0 || theirs.Origin != ours.Origin || theirs.Size != uint64(ours.Size) || !bytes.Equal(theirs.Hash, ours.Root[:]) {
				t.Errorf("%s: %+v there, %+v here", v.Name, theirs, ours)
			}
		}
	}
}
