package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"nightdrop/vault/internal/book"
)

// The table that the tests' build of before did not have.
var newTable = book.Findings

// asOlderBuild runs fn as the build did that had not newTable yet. No ledger may be open before or
// after it: an open one reads which tables there are.
func asOlderBuild(fn func()) {
	records, summed := recordBuckets, summedBuckets
	defer func() { recordBuckets, summedBuckets = records, summed }()
	recordBuckets = slices.DeleteFunc(slices.Clone(records), func(name string) bool { return name == newTable.Name })
	summedBuckets = slices.Concat(recordBuckets, indexBuckets)
	fn()
}

// ofOlderBuild is a closed ledger that the build of before wrote, with a sale.
func ofOlderBuild(t *testing.T) *vault {
	t.Helper()
	var v *vault
	asOlderBuild(func() {
		v = newVault(t)
		v.take()
		v.stop()
	})
	v.Ledger = nil
	v.inFile(v.path(), func(b *bbolt.Tx) error {
		if b.Bucket([]byte(newTable.Name)) != nil {
			t.Fatal("the build of before has the table: the test proves nothing")
		}
		return nil
	})
	return v
}

// inFile changes a closed ledger's file behind its back.
func (v *vault) inFile(path string, edit func(b *bbolt.Tx) error) {
	v.t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	if err := errors.Join(db.Update(edit), db.Close(), markClean(path)); err != nil {
		v.t.Fatal(err)
	}
}

// find appends a finding, whose record is in newTable.
func (v *vault) find() {
	v.t.Helper()
	v.commit(func(tx *Tx) error {
		_, err := tx.Append(found(book.IntegrityFound{Finding: book.FindingHostSilent, Detail: "10 messages"}))
		return err
	})
}

// findings are the numbers of those that the ledger has.
func (v *vault) findings() (numbers []uint64) {
	v.t.Helper()
	v.view(func(tx *Tx) error {
		return tx.Findings(0, func(f book.Found) error { numbers = append(numbers, f.Number); return nil })
	})
	return numbers
}

// TestALedgerWithoutATableBeginsItEmpty: without another format, and without a rebuild.
func TestALedgerWithoutATableBeginsItEmpty(t *testing.T) {
	v := ofOlderBuild(t)
	v.open()
	if got := v.findings(); len(got) != 0 {
		t.Errorf("a table that is new has findings %v", got)
	}
	v.find()
	v.close() // which checks everything
	v.open()
	if got := v.findings(); !slices.Equal(got, []uint64{1}) {
		t.Errorf("there are findings %v, one was written", got)
	}
	v.close()
	if err := v.afterEdit(t, func(*bbolt.Tx) error { return nil }); err != nil {
		t.Errorf("control: an untouched copy: %v", err)
	}
	if err := v.afterEdit(t, func(b *bbolt.Tx) error { return b.Bucket([]byte(newTable.Name)).Delete(book.Ordered(1)) }); !errors.Is(err, ErrDamaged) {
		t.Errorf("a record of the new table is gone: %v", err)
	}
}

// TestANewTableIsNotBelievedToBeFull: what stands there before the ledger had it, nobody wrote.
func TestANewTableIsNotBelievedToBeFull(t *testing.T) {
	v := ofOlderBuild(t)
	v.inFile(v.path(), func(b *bbolt.Tx) error {
		bucket, err := b.CreateBucket([]byte(newTable.Name))
		return errors.Join(err, bucket.Put(book.Ordered(1), []byte("a finding")))
	})
	v.refused(ErrDamaged)
}

// TestATableThatWasDroppedIsNoticed: with its records, and while it is empty. An older head has no
// name to drop: it is sealed, with the log's size and root.
func TestATableThatWasDroppedIsNoticed(t *testing.T) {
	for _, written := range []bool{false, true} {
		v := ofOlderBuild(t)
		v.open()
		if written {
			v.find()
		}
		v.close()
		v.inFile(v.path(), func(b *bbolt.Tx) error { return b.DeleteBucket([]byte(newTable.Name)) })
		_, err := Open(v.path(), v.ring, v.opts)
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), newTable.Name) {
			t.Errorf("written %v: opened with %v", written, err)
		}
	}
}

