package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
)

// restart ends the process as a crash does, between two durable steps, and starts it again as the
// daemon does. meanwhile runs while it is down.
func (v *vault) restart(meanwhile func()) {
	v.t.Helper()
	v.close()
	if err := v.ring.Close(); err != nil {
		v.t.Fatal(err)
	}
	meanwhile()
	v.unlockRing()
	v.open()
	var slots []uint32
	v.view(func(tx *Tx) (err error) {
		slots, err = tx.StoredSlots()
		return err
	})
	if err := v.ring.KeepStored(slots); err != nil {
		v.t.Fatal(err)
	}
}

// plain opens a token's account as the ledger has it.
func (v *vault) plain(token string) error {
	var s Stored
	var found bool
	err := v.View(func(tx *Tx) (err error) {
		s, found, err = tx.Stored(shop, token)
		return err
	})
	if err != nil || !found {
		return errors.Join(err, fmt.Errorf("stored: %t", found))
	}
	return v.opens(token, s)
}

func (v *vault) opens(token string, s Stored) error {
	plain, err := v.ring.OpenStored(shop, token, s.Slot, s.Sealed)
	if err == nil && string(plain) != plainCard {
		err = errors.New("another account came out")
	}
	return err
}

// keep stores an account in the order that crash safety asks for: its key, then event and record
// together.
func (v *vault) keep(token string) Stored {
	v.t.Helper()
	s, id := v.keyed(shop, token), v.newID()
	v.commit(func(tx *Tx) error { return store(tx, shop, id, token, s) })
	return s
}

func (v *vault) keyFile() []byte {
	v.t.Helper()
	content, err := os.ReadFile(filepath.Join(v.dir, "ring", "stored.keys"))
	if err != nil {
		v.t.Fatal(err)
	}
	return content
}

// keyOf is a slot's sealed key in the key file.
func keyOf(file []byte, slot uint32) []byte { return file[8192+128*int(slot):][:88] }

// A crash after the key and before the record leaves a key that nothing uses: the next start
// destroys it, and the store's envelope, which comes again, gets another.
func TestCrashBetweenKeyAndRecord(t *testing.T) {
	v := newVault(t)
	v.commit(func(tx *Tx) error { return permit(tx, shop) })
	kept := v.keep(tokenOf("a"))
	lost := v.keyed(shop, tokenOf("b"))
	key := keyOf(v.keyFile(), lost.Slot)
	v.restart(func() {})
	if err := v.opens(tokenOf("b"), lost); !errors.Is(err, keyring.ErrForgotten) {
		t.Errorf("a key without a record: %v", err)
	}
	if bytes.Contains(v.keyFile(), key) {
		t.Error("the key without a record is still there")
	}
	v.keep(tokenOf("b"))
	if err := errors.Join(v.plain(tokenOf("a")), v.plain(tokenOf("b"))); err != nil {
		t.Error(err)
	}
	if err := v.opens(tokenOf("a"), kept); err != nil {
		t.Error(err)
	}
}

// A crash after the ledger gave the account up and before its key died: the next start destroys the
// key.
func TestCrashBetweenForgettingAndTheKeysDeath(t *testing.T) {
	v := newVault(t)
	v.commit(func(tx *Tx) error { return permit(tx, shop) })
	kept, given := v.keep(tokenOf("a")), v.keep(tokenOf("b"))
	v.commit(func(tx *Tx) error { return forget(tx, shop, v.newID(), tokenOf("b")) })
	key := keyOf(v.keyFile(), given.Slot)
	if err := v.opens(tokenOf("b"), given); err != nil {
		t.Errorf("control: the key lives until it is destroyed: %v", err)
	}
	v.restart(func() {})
	if err := v.opens(tokenOf("b"), given); !errors.Is(err, keyring.ErrForgotten) {
		t.Errorf("given up before the crash: %v", err)
	}
	if bytes.Contains(v.keyFile(), key) {
		t.Error("the key is still there")
	}
	if err := v.opens(tokenOf("a"), kept); err != nil {
		t.Error(err)
	}
	v.view(func(tx *Tx) error {
		token, found, err := tx.Token(shop, tokenOf("b"))
		if err != nil || !found || !token.Forgotten {
			t.Errorf("the token is %+v, %t, %v", token, found, err)
		}
		return nil
	})
}

