package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/durable"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/shared/untrusted"
	"nightdrop/vault/internal/merkle"
)

// ErrOccupied is returned for a directory that holds something other than this vault's log.
var ErrOccupied = errors.New("choose another directory")

// Exporter writes a log's files.
type Exporter struct {
	// reads a snapshot later than the checkpoint; called once a bundle
	View       func(fn func(merkle.Rows) error) error
	Vault      note.Verifier           // whose log it is
	Checkpoint []byte                  // signed by Vault
	Progress   func(done, total int64) // leaves; may be nil
	// Wraps calls fn with every log key that is wrapped for an auditor; nil: there are none.
	Wraps func(fn func(number uint32, auditor string, wrap []byte) error) error
	// Bodies is the index of the first entry to export with its body. Bodies of complete bundles
	// before it are left out and, where an earlier export wrote them, removed. 0: all.
	Bodies  int64
	Summary []byte // a page for people, nil to leave out
	// Again also rewrites what an earlier export wrote and is now missing or damaged; a damaged
	// checkpoint, where log.json is this vault's.
	Again bool
}

// Bundle is how many entries are in a bundle.
const Bundle = tileWidth

// Export writes the log of the checkpoint into dir, which it makes where missing. It keeps what an
// earlier export wrote, after a proof that this log begins with it; an unfinished one is continued
// from its last checkpoint. The checkpoint is written last, after all files are durable. It fails
// with [ErrIntegrity] where dir holds another log or a longer one.
func (x Exporter) Export(ctx context.Context, dir string) (proof.Checkpoint, error) {
	c, err := proof.OpenCheckpoint(x.Checkpoint, x.Vault)
	if err != nil {
		return c, fmt.Errorf("export the log: %w", err)
	}
	if err := x.export(ctx, untrusted.Dir(dir), c); err != nil {
		if errors.Is(err, untrusted.ErrUnfit) {
			err = fmt.Errorf("%w: remove it, or %w", err, ErrOccupied)
		}
		return c, fmt.Errorf("export the log into %s: %w", dir, err)
	}
	return c, nil
}

func (x Exporter) export(ctx context.Context, dir untrusted.Dir, c proof.Checkpoint) error {
	first := min(x.Bodies, c.Size) / tileWidth // the first bundle with bodies
	if err := x.claim(dir, first*tileWidth); err != nil {
		return err
	}
	have, err := x.exportedSize(dir, c)
	if err != nil {
		return err
	}
	from := have
	if x.Again {
		from = 0
	}
	if from > 0 {
		if err := x.exportLeftOut(ctx, dir, first, from); err != nil {
			return err
		}
	}
	for n := from / tileWidth; n < bundlesOf(c.Size); n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := x.exportBundle(dir, n, widthOf(n, c.Size), n >= first); err != nil {
			return err
		}
		if x.Progress != nil {
			x.Progress(min((n+1)*tileWidth, c.Size), c.Size)
		}
	}
	for _, tile := range tlog.NewTiles(tileHeight, from/tileWidth*tileWidth, c.Size) {
		if err := x.exportTile(dir, tile); err != nil {
			return err
		}
	}
	if err := x.exportRest(dir); err != nil {
		return err
	}
	if err := x.finish(dir, first*tileWidth); err != nil {
		return err
	}
	return errors.Join(prune(dir, have, c.Size), pruneBodies(dir, first))
}

// exportLeftOut writes wanted bodies that an earlier export of have leaves left out.
func (x Exporter) exportLeftOut(ctx context.Context, dir untrusted.Dir, first, have int64) error {
	info, err := x.info(dir)
	if unclaimed(err) {
		info.Bodies = have // where log.json is lost or damaged, any body may be
	} else if err != nil {
		return err
	}
	for n := first; n < min(info.Bodies, have)/tileWidth; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := x.exportBundle(dir, n, tileWidth, true); err != nil {
			return err
		}
	}
	return nil
}

// exportRest writes the wrapped log keys and the summary.
func (x Exporter) exportRest(dir untrusted.Dir) error {
	if x.Summary != nil {
		if err := dir.WriteFile(summaryFile, x.Summary); err != nil {
			return err
		}
	}
	if x.Wraps == nil {
		return nil
	}
	return x.Wraps(func(number uint32, auditor string, wrap []byte) error {
		return dir.WriteFile(wrapPath(number, auditor), wrap)
	})
}

// claim writes log.json into a directory without a checkpoint: after an unfinished export it shows
// that the other files may be overwritten. It fails with [ErrOccupied] where the directory is in
// other use.
func (x Exporter) claim(dir untrusted.Dir, bodies int64) error {
	if info, err := os.Stat(string(dir)); err == nil && !info.IsDir() {
		return fmt.Errorf("it is a file: %w", ErrOccupied)
	}
	if there, err := dir.Has(checkpointFile); err != nil || there {
		return err
	}
	_, err := x.info(dir)
	if err == nil { // an export was broken off
		return x.writeInfo(dir, bodies)
	}
	if !unclaimed(err) {
		return err
	}
	for _, name := range []string{logFile, summaryFile, keysDir, tileDir, bodiesDir} {
		if there, err := dir.Has(name); err != nil {
			return err
		} else if there && !x.Again {
			return fmt.Errorf("it holds %s but no log of this vault: %w, or give --again to replace it", name, ErrOccupied)
		}
	}
	if err := x.writeInfo(dir, bodies); err != nil {
		return err
	}
	return durable.SyncFileSystem(string(dir)) // no crash leaves files without it
}

func (x Exporter) info(dir untrusted.Dir) (logInfo, error) {
	data, err := dir.ReadFile(logFile, maxInfo)
	if err != nil {
		return logInfo{}, asDamage(err)
	}
	return parseInfo(data, x.Vault)
}

