// Package keyringtest has real key rings, and a clock set by hand, for the tests of the ledger and
// what it is built on, which cannot import vaulttest.
package keyringtest

import (
	"testing"
	"time"

	"nightdrop/vault/internal/keyring"
)

// New makes and unlocks a vault's key ring in dir and returns it with its shares. The test closes
// it.
func New(tb testing.TB, dir, name string, now func() time.Time) (*keyring.Ring, []keyring.Share) {
	tb.Helper()
	shares, _, err := keyring.Create(dir, keyring.CreateOptions{Name: name, Shares: 3, Threshold: 2, Now: now})
	if err != nil {
		tb.Fatal(err)
	}
	ring := Unlock(tb, dir, shares[:2], now)
	tb.Cleanup(func() { _ = ring.Close() })
	if err := ring.KeepStored(nil); err != nil {
		tb.Fatal(err)
	}
	return ring, shares[:2]
}

// Unlock opens and unlocks the key ring in dir, which the caller closes.
func Unlock(tb testing.TB, dir string, shares []keyring.Share, now func() time.Time) *keyring.Ring {
	tb.Helper()
	ring, err := keyring.Open(dir, keyring.Options{Now: now})
	if err != nil {
		tb.Fatal(err)
	}
	if err := ring.Unlock(shares); err != nil {
		tb.Fatal(err)
	}
	return ring
}
