package audit

import "golang.org/x/mod/sumdb/tlog"

// Hashes reads hashes of the exported tree, each proved against the checkpoint's root: for proofs of inclusion (tlog.ProveRecord) and for
// the root at an earlier size (tlog.TreeHash). It fails with ErrIntegrity. Every call reads its tiles anew; it is not safe for
// concurrent use.
func (x *Export) Hashes() tlog.HashReader {
	return tlog.HashReaderFunc(x.NewReader(nil).hashes)
}
