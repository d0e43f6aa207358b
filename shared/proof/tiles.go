package proof

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"nightdrop/shared/note"
)

// Errors about a copy of a log, which its keeper can cause: none says anything about the vault.
var (
	// ErrDamaged is returned for a copy that is not its checkpoint's, or not this vault's.
	ErrDamaged = errors.New("this copy of the log is damaged, altered or another's: take one from elsewhere")
	// ErrIncomplete is returned when a file that the checkpoint requires is missing.
	ErrIncomplete = errors.New("this copy of the log is not whole, or was just renewed: try again, or take one from elsewhere")
	// ErrBehind is returned when the copy ends before what is asked for.
	ErrBehind = errors.New("this copy of the log is too old: take a newer one")
)

// TileSource reads a log's public files by their C2SP tlog-tiles paths. It is not trusted.
type TileSource interface {
	// ReadFile returns the file at a slash-separated path, whole: fs.ErrNotExist if there is none;
	// ErrDamaged if it is longer than limit bytes, and no more than that is read. It is called
	// concurrently.
	ReadFile(ctx context.Context, path string, limit int) ([]byte, error)
}

// Tiles is a copy of a log by its public files. Every hash is proved by the root that the vault
// signed, so the copy's keeper can only withhold. Safe for concurrent use.
type Tiles struct {
	source     TileSource
	signed     []byte
	checkpoint Checkpoint

	mu   sync.Mutex
	kept map[tlog.Tile][]byte // that were proved; at most maxKeptTiles
}

const (
	maxKeptTiles = 1024 // 8 MiB
	readTiles    = 8    // at a time
)

// OpenTiles reads a copy's checkpoint, signed by any of the vault's keys, else [ErrDamaged];
// fs.ErrNotExist if there is none. An older one than others have seen is no fault.
func OpenTiles(ctx context.Context, source TileSource, vault ...note.Verifier) (*Tiles, error) {
	signed, err := source.ReadFile(ctx, CheckpointPath, note.MaxBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no log is exported there: %w (it is what `vault audit export` writes, or a published copy)", err)
	}
	if err != nil {
		return nil, err
	}
	c, err := OpenCheckpoint(signed, vault...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", CheckpointPath, ErrDamaged, err)
	}
	return &Tiles{source: source, signed: signed, checkpoint: c, kept: map[tlog.Tile][]byte{}}, nil
}

// Checkpoint is the copy's.
func (t *Tiles) Checkpoint() Checkpoint { return t.checkpoint }

// Signed is its note. The caller must not change it.
func (t *Tiles) Signed() []byte { return t.signed }

// Prove returns a proof, by the copy's checkpoint, that the log holds record at index. [ErrBehind]:
// the copy ends before it. [ErrDiverged]: the log holds another record there, which the returned
// proof is of.
func (t *Tiles) Prove(ctx context.Context, index int64, record [LeafBytes]byte) (Proof, error) {
	if index < 0 {
		return Proof{}, fmt.Errorf("%w: an index is not below zero", ErrMalformed)
	}
	if index >= t.checkpoint.Size {
		return Proof{}, fmt.Errorf("%w: it ends after %d entries, and this is entry %d", ErrBehind, t.checkpoint.Size, index)
	}
	hashes, err := tlog.ProveRecord(t.checkpoint.Size, index, t.Hashes(ctx))
	if err != nil {
		return Proof{}, err
	}
	return Proof{index, hashes, t.signed}, CheckInclusion(t.checkpoint, index, record, hashes)
}

// Root returns the root of the log's first size entries, or [ErrBehind].
func (t *Tiles) Root(ctx context.Context, size int64) (tlog.Hash, error) {
	roots, err := t.roots(ctx, []int64{size})
	return roots[size], err
}

// Consistency returns the hashes for [CheckConsistency] of two sizes, neither above the copy's.
func (t *Tiles) Consistency(ctx context.Context, older, newer int64) ([]tlog.Hash, error) {
	if older < 0 || newer < older {
		return nil, fmt.Errorf("%w: sizes are not below zero, and the older one comes first", ErrMalformed)
	}
	if newer > t.checkpoint.Size {
		return nil, t.behind(newer)
	}
	if older == 0 {
		return nil, nil
	}
	return tlog.ProveTree(newer, older, t.Hashes(ctx))
}

