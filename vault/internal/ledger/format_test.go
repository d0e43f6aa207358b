package ledger

import (
	"errors"
	"testing"

	"go.etcd.io/bbolt"
)

// A ledger of an older build, whose buckets and totals were others, is not called damaged: nobody is to put a copy in its place.
func TestLedgerOfAnotherBuild(t *testing.T) {
	for format, want := range map[string]error{formatBefore: ErrFormat, "nightdrop/ledger/v3": ErrDamaged, "": ErrDamaged} {
		v := newVault(t)
		v.close()
		db, err := bbolt.Open(v.path(), 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(b *bbolt.Tx) error {
			if err := b.DeleteBucket([]byte(bucketTokens)); err != nil {
				return err
			}
			return b.Bucket([]byte(bucketMeta)).Put(keyFormat, []byte(format))
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(v.path(), v.ring, v.opts); !errors.Is(err, want) || errors.Is(want, ErrFormat) && errors.Is(err, ErrDamaged) {
			t.Errorf("format %q: %v", format, err)
		}
	}
}
