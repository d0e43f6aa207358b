package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/proof"
	"nightdrop/shared/seal"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/merkle"
)

// Reader reads an export bundle by bundle, in any order. It is for one goroutine: several may read
// the same export, each with its own Reader, before an [Order] checks what they read.
type Reader struct {
	*Export
	identity Identity

	roots []tlog.Hash // of the bundles from first on
	first int64       // bundle of roots[0]

	boxes  map[uint32]keyring.Box // of recent log keys; nil where one is not the identity's
	frames frameReader
	ad     []byte // of the entry under way
	leaf   [1 + proof.LeafBytes]byte
}

// EntryError is an error at an entry of an export, or from it on.
type EntryError struct {
	Index int64
	err   error
}

// Error implements error.
func (e *EntryError) Error() string { return e.err.Error() }

// Unwrap returns an error that wraps [ErrIntegrity].
func (e *EntryError) Unwrap() error { return e.err }

func entryError(index int64, format string, args ...any) error {
	return &EntryError{index, fmt.Errorf(format, args...)}
}

// maxBoxes bounds the log keys that a Reader keeps: a bundle seldom has more than two.
const maxBoxes = 16

// NewReader returns a Reader of the export. identity may be nil: then no entry is opened.
func (x *Export) NewReader(identity Identity) *Reader {
	return &Reader{Export: x, identity: identity, boxes: map[uint32]keyring.Box{}, frames: frameReader{dir: x.dir}}
}

// Bundles returns how many bundles of 256 entries, the last perhaps smaller, the export has.
func (x *Export) Bundles() int64 { return bundlesOf(x.checkpoint.Size) }

// Bundle reads the entries from 256n on, verifies them against the checkpoint's root, and opens
// those that are the identity's; the others have an Err. It reuses the array of entries; the caller
// may keep what is in them. It fails with [ErrIntegrity], an [EntryError] where it is known which,
// and then returns the entries before that.
func (r *Reader) Bundle(n int64, entries []Entry) ([]Entry, error) {
	entries, err := r.records(n, entries)
	if err != nil {
		return nil, err
	}
	name := bodiesPath(n, len(entries))
	done := 0
	err = r.frames.each(name, 4, len(entries), func(body []byte) error {
		e := &entries[done]
		if len(body) < 4 || sha256.Sum256(body) != [sha256.Size]byte(e.Record[sha256.Size:]) {
			return entryError(e.Index, "the sealed entry %d does not match its record: %w", e.Index, ErrIntegrity)
		}
		if err := r.open(e, body); err != nil {
			return entryError(e.Index, "%w", err)
		}
		done++
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) && n*tileWidth < r.info.Bodies {
		for i := range entries {
			entries[i].Err = ErrNoBody
		}
		return entries, nil
	}
	done = min(done, len(entries)-1) // too many bytes are after the last
	if err := r.fileError(n*tileWidth+int64(done), name, err); err != nil {
		return entries[:done], err
	}
	return entries, nil
}

// fileError returns the error at an entry of a bundle's file.
func (*Reader) fileError(index int64, name string, err error) error {
	if _, known := errors.AsType[*EntryError](err); known {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return entryError(index, "%s is missing: %w", name, ErrIntegrity)
	}
	if bad, ok := errors.AsType[damage](err); ok {
		return entryError(index, "%s: %s: %w", name, bad, ErrIntegrity)
	}
	return err
}

func (r *Reader) records(n int64, entries []Entry) ([]Entry, error) {
	width := widthOf(n, r.checkpoint.Size)
	name := entriesPath(n, width)
	entries = slices.Grow(entries[:0], width)[:0]
	var hashes [tileWidth]tlog.Hash
	err := r.frames.each(name, 2, width, func(record []byte) error {
		i := len(entries)
		if len(record) != proof.LeafBytes {
			return entryError(n*tileWidth+int64(i), "%s: record %d is not 64 bytes: %w", name, i, ErrIntegrity)
		}
		entries = append(entries, Entry{Entry: merkle.Entry{Index: n*tileWidth + int64(i), Record: [proof.LeafBytes]byte(record)}})
		copy(r.leaf[1:], record) // after the 0x00 of a leaf (RFC 6962, 2.1)
		hashes[i] = sha256.Sum256(r.leaf[:])
		return nil
	})
	if err := r.fileError(n*tileWidth, name, err); err != nil {
		return nil, err
	}
	if width == tileWidth {
		return entries, r.verify(n, &hashes)
	}
	return entries, r.verifyLast(n, hashes[:width])
}

// verify verifies a full bundle's leaves against the checkpoint's root. It overwrites hashes.
func (r *Reader) verify(n int64, hashes *[tileWidth]tlog.Hash) error {
	want, err := r.root(n)
	if err != nil {
		return err
	}
	for width := tileWidth; width > 1; width /= 2 {
		for i := range width / 2 {
			hashes[i] = tlog.NodeHash(hashes[2*i], hashes[2*i+1])
		}
	}
	if hashes[0] != want {
		return entryError(n*tileWidth, "the records of entries %d to %d do not match the checkpoint: %w", n*tileWidth, n*tileWidth+tileWidth-1, ErrIntegrity)
	}
	return nil
}

// verifyLast verifies the last bundle, which is no complete subtree.
func (r *Reader) verifyLast(n int64, hashes []tlog.Hash) error {
	indexes := make([]int64, len(hashes))
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, n*tileWidth+int64(i))
	}
	want, err := r.Hashes().ReadHashes(indexes)
	if err != nil {
		return err
	}
	for i, h := range hashes {
		if h != want[i] {
			return entryError(n*tileWidth+int64(i), "the record of entry %d does not match the checkpoint: %w", n*tileWidth+int64(i), ErrIntegrity)
		}
	}
	return nil
}