// Prefix proves the log's first size entries. Errors as Root.
func (t *Tiles) Prefix(ctx context.Context, size int64) (Prefix, error) {
	root, err := t.Root(ctx, size)
	if err != nil {
		return Prefix{}, err
	}
	hashes, err := t.Consistency(ctx, size, t.checkpoint.Size)
	return Prefix{size, root, hashes, t.signed}, err
}

func (t *Tiles) behind(size int64) error {
	return fmt.Errorf("%w: it ends after %d entries, and %d are asked for", ErrBehind, t.checkpoint.Size, size)
}

// roots returns the roots at several sizes, for which each tile is read once.
func (t *Tiles) roots(ctx context.Context, sizes []int64) (map[int64]tlog.Hash, error) {
	var names []Subtree
	var indexes []int64
	for _, size := range sizes {
		if size < 0 {
			return nil, fmt.Errorf("%w: a size is not below zero", ErrMalformed)
		}
		if size > t.checkpoint.Size {
			return nil, t.behind(size)
		}
		for _, name := range prefix(size) {
			names, indexes = append(names, name), append(indexes, tlog.StoredHashIndex(name.Level, name.N))
		}
	}
	hashes, err := t.hashes(ctx, indexes)
	if err != nil {
		return nil, err
	}
	found := Subtrees{}
	for i, name := range names {
		found[name] = hashes[i]
	}
	roots := make(map[int64]tlog.Hash, len(sizes))
	for _, size := range sizes {
		roots[size], _ = found.Root(size) // all that make it up were read
	}
	return roots, nil
}

// Hashes reads hashes of the log's tree by tlog storage index, proved by the signed root, or
// returns [ErrDamaged] or [ErrIncomplete].
func (t *Tiles) Hashes(ctx context.Context) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) { return t.hashes(ctx, indexes) })
}

func (t *Tiles) hashes(ctx context.Context, indexes []int64) ([]tlog.Hash, error) {
	if len(indexes) == 0 {
		return nil, nil
	}
	pass := &tilePass{Tiles: t, ctx: ctx}
	hashes, err := tlog.TileHashReader(tlog.Tree{N: t.checkpoint.Size, Hash: t.checkpoint.Root}, pass).ReadHashes(indexes)
	switch {
	case pass.err != nil:
		return nil, pass.err
	case err != nil:
		return nil, fmt.Errorf("%w: its tiles do not lead to the root that the vault signed", ErrDamaged)
	}
	return hashes, nil
}

// tilePass is one reading of hashes. It implements tlog.TileReader.
type tilePass struct {
	*Tiles
	ctx context.Context
	err error // why tiles could not be read
}

func (*tilePass) Height() int { return TileHeight }

func (p *tilePass) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	all := make([][]byte, len(tiles))
	group, ctx := errgroup.WithContext(p.ctx)
	group.SetLimit(readTiles)
	for i, tile := range tiles {
		if all[i] = p.known(tile); all[i] != nil {
			continue
		}
		group.Go(func() (err error) {
			all[i], err = p.tile(ctx, tile)
			return err
		})
	}
	p.err = group.Wait()
	return all, p.err
}

func (p *tilePass) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, tile := range tiles {
		if len(p.kept) == maxKeptTiles {
			clear(p.kept)
		}
		p.kept[tile] = data[i]
	}
}

func (t *Tiles) known(tile tlog.Tile) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.kept[tile]
}

// tile reads a tile. A partial one may be gone once the log has outgrown it: then the full one
// begins with it.
func (t *Tiles) tile(ctx context.Context, tile tlog.Tile) ([]byte, error) {
	path, full := TilePath(tile), tlog.Tile{H: tile.H, L: tile.L, N: tile.N, W: TileWidth}
	data, err := t.source.ReadFile(ctx, path, TileBytes)
	want := tile.W
	if errors.Is(err, fs.ErrNotExist) && tile.W < TileWidth {
		data, err = t.source.ReadFile(ctx, TilePath(full), TileBytes)
		want = TileWidth
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: there is no %s", ErrIncomplete, path)
	case err != nil:
		return nil, err
	case len(data) != want*tlog.HashSize:
		return nil, fmt.Errorf("%w: %s has %d bytes of %d", ErrDamaged, path, len(data), want*tlog.HashSize)
	}
	return data[:tile.W*tlog.HashSize], nil
}
