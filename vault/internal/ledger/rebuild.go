package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"nightdrop/shared/durable"
	"nightdrop/vault/internal/ledger/pages"
)

// RebuildOptions of Rebuild.
type RebuildOptions struct {
	Options
	// Progress is called some times a second with the entries folded so far, of how many; may be
	// nil.
	Progress func(done, total int64)
	// Cure also rebuilds a ledger of the current format whose records or indexes do not match its
	// log.
	Cure bool

	// free returns a volume's free bytes, step is called before each durable step; for tests.
	free func(dir string) (uint64, error)
	step func(name string) error
	// link gives a file another name; os.Link when nil.
	link func(from, to string) error
	// chunk is how many entries or records one transaction takes; rebuildChunk when 0.
	chunk int64
	// every is how often Progress is called; progressEvery when 0.
	every time.Duration
}

// Rebuilt is what Rebuild did.
type Rebuilt struct {
	Format  string `json:"format"`  // of the file before
	Entries int64  `json:"entries"` // of its log
	Kept    string `json:"kept"`    // where that file is now
}

// Errors of rebuilding. With each the ledger is as it was before, under its name.
var (
	// ErrCurrent is returned where the ledger has the current format, and no cure was asked for.
	ErrCurrent = errors.New("the ledger has the format of this build already")
	// ErrNoSpace is returned, before anything is written, where the volume is too small for two
	// ledgers.
	ErrNoSpace = errors.New("there is no room to rebuild the ledger")
)

// rebuild is a ledger that is made anew from its own log.
type rebuild struct {
	ctx    context.Context
	o      RebuildOptions
	path   string // of the ledger
	source sourceFormat

	from       *Tx    // a snapshot of the file before, which nobody writes
	fromHead   head   // without sums
	sealedHead []byte // as it stands in that file: no two commits have the same
	to         *Ledger
	reported   time.Time // when Progress was called
}

func unfinishedPath(path string) string { return path + ".rebuild" }

// Rebuild makes a new ledger from the log of the one at path and puts it in its place; the old one
// is kept beside it, unchanged, under the name in Rebuilt.Kept. It serves a change of the format
// ([ErrOlder]), and, with Cure, a ledger whose log is sound and whose records or indexes are not.
// ring is unlocked; no other process may have the file open ([ErrInUse]).
//
// Every event is folded anew and every entry copied byte for byte, so leaves and root stay. What no
// event holds is carried over: wrapped keys, results with their notes, which of them are unsent,
// parts, stored accounts, log keys wrapped for auditors, and the bag hint. All of it must open in
// its place and agree with the sums in the old head, and the log with its root; otherwise it is
// [ErrDamaged]. Of v2, whose head has one sum over everything, all records must be sound.
//
// Memory does not grow with the log, and a transaction is some thousand entries at most. A kill at
// any moment leaves either ledger whole under its name; the next call goes on after the last
// transaction, or begins anew where the ledger has changed since. It fails with [ErrNoSpace] before
// it writes anything where the volume is too small for a second ledger.
func Rebuild(ctx context.Context, path string, keys Keys, o RebuildOptions) (done Rebuilt, err error) {
	o.Options = o.withDefaults()
	if o.free == nil {
		o.free = freeBytes
	}
	if o.step == nil {
		o.step = func(string) error { return nil }
	}
	if o.link == nil {
		o.link = os.Link
	}
	if o.chunk == 0 {
		o.chunk = rebuildChunk
	}
	if o.every == 0 {
		o.every = progressEvery
	}
	r := &rebuild{ctx: ctx, o: o, path: path}
	if err := notEmpty(path); err != nil {
		return done, err
	}
	// All of it is read: a fault would show after an hour's work, or not at all.
	if err := o.Check(path); err != nil {
		return done, err
	}
	err = guard(func() error {
		done, err = r.run(keys)
		return err
	})
	if err != nil {
		return Rebuilt{}, fmt.Errorf("rebuild the ledger %s, which is as it was: %w", path, onDisk(path, err))
	}
	return done, nil
}

