package audit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/payment"
)

// Why an entry of an export is not opened.
var (
	ErrNotYours = errors.New("the entry is not of this auditor's time")               // its log key was not wrapped for the identity
	ErrNoBody   = errors.New("the entry's body was left out of the export by choice") // log.json says so
)

// Identity opens log keys that were wrapped for it; *keyring.Auditor is one.
type Identity interface {
	Name() string
	OpenLogKey(origin string, number uint32, wrap []byte) (keyring.Box, error)
}

// Export is an exported log, read from its files alone. It is safe for concurrent use.
type Export struct {
	dir        string
	signed     []byte
	checkpoint proof.Checkpoint
	info       logInfo
}

// OpenExport opens the export in dir, which nothing writes to meanwhile, and checks the vault's signature over its checkpoint. It
// fails with ErrIntegrity. What stands under the checkpoint is verified as it is read.
func OpenExport(dir string, vault note.Verifier) (*Export, error) {
	x := &Export{dir: dir}
	var err error
	if x.signed, err = os.ReadFile(filepath.Join(dir, checkpointFile)); err != nil {
		return nil, fmt.Errorf("open the exported log: %w", err)
	}
	if x.checkpoint, err = proof.OpenCheckpoint(x.signed, vault); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", checkpointFile, err, ErrIntegrity)
	}
	data, err := x.read(logFile)
	if err != nil {
		return nil, err
	}
	if x.info, err = parseInfo(data, vault); err != nil {
		return nil, fmt.Errorf("%s: %w", logFile, err)
	}
	return x, nil
}

// Checkpoint is what the vault signed of the log.
func (x *Export) Checkpoint() proof.Checkpoint { return x.checkpoint }

// Signed is the checkpoint's note.
func (x *Export) Signed() []byte { return x.signed }

// FirstBody is the index of the first entry whose body must be there; a multiple of Bundle.
func (x *Export) FirstBody() int64 { return x.info.Bodies }

// read reads a file that must be there.
func (x *Export) read(name string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(x.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing: %w", name, ErrIntegrity)
	}
	return data, err
}

// Entries gives fn every entry from an index on, in order: each verified against the checkpoint's root before, and opened where
// identity, which may be nil, has its log key; the others carry their Err. An entry and what is in it is fn's to keep. Memory does not
// grow with the log. Entries ends with fn's error, with ctx's, or with ErrIntegrity at the first entry that is not what the checkpoint
// says, does not open under its log key, or shows that log keys were withheld: an auditor's time begins with the entry that adds it and
// ends with the one that removes it. It does not know the facts of results: that the record's first half is that of salt and facts,
// whoever folds the events must check.
func (x *Export) Entries(ctx context.Context, from int64, identity Identity, fn func(Entry) error) error {
	r := reader{Export: x, identity: identity, tiles: map[tlog.Tile][]byte{}}
	for n := max(from, 0) / tileWidth; n < bundlesOf(x.checkpoint.Size); n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, err := r.bundle(n)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Index < from {
				continue
			}
			if err := r.open(&e); err != nil {
				return err
			}
			e.body = nil
			if err := fn(e.Entry); err != nil {
				return err
			}
		}
	}
	return nil
}

// sealedEntry is an entry whose record is verified, and its body, nil where it was left out.
type sealedEntry struct {
	Entry
	body []byte
}

// reader is one pass over an export.
type reader struct {
	*Export
	identity Identity

	tiles map[tlog.Tile][]byte // that were read for the roots under way
	roots []tlog.Hash          // of the bundles from rooted on
	first int64                // bundle of roots[0]

	key  uint32      // number of the log key under way
	box  keyring.Box // nil where it is not the identity's
	last Entry       // the entry before
	runs bool        // there is one, and it had its body
}

// bundle reads and verifies 256 entries, or those at the end.
func (r *reader) bundle(n int64) ([]sealedEntry, error) {
	width := widthOf(n, r.checkpoint.Size)
	name := entriesPath(n, width)
	data, err := r.read(name)
	if err != nil {
		return nil, err
	}
	records, err := splitFrames(data, 2, width)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, err, ErrIntegrity)
	}
	entries := make([]sealedEntry, width)
	hashes := make([]tlog.Hash, width)
	for i, record := range records {
		if len(record) != proof.LeafBytes {
			return nil, fmt.Errorf("%s: record %d is not 64 bytes: %w", name, i, ErrIntegrity)
		}
		entries[i].Index, entries[i].Record = n*tileWidth+int64(i), [proof.LeafBytes]byte(record)
		hashes[i] = tlog.RecordHash(record)
	}
	if err := r.verify(n, hashes); err != nil {
		return nil, err
	}
	return entries, r.bodies(n, entries)
}

// verify holds a bundle's leaves against the root of the checkpoint.
func (r *reader) verify(n int64, hashes []tlog.Hash) error {
	if len(hashes) == tileWidth {
		want, err := r.root(n)
		if err != nil {
			return err
		}
		var tail Tail
		for _, h := range hashes {
			tail.add(h)
		}
		if tail.Root() != want {
			return fmt.Errorf("the records of entries %d to %d are not those of the checkpoint: %w", n*tileWidth, n*tileWidth+tileWidth-1, ErrIntegrity)
		}
		return nil
	}
	indexes := make([]int64, len(hashes))
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, n*tileWidth+int64(i))
	}
	want, err := r.hashes(indexes)
	if err != nil {
		return err
	}
	for i, h := range hashes {
		if h != want[i] {
			return fmt.Errorf("the record of entry %d is not that of the checkpoint: %w", n*tileWidth+int64(i), ErrIntegrity)
		}
	}
	return nil
}

