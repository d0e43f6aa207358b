package proof

import (
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Subtree names a complete subtree of a log (RFC 6962, 2.1): the 2^Level leaves from N<<Level on.
// Its hash never changes.
type Subtree struct {
	Level int
	N     int64
}

func (s Subtree) end() int64 { return (s.N + 1) << s.Level }

// Subtrees are hashes of complete subtrees that one signed root commits to.
type Subtrees map[Subtree]tlog.Hash

// Subtrees returns the hashes of the complete subtrees on and beside a leaf's path, to which the
// root of a log of size leaves commits, for a proof that holds ([CheckInclusion]). Those left of
// the path make up the log before the leaf.
func (p Proof) Subtrees(size int64, record [LeafBytes]byte) (Subtrees, error) {
	if p.Index < 0 || p.Index >= size {
		return nil, fmt.Errorf("%w: the index is not below the size", ErrDiverged)
	}
	w := walk{index: p.Index, leaf: tlog.RecordHash(record[:]), rest: p.Hashes, found: Subtrees{}}
	if _, ok := w.root(0, size); !ok || len(w.rest) > 0 {
		return nil, fmt.Errorf("%w: the proof is not as long as one of that leaf", ErrDiverged)
	}
	return w.found, nil
}

// walk goes down a leaf's path and uses the proof's hashes on the way back up.
type walk struct {
	index int64
	leaf  tlog.Hash
	rest  []tlog.Hash
	found Subtrees
}

// root returns the hash of the leaves lo to hi-1, which include the path's.
func (w *walk) root(lo, hi int64) (h tlog.Hash, ok bool) {
	if hi-lo == 1 {
		w.found[Subtree{0, lo}] = w.leaf
		return w.leaf, true
	}
	// RFC 6962: the left half is the largest power of two below the whole
	middle := lo + int64(1)<<(bits.Len64(uint64(hi-lo-1))-1)
	if w.index < middle {
		if h, ok = w.root(lo, middle); ok {
			var right tlog.Hash
			right, ok = w.sibling(middle, hi)
			h = tlog.NodeHash(h, right)
		}
	} else {
		if h, ok = w.root(middle, hi); ok {
			var left tlog.Hash
			left, ok = w.sibling(lo, middle)
			h = tlog.NodeHash(left, h)
		}
	}
	if ok {
		w.keep(lo, hi, h)
	}
	return h, ok
}

func (w *walk) sibling(lo, hi int64) (tlog.Hash, bool) {
	if len(w.rest) == 0 {
		return tlog.Hash{}, false
	}
	h := w.rest[0]
	w.rest = w.rest[1:]
	w.keep(lo, hi, h)
	return h, true
}

// keep keeps a complete subtree's hash; the last of an unfinished log is none.
func (w *walk) keep(lo, hi int64, h tlog.Hash) {
	if count := uint64(hi - lo); bits.OnesCount64(count) == 1 {
		level := bits.TrailingZeros64(count)
		w.found[Subtree{level, lo >> level}] = h
	}
}

// prefix returns the subtrees of the log's first size leaves, from the last and smallest on.
func prefix(size int64) (names []Subtree) {
	for rest := size; rest > 0; rest &= rest - 1 {
		level := bits.TrailingZeros64(uint64(rest))
		names = append(names, Subtree{level, rest>>level - 1})
	}
	return names
}

// Root returns the root of the log's first size leaves, if the subtrees are known.
func (s Subtrees) Root(size int64) (root tlog.Hash, ok bool) {
	if size == 0 {
		return emptyRoot(), true
	}
	for _, name := range prefix(size) {
		h, known := s[name]
		if !known {
			return tlog.Hash{}, false
		}
		if name.end() == size {
			root = h
		} else {
			root = tlog.NodeHash(h, root)
		}
	}
	return root, true
}

// agree returns how many first leaves both show to be the same, and the subtree that has two
// hashes, in words, or "".
func (s Subtrees) agree(other Subtrees) (common int64, clash string) {
	for name, h := range s {
		if theirs, both := other[name]; both && theirs != h {
			return 0, fmt.Sprintf("entries %d to %d are not the same", name.N<<name.Level, name.end()-1)
		}
	}
	for name := range s {
		end := name.end()
		if end <= common {
			continue
		}
		_, ours := s.Root(end)
		_, theirs := other.Root(end)
		if ours && theirs { // made of the same subtrees
			common = end
		}
	}
	return common, ""
}
