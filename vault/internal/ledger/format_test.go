package ledger

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"nightdrop/vault/internal/book"
)

// A ledger of another build is not called damaged: nobody is to put a copy in its place. The error
// names its format, and changes nothing.
func TestLedgerOfAnotherBuild(t *testing.T) {
	for format, want := range map[string]error{"nightdrop/ledger/v1": ErrFormat, "nightdrop/ledger/v2": ErrOlder, "nightdrop/ledger/v4": ErrNewer,
		"nightdrop/ledger/v12": ErrNewer, "nightdrop/ledger/v04": ErrDamaged, "nightdrop/ledger/v": ErrDamaged, "nightdrop/ledger/v3-unfinished": ErrDamaged,
		"nightdrop/log/v4": ErrDamaged, "": ErrDamaged} {
		v := newVault(t)
		v.close()
		db, err := bbolt.Open(v.path(), 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(b *bbolt.Tx) error {
			if err := b.DeleteBucket([]byte(book.Tokens.Name)); err != nil {
				return err
			}
			return b.Bucket([]byte(bucketMeta)).Put(keyFormat, []byte(format))
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(v.path())
		if err != nil {
			t.Fatal(err)
		}
		_, err = Open(v.path(), v.ring, v.opts)
		if !errors.Is(err, want) || !errors.Is(want, ErrDamaged) && (errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), format)) {
			t.Errorf("format %q: %v", format, err)
		}
		if after, err := os.ReadFile(v.path()); err != nil || !bytes.Equal(before, after) {
			t.Errorf("format %q: the file was changed (%v)", format, err)
		}
	}
}
