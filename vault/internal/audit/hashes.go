package audit

import (
	"context"

	"golang.org/x/mod/sumdb/tlog"
)

// Hashes reads hashes of the exported tree, each verified against the checkpoint's root: for proofs
// of inclusion ([tlog.ProveRecord]) and for the root at an earlier size ([tlog.TreeHash]). It fails
// with [ErrIntegrity]. It is safe for concurrent use.
func (x *Export) Hashes() tlog.HashReader {
	reader := x.tiles.Hashes(context.Background())
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes, err := reader.ReadHashes(indexes)
		return hashes, tilesError(err)
	})
}
