package ledger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/proof"
	"nightdrop/vault/internal/audit"
	"nightdrop/vault/internal/book"
)

func TestSaleFromEnvelopeToSentResult(t *testing.T) {
	v := newVault(t)
	id := v.newID()
	v.commit(func(tx *Tx) error { return receive(tx, shop, id) })
	v.commit(func(tx *Tx) error { return authorise(tx, shop, id, "00") })
	v.view(func(tx *Tx) error {
		p, found, err := tx.Payment(shop, id)
		if err != nil || !found || p.Stage != book.StageApproved || p.Number != 1 || len(p.Results) != 1 {
			t.Errorf("payment %+v, %v, %v", p, found, err)
		}
		if _, found, err := tx.Part(shop, id, envelope.PartCode); found || err != nil {
			t.Error("the security code's part is still there", err)
		}
		part, found, err := tx.Part(shop, id, envelope.PartAccount)
		if err != nil || !found || part.Key != sealedPart.Key || string(part.Sealed) != string(sealedPart.Sealed) {
			t.Error("the account's part is not what was put", err)
		}
		return nil
	})
	v.sealPending()
	var ready []Ready
	v.view(func(tx *Tx) (err error) {
		ready, err = tx.UnsentResults(10)
		return err
	})
	if len(ready) != 1 || ready[0].Serial != 1 || ready[0].ID != id {
		t.Fatalf("ready %v", ready)
	}
	first := ready[0].Note
	v.commit(func(tx *Tx) error { return tx.MarkSent(ready) })
	v.commit(func(tx *Tx) error { return tx.ResendResults(shop, id) })
	v.view(func(tx *Tx) (err error) {
		ready, err = tx.UnsentResults(10)
		return err
	})
	if len(ready) != 1 || string(ready[0].Note) != string(first) {
		t.Error("a result sent again is not the same bytes")
	}
}

func TestCreateNeverOverwrites(t *testing.T) {
	v := newVault(t)
	before, err := os.ReadFile(v.path())
	if err != nil {
		t.Fatal(err)
	}
	if err := Create(v.path(), v.ring, v.opts); !errors.Is(err, ErrExists) {
		t.Errorf("got %v", err)
	}
	if after, err := os.ReadFile(v.path()); err != nil || !slices.Equal(before, after) {
		t.Error("the ledger was touched", err)
	}
	if _, err := Open(filepath.Join(v.dir, "none.db"), v.ring, v.opts); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open of nothing: %v", err)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	v := newVault(t)
	opts := v.opts
	opts.LockWait = time.Millisecond
	opts.Check = func(string) error { return nil } // the lock alone must hold
	if _, err := Open(v.path(), v.ring, opts); !errors.Is(err, ErrInUse) {
		t.Errorf("open: %v", err)
	}
	if err := Inspect(v.path()); !errors.Is(err, ErrInUse) {
		t.Errorf("inspect: %v", err)
	}
}

func TestTimeNeverGoesBack(t *testing.T) {
	v := newVault(t)
	v.clock.Pass(-time.Hour)
	v.commit(func(tx *Tx) error {
		if tx.Now() != envelope.At(start) {
			t.Errorf("now %v, the last event was at %v", tx.Now(), start)
		}
		return receive(tx, shop, v.newID())
	})
	v.close()
	v.open()
	v.view(func(tx *Tx) error {
		if tx.Now() != envelope.At(start) {
			t.Error("a snapshot's time is before the last event's")
		}
		return nil
	})
}

func TestLogKeysChangeDailyAndWithEachOpening(t *testing.T) {
	v := newVault(t)
	keys := map[uint32]bool{}
	note := func() {
		v.commit(func(tx *Tx) error { return receive(tx, shop, v.newID()) })
		v.view(func(tx *Tx) error {
			size, err := tx.TreeSize()
			if err != nil {
				return err
			}
			e, err := tx.LogEntry(uint64(size - 1))
			keys[e.LogKey] = true
			return err
		})
	}
	note()
	note()
	if len(keys) != 1 {
		t.Errorf("keys %v within a day", keys)
	}
	v.clock.Pass(24 * time.Hour)
	note()
	if len(keys) != 2 {
		t.Errorf("keys %v after a day", keys)
	}
	v.close()
	v.open()
	note()
	if len(keys) != 3 {
		t.Errorf("keys %v after opening again", keys)
	}
}

