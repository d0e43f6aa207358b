package ledger

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger/pages"
)

// populated returns a closed ledger with something in every bucket and index.
func populated(t *testing.T) *vault {
	t.Helper()
	v := newVault(t)
	stored := map[string]Stored{}
	for _, merchant := range []string{shop, other} {
		stored[merchant] = v.keyed(merchant, tokenOf("a"))
	}
	v.commit(func(tx *Tx) error {
		for _, merchant := range []string{shop, other} {
			if err := errors.Join(permit(tx, merchant), store(tx, merchant, v.newID(), tokenOf("a"), stored[merchant]), debit(tx, merchant, v.newID()),
				hold(tx, merchant, v.newID(), v.newID())); err != nil {
				return err
			}
			for i := range 4 {
				id := v.newID()
				if err := receive(tx, merchant, id); err != nil {
					return err
				}
				if i < 3 {
					if err := authorise(tx, merchant, id, "00"); err != nil {
						return err
					}
				}
			}
		}
		if _, err := tx.Append(bag(1, "a")); err != nil {
			return err
		}
		if _, err := tx.Append(found(book.IntegrityFound{Finding: book.FindingSequence, Detail: "a test"})); err != nil {
			return err
		}
		return tx.SetBagHint(Hint{Sequence: 7, Digest: "d"})
	})
	v.sealPending()
	v.commit(func(tx *Tx) error { return tx.MarkSent(v.unsent(tx)[:2]) })
	v.auditor("anna")
	v.auditor("bert")
	v.removeAuditor("anna")
	v.commit(func(tx *Tx) error {
		id := v.newID()
		if err := receive(tx, shop, id); err != nil {
			return err
		}
		return authorise(tx, shop, id, "51")
	})
	v.view(func(tx *Tx) error {
		for _, name := range buckets() {
			if k, _ := tx.bolt.Bucket(name).Cursor().First(); k == nil {
				t.Errorf("bucket %s is empty: the sabotage proves nothing", name)
			}
		}
		return nil
	})
	v.close()
	v.trim()
	return v
}

// trim cuts the room that bbolt keeps at the end of the file, so that copies are cheap.
func (v *vault) trim() {
	v.t.Helper()
	db, err := bbolt.Open(v.path(), 0o600, &bbolt.Options{ReadOnly: true, PageSize: pages.Size})
	if err != nil {
		v.t.Fatal(err)
	}
	var size int64
	err = db.View(func(b *bbolt.Tx) error { size = b.Size(); return nil })
	if err := errors.Join(err, db.Close(), os.Truncate(v.path(), size), markClean(v.path())); err != nil {
		v.t.Fatal(err)
	}
}

func bag(number uint64, digest string) book.Event {
	return book.Event{Actor: "relay:relay-1", Origin: "channel", Evidence: digestOf(digest), Body: book.BagCommitted{
		Relay: "relay-1", Run: "00112233445566778899aabbccddeeff", Number: number, Window: 4, Received: 1}}
}

func (v *vault) unsent(tx *Tx) []Ready {
	v.t.Helper()
	ready, err := tx.UnsentResults(1000)
	if err != nil {
		v.t.Fatal(err)
	}
	return ready
}

// afterEdit copies the ledger, changes the copy's file behind its back, opens it and checks it.
func (v *vault) afterEdit(t *testing.T, edit func(b *bbolt.Tx) error) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copy.db")
	v.copyTo(t, path)
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: pages.Size, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(edit), db.Close(), markClean(path)); err != nil {
		t.Fatal(err)
	}
	return v.openAndCheck(path)
}

