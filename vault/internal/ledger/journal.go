package ledger

import (
	"crypto/sha256"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/merkle"
)

// SealedEntry returns an entry of the log for a copy elsewhere: the first half of its leaf's
// record, and the sealed entry, which begins with its log key's number (4 bytes).
func (tx *Tx) SealedEntry(index int64) (half [sha256.Size]byte, sealed []byte, err error) {
	record, sealed, err := merkle.Stored(rows{tx.bolt}, index)
	if err != nil {
		return half, nil, fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	return [sha256.Size]byte(record[:]), sealed, nil
}

// WrappedLogKey returns a log key, wrapped under the key-encryption key.
func (tx *Tx) WrappedLogKey(number uint32) ([]byte, error) {
	purpose := keyring.LogKeyPurpose(number)
	wrapped, err := tx.read(bucketKeys, []byte(purpose))
	if err != nil {
		return nil, err
	}
	if wrapped == nil {
		return nil, damaged("the key of %s is missing", purpose)
	}
	return append([]byte(nil), wrapped...), nil
}

// RootAt returns the root of the log's first size entries, at least one, which must be there.
func (tx *Tx) RootAt(size int64) (tlog.Hash, error) {
	root, err := tlog.TreeHash(size, merkle.Hashes(rows{tx.bolt}))
	if err != nil {
		return root, fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	return root, nil
}
