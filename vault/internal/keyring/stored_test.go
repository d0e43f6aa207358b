package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"nightdrop/shared/envelope"
)

const (
	testToken = "tok_aaaaaaaaaaaaaaaaaaaaaaaaaa"
	testCard  = `{"card":{"number":"4242424242424242","expiry":"2030-12"}}`
)

// account is a ledger's record of a stored account.
type account struct {
	token  string
	slot   uint32
	sealed []byte
}

func unlocked(t *testing.T) (dir string, shares []Share, r *Ring) {
	t.Helper()
	h := &manualClock{wall: start}
	dir = t.TempDir()
	shares = newVault(t, dir, h, 1, 1)
	return dir, shares, reopened(t, dir, shares, nil)
}

// reopened opens the vault in dir as a start does, with the ledger's accounts.
func reopened(t *testing.T, dir string, shares []Share, ledger []account) *Ring {
	t.Helper()
	r := openVault(t, dir, &manualClock{wall: start}, shares)
	keepAll(t, r, ledger)
	return r
}

func keepAll(t *testing.T, r *Ring, ledger []account) {
	t.Helper()
	var used []uint32
	for _, a := range ledger {
		used = append(used, a.slot)
	}
	if err := r.KeepStored(used); err != nil {
		t.Fatal(err)
	}
}

func storeOne(t *testing.T, r *Ring, token string) account {
	t.Helper()
	slot, sealed, err := r.SealStored(testMerchant, token, []byte(testCard))
	if err != nil {
		t.Fatal(err)
	}
	return account{token, slot, sealed}
}

func (a account) open(r *Ring) error {
	plain, err := r.OpenStored(testMerchant, a.token, a.slot, a.sealed)
	if err == nil && string(plain) != testCard {
		return errors.New("another account came out")
	}
	return err
}

func closeRing(t *testing.T, r *Ring) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func storedContent(t *testing.T, dir string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, storedFileName))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// storedOffset is where a copy of a slot of a new file's first group stands.
func storedOffset(slot uint32, c int) int64 {
	return (&storedFile{first: storedGrowth}).offset(slot, c)
}

