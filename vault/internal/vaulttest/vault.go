// Package vaulttest is a vault with storefronts and a relay's bags on one machine, for tests of
// what stands between channel and ledger; the broker, which no package of the vault may link, is
// brokertest's. Keys, ledger, notes and seals are real; only the clock is set by hand. A test ends
// with a check of the ledger's invariants.
package vaulttest

import (
	"context"
	"encoding/json"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/seal"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/keyring/keyringtest"
	"nightdrop/vault/internal/ledger"
)

// Name is the vault's.
const Name = "vault.example.com"

// Vault is an unlocked vault with its ledger.
type Vault struct {
	TB     testing.TB
	Clock  *keyringtest.Clock
	Dir    string          // of key ring and ledger
	Shares []keyring.Share // that unlock the key ring
	Ring   *keyring.Ring
	Ledger *ledger.Ledger

	sealers sync.Map // envelope.KeyName -> *seal.Sealer
}

// New makes a vault whose clock stands at noon of a working day. It ends with the test, by
// [ledger.Ledger.Check].
func New(tb testing.TB) *Vault {
	tb.Helper()
	v := Unchecked(tb, keyringtest.ClockAt(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)))
	tb.Cleanup(func() {
		if err := v.Ledger.Check(context.Background(), nil); err != nil {
			tb.Errorf("the ledger after the test: %v", err)
		}
	})
	return v
}

// Unchecked makes a vault whose ledger is not checked in the end, for benchmarks that fill it.
func Unchecked(tb testing.TB, clock *keyringtest.Clock) *Vault {
	tb.Helper()
	v := &Vault{TB: tb, Clock: clock, Dir: tb.TempDir()}
	v.Ring, v.Shares = keyringtest.New(tb, v.Dir, Name, clock.Now)
	tb.Cleanup(func() { _ = v.Ring.Close() }) // whichever it then is
	v.Tick()
	v.must(ledger.Create(v.Path(), v.Ring, ledger.Options{Now: clock.Now}))
	v.open()
	tb.Cleanup(func() { v.must(v.Ledger.Close()) })
	return v
}

// Path is the ledger's.
func (v *Vault) Path() string { return filepath.Join(v.Dir, "ledger") }

func (v *Vault) open() {
	v.TB.Helper()
	var err error
	v.Ledger, err = ledger.Open(v.Path(), v.Ring, ledger.Options{Now: v.Clock.Now})
	v.must(err)
}

// Reopen closes the ledger and opens it again, as a restart does.
func (v *Vault) Reopen() {
	v.TB.Helper()
	v.must(v.Ledger.Close())
	v.open()
}

// Tick makes and destroys sealing keys by the clock.
func (v *Vault) Tick() {
	v.TB.Helper()
	_, err := v.Ring.Tick(v.Clock.Now())
	v.must(err)
}

// Append commits events of an operator.
func (v *Vault) Append(merchant string, bodies ...book.Body) {
	v.TB.Helper()
	v.must(v.Ledger.Commit(v.TB.Context(), func(tx *ledger.Tx) error {
		for _, body := range bodies {
			if _, err := tx.Append(book.Event{Actor: "user:root", Origin: "socket", Merchant: merchant, Body: body}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// View reads the ledger.
func (v *Vault) View(read func(*ledger.Tx) error) {
	v.TB.Helper()
	v.must(v.Ledger.View(read))
}

// State returns the vault's own state.
func (v *Vault) State() (state book.Vault) {
	v.TB.Helper()
	v.View(func(tx *ledger.Tx) (err error) {
		state, err = tx.Vault()
		return err
	})
	return state
}

// Payment returns a payment, which must be there.
func (v *Vault) Payment(merchant, id string) (p book.Payment) {
	v.TB.Helper()
	v.View(func(tx *ledger.Tx) error {
		var ok bool
		var err error
		if p, ok, err = tx.Payment(merchant, id); err == nil && !ok {
			v.TB.Errorf("there is no payment %s of %s", id, merchant)
		}
		return err
	})
	return p
}

// Issued calls each with the facts of all results that wait to be sealed, in order, and their ids.
func (v *Vault) Issued(each func(id string, f envelope.Facts)) {
	v.TB.Helper()
	v.View(func(tx *ledger.Tx) error {
		pending, err := tx.PendingResults(100_000)
		for _, p := range pending {
			var f envelope.Facts
			v.must(json.Unmarshal(p.Facts, &f))
			each(p.ID, f)
		}
		return err
	})
}

// Key returns the sealing key that a storefront uses now.
func (v *Vault) Key(kind envelope.Kind, suite envelope.Suite) envelope.DirectoryKey {
	v.TB.Helper()
	d := envelope.Directory{Keys: v.Ring.Directory(v.Clock.Now())}
	key, ok := d.Newest(kind, suite, v.Clock.Now())
	if !ok {
		v.TB.Fatalf("there is no %s key of suite %s", kind, suite)
	}
	return key
}

// sealer returns the sealer of a key, made once.
func (v *Vault) sealer(key envelope.DirectoryKey) *seal.Sealer {
	v.TB.Helper()
	if s, ok := v.sealers.Load(key.Name); ok {
		return s.(*seal.Sealer)
	}
	s, err := seal.NewSealer(key.Name, key.Public)
	v.must(err)
	v.sealers.Store(key.Name, s)
	return s
}

// Signer makes a signing key.
func Signer(tb testing.TB, name string) *note.Signer {
	tb.Helper()
	s, err := note.GenerateSigner(name)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func (v *Vault) must(err error) {
	v.TB.Helper()
	if err != nil {
		v.TB.Fatal(err)
	}
}