func TestQueries(t *testing.T) {
	v := newVault(t)
	var ids []string
	v.commit(func(tx *Tx) error {
		for i := range 600 {
			id, merchant := v.newID(), shop
			if i%3 == 0 {
				merchant = other
			}
			ids = append(ids, id)
			if err := receive(tx, merchant, id); err != nil {
				return err
			}
			if i%2 == 0 {
				code := "00"
				if i%4 == 0 {
					code = "51"
				}
				if err := authorise(tx, merchant, id, code); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for name, test := range map[string]struct {
		query Query
		keep  func(i int) bool // of payment i+1
		limit int
	}{
		"all":                  {Query{}, func(int) bool { return true }, 0},
		"merchant":             {Query{Merchant: other}, func(i int) bool { return i%3 == 0 }, 0},
		"working stage":        {Query{Stage: book.StageReceived}, func(i int) bool { return i%2 == 1 }, 0},
		"stage and merchant":   {Query{Stage: book.StageReceived, Merchant: shop}, func(i int) bool { return i%2 == 1 && i%3 != 0 }, 0},
		"other stage":          {Query{Stage: book.StageDeclined}, func(i int) bool { return i%4 == 0 }, 0},
		"merchant, other":      {Query{Merchant: other, Stage: book.StageApproved}, func(i int) bool { return i%3 == 0 && i%4 == 2 }, 0},
		"batch and stage":      {Query{Batch: 1, Stage: book.StageApproved}, func(i int) bool { return i%3 == 0 && i%4 == 2 }, 0},
		"after":                {Query{After: 590}, func(i int) bool { return i+1 > 590 }, 0},
		"after of a merchant":  {Query{After: 590, Merchant: other}, func(i int) bool { return i+1 > 590 && i%3 == 0 }, 0},
		"limit":                {Query{Limit: 300}, func(int) bool { return true }, 300},
		"limit of a stage":     {Query{Stage: book.StageReceived, Limit: 7}, func(i int) bool { return i%2 == 1 }, 7},
		"nothing of that kind": {Query{Merchant: "nobody"}, func(int) bool { return false }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var want, got []uint64
			for i := range ids {
				if test.keep(i) && (test.limit == 0 || len(want) < test.limit) {
					want = append(want, uint64(i+1))
				}
			}
			v.view(func(tx *Tx) error {
				return tx.Payments(test.query, func(p book.Payment) error {
					got = append(got, p.Number)
					return nil
				})
			})
			if !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
	t.Run("whole batch", func(t *testing.T) {
		n := 0
		v.view(func(tx *Tx) error {
			return tx.Payments(Query{Batch: 1}, func(book.Payment) error { n++; return nil })
		})
		if n != 100 {
			t.Errorf("%d payments of 100", n)
		}
	})
}

func TestQueryWhoseCallerChangesWhatItReads(t *testing.T) {
	v := newVault(t)
	v.commit(func(tx *Tx) error {
		for range 600 {
			if err := receive(tx, shop, v.newID()); err != nil {
				return err
			}
		}
		n := 0
		err := tx.Payments(Query{Stage: book.StageReceived}, func(p book.Payment) error {
			n++
			_, err := tx.Append(vaultEvent(shop, book.PaymentRefused{ID: p.ID, Code: envelope.CodeLate}))
			return err
		})
		if n != 600 {
			t.Errorf("%d of 600 were seen", n)
		}
		left := 0
		return errors.Join(err, tx.Payments(Query{Stage: book.StageReceived}, func(book.Payment) error { left++; return nil }),
			func() error {
				if left != 0 {
					t.Errorf("%d are left", left)
				}
				return nil
			}())
	})
}

func TestSnapshotsDoNotWrite(t *testing.T) {
	v := newVault(t)
	for name, write := range map[string]func(tx *Tx) error{
		"append":   func(tx *Tx) error { _, err := tx.Append(bag(1, "a")); return err },
		"merchant": func(tx *Tx) error { return book.Merchants.Put(tx.State, book.Merchant{ID: shop}) },
		"payment":  func(tx *Tx) error { return book.Payments.Put(tx.State, book.Payment{Merchant: shop, ID: "x"}) },
		"key":      func(tx *Tx) error { return tx.NewMerchantKey("shop-3") },
		"hint":     func(tx *Tx) error { return tx.SetBagHint(Hint{}) },
		"sent":     func(tx *Tx) error { return tx.MarkSent([]Ready{{}}) },
		"resend":   func(tx *Tx) error { return tx.ResendResult(shop, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := v.View(write); !errors.Is(err, errReadOnly) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRecordsReadAsNoiseUnderAnotherMerchantsKey(t *testing.T) {
	v := newVault(t)
	id := v.newID()
	v.commit(func(tx *Tx) error { return receive(tx, shop, id) })
	v.view(func(tx *Tx) error {
		box, err := tx.box(purposeMerchant(other))
		if err != nil {
			return err
		}
		if _, _, err := tx.get(bucketPayments, recordKey(1, shop), box); !errors.Is(err, ErrDamaged) {
			t.Errorf("got %v", err)
		}
		mine, err1 := tx.Fingerprint(shop, []byte("4242424242424242"))
		again, err2 := tx.Fingerprint(shop, []byte("4242424242424242"))
		theirs, err3 := tx.Fingerprint(other, []byte("4242424242424242"))
		if mine != again || mine == theirs || len(mine) != 64 {
			t.Error("fingerprints do not tell a merchant's own accounts, or tell another's")
		}
		return errors.Join(err1, err2, err3)
	})
}

func TestResultsAreSealedInTheirChainOnly(t *testing.T) {
	v := newVault(t)
	v.commit(func(tx *Tx) error {
		for range 3 {
			id := v.newID()
			if err := errors.Join(receive(tx, shop, id), authorise(tx, shop, id, "00")); err != nil {
				return err
			}
		}
		return nil
	})
	var pending []Pending
	v.view(func(tx *Tx) (err error) {
		pending, err = tx.PendingResults(10)
		return err
	})
	if len(pending) != 3 || pending[0].Serial != 1 || pending[2].Serial != 3 || pending[0].ReplyKey != v.replyLine() {
		t.Fatalf("pending %+v", pending)
	}
	for name, test := range map[string]func(tx *Tx) error{
		"out of turn": func(tx *Tx) error {
			p := pending[0]
			p.Serial = 2
			p.ID, p.Digest = pending[1].ID, pending[1].Digest
			return putResult(tx, v, p, 2, digestOf("x"))
		},
		"another envelope": func(tx *Tx) error {
			p := pending[0]
			p.ID, p.Digest = pending[1].ID, pending[1].Digest
			return putResult(tx, v, p, 1, envelope.ZeroDigest)
		},
		"another's note": func(tx *Tx) error { return tx.PutResult(shop, 1, pending[0].ID, "", []byte("no note")) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := v.Commit(t.Context(), test); !errors.Is(err, ErrChain) {
				t.Errorf("got %v", err)
			}
		})
	}
	v.sealPending()
}

func putResult(tx *Tx, v *vault, p Pending, serial uint64, previous string) error {
	signed, err := envelope.Sign(envelope.Result{Merchant: p.Merchant, Serial: serial, Previous: previous, ID: p.ID, Digest: p.Digest,
		Created: p.Created, Sealed: resultPart()}, v.ring.Signer())
	if err != nil {
		return err
	}
	return tx.PutResult(p.Merchant, serial, p.ID, signed.Digest, signed.Note)
}

func TestExportVerifies(t *testing.T) {
	v := populated(t)
	v.open()
	dir := filepath.Join(v.dir, "export")
	c, err := v.Export(t.Context(), dir, ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	report, err := audit.Verify(t.Context(), dir, v.ring.Verifier(), audit.VerifyOptions{})
	if err != nil || report.Verified != c.Size || c.Size == 0 {
		t.Errorf("%+v, %v", report, err)
	}
	v.view(func(tx *Tx) error {
		for index := range c.Size {
			e, err := tx.LogEntry(uint64(index))
			if err != nil {
				return err
			}
			hashes, err := tx.Proof(uint64(index), c.Size)
			if err != nil {
				return err
			}
			if err := proof.CheckInclusion(c, index, e.Record, hashes); err != nil {
				t.Errorf("entry %d: %v", index, err)
			}
		}
		_, err := tx.Proof(uint64(c.Size), c.Size)
		if err == nil {
			t.Error("a proof of what is not there")
		}
		return nil
	})
}
