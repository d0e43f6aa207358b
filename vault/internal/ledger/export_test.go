package ledger

import (
	"nightdrop/shared/envelope"
	"nightdrop/shared/proof"
	"nightdrop/vault/internal/book"
)

// WithoutLog returns a copy, at path, of the ledger as it stands. It folds events and writes
// records, results and head as every ledger does, but nothing of the log: no event is encoded,
// sealed, hashed or stored. That makes it a ledger which Check calls damaged; it is there to be
// measured and thrown away, and no other code can make one.
func (l *Ledger) WithoutLog(path string) (*Ledger, error) {
	err := l.View(func(tx *Tx) error { return tx.bolt.CopyFile(path, 0o600) })
	if err != nil {
		return nil, err
	}
	o := l.options
	var index uint64 // of the one writer
	o.logEvent = func(*Tx, book.Event, []byte) (envelope.Place, error) {
		// A place as long as a real one, and later than the one before, so that results cost what
		// they do.
		index++
		return envelope.Place{Index: index, Salt: make([]byte, proof.SaltBytes), Entry: envelope.ZeroDigest}, nil
	}
	return Open(path, l.keys, o)
}

// WithoutProofs returns a copy, at path, of the ledger as it stands, which writes no sums of
// buckets and remembers no tags of keys.
func (l *Ledger) WithoutProofs(path string) (*Ledger, error) {
	err := l.View(func(tx *Tx) error { return tx.bolt.CopyFile(path, 0o600) })
	if err != nil {
		return nil, err
	}
	o := l.options
	o.withoutProofs = true
	return Open(path, l.keys, o)
}