// Yesterday's ledger, put in the place of today's, has the record of an account that was forgotten
// today: nothing opens it any more, not even before the start has looked at which keys are in use.
func TestYesterdaysLedgerOpensNoForgottenAccount(t *testing.T) {
	v := newVault(t)
	v.commit(func(tx *Tx) error { return permit(tx, shop) })
	v.keep(tokenOf("a"))
	v.keep(tokenOf("b"))
	var yesterday []byte
	v.restart(func() {
		var err error
		if yesterday, err = os.ReadFile(v.path()); err != nil {
			t.Fatal(err)
		}
	})
	if err := v.plain(tokenOf("b")); err != nil {
		t.Fatalf("control: yesterday it opens: %v", err)
	}
	var slot uint32
	v.commit(func(tx *Tx) error {
		s, _, err := tx.Stored(shop, tokenOf("b"))
		slot = s.Slot
		return errors.Join(err, forget(tx, shop, v.newID(), tokenOf("b")))
	})
	if err := v.ring.ForgetStored(slot); err != nil {
		t.Fatal(err)
	}
	// Restored where nobody remembers how far the log had come; in its own place the ledger would
	// refuse to open.
	v.close()
	v.dir = filepath.Join(v.dir, "restored")
	if err := errors.Join(os.Mkdir(v.dir, 0o700), os.WriteFile(v.path(), yesterday, 0o600)); err != nil {
		t.Fatal(err)
	}
	v.open()
	if err := v.plain(tokenOf("b")); !errors.Is(err, keyring.ErrForgotten) {
		t.Errorf("forgotten: %v", err)
	}
	if err := v.plain(tokenOf("a")); err != nil {
		t.Errorf("kept: %v", err)
	}
}

func TestStoredAccountsInTheLedger(t *testing.T) {
	v := newVault(t)
	v.commit(func(tx *Tx) error { return permit(tx, shop) })
	first, second := v.keep(tokenOf("a")), v.keep(tokenOf("b"))
	changed := v.keyed(shop, tokenOf("a"))
	v.commit(func(tx *Tx) error {
		update := instruction(v.newID(), envelope.OpUpdate)
		update.Token = tokenOf("a")
		return errors.Join(appendAll(tx, shop, update, book.AccountUpdated{ID: update.ID}), tx.PutStored(shop, tokenOf("a"), changed),
			tx.DeleteStored(shop, tokenOf("y")), tx.DeleteStored("nobody", tokenOf("y")))
	})
	if err := v.ring.ForgetStored(first.Slot); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(v.plain(tokenOf("a")), v.plain(tokenOf("b"))); err != nil {
		t.Error(err)
	}
	v.view(func(tx *Tx) error {
		var seen []string
		err := tx.EachStored(func(merchant, token string, s Stored) error {
			seen = append(seen, fmt.Sprint(merchant, "/", token[4:5], "/", s.Slot))
			return nil
		})
		want := []string{fmt.Sprint(shop, "/a/", changed.Slot), fmt.Sprint(shop, "/b/", second.Slot)}
		if err != nil || !slices.Equal(seen, want) {
			t.Errorf("stored are %v, want %v: %v", seen, want, err)
		}
		for _, merchant := range []string{shop, other, "nobody"} {
			if _, found, err := tx.Stored(merchant, tokenOf("y")); found || err != nil {
				t.Errorf("a token of %s that is none: %t, %v", merchant, found, err)
			}
		}
		if err := tx.PutStored(shop, tokenOf("a"), first); !errors.Is(err, errReadOnly) {
			t.Errorf("a write in a snapshot: %v", err)
		}
		if err := tx.DeleteStored(shop, tokenOf("a")); !errors.Is(err, errReadOnly) {
			t.Errorf("a deletion in a snapshot: %v", err)
		}
		return nil
	})
	wrong := v.Commit(context.Background(), func(tx *Tx) error { return tx.PutStored("nobody", tokenOf("a"), first) })
	if wrong == nil {
		t.Error("an account of nobody was stored")
	}
}

