package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// storedOn opens a ring with r's keys on another disk.
func storedOn(r *Ring, d disk, ledger []account) (*Ring, error) {
	other := &Ring{custody: r.custody, log: slog.New(slog.DiscardHandler)}
	other.keys.Store(r.keys.Load())
	s := &storedFile{keyFile: keyFile{f: d, path: storedFileName, vault: r.Name(), keys: r.keys.Load()}}
	if err := s.load(); err != nil {
		return nil, err
	}
	other.stored.Store(s)
	var used []uint32
	for _, a := range ledger {
		used = append(used, a.slot)
	}
	return other, other.KeepStored(used)
}

// shop is a ledger of stored accounts: what a crash may not change.
type shop struct {
	recorded  []account // committed to the ledger
	forgotten []account // ForgetStored has returned
	given     []account // the ledger gave them up; ForgetStored has not returned
	gone      [][]byte  // sealed keys of what is forgotten
}

// day stores, forgets, and stores until the file has grown, in the order that crash safety
// requires.
func (s *shop) day(r *Ring, d *powerDisk) error {
	for i := range 70 {
		slot, sealed, err := r.SealStored(testMerchant, testToken, []byte(testCard))
		if err != nil {
			return err
		}
		a := account{testToken, slot, sealed}
		if i%3 != 0 { // the others are never recorded: the vault crashed, or the commit failed
			s.recorded = append(s.recorded, a)
		}
		if i%10 != 9 {
			continue
		}
		dead := s.recorded[:2]
		s.recorded, s.given = slices.Clone(s.recorded[2:]), slices.Clone(dead)
		var keys [][]byte
		for _, a := range dead {
			keys = append(keys, bytes.Clone(d.seen[r.stored.Load().offset(a.slot, 0):][:sealedBytes]))
		}
		if err := r.ForgetStored(dead[0].slot, dead[1].slot); err != nil {
			return err
		}
		s.forgotten, s.given = append(s.forgotten, s.given...), nil
		s.gone = append(s.gone, keys...)
	}
	return nil
}

// promises checks what holds after a start, whenever the power went.
func (s *shop) promises(r *Ring, d *powerDisk) error {
	used := map[uint32]bool{}
	for _, a := range s.recorded {
		if err := a.open(r); err != nil {
			return fmt.Errorf("a recorded account, in slot %d: %w", a.slot, err)
		}
		used[a.slot] = true
	}
	for _, a := range append(s.forgotten, s.given...) {
		if err := a.open(r); !errors.Is(err, ErrForgotten) || errors.Is(err, ErrDamaged) {
			return fmt.Errorf("a forgotten account, in slot %d: %w", a.slot, err)
		}
	}
	for _, key := range s.gone {
		if bytes.Contains(d.durable, key) {
			return errors.New("a forgotten account's key is on the disk")
		}
	}
	for slot := uint32(0); slot < r.stored.Load().slots; slot++ {
		first, second := d.durable[r.stored.Load().offset(slot, 0):][:slotBytes], d.durable[r.stored.Load().offset(slot, 1):][:slotBytes]
		if !used[slot] && (!allZeros(first) || !allZeros(second)) {
			return fmt.Errorf("slot %d has no record and a key", slot)
		}
		if used[slot] && !bytes.Equal(first, second) {
			return fmt.Errorf("the copies of slot %d differ", slot)
		}
	}
	return nil
}

// storedPowerRun stores and forgets until the power goes, restarts, and returns what was violated.
func storedPowerRun(origin *Ring, d *powerDisk) error {
	s := &shop{}
	r, err := storedOn(origin, d, nil)
	if err == nil {
		err = s.day(r, d)
	}
	if d.cutAt > 0 && !errors.Is(err, errPower) || d.cutAt == 0 && err != nil {
		return fmt.Errorf("the power was not cut: %w", err)
	}
	if len(s.gone) == 0 && d.cutAt == 0 {
		return errors.New("nothing was forgotten: the run proves nothing")
	}
	d = newPowerDisk(d.durable)
	r, err = storedOn(origin, d, s.recorded)
	if err != nil {
		return fmt.Errorf("after the cut: %w", err)
	}
	if err := s.promises(r, d); err != nil {
		return err
	}
	if err := s.day(r, d); err != nil {
		return fmt.Errorf("the day after: %w", err)
	}
	return nil
}

func TestPowerCutsOfStoredKeys(t *testing.T) {
	t.Parallel()
	_, _, origin := unlocked(t)
	// one slot, so that the file grows at once
	small := storedFile{keyFile: keyFile{keys: origin.keys.Load(), vault: origin.Name(), sequence: 1}, slots: 1, first: 1}
	header := small.encodeHeader()
	content := append(append(bytes.Clone(header), header...), make([]byte, copies*slotBytes)...)
	whole := newPowerDisk(content)
	if err := storedPowerRun(origin, whole); err != nil {
		t.Fatal(err)
	}
	broken := 0
	for cutAt := 1; cutAt <= whole.ops; cutAt++ {
		for _, lying := range []bool{false, true} {
			d := newPowerDisk(content)
			d.cutAt, d.lying, d.rng = cutAt, lying, rand.New(rand.NewPCG(3, uint64(cutAt)))
			err := storedPowerRun(origin, d)
			switch {
			case !lying && err != nil:
				t.Fatalf("power cut at operation %d: %v", cutAt, err)
			case lying && err != nil:
				broken++
			}
		}
	}
	// The control: on a disk that lies the same cuts must break something, or this test sees
	// nothing.
	if broken < whole.ops/3 {
		t.Fatalf("a lying disk broke only %d of %d cuts", broken, whole.ops)
	}
}

