package ledger

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"nightdrop/vault/internal/book"
)

// flipAll flips a bit of a key wherever the file of the open ledger has it, behind its back: what
// is read next sees that.
func (v *vault) flipAll(key []byte, at int) {
	v.t.Helper()
	data, err := os.ReadFile(v.path())
	if err != nil {
		v.t.Fatal(err)
	}
	file, err := os.OpenFile(v.path(), os.O_WRONLY, 0)
	if err != nil {
		v.t.Fatal(err)
	}
	defer file.Close()
	found := 0
	for from := 0; ; found++ {
		next := bytes.Index(data[from:], key)
		if next < 0 {
			break
		}
		from += next
		if _, err := file.WriteAt([]byte{data[from+at] ^ 1}, int64(from+at)); err != nil {
			v.t.Fatal(err)
		}
		from++
	}
	if found == 0 {
		v.t.Fatal("the key is not in the file")
	}
}

// TestAKeyThatIsFlippedWhileTheLedgerIsOpenIsNoticed: an absence is not believed where something
// was, nor a walk that met too few; the ledger takes no more then, and names its file.
func TestAKeyThatIsFlippedWhileTheLedgerIsOpenIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		key  func(id string, number uint64) []byte
		at   int // which byte of it
		read func(tx *Tx, id string) error
	}{
		"an id": {func(id string, _ uint64) []byte { return book.Key{Merchant: shop, ID: id}.Bytes() }, len(shop) + 36, func(tx *Tx, id string) error {
			_, found, err := tx.Payment(shop, id)
			if err == nil && !found {
				err = errors.New("it would be charged again")
			}
			return err
		}},
		"a working stage": {func(_ string, number uint64) []byte {
			return append(stagePrefix(book.StageReceived), recordKey(number, shop)...)
		}, 0, func(tx *Tx, _ string) error {
			n := 0
			err := tx.Payments(Query{Stage: book.StageReceived}, func(book.Payment) error { n++; return nil })
			if err == nil && n != 2 {
				err = errors.New("it would never be sent")
			}
			return err
		}},
		"a payment of a merchant": {func(_ string, number uint64) []byte { return append(merchantPrefix(shop), book.Ordered(number)...) },
			0, func(tx *Tx, _ string) error {
				n := 0
				err := tx.Payments(Query{Merchant: shop}, func(book.Payment) error { n++; return nil })
				if err == nil && n != 2 {
					err = errors.New("it would not be told")
				}
				return err
			}},
		"a payment in the order of arrival": {func(_ string, number uint64) []byte { return recordKey(number+1, shop) }, 7, func(tx *Tx, _ string) error {
			err := tx.Payments(Query{After: 1}, func(book.Payment) error { return nil })
			if err == nil {
				err = errors.New("it would not be listed")
			}
			return err
		}},
		"a payment of a merchant, newest first": {func(_ string, number uint64) []byte {
			return append(merchantPrefix(shop), book.Ordered(number)...)
		}, 0, func(tx *Tx, _ string) error { return searchTwo(tx, Query{Merchant: shop}) }},
		"a payment of a merchant, its number, newest first": {func(_ string, number uint64) []byte {
			return append(merchantPrefix(shop), book.Ordered(number)...)
		}, len(shop) + 2, func(tx *Tx, _ string) error { return searchTwo(tx, Query{Merchant: shop}) }},
		"the newest payment, newest first": {func(_ string, number uint64) []byte { return recordKey(number+1, shop) }, 7,
			func(tx *Tx, _ string) error { return searchTwo(tx, Query{}) }},
		"the oldest payment, newest first": {func(_ string, number uint64) []byte { return recordKey(number, shop) }, 7,
			func(tx *Tx, _ string) error { return searchTwo(tx, Query{}) }},
		"a working stage after the first": {func(_ string, number uint64) []byte {
			return append(stagePrefix(book.StageReceived), recordKey(number+1, shop)...)
		}, 0, func(tx *Tx, _ string) error {
			n := 0
			err := tx.Payments(Query{Stage: book.StageReceived, After: 1}, func(book.Payment) error { n++; return nil })
			if err == nil && n != 1 {
				err = errors.New("it would not be recovered")
			}
			return err
		}},
	} {
		for _, writing := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				v := newVault(t)
				first, second := v.newID(), v.newID()
				v.commit(func(tx *Tx) error { return errors.Join(receive(tx, shop, first), receive(tx, shop, second)) })
				v.flipAll(c.key(first, 1), c.at)
				var told error
				v.options.Failed = func(err error) { told = err }
				read := func(tx *Tx) error { return c.read(tx, first) }
				err := v.View(read)
				if writing {
					err = v.Commit(t.Context(), read)
				}
				if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), v.path()) {
					t.Errorf("got %v", err)
				}
				if told == nil {
					t.Error("nobody was told")
				}
				if err := v.Commit(t.Context(), func(*Tx) error { return nil }); err == nil {
					t.Error("it takes more")
				}
				_ = v.Close() // it is doubtful
				v.Ledger = nil
			})
		}
	}
}

// TestSnapshotsAgreeWithTheirOwnCommit: readers on older commits see what was there then, while
// others write.
func TestSnapshotsAgreeWithTheirOwnCommit(t *testing.T) {
	v := newVault(t)
	ids := make([]string, 40)
	for i := range ids {
		ids[i] = v.newID()
	}
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				err := v.View(func(tx *Tx) error {
					for round := range 3 { // the last looks where the writer was meanwhile
						there := 0
						for _, id := range ids {
							if _, found, err := tx.Payment(shop, id); err != nil {
								return err
							} else if found {
								there++
							}
						}
						n := 0
						if err := tx.Payments(Query{Merchant: shop}, func(book.Payment) error { n++; return nil }); err != nil {
							return err
						}
						if n != there {
							t.Errorf("round %d: %d payments by their ids, %d by the index", round, there, n)
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for _, id := range ids {
		v.commit(func(tx *Tx) error { return receive(tx, shop, id) })
		v.commit(func(tx *Tx) error { return authorise(tx, shop, id, "00") })
	}
	cancel()
	readers.Wait()
	if n := len(v.tags.before); n != 0 {
		t.Errorf("%d places are kept for readers that are gone", n)
	}
	// What is rolled back was never there.
	lost := errors.New("no")
	if err := v.Commit(t.Context(), func(tx *Tx) error { return errors.Join(receive(tx, shop, v.newID()), lost) }); !errors.Is(err, lost) {
		t.Fatal(err)
	}
	v.view(func(tx *Tx) error {
		return tx.Payments(Query{Merchant: shop}, func(book.Payment) error { return nil })
	})
}

// searchTwo fails where a search does not find the two payments that are there.
func searchTwo(tx *Tx, q Query) error {
	n := 0
	q.Limit = 10
	_, err := tx.Search(context.Background(), Search{Query: q, Most: 10}, func(book.Payment) error { n++; return nil })
	if err == nil && n != 2 {
		err = errors.New("it would not be found")
	}
	return err
}
