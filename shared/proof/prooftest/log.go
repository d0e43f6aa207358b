// Package prooftest is a vault's log in memory, for tests of its readers.
package prooftest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/note"
	"nightdrop/shared/proof"
)

// Log holds all hashes as tlog stores them. Make one with [New] or [Of].
type Log struct {
	tb     testing.TB
	hashes []tlog.Hash
	size   int64
}

// New returns an empty log.
func New(tb testing.TB) *Log { return &Log{tb: tb} }

// Of returns a log of size leaves: the first are Record(0), Record(1) and so on.
func Of(tb testing.TB, size int64) *Log {
	tb.Helper()
	l := New(tb)
	l.Grow(size)
	return l
}

// Record is a leaf that is different for each i.
func Record(i int64) [proof.LeafBytes]byte {
	salt := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
	return proof.LeafRecord(salt[:proof.SaltBytes], []byte(`{"code":"ok"}`), salt)
}

// Size is the number of leaves.
func (l *Log) Size() int64 { return l.size }

// ReadHashes is tlog.HashReader.
func (l *Log) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = l.hashes[index]
	}
	return hashes, nil
}

// Fork returns another log with the same leaves so far.
func (l *Log) Fork() *Log { return &Log{l.tb, slices.Clone(l.hashes), l.size} }

// Add appends a leaf and returns its index.
func (l *Log) Add(record [proof.LeafBytes]byte) int64 {
	l.tb.Helper()
	hashes, err := tlog.StoredHashes(l.size, record[:], l)
	if err != nil {
		l.tb.Fatal(err)
	}
	l.hashes = append(l.hashes, hashes...)
	l.size++
	return l.size - 1
}

// Grow appends leaves until there are size.
func (l *Log) Grow(size int64) {
	l.tb.Helper()
	for l.size < size {
		l.Add(Record(l.size))
	}
}

// Checkpoint is the head of the first size leaves, under a vault's name.
func (l *Log) Checkpoint(origin string, size int64) proof.Checkpoint {
	l.tb.Helper()
	root, err := tlog.TreeHash(size, l)
	if err != nil {
		l.tb.Fatal(err)
	}
	return proof.Checkpoint{Origin: origin, Size: size, Root: root}
}

// Sign returns the signed checkpoint of the first size leaves.
func (l *Log) Sign(size int64, vault *note.Signer) []byte {
	l.tb.Helper()
	msg, err := proof.SignCheckpoint(l.Checkpoint(vault.Name(), size), vault)
	if err != nil {
		l.tb.Fatal(err)
	}
	return msg
}

// Prove returns the proof of a leaf in the first size leaves, by a checkpoint that vault signs.
func (l *Log) Prove(index, size int64, vault *note.Signer) proof.Proof {
	l.tb.Helper()
	hashes, err := tlog.ProveRecord(size, index, l)
	if err != nil {
		l.tb.Fatal(err)
	}
	return proof.Proof{Index: index, Hashes: hashes, Checkpoint: l.Sign(size, vault)}
}

// Text returns Prove's proof as results carry it.
func (l *Log) Text(index, size int64, vault *note.Signer) []byte {
	l.tb.Helper()
	text, err := proof.EncodeProof(l.Prove(index, size, vault))
	if err != nil {
		l.tb.Fatal(err)
	}
	return text
}

// Files is a copy of a log in memory: its public files by their paths. It is a proof.TileSource.
type Files map[string][]byte

// Export returns the public files of the first size leaves, as `vault audit export` writes them.
func (l *Log) Export(size int64, vault *note.Signer) Files {
	l.tb.Helper()
	files := Files{proof.CheckpointPath: l.Sign(size, vault)}
	for _, tile := range tlog.NewTiles(proof.TileHeight, 0, size) {
		data, err := tlog.ReadTileData(tile, l)
		if err != nil {
			l.tb.Fatal(err)
		}
		files[proof.TilePath(tile)] = data
	}
	return files
}

// ReadFile implements proof.TileSource.
func (f Files) ReadFile(ctx context.Context, path string, limit int) ([]byte, error) {
	data, ok := f[path]
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case !ok:
		return nil, fs.ErrNotExist
	case len(data) > limit:
		return nil, proof.ErrDamaged
	}
	return data, nil
}

// Write writes the files below dir.
func (f Files) Write(tb testing.TB, dir string) {
	tb.Helper()
	for path, data := range f {
		path = filepath.Join(dir, filepath.FromSlash(path))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644)); err != nil {
			tb.Fatal(err)
		}
	}
}
