package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"nightdrop/vault/internal/book"
)

// fillForRebuild puts something of everything into the ledger that a rebuild must carry over:
// parts, results pending, unsent and sent, a stored account, an auditor's keys, the hint.
func (v *vault) fillForRebuild(sales int) {
	v.t.Helper()
	v.auditor("anna")
	v.commit(func(tx *Tx) error { return permit(tx, shop) })
	v.keep(tokenOf("a"))
	for range sales {
		v.take()
	}
	v.sealPending()
	v.commit(func(tx *Tx) error {
		ready, err := tx.UnsentResults(sales / 2)
		if err != nil {
			return err
		}
		return tx.MarkSent(ready)
	})
	v.take() // pending
	v.commit(func(tx *Tx) error { return tx.SetBagHint(Hint{Sequence: 7, Digest: digestOf("bag")}) })
}

// makeV2 rewrites the closed ledger as the build before would have left it: one sum over all
// records in the head, and the older format.
func (v *vault) makeV2() {
	v.t.Helper()
	l, err := newLedger(v.path(), v.ring, v.opts)
	if err != nil {
		v.t.Fatal(err)
	}
	if err := l.openStore(v.path()); err != nil {
		v.t.Fatal(err)
	}
	err = l.db.Update(func(b *bbolt.Tx) error {
		if err := l.openBox(b); err != nil {
			return err
		}
		now, err := l.readHead(b)
		if err != nil {
			return err
		}
		h := headV2{Size: now.Size, Root: now.Root, Time: now.Time, LogKey: now.LogKey, LogDay: now.LogDay}
		for _, bucket := range bucketsV2 {
			if err := b.Bucket([]byte(bucket)).ForEach(func(k, value []byte) error {
				h.State.add(l.recordMAC(bucket, k, value))
				return nil
			}); err != nil {
				return err
			}
		}
		text, err := json.Marshal(h)
		if err != nil {
			return err
		}
		meta := b.Bucket([]byte(bucketMeta))
		return errors.Join(meta.Put(keyFormat, []byte(formatV2)),
			meta.Put(keyHead, append([]byte{recordVersion}, l.box.Seal(text, location(bucketMeta, keyHead))...)))
	})
	if err := errors.Join(err, l.db.Close(), markClean(v.path())); err != nil {
		v.t.Fatal(err)
	}
}

// contents is what a ledger says, but for how it is sealed.
func contents(tx *Tx) (string, error) {
	var out strings.Builder
	h, err := tx.readHead()
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&out, "log %d %x %s key %d %s\n", h.Size, h.Root, h.Time.Format(time.RFC3339), h.LogKey, h.LogDay)
	for index := range h.Size {
		half, sealed, err := tx.SealedEntry(index)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "entry %d %x %x\n", index, half, sealed)
	}
	for _, bucket := range append(append([]string(nil), recordBuckets...), indexBuckets...) {
		err := tx.bucket(bucket).ForEach(func(k, v []byte) error {
			text, err := opened(tx, bucket, k, v)
			fmt.Fprintf(&out, "%s %x %s\n", bucket, k, text)
			return err
		})
		if err != nil {
			return "", fmt.Errorf("%s: %w", bucket, err)
		}
	}
	return out.String(), nil
}

// opened opens a record, whoever's it is.
func opened(tx *Tx, bucket string, k, v []byte) ([]byte, error) {
	if len(v) == 0 || bucket == bucketKeys {
		return v, nil
	}
	text, err := unseal(bucket, k, tx.ledger.box, v)
	for _, merchant := range []string{shop, other} {
		if err == nil {
			break
		}
		box, failed := tx.box(purposeMerchant(merchant))
		if failed != nil {
			return nil, failed
		}
		text, err = unseal(bucket, k, box, v)
	}
	return text, err
}

