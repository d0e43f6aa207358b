package keyring

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"nightdrop/shared/envelope"
)

var start = time.Date(2027, 3, 10, 13, 37, 0, 0, time.UTC)

const (
	testVault    = "vault.example.com"
	testMerchant = "shop-1"
	testID       = "0192f0c1-2b3c-7d4e-8f50-a1b2c3d4e5f6"
)

type manualClock struct {
	wall    time.Time
	elapsed time.Duration
}

func (h *manualClock) pass(d time.Duration) { h.wall, h.elapsed = h.wall.Add(d), h.elapsed+d }
func (h *manualClock) jump(d time.Duration) { h.wall = h.wall.Add(d) }

func (h *manualClock) options() Options {
	return Options{Now: func() time.Time { return h.wall }, Elapsed: func() time.Duration { return h.elapsed }}
}

func newVault(t *testing.T, dir string, h *manualClock, k, n int) []Share {
	t.Helper()
	shares, vkey, err := Create(dir, CreateOptions{Name: testVault, Shares: n, Threshold: k, Now: func() time.Time { return h.wall }})
	if err != nil {
		t.Fatal(err)
	}
	if vkey.Name() != testVault || len(shares) != n {
		t.Fatalf("created %s with %d shares", vkey.Name(), len(shares))
	}
	return shares
}

func openVault(t *testing.T, dir string, h *manualClock, shares []Share) *Ring {
	t.Helper()
	r, err := Open(dir, h.options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	if err := r.Unlock(shares); err != nil {
		t.Fatal(err)
	}
	return r
}

func tick(t *testing.T, r *Ring, h *manualClock) Change {
	t.Helper()
	change, err := r.Tick(h.wall)
	if err != nil {
		t.Fatal(err)
	}
	return change
}

func current(t *testing.T, r *Ring, kind envelope.Kind, suite envelope.Suite, now time.Time) envelope.DirectoryKey {
	t.Helper()
	for _, k := range r.Directory(now) {
		if k.Name.Kind() == kind && k.Suite == suite && !now.Before(k.From.Time) && now.Before(k.Until.Time) {
			return k
		}
	}
	t.Fatalf("no current key of %s %s at %s", kind, suite, now)
	return envelope.DirectoryKey{}
}

func TestNewVaultUnlocksAndHasCurrentKeysAtOnce(t *testing.T) {
	h := &manualClock{wall: start}
	dir := t.TempDir()
	shares := newVault(t, dir, h, 2, 3)
	r, err := Open(dir, h.options())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Tick(h.wall); !errors.Is(err, ErrLocked) {
		t.Fatalf("tick while locked: %v", err)
	}
	if _, _, err := r.NewBox("vault"); !errors.Is(err, ErrLocked) || r.Signer() != nil || !r.Locked() {
		t.Fatalf("a locked ring works: %v", err)
	}
	if err := r.Unlock(shares[1:]); err != nil {
		t.Fatal(err)
	}
	if r.Signer().Verifier() != r.Verifier() || r.Locked() {
		t.Fatal("the signer is not the vkey's")
	}
	change := tick(t, r, h)
	// Day keys begin on 3 days (today and 48 h ahead), code keys at 12:00 today and 8 times more;
	// two suites each.
	if len(change.Created) != 2*(3+9) || len(change.Destroyed) != 0 || change.Clock != ClockSteady {
		t.Fatalf("first tick: %d created, %d destroyed, %s", len(change.Created), len(change.Destroyed), change.Clock)
	}
	for _, suite := range suites() {
		day := current(t, r, envelope.KindDay, suite, h.wall)
		if day.From.String() != "2027-03-10T00:00:00Z" || day.Until.String() != "2027-03-11T00:00:00Z" || day.Dies.String() != "2027-03-17T00:00:00Z" {
			t.Errorf("day key lives %s %s %s", day.From, day.Until, day.Dies)
		}
		code := current(t, r, envelope.KindCode, suite, h.wall)
		if code.From.String() != "2027-03-10T12:00:00Z" || code.Until.String() != "2027-03-10T18:00:00Z" || code.Dies.String() != "2027-03-11T00:00:00Z" {
			t.Errorf("code key lives %s %s %s", code.From, code.Until, code.Dies)
		}
		if len(day.Public) != suite.PublicBytes() || len(code.Public) != suite.PublicBytes() {
			t.Error("a public key has not its suite's length")
		}
	}
	if again := tick(t, r, h); len(again.Created)+len(again.Destroyed) != 0 {
		t.Fatal("a second tick changed keys")
	}
	_, b, err := r.NewBox("log/7")
	if err != nil {
		t.Fatal(err)
	}
	sealed := b.Seal([]byte("entry"), []byte("place"))
	if got, err := b.Open(sealed, []byte("place")); err != nil || !bytes.Equal(got, []byte("entry")) {
		t.Fatal(err)
	}
}
