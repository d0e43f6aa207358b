package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"testing"

	tdproof "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	modnote "golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/proof"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/merkle"
)

// foreign is an exported log as transparency-dev's client for C2SP tlog-tiles (tessera) sees it:
// over HTTP, by the origin and the vault's plain vkey. The programs do not link it (ops/tidy).
type foreign struct {
	*client.HTTPFetcher
	key modnote.Verifier
}

func serve(t testing.TB, s *store, dir string) foreign {
	t.Helper()
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	root, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	fetcher, err := client.NewHTTPFetcher(root, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	key, err := modnote.NewVerifier(s.signer.Verifier().String())
	if err != nil {
		t.Fatal(err)
	}
	return foreign{fetcher, key}
}

func leafHashes(data []byte) (hashes [][]byte, err error) {
	var bundle api.EntryBundle
	if err := bundle.UnmarshalText(data); err != nil {
		return nil, err
	}
	for _, record := range bundle.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(record))
	}
	return hashes, nil
}

// fsckWorkers are more than a small log's tiles: each ends at its first wrong tile, and Check would
// wait for ever.
const fsckWorkers = 16

// fsck recomputes the log from its entry bundles: every tile and the root.
func (f foreign) fsck(t testing.TB) error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		done <- fsck.New(origin, f.key, f, leafHashes, fsck.Opts{N: fsckWorkers}).Check(context.Background())
	}()
	return waittest.Receive(t, "fsck to end (unless all of its workers found a wrong tile)", done)
}

