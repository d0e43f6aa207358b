package audit

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	tdproof "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"

	"nightdrop/shared/proof"
)

// monitor is a foreign reader that reads the log by an earlier checkpoint.
type monitor struct {
	foreign
	proof.Checkpoint
}

// read reads the checkpoint's log: every bundle, and proofs of leaves from the tiles.
func (m monitor) read(ctx context.Context) error {
	tree, err := client.NewProofBuilder(ctx, uint64(m.Size), m.ReadTile)
	if err != nil {
		return fmt.Errorf("by the checkpoint of %d: %w", m.Size, err)
	}
	for n := range bundlesOf(m.Size) {
		bundle, err := client.GetEntryBundle(ctx, m.ReadEntryBundle, uint64(n), uint64(m.Size))
		if err != nil {
			return fmt.Errorf("by the checkpoint of %d: bundle %d: %w", m.Size, n, err)
		}
		for i := 0; i < widthOf(n, m.Size); i += 11 { // and so some of every bundle
			index := uint64(n*tileWidth + int64(i))
			path, err := tree.InclusionProof(ctx, index)
			if err == nil {
				leaf := rfc6962.DefaultHasher.HashLeaf(bundle.Entries[i])
				err = tdproof.VerifyInclusion(rfc6962.DefaultHasher, index, uint64(m.Size), leaf, path, m.Root[:])
			}
			if err != nil {
				return fmt.Errorf("by the checkpoint of %d: leaf %d: %w", m.Size, index, err)
			}
		}
	}
	return nil
}

// TestForeignMonitorReadsBetweenExports: an earlier checkpoint's reader can read while the next
// export is written and after it, until every tile is full. (C2SP tlog-tiles: a partial tile may go
// only when the full one is there.)
func TestForeignMonitorReadsBetweenExports(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	served := serve(t, s, dir)
	var monitors []monitor
	readAll := func(when string) {
		t.Helper()
		for _, m := range monitors {
			if err := m.read(t.Context()); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
	}
	for _, size := range []int64{3, 7, 200, 255, 256, 300, 520, 530, 768, 1100} {
		s.grow(size)
		x := s.exporter()
		x.Progress = func(done, total int64) { readAll(fmt.Sprintf("while %d of %d entries are written", done, total)) }
		// after the tiles, before the checkpoint
		x.Wraps = func(func(uint32, string, []byte) error) error {
			readAll(fmt.Sprintf("before the checkpoint of %d is written", size))
			return nil
		}
		if _, err := x.Export(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		monitors = append(monitors, monitor{served, s.head()})
		readAll(fmt.Sprintf("after the export of %d", size))
	}
	// Full tiles have replaced their parts.
	for _, pattern := range []string{"tile/0/00[0-3].p", "tile/entries/00[0-3].p", "bodies/00[0-3].p"} {
		if left, err := filepath.Glob(filepath.Join(dir, pattern)); err != nil || len(left) > 0 {
			t.Errorf("parts of what is full: %v, %v", left, err)
		}
	}
}
