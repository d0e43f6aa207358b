package proof_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/envelope/vector"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/shared/proof/prooftest"
)

// The examples of c2sp.org/tlog-tiles.
func TestPathsAreThoseOfTheSpecification(t *testing.T) {
	for want, got := range map[string]string{
		"tile/0/x001/x234/067":        proof.TilePath(tlog.Tile{H: 8, L: 0, N: 1234067, W: 256}),
		"tile/63/000.p/1":             proof.TilePath(tlog.Tile{H: 8, L: 63, N: 0, W: 1}),
		"tile/1/x123/x456/789.p/255":  proof.TilePath(tlog.Tile{H: 8, L: 1, N: 123456789, W: 255}),
		"tile/entries/x001/x234/067":  proof.EntriesPath(1234067, 256),
		"tile/entries/999.p/17":       proof.EntriesPath(999, 17),
		"tile/entries/x001/000.p/112": proof.EntriesPath(1000, 112),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	// "A tree of size 70,000 will be represented by 273 full level 0 tiles, one partial level 0
	// tile of width 112, ..."
	count := map[string]int{}
	for _, tile := range tlog.NewTiles(proof.TileHeight, 0, 70_000) {
		count[fmt.Sprintf("level %d, width %d", tile.L, tile.W)]++
	}
	want := map[string]int{"level 0, width 256": 273, "level 0, width 112": 1, "level 1, width 256": 1, "level 1, width 17": 1, "level 2, width 1": 1}
	if !maps.Equal(count, want) {
		t.Errorf("tiles of 70,000 entries: %v", count)
	}
}

func open(t *testing.T, source proof.TileSource, vault *note.Signer) *proof.Tiles {
	t.Helper()
	tiles, err := proof.OpenTiles(t.Context(), source, vault.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	return tiles
}

// What tiles prove is what the log proves.
func TestTilesProveWhatTheLogHolds(t *testing.T) {
	vault := vector.Signer(t, "vault.example", "vault.example")
	log := prooftest.Of(t, 70_000)
	for _, size := range []int64{1, 2, 21, 255, 256, 257, 600, 65_535, 65_536, 70_000} {
		tiles := open(t, log.Export(size, vault), vault)
		if c := tiles.Checkpoint(); c != log.Checkpoint("vault.example", size) || string(tiles.Signed()) != string(log.Sign(size, vault)) {
			t.Errorf("checkpoint of %d", c.Size)
		}
		for _, index := range []int64{0, size / 3, size - 1} {
			p, err := tiles.Prove(t.Context(), index, prooftest.Record(index))
			if err != nil {
				t.Fatal(err)
			}
			if c, err := p.Verify(prooftest.Record(index), vault.Verifier()); err != nil || c.Size != size {
				t.Errorf("leaf %d of %d: %v", index, size, err)
			}
			if _, err := tiles.Prove(t.Context(), index, prooftest.Record(1<<40)); !errors.Is(err, proof.ErrDiverged) {
				t.Errorf("another leaf at %d of %d: %v", index, size, err)
			}
		}
		for _, older := range []int64{0, 1, size / 2, size - 1, size} {
			provePrefix(t, log, tiles, older, vault)
		}
	}
}

func provePrefix(t *testing.T, log *prooftest.Log, tiles *proof.Tiles, older int64, vault *note.Signer) {
	t.Helper()
	size := tiles.Checkpoint().Size
	p, err := tiles.Prefix(t.Context(), older)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := p.Verify(vault.Verifier()); err != nil || c.Size != size || p.Root != log.Checkpoint("vault.example", older).Root {
		t.Errorf("the first %d of %d: %v", older, size, err)
	}
	text, err := proof.EncodePrefix(p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := proof.DecodePrefix(text)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := proof.EncodePrefix(again); err != nil || string(same) != string(text) {
		t.Errorf("encodes as %s, %v", same, err)
	}
	again.Root[0] ^= 1
	if _, err := again.Verify(vault.Verifier()); older < size && older > 0 && !errors.Is(err, proof.ErrDiverged) {
		t.Errorf("another root of the first %d of %d: %v", older, size, err)
	}
	middle := (older + size) / 2
	hashes, err := tiles.Consistency(t.Context(), older, middle)
	if err == nil {
		err = proof.CheckConsistency(log.Checkpoint("vault.example", older), log.Checkpoint("vault.example", middle), hashes)
	}
	if err != nil {
		t.Errorf("from %d to %d by tiles of %d: %v", older, middle, size, err)
	}
}

func TestTilesAreAskedForWhatTheyDoNotHave(t *testing.T) {
	vault := vector.Signer(t, "vault.example", "vault.example")
	tiles := open(t, prooftest.Of(t, 300).Export(300, vault), vault)
	for name, c := range map[string]struct {
		ask  func() error
		want error
	}{
		"a leaf beyond the end": {func() error { _, err := tiles.Prove(t.Context(), 300, prooftest.Record(300)); return err }, proof.ErrBehind},
		"a leaf below zero":     {func() error { _, err := tiles.Prove(t.Context(), -1, prooftest.Record(0)); return err }, proof.ErrMalformed},
		"a size beyond the end": {func() error { _, err := tiles.Root(t.Context(), 301); return err }, proof.ErrBehind},
		"a size below zero":     {func() error { _, err := tiles.Root(t.Context(), -1); return err }, proof.ErrMalformed},
		"a prefix beyond":       {func() error { _, err := tiles.Prefix(t.Context(), 301); return err }, proof.ErrBehind},
		"sizes in reverse":      {func() error { _, err := tiles.Consistency(t.Context(), 200, 100); return err }, proof.ErrMalformed},
		"consistency beyond":    {func() error { _, err := tiles.Consistency(t.Context(), 200, 301); return err }, proof.ErrBehind},
		"a root beyond":         {func() error { return tiles.CheckRoot(t.Context(), proof.Checkpoint{Size: 301}, nil) }, proof.ErrBehind},
	} {
		if err := c.ask(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whoever owns the server with the tiles gains nothing: every change of a byte, a length or a file
// is refused, and says nothing of the vault.
func TestAnAlteredCopyIsRefused(t *testing.T) {
	vault := vector.Signer(t, "vault.example", "vault.example")
	stranger := vector.Signer(t, "vault.example", "second vault.example")
	log := prooftest.Of(t, 700)
	other := rewritten(t, 700, 3).Export(700, vault)
	for name, c := range map[string]struct {
		alter func(files prooftest.Files)
		want  error
	}{
		"a bit of the leaf's tile":         {func(f prooftest.Files) { f["tile/0/001"][9] ^= 1 }, proof.ErrDamaged},
		"a bit of a tile above":            {func(f prooftest.Files) { f["tile/1/000.p/2"][9] ^= 1 }, proof.ErrDamaged},
		"a bit of the last tile":           {func(f prooftest.Files) { f["tile/0/002.p/188"][9] ^= 1 }, proof.ErrDamaged},
		"a tile cut":                       {func(f prooftest.Files) { f["tile/0/001"] = f["tile/0/001"][:8000] }, proof.ErrDamaged},
		"an empty tile":                    {func(f prooftest.Files) { f["tile/0/001"] = nil }, proof.ErrDamaged},
		"a tile too long":                  {func(f prooftest.Files) { f["tile/0/001"] = append(f["tile/0/001"], 0) }, proof.ErrDamaged},
		"a partial tile too long":          {func(f prooftest.Files) { f["tile/1/000.p/2"] = append(f["tile/1/000.p/2"], make([]byte, 32)...) }, proof.ErrDamaged},
		"two tiles exchanged":              {func(f prooftest.Files) { f["tile/0/000"], f["tile/0/001"] = f["tile/0/001"], f["tile/0/000"] }, proof.ErrDamaged},
		"tiles of another log":             {func(f prooftest.Files) { maps.Copy(f, other); f[proof.CheckpointPath] = log.Sign(700, vault) }, proof.ErrDamaged},
		"a tile withheld":                  {func(f prooftest.Files) { delete(f, "tile/0/001") }, proof.ErrIncomplete},
		"a partial tile withheld":          {func(f prooftest.Files) { delete(f, "tile/1/000.p/2") }, proof.ErrIncomplete},
		"a full tile that is none":         {func(f prooftest.Files) { delete(f, "tile/1/000.p/2"); f["tile/1/000"] = make([]byte, 64) }, proof.ErrDamaged},
		"no checkpoint":                    {func(f prooftest.Files) { delete(f, proof.CheckpointPath) }, fs.ErrNotExist},
		"a checkpoint of a stranger":       {func(f prooftest.Files) { f[proof.CheckpointPath] = log.Sign(700, stranger) }, proof.ErrDamaged},
		"a checkpoint that is none":        {func(f prooftest.Files) { f[proof.CheckpointPath] = []byte("vault.example\n") }, proof.ErrDamaged},
		"a checkpoint without end":         {func(f prooftest.Files) { f[proof.CheckpointPath] = make([]byte, 1<<20) }, proof.ErrDamaged},
		"the checkpoint of another length": {func(f prooftest.Files) { f[proof.CheckpointPath] = log.Sign(699, vault) }, proof.ErrIncomplete},
	} {
		t.Run(name, func(t *testing.T) {
			files := log.Export(700, vault)
			c.alter(files)
			var p proof.Proof
			tiles, err := proof.OpenTiles(t.Context(), files, vault.Verifier())
			if err == nil {
				p, err = tiles.Prove(t.Context(), 300, prooftest.Record(300))
			}
			if _, contradicts := errors.AsType[*proof.Contradiction](err); !errors.Is(err, c.want) || contradicts || errors.Is(err, proof.ErrDiverged) || p.Hashes != nil {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// A bad tile is not remembered: the same Tiles proves once it is whole again, and then needs no
// source any more for what it proved.
func TestOnlyProvedTilesAreKept(t *testing.T) {
	vault := vector.Signer(t, "vault.example", "vault.example")
	files := prooftest.Of(t, 700).Export(700, vault)
	tiles := open(t, files, vault)
	prove := func() error {
		_, err := tiles.Prove(t.Context(), 300, prooftest.Record(300))
		return err
	}
	files["tile/0/001"][9] ^= 1
	if err := prove(); !errors.Is(err, proof.ErrDamaged) {
		t.Fatal(err)
	}
	files["tile/0/001"][9] ^= 1
	if err := prove(); err != nil {
		t.Fatal(err)
	}
	clear(files)
	if err := prove(); err != nil {
		t.Errorf("read again: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tiles.Prove(ctx, 0, prooftest.Record(0)); !errors.Is(err, context.Canceled) {
		t.Errorf("after it was called off: %v", err)
	}
}

// A partial tile may be taken away once the log has outgrown it (C2SP tlog-tiles, partial tiles):
// the full one begins with it.
func TestFullTileStandsInForAPartialOne(t *testing.T) {
	vault := vector.Signer(t, "vault.example", "vault.example")
	log := prooftest.Of(t, 1000)
	files := log.Export(1000, vault)
	files[proof.CheckpointPath] = log.Sign(700, vault) // read just before the log grew
	files["tile/1/000.p/2"] = log.Export(700, vault)["tile/1/000.p/2"]
	tiles := open(t, files, vault)
	if _, err := tiles.Prove(t.Context(), 699, prooftest.Record(699)); err != nil {
		t.Error(err)
	}
}

func TestHistoryAgainstTiles(t *testing.T) {
	for name, c := range map[string]struct {
		seen func(r *reader, log *prooftest.Log) error
		size int64 // of the copy
		want proof.Agreement
		says string
	}{
		"nothing seen": {func(*reader, *prooftest.Log) error { return nil }, 60, proof.Agreement{Entries: 60}, "nothing was seen"},
		"all of it, in full": {func(r *reader, log *prooftest.Log) error {
			return errors.Join(r.head(log, 1), r.prove(log, 20, 43), r.head(log, 59), r.head(log, 60))
		}, 60, proof.Agreement{Entries: 60, Shown: 60, Common: 60, Checked: 4}, "all 4 checkpoints"},
		"by a longer copy": {func(r *reader, log *prooftest.Log) error { return r.head(log, 59) }, 100,
			proof.Agreement{Entries: 100, Shown: 59, Common: 59, Checked: 1}, "all 1 checkpoints"},
		"by an older copy": {func(r *reader, log *prooftest.Log) error { return errors.Join(r.head(log, 30), r.head(log, 59)) }, 40,
			proof.Agreement{Entries: 40, Shown: 59, Common: 30, Checked: 1, Beyond: 1}, "ends after 40 entries, and the log was shown to have 59: take a newer copy"},
		"by an older copy that only a proof reaches": {func(r *reader, log *prooftest.Log) error { return r.prove(log, 35, 59) }, 40,
			proof.Agreement{Entries: 40, Shown: 59, Common: 40, Beyond: 1}, "1 are newer than this copy and were not checked"},
		"by an older copy, with a proof": {func(r *reader, log *prooftest.Log) error { return errors.Join(r.head(log, 30), r.prove(log, 35, 59)) }, 40,
			proof.Agreement{Entries: 40, Shown: 59, Common: 40, Checked: 1, Beyond: 1}, "the first 40 entries are proved"},
		"more than are read at once": {func(r *reader, log *prooftest.Log) (err error) {
			log.Grow(700)
			for size := int64(300); size < 600; size++ {
				err = errors.Join(err, r.head(log, size))
			}
			return err
		}, 700, proof.Agreement{Entries: 700, Shown: 599, Common: 599, Checked: 300}, "all 300 checkpoints"},
	} {
		t.Run(name, func(t *testing.T) {
			r, _, log := readers(t)
			if err := c.seen(r, log); err != nil {
				t.Fatal(err)
			}
			before, _ := json.Marshal(&r.History)
			tiles := open(t, log.Export(c.size, r.vault), r.vault)
			got, err := r.CheckTiles(t.Context(), tiles)
			if err != nil || got != c.want || !strings.Contains(got.String(), c.says) {
				t.Errorf("got %+v, %v: %s", got, err, got)
			}
			if after, _ := json.Marshal(&r.History); string(after) != string(before) {
				t.Error("checking added something")
			}
			if _, err := r.AddCopy(tiles.Signed(), r.vault.Verifier()); err != nil {
				t.Errorf("the copy's checkpoint is not taken: %v", err)
			}
			if err := r.head(log, max(c.size, c.want.Shown)); err != nil {
				t.Errorf("an older copy moved what the relay may show: %v", err)
			}
		})
	}
}

// Where nothing was compared nothing is said to agree.
func TestTilesOlderThanEverythingSeen(t *testing.T) {
	r, _, log := readers(t)
	if err := errors.Join(r.head(log, 30), r.head(log, 59)); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{0, 29} {
		got, err := r.CheckTiles(t.Context(), open(t, log.Export(size, r.vault), r.vault))
		if !errors.Is(err, proof.ErrBehind) || got.Checked != 0 || got.Beyond != 2 {
			t.Errorf("a copy of %d entries: %+v, %v", size, got, err)
		}
	}
}

// A vault that shows one log to a reader and another to those who copy it: every entry counts, also
// those that Compare does not reach.
func TestTilesOfASplitView(t *testing.T) {
	for name, c := range map[string]struct {
		seen func(r *reader, log *prooftest.Log) error
		fork *prooftest.Log
	}{
		"one size":                              {func(r *reader, log *prooftest.Log) error { return r.head(log, 60) }, rewritten(t, 60, 3)},
		"the last entry of the older":           {func(r *reader, log *prooftest.Log) error { return r.head(log, 43) }, rewritten(t, 100, 42)},
		"any of many":                           {func(r *reader, log *prooftest.Log) error { return errors.Join(r.head(log, 43), r.head(log, 80)) }, rewritten(t, 100, 79)},
		"cut, and grown again":                  {func(r *reader, log *prooftest.Log) error { return r.prove(log, 70, 90) }, rewritten(t, 95, 50)},
		"cut, grown again, and shorter than it": {func(r *reader, log *prooftest.Log) error { return r.prove(log, 70, 90) }, rewritten(t, 75, 10)},
	} {
		t.Run(name, func(t *testing.T) {
			r, _, log := readers(t)
			if err := c.seen(r, log); err != nil {
				t.Fatal(err)
			}
			_, err := r.CheckTiles(t.Context(), open(t, c.fork.Export(c.fork.Size(), r.vault), r.vault))
			wrong, ok := errors.AsType[*proof.Contradiction](err)
			if !ok || !errors.Is(err, proof.ErrDiverged) || len(wrong.Kept) == 0 {
				t.Fatalf("got %v", err)
			}
			// The evidence stands without the tiles.
			p, err := proof.DecodePrefix(wrong.Got)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Verify(r.vault.Verifier()); err != nil || p.Root == log.Checkpoint("vault.example", p.Size).Root {
				t.Errorf("the evidence shows the first %d entries as they were: %v", p.Size, err)
			}
		})
	}
}

func TestTilesOfAnotherVault(t *testing.T) {
	r, _, log := readers(t)
	if err := r.head(log, 20); err != nil {
		t.Fatal(err)
	}
	other := vector.Signer(t, "other.example", "other.example")
	tiles := open(t, log.Export(60, other), other)
	if _, err := r.CheckTiles(t.Context(), tiles); !errors.Is(err, note.ErrUnverified) {
		t.Errorf("another vault's copy: %v", err)
	}
	if _, err := r.AddCopy(tiles.Signed(), other.Verifier()); !errors.Is(err, note.ErrUnverified) {
		t.Errorf("another vault's checkpoint: %v", err)
	}
	if _, err := r.AddCopy(rewritten(t, 20, 3).Sign(20, r.vault), r.vault.Verifier()); !errors.Is(err, proof.ErrDiverged) {
		t.Errorf("another root: %v", err)
	}
	if _, err := r.AddCopy(log.Sign(20, other), r.vault.Verifier()); !errors.Is(err, note.ErrUnverified) {
		t.Errorf("a stranger's checkpoint: %v", err)
	}
}

// A copy that cannot be read while it is held against what was seen says nothing of the vault.
func TestCheckingWithATileMissing(t *testing.T) {
	r, _, log := readers(t)
	log.Grow(700)
	if err := errors.Join(r.head(log, 300), r.head(log, 700)); err != nil {
		t.Fatal(err)
	}
	files := log.Export(700, r.vault)
	delete(files, "tile/0/001")
	_, err := r.CheckTiles(t.Context(), open(t, files, r.vault))
	if _, contradicts := errors.AsType[*proof.Contradiction](err); !errors.Is(err, proof.ErrIncomplete) || contradicts {
		t.Errorf("got %v", err)
	}
}