// TestANewTableSurvivesAKill: the process that opens the ledger first and adds the table is killed
// again and again.
func TestANewTableSurvivesAKill(t *testing.T) {
	v := ofOlderBuild(t)
	v.keepShares()
	if err := v.ring.Close(); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		commitAndKill(t, v.dir, round+1)
	}
	v.unlockRing()
	v.open()
	v.find()
	if got := v.findings(); !slices.Equal(got, []uint64{1}) {
		t.Errorf("there are findings %v, one was written", got)
	}
}

// TestAFailedFirstOpeningAddsNothing: the table comes with the first commit, or not at all.
func TestAFailedFirstOpeningAddsNothing(t *testing.T) {
	v := ofOlderBuild(t)
	v.opts.openFile = func(name string, _ int, mode os.FileMode) (*os.File, error) {
		return os.OpenFile(name, os.O_RDONLY, mode) // the disk takes nothing
	}
	if l, err := Open(v.path(), v.ring, v.opts); err == nil {
		t.Fatal("it opens on a disk that takes nothing", l.Close())
	}
	v.opts.openFile = nil
	asOlderBuild(func() {
		v.open()
		v.stop()
	})
	v.Ledger = nil
	v.open()
}

// TestABuildThatDoesNotKnowATableRefusesIt by its name, and changes nothing: its fold would leave
// the table out.
func TestABuildThatDoesNotKnowATableRefusesIt(t *testing.T) {
	v := ofOlderBuild(t)
	v.open()
	v.close()
	before, err := os.ReadFile(v.path())
	if err != nil {
		t.Fatal(err)
	}
	asOlderBuild(func() {
		for name, refuse := range map[string]func() error{
			"open":    func() error { _, err := Open(v.path(), v.ring, v.opts); return err },
			"rebuild": func() error { _, err := v.rebuild(RebuildOptions{Cure: true}); return err },
		} {
			if err := refuse(); !errors.Is(err, ErrNewer) || errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), newTable.Name) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	if after, err := os.ReadFile(v.path()); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed (%v)", err)
	}
}

// TestARebuildIsNotResumedAcrossBuilds: what a build before began lacks the table.
func TestARebuildIsNotResumedAcrossBuilds(t *testing.T) {
	v := ofOlderBuild(t)
	killed := errors.New("killed")
	asOlderBuild(func() {
		if _, err := v.rebuild(RebuildOptions{Cure: true, step: func(name string) error {
			if name == "keep" {
				return killed
			}
			return nil
		}}); !errors.Is(err, killed) {
			t.Fatal(err)
		}
	})
	if _, err := os.Stat(unfinishedPath(v.path())); err != nil {
		t.Fatalf("there is nothing to be resumed: %v", err)
	}
	if _, err := v.rebuild(RebuildOptions{Cure: true}); err != nil {
		t.Fatal(err)
	}
	v.open()
	v.find()
}

// TestHeadsThatNameOnlyWhatWasWritten are those of the builds before: an empty table that is
// missing is new, an index that is missing is damage.
func TestHeadsThatNameOnlyWhatWasWritten(t *testing.T) {
	for bucket, want := range map[string]error{book.BlockList.Name: nil, indexOf: ErrDamaged, bucketParts: ErrDamaged} {
		v := newVault(t)
		v.close()
		v.forgetEmptySums()
		v.inFile(v.path(), func(b *bbolt.Tx) error { return b.DeleteBucket([]byte(bucket)) })
		if want == nil {
			v.open()
		} else {
			v.refused(want)
		}
	}
}

// forgetEmptySums rewrites the closed ledger's head without the names of buckets that are empty.
func (v *vault) forgetEmptySums() {
	v.t.Helper()
	v.inFile(v.path(), func(b *bbolt.Tx) error {
		l, err := newLedger(v.path(), v.ring, v.opts)
		if err != nil {
			return err
		}
		if err := l.openBox(b); err != nil {
			return err
		}
		h, err := l.readHead(b)
		if err != nil {
			return err
		}
		maps.DeleteFunc(h.Sums, func(_ string, of sum) bool { return of == sum{} })
		text, err := json.Marshal(h)
		if err != nil {
			return err
		}
		sealed := append([]byte{recordVersion}, l.box.Seal(text, location(bucketMeta, keyHead))...)
		return b.Bucket([]byte(bucketMeta)).Put(keyHead, sealed)
	})
}