func (v *vault) copyTo(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(v.path())
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (v *vault) openAndCheck(path string) error {
	l, err := Open(path, v.ring, v.opts)
	if errors.Is(err, ErrOlder) { // one bit of the format's name: then the daemon rebuilds it
		_, err = Rebuild(context.Background(), path, v.ring, RebuildOptions{Options: v.opts})
	}
	if err != nil {
		return err
	}
	return errors.Join(l.Check(context.Background(), nil), l.Close())
}

// nth returns copies of a bucket's n-th key and value, from 0.
func nth(b *bbolt.Tx, bucket string, n int) (k, value []byte) {
	c := b.Bucket([]byte(bucket)).Cursor()
	for k, value = c.First(); n > 0; n-- {
		k, value = c.Next()
	}
	return bytes.Clone(k), bytes.Clone(value)
}

func TestCheckFindsAFlippedBitInAnyBucket(t *testing.T) {
	v := populated(t)
	if err := v.afterEdit(t, func(*bbolt.Tx) error { return nil }); err != nil {
		t.Fatalf("control: an untouched copy: %v", err)
	}
	for _, name := range buckets() {
		for _, where := range []string{"first byte", "middle", "last byte", "key"} {
			t.Run(string(name)+"/"+where, func(t *testing.T) {
				err := v.afterEdit(t, func(b *bbolt.Tx) error {
					bucket := b.Bucket(name)
					k, value := nth(b, string(name), 0)
					if err := bucket.Delete(k); err != nil {
						return err
					}
					switch {
					case where == "key" || len(value) == 0:
						k[len(k)-1] ^= 1
					case where == "first byte":
						value[0] ^= 1
					case where == "middle":
						value[len(value)/2] ^= 1
					default:
						value[len(value)-1] ^= 1
					}
					return bucket.Put(k, value)
				})
				if !errors.Is(err, ErrDamaged) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

func TestCheckFindsWhatIsMissing(t *testing.T) {
	v := populated(t)
	for _, name := range buckets() {
		for _, which := range []string{"first", "last", "all", "bucket"} {
			t.Run(string(name)+"/"+which, func(t *testing.T) {
				err := v.afterEdit(t, func(b *bbolt.Tx) error {
					if which == "bucket" || which == "all" {
						if err := b.DeleteBucket(name); err != nil || which == "bucket" {
							return err
						}
						_, err := b.CreateBucket(name)
						return err
					}
					c := b.Bucket(name).Cursor()
					k, _ := c.First()
					if which == "last" {
						k, _ = c.Last()
					}
					return b.Bucket(name).Delete(bytes.Clone(k))
				})
				if !errors.Is(err, ErrDamaged) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

func TestCheckFindsWhatIsTooMuch(t *testing.T) {
	v := populated(t)
	for _, name := range buckets() {
		t.Run(string(name), func(t *testing.T) {
			err := v.afterEdit(t, func(b *bbolt.Tx) error {
				k, value := nth(b, string(name), 0)
				return b.Bucket(name).Put(append(k, 'x'), value)
			})
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("bucket", func(t *testing.T) {
		err := v.afterEdit(t, func(b *bbolt.Tx) error {
			_, err := b.CreateBucket([]byte("more"))
			return err
		})
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("got %v", err)
		}
	})
}

func TestCheckFindsMovedRecords(t *testing.T) {
	v := populated(t)
	for _, name := range []string{bucketIDs, bucketPayments, bucketParts, bucketResults, bucketChains, book.Merchants.Name, book.Batches.Name,
		bucketVault, bucketKeys, book.Tokens.Name, bucketStored, book.BlockList.Name, book.Files.Name, book.Entries.Name, "log", "tree"} {
		t.Run(name, func(t *testing.T) {
			err := v.afterEdit(t, func(b *bbolt.Tx) error {
				k1, v1 := nth(b, name, 0)
				k2, v2 := nth(b, name, 1)
				return errors.Join(b.Bucket([]byte(name)).Put(k1, v2), b.Bucket([]byte(name)).Put(k2, v1))
			})
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCheckFindsOlderVersions(t *testing.T) {
	v := populated(t)
	// What stood there before the next events.
	before := map[string]map[string][]byte{}
	db, err := bbolt.Open(v.path(), 0o600, &bbolt.Options{ReadOnly: true, PageSize: pages.Size})
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(func(b *bbolt.Tx) error {
		return b.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
			before[string(name)] = map[string][]byte{}
			return bucket.ForEach(func(k, value []byte) error {
				before[string(name)][string(k)] = bytes.Clone(value)
				return nil
			})
		})
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	v.open()
	changed := v.keyed(shop, tokenOf("a"))
	v.commit(func(tx *Tx) error {
		update := instruction(v.newID(), envelope.OpUpdate)
		update.Token = tokenOf("a")
		return errors.Join(appendAll(tx, shop, update, book.AccountUpdated{ID: update.ID}), tx.PutStored(shop, tokenOf("a"), changed),
			debit(tx, shop, v.newID()))
	})
	v.commit(func(tx *Tx) error {
		var waiting book.Payment
		if err := tx.Payments(Query{Stage: book.StageReceived}, func(p book.Payment) error {
			if p.Operation == envelope.OpSale {
				waiting = p
			}
			return nil
		}); err != nil {
			return err
		}
		if err := authorise(tx, waiting.Merchant, waiting.ID, "00"); err != nil {
			return err
		}
		if _, err := tx.Append(bag(1, "fork")); err != nil {
			return err
		}
		return tx.SetBagHint(Hint{Sequence: 8})
	})
	v.sealPending()
	v.close()
	v.trim()
	for _, name := range []string{bucketVault, book.Merchants.Name, book.Batches.Name, book.Runs.Name, book.Bags.Name, bucketPayments, bucketResults,
		bucketChains, book.Tokens.Name, bucketStored, book.BlockList.Name, bucketMeta} {
		t.Run(name, func(t *testing.T) {
			changed := 0
			err := v.afterEdit(t, func(b *bbolt.Tx) error {
				for k, old := range before[name] {
					if !bytes.Equal(b.Bucket([]byte(name)).Get([]byte(k)), old) {
						changed++
						if err := b.Bucket([]byte(name)).Put([]byte(k), old); err != nil {
							return err
						}
					}
				}
				return nil
			})
			if changed == 0 {
				t.Fatal("no record of it has changed")
			}
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCheckFindsAStateThatTheLogDoesNotMake(t *testing.T) {
	for name, change := range map[string]func(tx *Tx, p book.Payment) error{
		"payment":         func(tx *Tx, p book.Payment) error { p.Amount++; return book.Payments.Put(tx.State, p) },
		"payment's stage": func(tx *Tx, p book.Payment) error { p.Stage = book.StageSettled; return book.Payments.Put(tx.State, p) },
		"payment more": func(tx *Tx, p book.Payment) error {
			p.ID, p.Number = "00000000-0000-4000-8000-ffffffffffff", 99
			return book.Payments.Put(tx.State, p)
		},
		"merchant": func(tx *Tx, p book.Payment) error {
			m, _, err := tx.Merchant(p.Merchant)
			m.Verifiers = []string{"thief"}
			return errors.Join(err, book.Merchants.Put(tx.State, m))
		},
		"batch": func(tx *Tx, p book.Payment) error {
			b, _, err := tx.Batch(1)
			b.Totals = append([]book.Total(nil), book.Total{Currency: "USD", Count: 1, Amount: 1})
			return errors.Join(err, book.Batches.Put(tx.State, b))
		},
		"vault": func(tx *Tx, _ book.Payment) error {
			w, err := tx.Vault()
			w.Generation++
			return errors.Join(err, book.TheVault.Put(tx.State, w))
		},
		"run": func(tx *Tx, _ book.Payment) error {
			return book.Runs.Put(tx.State, book.Run{Relay: "relay-1", ID: "x"})
		},
		"bag": func(tx *Tx, _ book.Payment) error {
			return book.Bags.Put(tx.State, book.Bag{Relay: "relay-1", Run: "x", Number: 1})
		},
		"token": func(tx *Tx, _ book.Payment) error {
			token, _, err := tx.Token(shop, tokenOf("a"))
			token.Masked = "424242******0000"
			return errors.Join(err, book.Tokens.Put(tx.State, token))
		},
		"block": func(tx *Tx, _ book.Payment) error {
			return book.BlockList.Put(tx.State, book.Block{Merchant: shop, Fingerprint: "f"})
		},
		"file": func(tx *Tx, _ book.Payment) error { return book.Files.Put(tx.State, book.File{Name: "f"}) },
		"entry": func(tx *Tx, _ book.Payment) error {
			return book.Entries.Put(tx.State, book.Entry{Trace: "1", Merchant: shop})
		},
		"payment that another is about": func(tx *Tx, p book.Payment) error {
			p.Of = p.ID
			return book.Payments.Put(tx.State, p)
		},
		"stored account without a token": func(tx *Tx, _ book.Payment) error {
			return tx.PutStored(shop, tokenOf("z"), Stored{Slot: 99, Sealed: []byte("sealed")})
		},
		"token without a stored account": func(tx *Tx, _ book.Payment) error { return tx.DeleteStored(shop, tokenOf("a")) },
		"two stored accounts in one slot": func(tx *Tx, _ book.Payment) error {
			s, _, err := tx.Stored(shop, tokenOf("a"))
			return errors.Join(err, tx.PutStored(other, tokenOf("a"), s))
		},
		"result": func(tx *Tx, p book.Payment) error {
			r, box, err := tx.result(p.Merchant, p.Results[0])
			r.Facts = `{"payment":"another"}`
			return errors.Join(err, tx.storeResult(p.Merchant, p.Results[0], box, r))
		},
		"part without a payment": func(tx *Tx, p book.Payment) error {
			box, err := tx.box(purposeMerchant(p.Merchant))
			return errors.Join(err, tx.put(bucketParts, append(recordKey(98, p.Merchant+"/"), envelope.PartAccount...), box, []byte{0}))
		},
		"key too many": func(tx *Tx, _ book.Payment) error { return tx.NewMerchantKey("stranger") },
	} {
		t.Run(name, func(t *testing.T) {
			v := populated(t)
			v.open()
			v.commit(func(tx *Tx) error {
				return tx.Payments(Query{Stage: book.StageApproved, Merchant: shop, Limit: 1}, func(p book.Payment) error { return change(tx, p) })
			})
			if err := v.Check(context.Background(), nil); !errors.Is(err, ErrDamaged) {
				t.Errorf("got %v", err)
			}
			if err := v.Close(); err != nil {
				t.Error(err)
			}
			v.Ledger = nil
		})
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	v := newVault(t)
	ctx, cancel := context.WithTimeout(context.Background(), -time.Second)
	defer cancel()
	if err := v.Check(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