// inclusion makes a leaf's proof from the tiles and verifies it with its entry bundle.
func (f foreign) inclusion(index int64) ([][]byte, error) {
	ctx := context.Background()
	c, _, _, err := client.FetchCheckpoint(ctx, f.ReadCheckpoint, f.key, origin)
	if err != nil {
		return nil, err
	}
	bundle, err := client.GetEntryBundle(ctx, f.ReadEntryBundle, uint64(index/tileWidth), c.Size)
	if err != nil {
		return nil, err
	}
	if width := widthOf(index/tileWidth, int64(c.Size)); len(bundle.Entries) != width {
		return nil, fmt.Errorf("the bundle has %d entries of %d", len(bundle.Entries), width)
	}
	builder, err := client.NewProofBuilder(ctx, c.Size, f.ReadTile)
	if err != nil {
		return nil, err
	}
	path, err := builder.InclusionProof(ctx, uint64(index))
	if err != nil {
		return nil, err
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(bundle.Entries[index%tileWidth])
	return path, tdproof.VerifyInclusion(rfc6962.DefaultHasher, uint64(index), c.Size, leaf, path, c.Hash)
}

// consistency makes the proof between two sizes from the tiles and verifies it with the signed
// roots.
func (f foreign) consistency(older, newer proof.Checkpoint) ([][]byte, error) {
	ctx := context.Background()
	builder, err := client.NewProofBuilder(ctx, uint64(newer.Size), f.ReadTile)
	if err != nil {
		return nil, err
	}
	path, err := builder.ConsistencyProof(ctx, uint64(older.Size), uint64(newer.Size))
	if err != nil {
		return nil, err
	}
	return path, tdproof.VerifyConsistency(rfc6962.DefaultHasher, uint64(older.Size), uint64(newer.Size), path, older.Root[:], newer.Root[:])
}

// samePath reports whether their proof equals tlog's.
func samePath(theirs [][]byte, ours []tlog.Hash) bool {
	return slices.EqualFunc(theirs, ours, func(a []byte, b tlog.Hash) bool { return bytes.Equal(a, b[:]) })
}

func (s *store) head() proof.Checkpoint {
	return proof.Checkpoint{Origin: origin, Size: s.tail.Size(), Root: s.tail.Root()}
}

// TestForeignClientVerifiesTheLog: exports made at once and grown from one size to the next, with
// partial tiles on every level. The last has tiles on three levels.
func TestForeignClientVerifiesTheLog(t *testing.T) {
	s := newStore(t)
	grown := t.TempDir()
	overGrown := serve(t, s, grown)
	var tracker *client.LogStateTracker
	var heads []proof.Checkpoint
	for _, size := range []int64{1, 255, 256, 257, 65_300, 1<<16 + 3*tileWidth + 17} {
		s.grow(size)
		heads = append(heads, s.head())
		fresh := t.TempDir()
		for name, dir := range map[string]string{"at once": fresh, "grown": grown} {
			if err := s.export(dir); err != nil {
				t.Fatal(err)
			}
			if err := serve(t, s, dir).fsck(t); err != nil {
				t.Errorf("size %d, %s: %v", size, name, err)
			}
		}
		tracker = follow(t, tracker, overGrown, s.head())
		checkPaths(t, s, serve(t, s, fresh), heads)
		checkPaths(t, s, overGrown, heads)
	}
	edit(t, filepath.Join(grown, "tile/2/000.p/1"), flip(0))
	if err := overGrown.fsck(t); err == nil {
		t.Error("verifies with a bit of the topmost tile flipped")
	}
}

// follow makes an earlier reader prove that the log has only grown.
func follow(t testing.TB, tracker *client.LogStateTracker, f foreign, head proof.Checkpoint) *client.LogStateTracker {
	t.Helper()
	ctx, err := context.Background(), error(nil)
	if tracker == nil {
		tracker, err = client.NewLogStateTracker(ctx, f.ReadTile, nil, f.key, origin, client.UnilateralConsensus(f.ReadCheckpoint))
	} else {
		_, _, _, err = tracker.Update(ctx)
	}
	if c := tracker.Latest(); err != nil || c.Size != uint64(head.Size) || !bytes.Equal(c.Hash, head.Root[:]) {
		t.Fatalf("size %d: the reader has %+v, %v", head.Size, c, err)
	}
	return tracker
}

// checkPaths makes the foreign client prove leaves at the edges of bundles and at random, and
// consistency with every earlier size. Its proofs equal the vault's.
func checkPaths(t testing.TB, s *store, f foreign, heads []proof.Checkpoint) {
	t.Helper()
	head := heads[len(heads)-1]
	random := rand.New(rand.NewPCG(6962, uint64(head.Size)))
	indexes := []int64{0, 254, 255, 256, head.Size / tileWidth * tileWidth, head.Size - 1}
	for range 10 {
		indexes = append(indexes, random.Int64N(head.Size))
	}
	for _, index := range indexes {
		if index >= head.Size {
			continue
		}
		theirs, err := f.inclusion(index)
		if err != nil {
			t.Errorf("size %d: leaf %d: %v", head.Size, index, err)
			return
		}
		if ours, err := tlog.ProveRecord(head.Size, index, merkle.Hashes(s.rows)); err != nil || !samePath(theirs, ours) {
			t.Errorf("leaf %d of %d: their proof is %x, ours %v, %v", index, head.Size, theirs, ours, err)
		}
	}
	for _, older := range heads[:len(heads)-1] {
		theirs, err := f.consistency(older, head)
		if err != nil {
			t.Errorf("size %d: from size %d: %v", head.Size, older.Size, err)
			return
		}
		if ours, err := tlog.ProveTree(head.Size, older.Size, merkle.Hashes(s.rows)); err != nil || !samePath(theirs, ours) {
			t.Errorf("sizes %d and %d: their proof is %x, ours %v, %v", older.Size, head.Size, theirs, ours, err)
		}
	}
}

// TestForeignClientFindsWhatIsWrong is the control of the test above: with one flipped bit it
// fails.
func TestForeignClientFindsWhatIsWrong(t *testing.T) {
	s := newStore(t)
	s.grow(700)
	dir := t.TempDir()
	if err := s.export(dir); err != nil {
		t.Fatal(err)
	}
	// whose proof has leaf 300 beside it, the first tile's root, and that of the leaves from 512 on
	const leaf = 301
	record := (leaf % tileWidth) * (2 + proof.LeafBytes)
	f := serve(t, s, dir)
	verify := func() (whole, one error) {
		_, one = f.inclusion(leaf)
		return f.fsck(t), one
	}
	for name, at := range map[string]struct {
		file string
		byte int
	}{
		"hash of a leaf":               {"tile/0/001", (leaf - 1) % tileWidth * tlog.HashSize},
		"hash of a leaf at the end":    {"tile/0/002.p/188", 187*tlog.HashSize + 31},
		"hash on the level above":      {"tile/1/000.p/2", 5},
		"facts half of a record":       {"tile/entries/001", record + 2},
		"entry half of a record":       {"tile/entries/001", record + 2 + 63},
		"length of a record":           {"tile/entries/001", record + 1},
		"checkpoint's origin":          {"checkpoint", 0},
		"checkpoint's size":            {"checkpoint", len(origin + "\n")},
		"checkpoint's root":            {"checkpoint", len(origin+"\n700\n") + 7},
		"the name in its signature":    {"checkpoint", len(s.exporter().Checkpoint) - 100},
		"checkpoint's signature":       {"checkpoint", len(s.exporter().Checkpoint) - 20},
		"checkpoint's signature's key": {"checkpoint", len(s.exporter().Checkpoint) - 92},
	} {
		if whole, one := verify(); whole != nil || one != nil {
			t.Fatalf("before %s: %v, %v", name, whole, one)
		}
		edit(t, filepath.Join(dir, at.file), flip(at.byte))
		if whole, one := verify(); whole == nil || one == nil {
			t.Errorf("%s: fsck says %v, the proof of leaf %d %v", name, whole, leaf, one)
		}
		edit(t, filepath.Join(dir, at.file), flip(at.byte))
	}
}

// TestForeignReaderNoticesAnotherHistory: the vault's own key does not hide a rewritten log.
func TestForeignReaderNoticesAnotherHistory(t *testing.T) {
	s, other := newStore(t), newStore(t)
	other.signer = s.signer
	s.grow(300)
	other.grow(400)
	dir, otherDir := t.TempDir(), t.TempDir()
	if err := errors.Join(s.export(dir), other.export(otherDir)); err != nil {
		t.Fatal(err)
	}
	shown := serve(t, s, otherDir)
	if err := shown.fsck(t); err != nil {
		t.Fatalf("the other history does not verify by itself: %v", err)
	}
	before, err := serve(t, s, dir).ReadCheckpoint(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	tracker, err := client.NewLogStateTracker(context.Background(), shown.ReadTile, before, shown.key, origin, client.UnilateralConsensus(shown.ReadCheckpoint))
	if err != nil {
		t.Fatal(err)
	}
	var inconsistent client.ErrInconsistency
	if _, _, _, err := tracker.Update(context.Background()); !errors.As(err, &inconsistent) {
		t.Errorf("got %v", err)
	}
}

// TestForeignPaths: tiles and entry bundles have the foreign client's paths, in logs too large for
// a test.
func TestForeignPaths(t *testing.T) {
	random := rand.New(rand.NewPCG(6962, 0))
	numbers := []int64{0, 1, 999, 1000, 1001, 999_999, 1_000_000, 1_234_067}
	for range 100 {
		numbers = append(numbers, random.Int64N(1<<(1+random.Int64N(45))))
	}
	for _, n := range numbers {
		for _, width := range []int{1, 2, 255, tileWidth} {
			partial := uint8(width % tileWidth) // 0 for a full one
			if ours, theirs := filepath.ToSlash(entriesPath(n, width)), layout.EntriesPath(uint64(n), partial); ours != theirs {
				t.Errorf("%s here, %s there", ours, theirs)
			}
			for level := range 6 {
				ours := filepath.ToSlash(tilePath(tlog.Tile{H: tileHeight, L: level, N: n, W: width}))
				if theirs := layout.TilePath(uint64(level), uint64(n), partial); ours != theirs {
					t.Errorf("%s here, %s there", ours, theirs)
				}
			}
		}
	}
}