// root gives the root of a full bundle. Those that share a tile are read together.
func (r *reader) root(n int64) (tlog.Hash, error) {
	if n < r.first || n >= r.first+int64(len(r.roots)) {
		end := min(n/tileWidth*tileWidth+tileWidth, r.checkpoint.Size/tileWidth)
		indexes := make([]int64, 0, end-n)
		for i := n; i < end; i++ {
			indexes = append(indexes, tlog.StoredHashIndex(tileHeight, i))
		}
		roots, err := r.hashes(indexes)
		if err != nil {
			return tlog.Hash{}, err
		}
		r.first, r.roots = n, roots
	}
	return r.roots[n-r.first], nil
}

// hashes reads hashes of the tree, proved against the checkpoint's root.
func (r *reader) hashes(indexes []int64) ([]tlog.Hash, error) {
	clear(r.tiles)
	tree := tlog.Tree{N: r.checkpoint.Size, Hash: r.checkpoint.Root}
	hashes, err := tlog.TileHashReader(tree, r).ReadHashes(indexes)
	if err != nil {
		return nil, fmt.Errorf("the tiles do not lead to the checkpoint's root: %w: %w", err, ErrIntegrity)
	}
	return hashes, nil
}

// Height implements tlog.TileReader.
func (*reader) Height() int { return tileHeight }

// ReadTiles implements tlog.TileReader.
func (r *reader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	all := make([][]byte, len(tiles))
	for i, t := range tiles {
		if r.tiles[t] == nil {
			data, err := r.read(tilePath(t))
			if err != nil {
				return nil, err
			}
			if len(data) != t.W*tlog.HashSize {
				return nil, fmt.Errorf("%s has %d bytes of %d", tilePath(t), len(data), t.W*tlog.HashSize)
			}
			r.tiles[t] = data
		}
		all[i] = r.tiles[t]
	}
	return all, nil
}

// SaveTiles implements tlog.TileReader.
func (*reader) SaveTiles([]tlog.Tile, [][]byte) {}

// bodies reads a bundle's sealed entries and holds them against their records.
func (r *reader) bodies(n int64, entries []sealedEntry) error {
	name := bodiesPath(n, len(entries))
	data, err := os.ReadFile(filepath.Join(r.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		if n*tileWidth < r.info.Bodies {
			return nil
		}
		return fmt.Errorf("%s is missing: %w", name, ErrIntegrity)
	}
	if err != nil {
		return err
	}
	bodies, err := splitFrames(data, 4, len(entries))
	if err != nil {
		return fmt.Errorf("%s: %w: %w", name, err, ErrIntegrity)
	}
	for i, body := range bodies {
		e := &entries[i]
		if len(body) < 4 || sha256.Sum256(body) != [sha256.Size]byte(e.Record[sha256.Size:]) {
			return fmt.Errorf("the sealed entry %d is not that of its record: %w", e.Index, ErrIntegrity)
		}
		e.body, e.Key = body, binary.BigEndian.Uint32(body)
	}
	return nil
}

// open opens an entry, or says in its Err why not.
func (r *reader) open(e *sealedEntry) error {
	if e.body == nil {
		e.Err = ErrNoBody
		r.runs = false
		return nil
	}
	if err := r.turn(e.Key); err != nil {
		return fmt.Errorf("entry %d: %w", e.Index, err)
	}
	if r.box == nil {
		e.Err = ErrNotYours
	} else {
		text, err := r.box.Open(e.body[4:], associated(r.checkpoint.Origin, e.Index, e.Key))
		if err != nil {
			return fmt.Errorf("entry %d does not open under log key %d: it is sealed under another, or %s was exchanged: %w",
				e.Index, e.Key, wrapPath(e.Key, r.identity.Name()), ErrIntegrity)
		}
		if err := e.parse(text); err != nil {
			return err
		}
	}
	return r.border(e.Entry)
}

// turn makes the log key of this number the one under way.
func (r *reader) turn(number uint32) error {
	if number == r.key {
		return nil
	}
	if number < r.key {
		return fmt.Errorf("log key %d comes after %d: %w", number, r.key, ErrIntegrity)
	}
	r.key, r.box = number, nil
	if r.identity == nil {
		return nil
	}
	name := wrapPath(number, r.identity.Name())
	wrap, err := os.ReadFile(filepath.Join(r.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if r.box, err = r.identity.OpenLogKey(r.checkpoint.Origin, number, wrap); err != nil {
		return fmt.Errorf("%s: %w: it was altered or exchanged, or this is not the key that was enrolled as %s: %w", name, err, r.identity.Name(), ErrIntegrity)
	}
	return nil
}

// border checks that the identity's time begins and ends where the log says so.
func (r *reader) border(e Entry) error {
	last, runs := r.last, r.runs
	r.last, r.runs = e, true
	if r.identity == nil || !runs || (last.Err == nil) == (e.Err == nil) {
		return nil
	}
	kind, at := payment.AuditorAdded{}.Kind(), e
	if e.Err != nil {
		kind, at = payment.AuditorRemoved{}.Kind(), last
	}
	var event struct {
		Kind string `json:"kind"`
		Body struct {
			Name string `json:"name"`
		} `json:"body"`
	}
	if json.Unmarshal(at.Event, &event) != nil || event.Kind != kind || event.Body.Name != r.identity.Name() {
		return fmt.Errorf("from entry %d to %d %s's time begins or ends, but entry %d is no %s of it: wrapped log keys are missing: %w",
			last.Index, e.Index, r.identity.Name(), at.Index, kind, ErrIntegrity)
	}
	return nil
}
