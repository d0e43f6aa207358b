package ledger

import (
	"go.etcd.io/bbolt"
	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/merkle"
)

// Buckets of the log, keyed by index: sealed entries, and the rows of the tree.
const (
	bucketLog  = "log"
	bucketTree = "tree"
)

var logBuckets = []string{bucketLog, bucketTree}

// rows are the log's rows in one transaction, a [merkle.Store].
type rows struct{ bolt *bbolt.Tx }

// Entry returns a sealed entry.
func (r rows) Entry(index int64) []byte { return r.get(bucketLog, index) }

// Node returns a row of the tree.
func (r rows) Node(index int64) []byte { return r.get(bucketTree, index) }

func (r rows) get(bucket string, index int64) []byte {
	b := r.bolt.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	return b.Get(book.Ordered(uint64(index)))
}

// Put appends a leaf's rows. Keys only ever grow, so pages are filled to the brim.
func (r rows) Put(index int64, entry, node []byte) error {
	if err := r.put(bucketLog, index, entry); err != nil {
		return err
	}
	return r.put(bucketTree, index, node)
}

func (r rows) put(bucket string, index int64, value []byte) error {
	b := r.bolt.Bucket([]byte(bucket))
	if b == nil {
		return damaged("bucket %s is missing", bucket)
	}
	b.FillPercent = 1
	return b.Put(book.Ordered(uint64(index)), value)
}

// Hashes reads the log's stored hashes ([tlog.HashReader]), for many proofs in one transaction;
// [Tx.Proof] makes one.
func (tx *Tx) Hashes() tlog.HashReader { return merkle.Hashes(rows{tx.bolt}) }