// readClosed reads a closed ledger's contents.
func (v *vault) readClosed(path string) string {
	v.t.Helper()
	l, err := newLedger(path, v.ring, v.opts)
	if err != nil {
		v.t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		v.t.Fatal(err)
	}
	l.db = db
	var text string
	err = db.View(func(b *bbolt.Tx) error {
		if err := l.openBox(b); err != nil {
			return err
		}
		text, err = contents(l.newTx(b))
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		v.t.Fatal(err)
	}
	return text
}

// olderVault is a closed ledger of v2 with something of everything in it.
func olderVault(t *testing.T, sales int) (v *vault, was string) {
	t.Helper()
	v = newVault(t)
	v.fillForRebuild(sales)
	v.stop()
	was = v.readClosed(v.path())
	v.makeV2()
	v.refused(ErrOlder)
	return v, was
}

func (v *vault) rebuild(o RebuildOptions) (Rebuilt, error) {
	o.Options = v.opts
	o.every = time.Nanosecond
	return Rebuild(context.Background(), v.path(), v.ring, o)
}

func TestRebuildCarriesAllOver(t *testing.T) {
	v, was := olderVault(t, 20)
	before, err := os.ReadFile(v.path())
	if err != nil {
		t.Fatal(err)
	}
	var done, total int64
	rebuilt, err := v.rebuild(RebuildOptions{Progress: func(d, n int64) { done, total = d, n }})
	if err != nil {
		t.Fatal(err)
	}
	if rebuilt.Format != formatV2 || rebuilt.Entries != total || done != total || total == 0 {
		t.Errorf("it says %+v, and told of %d entries of %d", rebuilt, done, total)
	}
	if kept, err := os.ReadFile(rebuilt.Kept); err != nil || !bytes.Equal(kept, before) {
		t.Errorf("the file before is not kept as it was (%v)", err)
	}
	if now := v.readClosed(v.path()); now != was {
		t.Errorf("the ledger says otherwise than before:\n%s", firstDifference(now, was))
	}
	if told, found, err := UntoldRebuild(v.path()); err != nil || !found || told != rebuilt {
		t.Errorf("to be told: %+v, %v, %v", told, found, err)
	}
	if err := RebuildTold(v.path()); err != nil {
		t.Fatal(err)
	}
	if !wasClean(v.path()) {
		t.Error("it is not marked as closed properly")
	}
	// The fixture checks every invariant when the test is over.
	v.open()
	if err := v.plain(tokenOf("a")); err != nil {
		t.Errorf("the stored account: %v", err)
	}
	v.take()
	v.sealPending()
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return "now  " + x[i] + "\nthen " + y[i]
		}
	}
	return fmt.Sprintf("%d lines, then %d", len(x), len(y))
}

var errKilled = errors.New("killed")

// TestRebuildKilled ends a rebuild before each of its durable steps, and has the next one go on.
func TestRebuildKilled(t *testing.T) {
	kills := []string{"write 1", "write 2", "write 3", "write 4", "write 5", "write 6", "keep 1", "note 1", "write 7", "rename 1", "mark 1"}
	for _, at := range kills {
		t.Run(at, func(t *testing.T) {
			v, was := olderVault(t, 6)
			seen := map[string]int{}
			killed := false
			_, err := v.rebuild(RebuildOptions{step: func(name string) error {
				seen[name]++
				if fmt.Sprint(name, " ", seen[name]) == at {
					killed = true
					return errKilled
				}
				return nil
			}})
			if !killed || !errors.Is(err, errKilled) {
				t.Fatalf("not killed at %s: %v", at, err)
			}
			if _, err := v.rebuild(RebuildOptions{}); err != nil && !errors.Is(err, ErrCurrent) {
				t.Fatal(err)
			}
			if now := v.readClosed(v.path()); now != was {
				t.Errorf("the ledger says otherwise than before:\n%s", firstDifference(now, was))
			}
			v.wantFiles(t)
			v.open()
			v.take()
		})
	}
}

// wantFiles finds nothing unfinished, and one file that is kept.
func (v *vault) wantFiles(t *testing.T) {
	t.Helper()
	if _, err := os.Lstat(unfinishedPath(v.path())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an unfinished file is left: %v", err)
	}
	kept, err := filepath.Glob(v.path() + ".v2-*")
	if err != nil || len(kept) != 1 {
		t.Errorf("kept are %v, %v", kept, err)
	}
}

// TestRebuildGoesOn: what a rebuild had folded when it was killed is not folded again, unless the
// ledger has changed since.
func TestRebuildGoesOn(t *testing.T) {
	for _, changed := range []bool{false, true} {
		v, was := olderVault(t, 6)
		var done []int64
		note := func(n, _ int64) { done = append(done, n) }
		writes := 0
		_, err := v.rebuild(RebuildOptions{chunk: 8, Progress: note, step: func(string) error {
			if writes++; writes == 5 {
				return errKilled
			}
			return nil
		}})
		if !errors.Is(err, errKilled) || len(done) == 0 {
			t.Fatalf("killed after %v entries: %v", done, err)
		}
		if changed {
			v.makeV2() // seals the head anew, as any commit does
		}
		done = nil
		if _, err := v.rebuild(RebuildOptions{chunk: 8, Progress: note}); err != nil {
			t.Fatal(err)
		}
		if first := done[0]; changed != (first == 8) {
			t.Errorf("changed %v: the second one began with entry %d", changed, first)
		}
		if now := v.readClosed(v.path()); now != was {
			t.Errorf("the ledger says otherwise than before:\n%s", firstDifference(now, was))
		}
		v.open()
	}
}

