package merkle

import (
	"crypto/sha256"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// MaxLevel bounds the height of the tree: JSON has no integers above 2^53.
const MaxLevel = 54

// Tail is the end of the log: its size and the roots of its complete subtrees (RFC 6962, 2.1),
// which is all that appending needs. The zero Tail is the empty log. A copy is a savepoint.
type Tail struct {
	size int64
	edge [MaxLevel]tlog.Hash // at level l where bit l of size is set
}

// Size returns the number of leaves, which is also the index of the next one.
func (t *Tail) Size() int64 { return t.size }

// Root returns the tree's root; the empty tree's is the hash of no bytes.
func (t *Tail) Root() tlog.Hash {
	if t.size == 0 {
		return sha256.Sum256(nil)
	}
	level := bits.TrailingZeros64(uint64(t.size))
	root := t.edge[level]
	for level++; level < MaxLevel; level++ {
		if t.size>>level&1 == 1 {
			root = tlog.NodeHash(t.edge[level], root)
		}
	}
	return root
}

// Add appends a leaf's record and returns its hash and those of the subtrees that it completes,
// lowest level first, as [tlog.StoredHashes] does.
func (t *Tail) Add(record []byte) []tlog.Hash {
	h := tlog.RecordHash(record)
	added := []tlog.Hash{h}
	level := 0
	for ; t.size>>level&1 == 1; level++ {
		h = tlog.NodeHash(t.edge[level], h)
		added = append(added, h)
		t.edge[level] = tlog.Hash{}
	}
	t.edge[level] = h
	t.size++
	return added
}

// ReadTail reads the tail of the first size leaves and checks it against their root.
func ReadTail(rows Rows, size int64, root tlog.Hash) (Tail, error) {
	t := Tail{size: size}
	for level := range MaxLevel {
		if size>>level&1 == 0 {
			continue
		}
		h, err := Hashes(rows).ReadHashes([]int64{tlog.StoredHashIndex(level, size>>level-1)})
		if err != nil {
			return Tail{}, err
		}
		t.edge[level] = h[0]
	}
	if t.Root() != root {
		return Tail{}, fmt.Errorf("the root of the tree of %d leaves is not the one that was committed: %w", size, ErrIntegrity)
	}
	return t, nil
}

// Hashes reads the tree's stored hashes.
func Hashes(rows Rows) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			level, n := tlog.SplitStoredHashIndex(index)
			leaf := (n+1)<<level - 1
			row := rows.Node(leaf)
			from := sha256.Size * (1 + level)
			if len(row) < from+tlog.HashSize {
				return nil, fmt.Errorf("row %d of the tree is missing or cut: %w", leaf, ErrIntegrity)
			}
			hashes[i] = tlog.Hash(row[from:])
		}
		return hashes, nil
	})
}

// CheckRow adds the next leaf's record to t and compares the hashes that it completes with the
// stored row.
func (t *Tail) CheckRow(rows Rows, record []byte) error {
	index := t.size
	want := append([]byte(nil), record[:sha256.Size]...)
	for _, h := range t.Add(record) {
		want = append(want, h[:]...)
	}
	if string(rows.Node(index)) != string(want) {
		return fmt.Errorf("row %d of the tree does not match its leaf: %w", index, ErrIntegrity)
	}
	return nil
}
