package ledger

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/keyring/keyringtest"
)

var start = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

const (
	shop  = "shop-1"
	other = "shop-2"
)

// vault is a ledger on a real key ring in a directory of its own.
type vault struct {
	*Ledger
	t     testing.TB
	dir   string
	ring  *keyring.Ring
	clock *keyringtest.Clock
	opts  Options
	ids   int

	shares []keyring.Share // enough to unlock
}

// newVault creates and opens a ledger with two merchants and checks every invariant when the test
// is over.
func newVault(t testing.TB) *vault {
	t.Helper()
	v := &vault{t: t, dir: t.TempDir(), clock: keyringtest.ClockAt(start)}
	v.ring, v.shares = keyringtest.New(t, v.ringDir(), "vault.example", v.clock.Now)
	t.Cleanup(func() { _ = v.ring.Close() }) // or what unlockRing put in its place
	v.opts = Options{Now: v.clock.Now}
	if err := Create(v.path(), v.ring, v.opts); err != nil {
		t.Fatal(err)
	}
	v.open()
	v.commit(func(tx *Tx) error {
		for _, id := range []string{shop, other} {
			if _, err := tx.Append(added(id, v.replyLine())); err != nil {
				return err
			}
		}
		return nil
	})
	t.Cleanup(v.close)
	return v
}

// unlockRing opens the key ring again, once it is closed.
func (v *vault) unlockRing() { v.ring = keyringtest.Unlock(v.t, v.ringDir(), v.shares, v.clock.Now) }

func (v *vault) ringDir() string { return filepath.Join(v.dir, "ring") }

func (v *vault) path() string { return filepath.Join(v.dir, "ledger.db") }

func (v *vault) open() {
	v.t.Helper()
	var err error
	if v.Ledger, err = Open(v.path(), v.ring, v.opts); err != nil {
		v.t.Fatal(err)
	}
}

func (v *vault) close() {
	v.t.Helper()
	if v.Ledger == nil {
		return
	}
	if err := v.Check(context.Background(), nil); err != nil {
		v.t.Error(err)
	}
	if err := v.Close(); err != nil {
		v.t.Error(err)
	}
	v.Ledger = nil
}

func (v *vault) commit(fn func(*Tx) error) {
	v.t.Helper()
	if err := v.Commit(context.Background(), fn); err != nil {
		v.t.Fatal(err)
	}
}

func (v *vault) view(fn func(*Tx) error) {
	v.t.Helper()
	if err := v.View(fn); err != nil {
		v.t.Fatal(err)
	}
}

// replyLine is a merchant's reply key; nothing here opens results.
func (v *vault) replyLine() string {
	return "reply-00000000-x25519+AAAA"
}

func (v *vault) newID() string {
	v.ids++
	return fmt.Sprintf("00000000-0000-4000-8000-%012x", v.ids)
}

func added(id, reply string) book.Event {
	return book.Event{Actor: "user:root", Origin: "socket", Merchant: id, Body: book.MerchantAdded{Name: "Shop", Verifiers: []string{"v"},
		ReplyKeys: []string{reply}, Acceptor: "ACCEPTOR1", Currencies: []string{"USD"}}}
}

func digestOf(id string) string { return note.Digest([]byte(id)) }

func received(merchant, id string) book.Event {
	return book.Event{Actor: "relay:relay-1", Origin: "bag:relay-1/00/1/0", Evidence: digestOf(id), Merchant: merchant,
		Body: book.EnvelopeReceived{ID: id, Digest: digestOf(id), Until: envelope.At(start.Add(time.Hour)), Operation: envelope.OpSale,
			Amount: 1999, Currency: "USD", Reference: "order 7", Masked: "424242******4242", Brand: "visa", WithCode: true}}
}

// receive takes an envelope with both parts.
func receive(tx *Tx, merchant, id string) error {
	if _, err := tx.Append(received(merchant, id)); err != nil {
		return err
	}
	for _, part := range []envelope.PartName{envelope.PartAccount, envelope.PartCode} {
		if err := tx.PutPart(merchant, id, part, sealedPart); err != nil {
			return err
		}
	}
	return nil
}

var sealedPart = envelope.Part{Key: "day-0a1b2c3d-xwing", Sealed: make([]byte, 1141+256)}

// authorise walks a received payment to its answer.
func authorise(tx *Tx, merchant, id, code string) error {
	v, err := tx.Vault()
	if err != nil {
		return err
	}
	m, _, err := tx.Merchant(merchant)
	if err != nil {
		return err
	}
	batch := m.OpenBatch
	if batch == 0 {
		batch = v.NextBatch
		if _, err := tx.Append(vaultEvent(merchant, book.BatchOpened{Batch: batch, Method: book.MethodCard})); err != nil {
			return err
		}
		if v, err = tx.Vault(); err != nil {
			return err
		}
	}
	trace, err := v.NextTrace([]string{"TERM0001"}, m.Acceptor, tx.Now(), nil)
	if err != nil {
		return err
	}
	for _, body := range []book.Body{book.AuthorisationIntended{ID: id, Trace: trace, Batch: batch},
		book.AuthorisationAnswered{ID: id, Code: envelope.ISOCode(code), Approval: "A1B2C3"}} {
		if _, err := tx.Append(vaultEvent(merchant, body)); err != nil {
			return err
		}
	}
	return tx.DeletePart(merchant, id, envelope.PartCode)
}

func vaultEvent(merchant string, body book.Body) book.Event {
	return book.Event{Actor: "vault", Origin: "timer", Merchant: merchant, Body: body}
}

// sealPending signs every pending result, as the outbox does.
func (v *vault) sealPending() {
	v.t.Helper()
	v.commit(func(tx *Tx) error {
		pending, err := tx.PendingResults(1000)
		if err != nil {
			return err
		}
		for _, p := range pending {
			if err := sealResult(tx, v.ring.Signer(), p); err != nil {
				return err
			}
		}
		return nil
	})
}

func sealResult(tx *Tx, signer *note.Signer, p Pending) error {
	serial, previous, err := tx.PreviousDigest(p.Merchant)
	if err != nil {
		return err
	}
	if serial+1 != p.Serial {
		return fmt.Errorf("pending %d after %d", p.Serial, serial)
	}
	signed, err := envelope.Sign(envelope.Result{Merchant: p.Merchant, Serial: p.Serial, Previous: previous, ID: p.ID, Digest: p.Digest,
		Created: p.Created, Sealed: resultPart()}, signer)
	if err != nil {
		return err
	}
	return tx.PutResult(p.Merchant, p.Serial, p.ID, signed.Digest, signed.Note)
}

// resultPart has the form of a sealed result.
func resultPart() envelope.Part {
	sealed := make([]byte, envelope.SuiteX25519.Overhead()+envelope.ResultBytes)
	sealed[0] = 1
	return envelope.Part{Key: "reply-00000000-x25519", Sealed: sealed}
}