// root returns the root of a full bundle. It reads those that share a tile together.
func (r *Reader) root(n int64) (tlog.Hash, error) {
	if n < r.first || n >= r.first+int64(len(r.roots)) {
		end := min(n/tileWidth*tileWidth+tileWidth, r.checkpoint.Size/tileWidth)
		indexes := make([]int64, 0, end-n)
		for i := n; i < end; i++ {
			indexes = append(indexes, tlog.StoredHashIndex(tileHeight, i))
		}
		roots, err := r.Hashes().ReadHashes(indexes)
		if err != nil {
			return tlog.Hash{}, err
		}
		r.first, r.roots = n, roots
	}
	return r.roots[n-r.first], nil
}

// open opens an entry, or sets its Err.
func (r *Reader) open(e *Entry, body []byte) error {
	e.Key = binary.BigEndian.Uint32(body)
	box, err := r.box(e.Key)
	if err != nil {
		return fmt.Errorf("entry %d: %w", e.Index, err)
	}
	if box == nil {
		e.Err = ErrNotYours
		return nil
	}
	r.ad = merkle.AppendAssociated(r.ad[:0], r.checkpoint.Origin, e.Index, e.Key)
	text, err := box.Open(body[4:], r.ad)
	if err != nil {
		return fmt.Errorf("entry %d does not open under log key %d: it is sealed under another one, or %s was exchanged: %w",
			e.Index, e.Key, wrapPath(e.Key, r.identity.Name()), ErrIntegrity)
	}
	return e.Parse(text)
}

// box opens a log key; nil where it was not wrapped for the identity.
func (r *Reader) box(number uint32) (keyring.Box, error) {
	if box, ok := r.boxes[number]; ok || r.identity == nil {
		return box, nil
	}
	if len(r.boxes) == maxBoxes {
		clear(r.boxes)
	}
	name := wrapPath(number, r.identity.Name())
	wrap, err := r.dir.ReadFile(name, seal.WrapBytes)
	if errors.Is(err, fs.ErrNotExist) {
		r.boxes[number] = nil
		return nil, nil
	}
	if err != nil {
		return nil, asDamage(err)
	}
	box, err := r.identity.OpenLogKey(r.checkpoint.Origin, number, wrap)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: it was altered or exchanged, or this is not the key that was enrolled as %s: %w", name, err, r.identity.Name(), ErrIntegrity)
	}
	r.boxes[number] = box
	return box, nil
}