func (r *rebuild) run(keys Keys) (done Rebuilt, err error) {
	before, err := newLedger(r.path, keys, r.o.Options)
	if err != nil {
		return done, err
	}
	// Its shared lock keeps other writers out until the new file has the name.
	db, err := bbolt.Open(r.path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: r.o.LockWait, PageSize: pages.Size})
	if err != nil {
		return done, openError(err)
	}
	before.db = db
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.View(func(b *bbolt.Tx) error {
		if err := r.readSource(before, b); err != nil {
			return err
		}
		if err := r.openTarget(keys); err != nil {
			return err
		}
		done, err = r.fill()
		return errors.Join(err, r.to.db.Close())
	})
	if err != nil {
		return done, err
	}
	return done, r.replace()
}

// fill writes the new file, each step from where the last call had come.
func (r *rebuild) fill() (done Rebuilt, err error) {
	for _, step := range []func() error{r.carryKeys, r.foldLog, r.carryRest, r.compare} {
		if err := step(); err != nil {
			return done, err
		}
	}
	done = Rebuilt{Format: r.source.name, Entries: r.fromHead.Size}
	if done.Kept, err = r.keep(); err != nil {
		return done, err
	}
	// A crash here leaves a second name of the ledger, which the next call finds.
	if err := errors.Join(r.o.step("note"), writeRebuilt(r.path, done)); err != nil {
		return done, err
	}
	// A crash here leaves a note of what has not happened yet; the next unlock makes it true.
	return done, r.finish()
}

// readSource opens the file before, and proves its log's end and what will be carried over.
func (r *rebuild) readSource(l *Ledger, b *bbolt.Tx) (err error) {
	if r.source, err = sourceFormatOf(b); err != nil {
		return err
	}
	if r.source.name == format && !r.o.Cure {
		return ErrCurrent
	}
	for _, name := range r.source.buckets {
		if b.Bucket([]byte(name)) == nil {
			return damaged("bucket %s is missing", name)
		}
	}
	if err := l.openBox(b); err != nil {
		return err
	}
	if r.fromHead, err = r.source.readHead(l, b); err != nil {
		return err
	}
	r.sealedHead = bytes.Clone(b.Bucket([]byte(bucketMeta)).Get(keyHead))
	if err := l.checkLogEnd(b, r.fromHead); err != nil {
		return err
	}
	if err := l.checkHighWater(b, r.fromHead); err != nil {
		return err
	}
	r.from = l.newTx(b)
	return r.source.prove(r.ctx, r.from)
}

