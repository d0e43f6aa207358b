package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/shared/proof/tiles"
	"nightdrop/shared/untrusted"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/merkle"
)

// ErrIntegrity is returned when an exported copy of the log is altered, cut, or of another history.
var ErrIntegrity = merkle.ErrIntegrity

// Why an entry of an export is not opened.
var (
	// its log key was not wrapped for the identity
	ErrNotYours = errors.New("the entry is not of this auditor's time")
	// log.json says so
	ErrNoBody = errors.New("the entry's body was left out of the export by choice")
)

// Identity opens log keys that were wrapped for it; [keyring.Auditor] implements it.
type Identity interface {
	Name() string
	OpenLogKey(origin string, number uint32, wrap []byte) (keyring.Box, error)
}

// Entry is an entry of an export.
type Entry struct {
	merkle.Entry
	// why it was not opened: [ErrNotYours] or [ErrNoBody]; then it has index, key and record only
	Err error
}

// Export is an exported log. It is safe for concurrent use.
type Export struct {
	dir        untrusted.Dir
	tiles      *proof.Tiles
	checkpoint proof.Checkpoint
	info       logInfo
}

// OpenExport opens the export in dir, to which nothing may write meanwhile, and checks the vault's
// signature of its checkpoint; the rest is verified as it is read. It fails with [ErrIntegrity].
func OpenExport(dir string, vault note.Verifier) (*Export, error) {
	x := &Export{dir: untrusted.Dir(dir)}
	var err error
	if x.tiles, err = proof.OpenTiles(context.Background(), tiles.Dir(dir), vault); err != nil {
		return nil, fmt.Errorf("open the exported log: %w", tilesError(err))
	}
	x.checkpoint = x.tiles.Checkpoint()
	data, err := x.dir.ReadFile(logFile, maxInfo)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing: %w", logFile, ErrIntegrity)
	}
	if err != nil {
		return nil, asDamage(err)
	}
	if x.info, err = parseInfo(data, vault); err != nil {
		return nil, fmt.Errorf("%s: %w", logFile, err)
	}
	return x, nil
}

// Checkpoint returns the checkpoint that the vault signed.
func (x *Export) Checkpoint() proof.Checkpoint { return x.checkpoint }

// Signed returns the checkpoint's note.
func (x *Export) Signed() []byte { return x.tiles.Signed() }

// tilesError makes errors about the tiles wrap [ErrIntegrity]: a newer copy does not help a
// complete export.
func tilesError(err error) error {
	if errors.Is(err, proof.ErrDamaged) || errors.Is(err, proof.ErrIncomplete) || errors.Is(err, proof.ErrBehind) {
		return fmt.Errorf("%w: %w", err, ErrIntegrity)
	}
	return err
}

// Entries calls fn with every entry from an index on, in order: each verified against the
// checkpoint's root, and opened where identity, which may be nil, has its log key; the others have
// an Err. fn may keep an entry. Memory does not grow with the log. Entries ends with fn's error,
// with ctx's, or with [ErrIntegrity] at the first entry that does not match the checkpoint, does
// not open under its log key, or shows that log keys were withheld: an auditor's time begins with
// the entry that adds it and ends with the one that removes it. It cannot check that the record's
// first half is that of salt and facts: whoever folds the events must.
func (x *Export) Entries(ctx context.Context, from int64, identity Identity, fn func(Entry) error) error {
	reader, order := x.NewReader(identity), x.NewOrder(identity)
	from = max(from, 0)
	for n := from / Bundle; n < x.Bundles(); n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, bad := reader.Bundle(n, nil)
		for i := range entries {
			if entries[i].Index < from {
				continue
			}
			if err := order.Next(&entries[i]); err != nil {
				return err
			}
			if err := fn(entries[i]); err != nil {
				return err
			}
		}
		if bad != nil {
			return bad
		}
	}
	return nil
}