// TestRebuildRefusesDamage: what is not as it was written is not carried over into a ledger that
// looks sound.
func TestRebuildRefusesDamage(t *testing.T) {
	for name, harm := range map[string]func(b *bbolt.Tx) error{
		"a part is gone":           func(b *bbolt.Tx) error { return deleteFirst(b, bucketParts) },
		"a stored account is gone": func(b *bbolt.Tx) error { return deleteFirst(b, bucketStored) },
		"a wrap is gone":           func(b *bbolt.Tx) error { return deleteFirst(b, bucketWraps) },
		"a result is gone":         func(b *bbolt.Tx) error { return deleteFirst(b, bucketResults) },
		"a payment is gone":        func(b *bbolt.Tx) error { return deleteFirst(b, bucketPayments) },
		"a key is gone":            func(b *bbolt.Tx) error { return deleteFirst(b, bucketKeys) },
		"an entry is gone":         func(b *bbolt.Tx) error { return deleteFirst(b, "log") },
		"an entry flips":           func(b *bbolt.Tx) error { return flipFirst(b, "log") },
		"a part flips":             func(b *bbolt.Tx) error { return flipFirst(b, bucketParts) },
		"a bucket is gone":         func(b *bbolt.Tx) error { return b.DeleteBucket([]byte(book.Tokens.Name)) },
		"the unsent are gone":      func(b *bbolt.Tx) error { return deleteFirst(b, indexUnsent) },
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := olderVault(t, 6)
			v.copyFile(v.path(), v.dir+"/sound")
			v.harm(harm)
			harmed, err := os.ReadFile(v.path())
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.rebuild(RebuildOptions{})
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), v.path()) {
				t.Errorf("rebuilt with %v", err)
			}
			if now, err := os.ReadFile(v.path()); err != nil || !bytes.Equal(now, harmed) {
				t.Errorf("the ledger was changed (%v)", err)
			}
			v.copyFile(v.dir+"/sound", v.path())
			if _, err := v.rebuild(RebuildOptions{}); err != nil {
				t.Fatal(err)
			}
			v.open()
		})
	}
}

// harm changes the closed file behind the ledger's back.
func (v *vault) harm(how func(b *bbolt.Tx) error) {
	v.t.Helper()
	db, err := bbolt.Open(v.path(), 0o600, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	if err := errors.Join(db.Update(how), db.Close()); err != nil {
		v.t.Fatal(err)
	}
}

func deleteFirst(b *bbolt.Tx, bucket string) error {
	k, _ := b.Bucket([]byte(bucket)).Cursor().First()
	return b.Bucket([]byte(bucket)).Delete(bytes.Clone(k))
}

func flipFirst(b *bbolt.Tx, bucket string) error {
	k, v := b.Bucket([]byte(bucket)).Cursor().First()
	flipped := bytes.Clone(v)
	flipped[len(flipped)/2] ^= 1
	return b.Bucket([]byte(bucket)).Put(bytes.Clone(k), flipped)
}

// TestRebuildNeedsRoom: a full volume is found before anything is written, and one that fills
// meanwhile leaves the ledger as it was.
func TestRebuildNeedsRoom(t *testing.T) {
	v, was := olderVault(t, 6)
	_, err := v.rebuild(RebuildOptions{free: func(string) (uint64, error) { return 1 << 20, nil }})
	if !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), v.dir) {
		t.Errorf("rebuilt with %v", err)
	}
	if _, err := os.Lstat(unfinishedPath(v.path())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
	before, err := os.ReadFile(v.path())
	if err != nil {
		t.Fatal(err)
	}
	var file *os.File
	v.opts.openFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		var err error
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}
	writes := 0
	_, err = v.rebuild(RebuildOptions{step: func(name string) error {
		if writes++; writes == 3 {
			return file.Close() // from here on each write fails
		}
		return nil
	}})
	v.opts.openFile = nil
	if err == nil || !strings.Contains(err.Error(), v.path()+", which is as it was") {
		t.Errorf("rebuilt with %v", err)
	}
	if now, err := os.ReadFile(v.path()); err != nil || !bytes.Equal(now, before) {
		t.Errorf("the ledger was changed (%v)", err)
	}
	if _, err := v.rebuild(RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
	if now := v.readClosed(v.path()); now != was {
		t.Errorf("the ledger says otherwise than before:\n%s", firstDifference(now, was))
	}
	v.open()
}

// TestRebuildRefusesOlderCopy: a copy from before the high-water mark is not made into a new
// ledger.
func TestRebuildRefusesOlderCopy(t *testing.T) {
	v := newVault(t)
	v.take()
	v.stop()
	v.copyFile(v.path(), v.dir+"/old")
	v.open()
	v.take()
	v.stop()
	v.copyFile(v.path(), v.dir+"/newest")
	v.copyFile(v.dir+"/old", v.path())
	v.makeV2()
	if _, err := v.rebuild(RebuildOptions{}); !errors.Is(err, ErrRolledBack) {
		t.Errorf("rebuilt with %v", err)
	}
	v.copyFile(v.dir+"/newest", v.path())
	v.open()
}

