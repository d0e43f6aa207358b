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

// ErrOccupied is returned for a directory that holds something else than this vault's log.
var ErrOccupied = errors.New("choose another directory")

// Exporter writes a log's files.
type Exporter struct {
	// a snapshot, later than the checkpoint; taken once for each bundle
	View       func(fn func(merkle.Rows) error) error
	Vault      note.Verifier           // whose log it is
	Checkpoint []byte                  // signed by Vault
	Progress   func(done, total int64) // leaves; may be nil
	// Wraps gives every log key that is wrapped for an auditor; nil where there is none.
	Wraps func(fn func(number uint32, auditor string, wrap []byte) error) error
	// Bodies is the index of the first entry that is wanted with its body. Whole bundles before it
	// go without; where an earlier export into the directory wrote their bodies, they are removed.
	// 0 for all.
	Bodies  int64
	Summary []byte // a page for people, nil to leave out
	// Again is to write also what an earlier export wrote, where it is not there or not as it was:
	// what was damaged meanwhile is whole then. A damaged checkpoint is written anew where log.json
	// says whose it was.
	Again bool
}

// Bundle is how many entries are left out or kept together.
const Bundle = tileWidth

// Export writes the log of the checkpoint into dir, which is made when it is not there. What an
// earlier export wrote is kept, after a proof that this log begins with it; one that was broken off
// is begun again from the last checkpoint. The checkpoint is written last, after all files are
// durable. It fails with ErrIntegrity where dir holds another log or a longer one.
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
	first := min(x.Bodies, c.Size) / tileWidth // bundle with bodies
	if err := x.claim(dir, first*tileWidth); err != nil {
		return err
	}
	have, err := x.have(dir, c)
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
	if err := x.seal(dir, first*tileWidth); err != nil {
		return err
	}
	return errors.Join(prune(dir, have, c.Size), pruneBodies(dir, first))
}

// exportLeftOut writes the bodies that an earlier export of have leaves left out and that are
// wanted now, in whole bundles.
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

// exportRest writes the wrapped log keys and the page for people.
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

// claim makes a directory that has no checkpoint the log's: by its log.json, which shows after an
// export that was broken off that what else is there may be overwritten. ErrOccupied is returned
// where it is somebody else's.
func (x Exporter) claim(dir untrusted.Dir, bodies int64) error {
	if info, err := os.Stat(string(dir)); err == nil && !info.IsDir() {
		return fmt.Errorf("it is a file: %w", ErrOccupied)
	}
	if there, err := dir.Has(checkpointFile); err != nil || there {
		return err
	}
	_, err := x.info(dir)
	if err == nil { // an export was broken off
		return x.inform(dir, bodies)
	}
	if !unclaimed(err) {
		return err
	}
	for _, name := range []string{logFile, summaryFile, keysDir, tileDir, bodiesDir} {
		if there, err := dir.Has(name); err != nil {
			return err
		} else if there && !x.Again {
			return fmt.Errorf("it holds no log of this vault, but %s: %w, or give --again to replace it", name, ErrOccupied)
		}
	}
	if err := x.inform(dir, bodies); err != nil {
		return err
	}
	return durable.SyncFileSystem(string(dir)) // no crash leaves files without it
}

// info reads log.json.
func (x Exporter) info(dir untrusted.Dir) (logInfo, error) {
	data, err := dir.ReadFile(logFile, maxInfo)
	if err != nil {
		return logInfo{}, asDamage(err)
	}
	return parseInfo(data, x.Vault)
}

// unclaimed reports whether that is why log.json does not say that the directory is this vault's.
func unclaimed(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrIntegrity) }

// inform writes log.json.
func (x Exporter) inform(dir untrusted.Dir, bodies int64) error {
	info, err := logInfo{Format: logFormat, Origin: x.Vault.Name(), Vkey: x.Vault.String(), Bodies: bodies}.encode()
	if err != nil {
		return err
	}
	return dir.WriteFile(logFile, info)
}

// have returns the size of the log that dir holds, 0 for none.
func (x Exporter) have(dir untrusted.Dir, c proof.Checkpoint) (int64, error) {
	msg, err := dir.ReadFile(checkpointFile, note.MaxBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil && !errors.Is(err, untrusted.ErrUnfit) {
		return 0, err
	}
	old, err := proof.OpenCheckpoint(msg, x.Vault)
	if err != nil {
		return 0, x.replaces(dir)
	}
	if old.Size > c.Size {
		return 0, fmt.Errorf("it holds %d entries, the ledger has %d: the ledger is an older one: %w", old.Size, c.Size, ErrIntegrity)
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

// replaces reports whether a checkpoint that the vault has not signed may be replaced: with Again,
// in a directory that is the vault's.
func (x Exporter) replaces(dir untrusted.Dir) error {
	_, err := x.info(dir)
	switch {
	case err != nil && !unclaimed(err):
		return err
	case err != nil:
		return fmt.Errorf("it holds a checkpoint that is not this vault's: %w (if it was this vault's and is damaged, remove it and give --again)", ErrOccupied)
	case !x.Again:
		return fmt.Errorf("its checkpoint is damaged: give --again to write it anew, or %w", ErrOccupied)
	}
	return nil
}

// exportBundle writes the records of one bundle, and the bodies where they are wanted.
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

// seal makes all files durable, then log.json, which may promise bodies that were left out before,
// and then the checkpoint. A crash before it leaves the earlier checkpoint, whose files are all
// there: bodies that are to be left out from now on are removed last.
func (x Exporter) seal(dir untrusted.Dir, bodies int64) error {
	if err := durable.SyncFileSystem(string(dir)); err != nil {
		return err
	}
	if err := x.inform(dir, bodies); err != nil {
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

// prune removes the partial tiles and bundles of tiles and bundles that were not full at an earlier
// size and are now. Until then each stays, for a reader of any checkpoint that was shown, who asks
// for the width of its own (C2SP tlog-tiles). A crash before it leaves some for ever, which are in
// nobody's way.
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

// pruneBodies removes the bodies of bundles before first, also what exports that were broken off
// left of them.
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