func TestStoredAccountsOpenInTheirPlaceOnly(t *testing.T) {
	dir, shares, r := unlocked(t)
	a := storeOne(t, r, testToken)
	if len(a.sealed) != storedIDBytes+24+envelope.PadBlock+16 || bytes.Contains(a.sealed, []byte("4242")) {
		t.Errorf("sealed to %d bytes", len(a.sealed))
	}
	for name, c := range map[string]struct {
		merchant, token string
		slot            uint32
		alter           func(b []byte) []byte
		want            error
	}{
		"its own":          {testMerchant, testToken, a.slot, nil, nil},
		"another merchant": {"shop-2", testToken, a.slot, nil, ErrCannotOpen},
		"another token":    {testMerchant, "tok_b", a.slot, nil, ErrCannotOpen},
		"merchant and token shifted": {testMerchant + "\x00tok", strings.TrimPrefix(testToken, "tok_"), a.slot, nil,
			ErrCannotOpen},
		"altered":        {testMerchant, testToken, a.slot, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, ErrCannotOpen},
		"cut":            {testMerchant, testToken, a.slot, func(b []byte) []byte { return b[:storedIDBytes-1] }, ErrCannotOpen},
		"without a body": {testMerchant, testToken, a.slot, func(b []byte) []byte { return b[:storedIDBytes] }, ErrCannotOpen},
		"of another key": {testMerchant, testToken, a.slot, func(b []byte) []byte { b[0] ^= 1; return b }, ErrForgotten},
		"a free slot":    {testMerchant, testToken, 500, nil, ErrForgotten},
		"beyond the end": {testMerchant, testToken, 1 << 31, nil, ErrForgotten},
	} {
		t.Run(name, func(t *testing.T) {
			sealed := bytes.Clone(a.sealed)
			if c.alter != nil {
				sealed = c.alter(sealed)
			}
			plain, err := r.OpenStored(c.merchant, c.token, c.slot, sealed)
			if !errors.Is(err, c.want) || (err == nil) != (string(plain) == testCard) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	if _, _, err := r.SealStored(testMerchant, testToken, make([]byte, envelope.MaxPadded+1)); err == nil {
		t.Error("an account of more than 2,048 bytes was sealed")
	}
	closeRing(t, r)
	if err := a.open(r); !errors.Is(err, ErrLocked) {
		t.Errorf("after Close: %v", err)
	}
	r = reopened(t, dir, shares, []account{a})
	if err := a.open(r); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

// Yesterday's ledger still has an account that was forgotten today. Its key is gone, also after its
// slot serves another account.
func TestForgottenAccountsAreGoneFromOldLedgersToo(t *testing.T) {
	dir, shares, r := unlocked(t)
	kept, forgotten := storeOne(t, r, "tok_kept"), storeOne(t, r, "tok_forgotten")
	was := storedContent(t, dir)[storedOffset(forgotten.slot, 0):][:sealedBytes]
	for range 2 { // again: no error
		if err := r.ForgetStored(forgotten.slot, forgotten.slot, 1<<30); err != nil {
			t.Fatal(err)
		}
	}
	if err := forgotten.open(r); !errors.Is(err, ErrForgotten) || errors.Is(err, ErrDamaged) {
		t.Errorf("forgotten: %v", err)
	}
	if bytes.Contains(storedContent(t, dir), was) {
		t.Error("the forgotten account's key is still in the file")
	}
	closeRing(t, r)

	r = reopened(t, dir, shares, []account{kept})
	var next account
	for next = storeOne(t, r, "tok_next"); next.slot != forgotten.slot; next = storeOne(t, r, "tok_next") {
		if next.slot > 200 {
			t.Fatal("the free slot is not used again")
		}
	}
	if err := errors.Join(next.open(r), kept.open(r)); err != nil {
		t.Error(err)
	}
	if err := forgotten.open(r); !errors.Is(err, ErrForgotten) || errors.Is(err, ErrDamaged) {
		t.Errorf("forgotten, and its slot taken: %v", err)
	}
}

// A slot is free again only at the next start: a repeated ForgetStored must not hit another
// account.
func TestForgottenSlotsStayEmptyUntilTheNextStart(t *testing.T) {
	_, _, r := unlocked(t)
	first := storeOne(t, r, testToken)
	if err := r.ForgetStored(first.slot); err != nil {
		t.Fatal(err)
	}
	var all []account
	for range 2 * storedGrowth { // the file grows meanwhile
		a := storeOne(t, r, testToken)
		if a.slot == first.slot {
			t.Fatal("a forgotten slot was used again")
		}
		all = append(all, a)
	}
	seen := map[uint32]bool{}
	for _, a := range all {
		if err := a.open(r); err != nil || seen[a.slot] {
			t.Fatalf("slot %d: %v, taken twice: %t", a.slot, err, seen[a.slot])
		}
		seen[a.slot] = true
	}
	// ForgetStored spares keys that were made ahead.
	if err := r.ForgetStored(r.stored.Load().fresh...); err != nil {
		t.Fatal(err)
	}
	for range storedPool {
		if err := storeOne(t, r, testToken).open(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAStartDestroysKeysThatNoRecordUses(t *testing.T) {
	dir, shares, r := unlocked(t)
	recorded, orphan := storeOne(t, r, "tok_recorded"), storeOne(t, r, "tok_orphan")
	closeRing(t, r)
	r = openVault(t, dir, &manualClock{wall: start}, shares)
	if err := recorded.open(r); err != nil {
		t.Errorf("before KeepStored: %v", err)
	}
	if _, _, err := r.SealStored(testMerchant, testToken, nil); err == nil || !strings.Contains(err.Error(), "KeepStored") {
		t.Errorf("a slot was taken while it is not known which are in use: %v", err)
	}
	if err := r.ForgetStored(recorded.slot); err == nil || !strings.Contains(err.Error(), "KeepStored") {
		t.Errorf("a slot was forgotten while it is not known which are in use: %v", err)
	}
	keepAll(t, r, []account{recorded, recorded})
	if err := recorded.open(r); err != nil {
		t.Error(err)
	}
	if err := orphan.open(r); !errors.Is(err, ErrForgotten) {
		t.Errorf("a key without a record: %v", err)
	}
	content := storedContent(t, dir)
	for slot := uint32(0); slot < storedGrowth; slot++ {
		if slot != recorded.slot && !allZeros(slices.Concat(content[storedOffset(slot, 0):][:slotBytes], content[storedOffset(slot, 1):][:slotBytes])) {
			t.Errorf("slot %d is not wiped", slot)
		}
	}
}

// An old stored.keys holds keys that were destroyed since: a start with today's ledger destroys
// them again.
func TestOldStoredKeysPutBack(t *testing.T) {
	dir, shares, r := unlocked(t)
	kept, forgotten := storeOne(t, r, "tok_kept"), storeOne(t, r, "tok_forgotten")
	old := storedContent(t, dir)
	if err := r.ForgetStored(forgotten.slot); err != nil {
		t.Fatal(err)
	}
	closeRing(t, r)
	if err := os.WriteFile(filepath.Join(dir, storedFileName), old, 0o600); err != nil {
		t.Fatal(err)
	}
	r = reopened(t, dir, shares, []account{kept})
	if err := kept.open(r); err != nil {
		t.Error(err)
	}
	if err := forgotten.open(r); !errors.Is(err, ErrForgotten) {
		t.Errorf("forgotten: %v", err)
	}
}

func TestManyStoresShareAnFsync(t *testing.T) {
	_, _, r := unlocked(t)
	counted := &countingDisk{disk: r.storedDisk}
	r.stored.Load().f = counted
	for range 10 * storedPool {
		storeOne(t, r, testToken)
	}
	if counted.syncs < 10 || counted.syncs > 10+3 { // and three when the file grows
		t.Errorf("%d fsyncs for %d stores", counted.syncs, 10*storedPool)
	}
}

type countingDisk struct {
	disk
	syncs int
}

func (d *countingDisk) Sync() error {
	d.syncs++
	return d.disk.Sync()
}

func TestStoresAndForgetsGoOnTogether(t *testing.T) {
	_, _, r := unlocked(t)
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range 60 {
				token := fmt.Sprint("tok_", worker, "_", i)
				slot, sealed, err := r.SealStored(testMerchant, token, []byte(testCard))
				a := account{token, slot, sealed}
				if err := errors.Join(err, a.open(r)); err != nil {
					t.Error(err)
				}
				if i%4 != 0 {
					continue
				}
				if err := r.ForgetStored(slot); err != nil {
					t.Error(err)
				}
				if err := a.open(r); !errors.Is(err, ErrForgotten) {
					t.Errorf("forgotten: %v", err)
				}
			}
		})
	}
	group.Wait()
}

func TestLockedRingsStoreNothing(t *testing.T) {
	dir, _, r := unlocked(t)
	a := storeOne(t, r, testToken)
	closeRing(t, r)
	r, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, _, sealing := r.SealStored(testMerchant, testToken, []byte(testCard))
	for _, err := range []error{sealing, a.open(r), r.ForgetStored(a.slot), r.KeepStored(nil)} {
		if !errors.Is(err, ErrLocked) {
			t.Errorf("got %v", err)
		}
	}
}

// Missing or damaged keys cost their accounts only, and are logged.
func TestMissingAndDamagedStoredKeys(t *testing.T) {
	dir, shares, r := unlocked(t)
	sound, wiped, damaged := storeOne(t, r, "tok_sound"), storeOne(t, r, "tok_wiped"), storeOne(t, r, "tok_damaged")
	beyond := account{"tok_beyond", storedGrowth + 3, sound.sealed}
	closeRing(t, r)
	content := storedContent(t, dir)
	for c := range copies {
		clear(content[storedOffset(wiped.slot, c):][:slotBytes])
		content[storedOffset(damaged.slot, c)+50] ^= 1
	}
	if err := os.WriteFile(filepath.Join(dir, storedFileName), content, 0o600); err != nil {
		t.Fatal(err)
	}

	r = openVault(t, dir, &manualClock{wall: start}, shares)
	var log bytes.Buffer
	r.log = slog.New(slog.NewTextHandler(&log, nil))
	keepAll(t, r, []account{sound, wiped, damaged, beyond})
	for _, says := range []string{"are missing", "accounts=2", fmt.Sprintf("slots=\"[%d %d]\"", wiped.slot, beyond.slot),
		"are damaged", "accounts=1", fmt.Sprintf("slots=[%d]", damaged.slot)} {
		if !strings.Contains(log.String(), says) {
			t.Errorf("%s: does not say %q", &log, says)
		}
	}
	reported := r.Damage()
	if len(reported) != 1 || reported[0].File != storedFileName || !reported[0].Lost || len(reported[0].Keys) != 3 {
		t.Errorf("reported %+v", reported)
	}
	if err := sound.open(r); err != nil {
		t.Error(err)
	}
	for _, a := range []account{wiped, beyond} {
		if err := a.open(r); !errors.Is(err, ErrForgotten) || errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", a.token, err)
		}
	}
	if err := damaged.open(r); !errors.Is(err, ErrForgotten) || !errors.Is(err, ErrDamaged) {
		t.Errorf("a damaged key: %v", err)
	}
	for range 2 * storedGrowth {
		if a := storeOne(t, r, testToken); a.slot == wiped.slot || a.slot == damaged.slot || a.slot == beyond.slot {
			t.Fatalf("slot %d is taken by the ledger and was given out", a.slot)
		}
	}
	if err := r.ForgetStored(wiped.slot, damaged.slot, beyond.slot); err != nil {
		t.Error(err)
	}
}