func TestFailedWritesOfStoredKeysLatch(t *testing.T) {
	for _, act := range []func(r *Ring, a account) error{
		func(r *Ring, _ account) error {
			for range storedPool + 1 {
				if _, _, err := r.SealStored(testMerchant, testToken, []byte(testCard)); err != nil {
					return err
				}
			}
			return nil
		},
		func(r *Ring, a account) error { return r.ForgetStored(a.slot) },
		func(r *Ring, _ account) error { return r.KeepStored(nil) },
	} {
		_, _, r := unlocked(t)
		a, kept := storeOne(t, r, "tok_forgotten"), storeOne(t, r, "tok_kept")
		d := &faultyDisk{File: r.storedDisk.(*os.File), fails: true}
		r.stored.Load().f = d
		if err := act(r, a); !errors.Is(err, errPower) || !strings.Contains(err.Error(), "start it again") {
			t.Errorf("a failed fsync: %v", err)
		}
		d.fails = false
		for range 2 {
			if err := errors.Join(r.ForgetStored(a.slot), r.KeepStored(nil)); !errors.Is(err, errPower) {
				t.Errorf("after a failed fsync: %v", err)
			}
		}
		if err := kept.open(r); err != nil && !errors.Is(err, ErrForgotten) {
			t.Errorf("a key that was durable before: %v", err)
		}
	}
}

func TestDamagedStoredFile(t *testing.T) {
	dir, shares, r := unlocked(t)
	a := storeOne(t, r, testToken)
	closeRing(t, r)
	good := storedContent(t, dir)
	stranger, _, other := unlocked(t)
	closeRing(t, other)
	foreign := storedContent(t, stranger)
	for _, c := range []damage{
		{"one bit of the first header", func(b []byte) []byte { b[magicBytes] ^= 1; return b }, true, ""},
		{"one bit of the second header", func(b []byte) []byte { b[pageBytes+40] ^= 1; return b }, true, ""},
		{"first header gone", func(b []byte) []byte { clear(b[:pageBytes]); return b }, true, ""},
		{"bytes of a free slot", func(b []byte) []byte { b[len(b)-1] = 7; return b }, true, ""},
		{"grown, and not counted yet", func(b []byte) []byte { return append(b, make([]byte, 3*slotBytes)...) }, true, ""},
		{"both headers", func(b []byte) []byte { b[40] ^= 1; b[pageBytes+40] ^= 1; return b }, false, "neither copy"},
		{"another vault's file", func([]byte) []byte { return foreign }, false, "neither copy"},
		{"cut", func(b []byte) []byte { return b[:len(b)-1] }, false, "cut"},
		{"of a newer version", func(b []byte) []byte { return newerFile(b, pageBytes) }, false, "newer version"},
		{"cut in its header", func(b []byte) []byte { return b[:pageBytes] }, false, "cut"},
		{"empty", func([]byte) []byte { return nil }, false, "cut"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, storedFileName), c.alter(bytes.Clone(good)), 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := Open(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			err = r.Unlock(shares)
			if !c.heals {
				if errors.Is(err, ErrDamaged) == errors.Is(err, ErrNewer) || !r.Locked() || errors.Is(err, ErrDamaged) && !strings.Contains(err.Error(), "move it aside") {
					t.Fatalf("%v", err)
				}
				for _, says := range []string{storedFileName, c.remark} {
					if !strings.Contains(err.Error(), says) {
						t.Errorf("%v: does not say %q", err, says)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			keepAll(t, r, []account{a})
			if err := a.open(r); err != nil {
				t.Error(err)
			}
			healed := storedContent(t, dir)
			if !bytes.Equal(healed[:pageBytes], healed[pageBytes:storedSlots]) || !allZeros(healed[len(healed)-slotBytes:]) {
				t.Error("the file is not healed")
			}
		})
	}
}

// A backup holds no keys of stored accounts: after a restore these accounts are gone.
func TestMissingStoredFileIsMadeNew(t *testing.T) {
	dir, shares, r := unlocked(t)
	lost := storeOne(t, r, testToken)
	closeRing(t, r)
	path := filepath.Join(dir, storedFileName)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r = reopened(t, dir, shares, []account{lost})
	if err := lost.open(r); !errors.Is(err, ErrForgotten) {
		t.Errorf("got %v", err)
	}
	if err := storeOne(t, r, testToken).open(r); err != nil {
		t.Error(err)
	}
	closeRing(t, r)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrMode) {
		t.Errorf("a file that others can read: %v", err)
	}
	// Open has released the directory.
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	closeRing(t, reopened(t, dir, shares, nil))
}

// A file that can grow no more refuses the account; everything else goes on.
func TestStoredKeysFull(t *testing.T) {
	s := &storedFile{keyFile: keyFile{path: "stored.keys"}, slots: maxStored, kept: true}
	if _, _, err := s.allocate(); !errors.Is(err, ErrFull) || s.failed != nil {
		t.Errorf("got %v, failed %v", err, s.failed)
	}
}
