// Package vaulttest is a vault with storefronts and a relay's bags, all on one machine, for the tests of what stands
// between channel and ledger; the broker, which no package of the vault may link, is brokertest's. Keys, ledger, notes
// and seals are the real ones; only the clock is set by hand. When a test ends the ledger's every invariant is checked.
package vaulttest

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/seal"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
)

// Name is the vault's.
const Name = "vault.example.com"

// Vault is an unlocked vault with its ledger.
type Vault struct {
	TB     testing.TB
	Clock  *Clock
	Ring   *keyring.Ring
	Ledger *ledger.Ledger

	path    string
	sealers sync.Map // envelope.KeyName -> *seal.Sealer
}

// New makes a vault whose clock stands at noon of a working day. It ends with the test, by Ledger.Check.
func New(tb testing.TB) *Vault {
	tb.Helper()
	dir := tb.TempDir()
	v := &Vault{TB: tb, Clock: ClockAt(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)), path: filepath.Join(dir, "ledger")}
	shares, _, err := keyring.Create(dir, keyring.CreateOptions{Name: Name, Shares: 3, Threshold: 2, Now: v.Clock.Now})
	v.must(err)
	v.Ring, err = keyring.Open(dir, keyring.Options{Now: v.Clock.Now})
	v.must(err)
	tb.Cleanup(func() { _ = v.Ring.Close() })
	v.must(v.Ring.Unlock(shares[:2]))
	v.must(v.Ring.KeepStored(nil))
	v.Tick()
	v.must(ledger.Create(v.path, v.Ring, ledger.Options{Now: v.Clock.Now}))
	v.open()
	tb.Cleanup(func() {
		if err := v.Ledger.Check(context.Background(), nil); err != nil {
			tb.Errorf("the ledger after the test: %v", err)
		}
		v.must(v.Ledger.Close())
	})
	return v
}

func (v *Vault) open() {
	v.TB.Helper()
	var err error
	v.Ledger, err = ledger.Open(v.path, v.Ring, ledger.Options{Now: v.Clock.Now})
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