// openTarget opens the unfinished file of this very ledger, or begins it anew.
func (r *rebuild) openTarget(keys Keys) (err error) {
	path := unfinishedPath(r.path)
	if err := r.checkSpace(path); err != nil {
		return err
	}
	if r.to, err = newLedger(path, keys, r.o.Options); err != nil {
		return err
	}
	r.to.box, r.to.held = r.from.ledger.box, heldTraces{}
	r.to.journal.places = maps.Clone(r.fromHead.Journal)
	if err := r.resumeTarget(path); err == nil {
		r.o.Logger.Info("goes on rebuilding the ledger", "entries", r.to.head.Size, "of", r.fromHead.Size)
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		r.o.Logger.Warn("begins anew to rebuild the ledger", "error", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := r.to.openStore(path); err != nil {
		return err
	}
	if err := r.begin(); err != nil {
		return errors.Join(err, r.to.db.Close())
	}
	return nil
}

// errOtherSource is why an unfinished file is thrown away.
var errOtherSource = errors.New("the unfinished file was made of another state of the ledger, or by another build")

// resumeTarget opens an unfinished file: whole, of this build's format, made of the present ledger.
func (r *rebuild) resumeTarget(path string) error {
	if _, err := os.Lstat(path); err != nil {
		return err
	}
	if err := notEmpty(path); err != nil {
		return err
	}
	if err := r.o.Check(path); err != nil {
		return err
	}
	if err := r.to.openStore(path); err != nil {
		return err
	}
	err := r.to.db.View(func(b *bbolt.Tx) (err error) {
		meta := b.Bucket([]byte(bucketMeta))
		if meta == nil || formatOf(b) != formatUnfinished || !bytes.Equal(meta.Get(keySource), r.sealedHead) {
			return errOtherSource
		}
		if r.to.head, err = r.to.readHead(b); err != nil {
			return err
		}
		if slices.ContainsFunc(summedBuckets, r.to.head.Sums.isNew) { // a build before began it
			return errOtherSource
		}
		return r.to.checkLogEnd(b, r.to.head)
	})
	if err == nil {
		var same bool
		if same, err = r.sameRoot(r.to.head); err == nil && !same {
			err = errOtherSource
		}
	}
	if err != nil {
		return errors.Join(err, r.to.db.Close())
	}
	return nil
}

// sameRoot reports whether the file before has the same first entries.
func (r *rebuild) sameRoot(h head) (bool, error) {
	if h.Size > r.fromHead.Size {
		return false, nil
	}
	root, err := r.from.RootAt(h.Size)
	return root == h.root(), err
}

// keySource holds, in meta of an unfinished file, the sealed head of the file that it is made of.
var keySource = []byte("source")

// begin makes the buckets of an empty file. A kill before its first entries have it begun anew.
func (r *rebuild) begin() error {
	return r.to.db.Update(func(b *bbolt.Tx) error {
		if err := makeBuckets(b); err != nil {
			return err
		}
		meta := b.Bucket([]byte(bucketMeta))
		if err := meta.Put(keySource, r.sealedHead); err != nil {
			return err
		}
		r.to.head = r.fromHead
		r.to.head.Size, r.to.head.Root = 0, nil
		r.to.head.Time.Time = time.Time{}
		return meta.Put(keyFormat, []byte(formatUnfinished))
	})
}

// update runs fn in a transaction of the new file. A kill leaves the ones before.
func (r *rebuild) update(fn func(*Tx) error) error {
	if err := errors.Join(r.ctx.Err(), r.o.step("write")); err != nil {
		return err
	}
	var tx *Tx
	err := r.to.db.Update(func(b *bbolt.Tx) error {
		tx = r.to.newTx(b)
		if err := fn(tx); err != nil {
			return err
		}
		return tx.finish()
	})
	if err != nil {
		return err
	}
	r.to.publish(tx)
	return nil
}

// compare compares the ends of both files.
func (r *rebuild) compare() error {
	got, want := r.to.head, r.fromHead
	if got.Size != want.Size || got.root() != want.root() || got.Time != want.Time {
		return damaged("the log's end does not match the head")
	}
	return r.to.db.View(func(b *bbolt.Tx) error {
		h, err := r.to.readHead(b)
		if err != nil {
			return err
		}
		return r.to.checkLogEnd(b, h)
	})
}

// finish makes the new file a ledger. After a crash before the renaming the next call begins anew.
func (r *rebuild) finish() error {
	return r.update(func(tx *Tx) error {
		meta := tx.bucket(bucketMeta)
		return errors.Join(meta.Delete(keySource), meta.Put(keyFormat, []byte(format)))
	})
}

// replace puts the new file in the place of the one before.
func (r *rebuild) replace() error {
	if err := r.o.step("rename"); err != nil {
		return err
	}
	// A crash within leaves one or the other under the name; each is whole.
	if err := durable.RenameOver(unfinishedPath(r.path), r.path); err != nil {
		return err
	}
	// A crash here costs a longer look at the next start.
	return errors.Join(r.o.step("mark"), markClean(r.path))
}

// keptLayout is the time in a kept file's name, UTC.
const keptLayout = "20060102T150405Z"

// keep gives the file before a second name, which stays when the new one takes its first.
func (r *rebuild) keep() (string, error) {
	if err := r.o.step("keep"); err != nil {
		return "", err
	}
	stem := r.path + "." + r.source.name[len(formatPrefix)-1:] + "-"
	if kept, err := r.alreadyKept(stem); kept != "" || err != nil {
		return kept, err
	}
	for at := r.o.Now().UTC(); ; at = at.Add(time.Second) {
		kept := stem + at.Format(keptLayout)
		err := r.o.link(r.path, kept)
		if err != nil && !errors.Is(err, fs.ErrExist) { // a file system without hard links
			err = copyFile(r.path, kept)
		}
		if errors.Is(err, fs.ErrExist) { // of another rebuild
			continue
		}
		if err != nil {
			return "", fmt.Errorf("keep the file before beside the new one: %w", err)
		}
		return kept, durable.SyncDir(filepath.Dir(r.path))
	}
}

// alreadyKept returns the second name that an earlier call gave.
func (r *rebuild) alreadyKept(stem string) (string, error) {
	now, err := os.Stat(r.path)
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(filepath.Dir(r.path))
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		name := filepath.Join(filepath.Dir(r.path), entry.Name())
		if !strings.HasPrefix(name, stem) {
			continue
		}
		if info, err := os.Stat(name); err == nil && os.SameFile(info, now) {
			return name, nil
		}
	}
	return "", nil
}