func TestTokensBlocksFilesAndEntriesAreReadAgain(t *testing.T) {
	v := newVault(t)
	v.commit(func(tx *Tx) error { return permit(tx, shop) })
	v.keep(tokenOf("a"))
	id := v.newID()
	trace, fingerprint := "123456780000001", digestOf("bank "+shop)
	look := func(tx *Tx) error {
		token, isToken, err1 := tx.Token(shop, tokenOf("a"))
		block, isBlock, err2 := tx.Block(shop, fingerprint)
		file, isFile, err3 := tx.File("nightdrop-1.ach")
		entry, isEntry, err4 := tx.Entry(trace)
		if !isToken || token.Masked != "424242******4242" || !isBlock || block.Code != "ach-R03" || block.Payment != id || !isFile ||
			file.Stage != book.FileOut || !isEntry || entry != (book.Entry{Trace: trace, Merchant: shop, ID: id}) {
			t.Errorf("token %+v block %+v file %+v entry %+v", token, block, file, entry)
		}
		_, isToken, err5 := tx.Token(other, tokenOf("a"))
		_, isBlock, err6 := tx.Block("nobody", fingerprint)
		_, isFile, err7 := tx.File("nightdrop-2.ach")
		_, isEntry, err8 := tx.Entry("123456780000002")
		if isToken || isBlock || isFile || isEntry {
			t.Error("something is there that is not")
		}
		return errors.Join(err1, err2, err3, err4, err5, err6, err7, err8)
	}
	v.commit(func(tx *Tx) error { return errors.Join(debit(tx, shop, id), look(tx)) })
	v.commit(look)
	v.view(look)
	v.restart(func() {})
	v.view(look)
}

func TestOperationsOfAPayment(t *testing.T) {
	v := newVault(t)
	var holds, captures []string
	for range 3 {
		holds, captures = append(holds, v.newID()), append(captures, v.newID())
	}
	second, refused := v.newID(), v.newID()
	operations := func(tx *Tx, merchant, id string) (ids []string) {
		err := tx.Operations(merchant, id, func(p book.Payment) error {
			if p.Of != id || p.Merchant != merchant {
				t.Errorf("payment %s is about %s", p.ID, p.Of)
			}
			ids = append(ids, p.ID)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return ids
	}
	want := []string{captures[1], second, refused}
	v.commit(func(tx *Tx) error {
		for i := range holds {
			if err := hold(tx, shop, holds[i], captures[i]); err != nil {
				return err
			}
		}
		err := errors.Join(take(tx, shop, holds[1], second, 3000), appendAll(tx, shop, book.EnvelopeRejected{ID: refused, Digest: digestOf(refused),
			Code: envelope.CodeOverAuthorised, Remembered: true, Operation: envelope.OpCapture, Amount: 1, Currency: "USD", Reference: "r", Of: holds[1]}))
		if got := operations(tx, shop, holds[1]); !slices.Equal(got, want) {
			t.Errorf("in the transaction: %v, want %v", got, want)
		}
		return err
	})
	v.view(func(tx *Tx) error {
		if got := operations(tx, shop, holds[1]); !slices.Equal(got, want) {
			t.Errorf("in a snapshot: %v, want %v", got, want)
		}
		if got := slices.Concat(operations(tx, shop, captures[1]), operations(tx, other, holds[1]), operations(tx, shop, "")); len(got) != 0 {
			t.Errorf("of what has none: %v", got)
		}
		authorised := 0
		err := tx.Payments(Query{Stage: book.StageAuthorised}, func(p book.Payment) error {
			authorised++
			return nil
		})
		if authorised != len(holds) {
			t.Errorf("%d authorisations are working, of %d", authorised, len(holds))
		}
		return err
	})
}

// A batch of each method may be open, and a query by batch keeps them apart.
func TestBatchesOfBothMethods(t *testing.T) {
	v := newVault(t)
	card, bank := v.newID(), v.newID()
	v.commit(func(tx *Tx) error {
		return errors.Join(permit(tx, shop), receive(tx, shop, card), authorise(tx, shop, card, "00"), debit(tx, shop, bank))
	})
	v.view(func(tx *Tx) error {
		for id, batch := range map[string]uint32{card: 1, bank: 2} {
			var ids []string
			err := tx.Payments(Query{Batch: batch}, func(p book.Payment) error {
				ids = append(ids, p.ID)
				return nil
			})
			if err != nil || !slices.Equal(ids, []string{id}) {
				t.Errorf("batch %d has %v, want %s: %v", batch, ids, id, err)
			}
		}
		return nil
	})
}