// TestRebuildCures: records and indexes that are not what the log makes them are made anew where
// that is asked for; what is carried over must be as the last commit left it.
func TestRebuildCures(t *testing.T) {
	for name, c := range map[string]struct {
		harm  func(b *bbolt.Tx) error
		cured bool
	}{
		"a key of the ids flips": {func(b *bbolt.Tx) error { return flipKey(b, bucketIDs) }, true},
		"a payment is gone":      {func(b *bbolt.Tx) error { return deleteFirst(b, bucketPayments) }, true},
		"a payment flips":        {func(b *bbolt.Tx) error { return flipEnd(b, bucketPayments) }, true},
		"a stage is gone":        {func(b *bbolt.Tx) error { return deleteFirst(b, indexStage) }, true},
		"the vault flips":        {func(b *bbolt.Tx) error { return flipEnd(b, bucketVault) }, true},
		"the pending are gone":   {func(b *bbolt.Tx) error { return deleteFirst(b, indexPending) }, true},
		"a stored account flips": {func(b *bbolt.Tx) error { return flipFirst(b, bucketStored) }, false},
		"a stored one is gone":   {func(b *bbolt.Tx) error { return deleteFirst(b, bucketStored) }, false},
		"a result is gone":       {func(b *bbolt.Tx) error { return deleteFirst(b, bucketResults) }, false},
		"the unsent are gone":    {func(b *bbolt.Tx) error { return deleteFirst(b, indexUnsent) }, false},
		"an entry flips":         {func(b *bbolt.Tx) error { return flipFirst(b, "log") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t)
			v.fillForRebuild(4)
			id := v.newID()
			v.commit(func(tx *Tx) error { return receive(tx, shop, id) }) // which works
			v.stop()
			was := v.readClosed(v.path())
			v.copyFile(v.path(), v.dir+"/sound")
			v.harm(c.harm)
			if c.cured {
				l, err := Open(v.path(), v.ring, v.opts)
				if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "vault unlock --rebuild") {
					t.Errorf("opened with %v", err)
				}
				if l != nil {
					t.Error(l.Close())
				}
			}
			_, err := v.rebuild(RebuildOptions{Cure: true})
			switch {
			case c.cured && err != nil:
				t.Fatal(err)
			case !c.cured && (!errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "--rebuild")):
				t.Errorf("rebuilt with %v", err)
			}
			if !c.cured {
				v.copyFile(v.dir+"/sound", v.path())
			}
			// which may take the hint along
			if now := v.readClosed(v.path()); now != was && name != "the vault flips" {
				t.Errorf("the ledger says otherwise than before:\n%s", firstDifference(now, was))
			}
			v.open()
		})
	}
}

// flipEnd turns over a bit of a record's tag, which its sum is over.
func flipEnd(b *bbolt.Tx, bucket string) error {
	k, v := b.Bucket([]byte(bucket)).Cursor().First()
	flipped := bytes.Clone(v)
	flipped[len(flipped)-1] ^= 1
	return b.Bucket([]byte(bucket)).Put(bytes.Clone(k), flipped)
}

// flipKey moves a record to a key that has one bit turned over.
func flipKey(b *bbolt.Tx, bucket string) error {
	at := b.Bucket([]byte(bucket))
	k, v := at.Cursor().First()
	flipped, value := bytes.Clone(k), bytes.Clone(v)
	flipped[len(flipped)-1] ^= 1
	return errors.Join(at.Delete(bytes.Clone(k)), at.Put(flipped, value))
}

// TestRebuildWithoutLinks: where a file cannot have two names the one before is copied.
func TestRebuildWithoutLinks(t *testing.T) {
	v, was := olderVault(t, 2)
	before, err := os.ReadFile(v.path())
	if err != nil {
		t.Fatal(err)
	}
	done, err := v.rebuild(RebuildOptions{link: func(string, string) error { return unix.EPERM }})
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(done.Kept); err != nil || !bytes.Equal(kept, before) {
		t.Errorf("the file before is not kept as it was (%v)", err)
	}
	if now := v.readClosed(v.path()); now != was {
		t.Errorf("the ledger says otherwise than before:\n%s", firstDifference(now, was))
	}
	v.open()
}

// TestRebuildNothing: a ledger of this format is rebuilt only where it is asked for.
func TestRebuildNothing(t *testing.T) {
	v := newVault(t)
	v.stop()
	if _, err := v.rebuild(RebuildOptions{}); !errors.Is(err, ErrCurrent) {
		t.Errorf("rebuilt with %v", err)
	}
	v.open()
}