// unclaimed reports whether err means that log.json is missing or not this vault's.
func unclaimed(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrIntegrity) }

func (x Exporter) writeInfo(dir untrusted.Dir, bodies int64) error {
	info, err := logInfo{Format: logFormat, Origin: x.Vault.Name(), Vkey: x.Vault.String(), Bodies: bodies}.encode()
	if err != nil {
		return err
	}
	return dir.WriteFile(logFile, info)
}

// exportedSize returns the size of the log in dir, or 0.
func (x Exporter) exportedSize(dir untrusted.Dir, c proof.Checkpoint) (int64, error) {
	msg, err := dir.ReadFile(checkpointFile, note.MaxBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil && !errors.Is(err, untrusted.ErrUnfit) {
		return 0, err
	}
	old, err := proof.OpenCheckpoint(msg, x.Vault)
	if err != nil {
		return 0, x.checkReplaceable(dir)
	}
	if old.Size > c.Size {
		return 0, fmt.Errorf("it holds %d entries and the ledger has %d, so the ledger is older: %w", old.Size, c.Size, ErrIntegrity)
	}
	if old.Size == 0 {
		return 0, nil
	}
	var root tlog.Hash
	err = x.View(func(rows merkle.Rows) error {
		root, err = tlog.TreeHash(old.Size, merkle.Hashes(rows))
		return err
	})
	if err == nil && root != old.Root {
		err = fmt.Errorf("its first %d entries are not the ledger's: %w", old.Size, ErrIntegrity)
	}
	return old.Size, err
}

// checkReplaceable returns nil where a checkpoint that the vault has not signed may be replaced:
// with Again, in the vault's directory.
func (x Exporter) checkReplaceable(dir untrusted.Dir) error {
	_, err := x.info(dir)
	switch {
	case err != nil && !unclaimed(err):
		return err
	case err != nil:
		return fmt.Errorf("it holds a checkpoint that is not this vault's: %w (if it was this vault's and is damaged, remove it and give --again)", ErrOccupied)
	case !x.Again:
		return fmt.Errorf("its checkpoint is damaged: give --again to write it again, or %w", ErrOccupied)
	}
	return nil
}

// exportBundle writes the records of one bundle, and perhaps the bodies.
func (x Exporter) exportBundle(dir untrusted.Dir, n int64, width int, withBodies bool) error {
	var records, bodies []byte
	err := x.View(func(rows merkle.Rows) error {
		records, bodies = nil, nil
		for i := range int64(width) {
			record, body, err := merkle.Stored(rows, n*tileWidth+i)
			if err != nil {
				return err
			}
			records = append(binary.BigEndian.AppendUint16(records, uint16(len(record))), record[:]...)
			bodies = append(binary.BigEndian.AppendUint32(bodies, uint32(len(body))), body...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := dir.WriteFile(entriesPath(n, width), records); err != nil || !withBodies {
		return err
	}
	return dir.WriteFile(bodiesPath(n, width), bodies)
}

func (x Exporter) exportTile(dir untrusted.Dir, tile tlog.Tile) error {
	var data []byte
	err := x.View(func(rows merkle.Rows) (err error) {
		data, err = tlog.ReadTileData(tile, merkle.Hashes(rows))
		return err
	})
	if err != nil {
		return err
	}
	return dir.WriteFile(tilePath(tile), data)
}

// finish makes all files durable, then log.json, which may promise bodies that were left out
// before, and then the checkpoint. A crash before it leaves the earlier checkpoint, whose files are
// all there: unwanted bodies are removed last.
func (x Exporter) finish(dir untrusted.Dir, bodies int64) error {
	if err := durable.SyncFileSystem(string(dir)); err != nil {
		return err
	}
	if err := x.writeInfo(dir, bodies); err != nil {
		return err
	}
	if err := durable.SyncFileSystem(string(dir)); err != nil {
		return err
	}
	if err := dir.WriteFile(checkpointFile, x.Checkpoint); err != nil {
		return err
	}
	return durable.SyncFileSystem(string(dir))
}

// prune removes the partial tiles and bundles of those that have become full since an earlier size.
// Until then each stays, for readers of any published checkpoint, who ask for the width of its size
// (C2SP tlog-tiles). A crash before it leaves some for ever, which does no harm.
func prune(dir untrusted.Dir, old, size int64) error {
	if old == 0 {
		return nil
	}
	var parts []string
	for level := 0; size>>(level*tileHeight) >= tileWidth; level++ {
		n := old >> (level * tileHeight) / tileWidth
		if size>>(level*tileHeight)/tileWidth <= n {
			continue
		}
		parts = append(parts, path.Dir(tilePath(tlog.Tile{H: tileHeight, L: level, N: n, W: 1})))
		if level == 0 {
			parts = append(parts, path.Dir(entriesPath(n, 1)), path.Dir(bodiesPath(n, 1)))
		}
	}
	for _, name := range parts {
		if err := errors.Join(dir.Walk(name, 1, dir.Remove), dir.Remove(name)); err != nil {
			return err
		}
	}
	return nil
}

// pruneBodies removes the bodies of bundles before first, also an unfinished export's.
func pruneBodies(dir untrusted.Dir, first int64) error {
	for n := range first {
		whole, parts := bodiesPath(n, tileWidth), path.Dir(bodiesPath(n, 1))
		err := errors.Join(dir.Remove(whole), dir.Remove(whole+untrusted.Unfinished), dir.Walk(parts, 1, dir.Remove), dir.Remove(parts))
		if err != nil {
			return err
		}
	}
	return nil
}
