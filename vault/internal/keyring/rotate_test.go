package keyring

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/envelope"
)

// Four virtual months of ticks at random moments: every key dies at the first tick after its time,
// once; for every moment up to 48 h ahead there is exactly one current key of each kind and suite.
func TestMonthsOfTicks(t *testing.T) {
	t.Parallel()
	h := &manualClock{wall: start}
	dir := t.TempDir()
	shares := newVault(t, dir, h, 1, 1)
	content, err := os.ReadFile(filepath.Join(dir, sealingFile))
	if err != nil {
		t.Fatal(err)
	}
	r, err := openOn(dir, h.options(), newPowerDisk(content), shares)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	lives := map[envelope.KeyName]envelope.DirectoryKey{}
	before := h.wall
	died, most := 0, 0
	const days = 120
	for end := start.AddDate(0, 0, days); h.wall.Before(end); h.pass(time.Duration(rng.Int64N(int64(6 * time.Hour)))) {
		change := tick(t, r, h)
		if change.Clock != ClockSteady || change.Jump != 0 {
			t.Fatalf("%s: %+v", h.wall, change)
		}
		for _, name := range change.Destroyed {
			k, ok := lives[name]
			if !ok || k.Dies.After(h.wall) || !k.Dies.After(before) {
				t.Fatalf("%s died at %s, listed to die at %s, alive: %t", name, h.wall, k.Dies, ok)
			}
			delete(lives, name)
			died++
		}
		for _, k := range change.Created {
			if _, ok := lives[k.Name]; ok || k.From.After(h.wall.Add(defaultAhead)) {
				t.Fatalf("%s was made twice or too early", k.Name)
			}
			lives[k.Name] = k
		}
		list := r.Directory(h.wall)
		if len(list) != len(lives) {
			t.Fatalf("%s: %d keys are listed, %d live", h.wall, len(list), len(lives))
		}
		coverAhead(t, list, h.wall)
		most = max(most, len(list))
		before = h.wall
	}
	// 4 code keys and a day key a day, in two suites, less those still alive.
	if want := days * 2 * 5; died < want-60 || died > want || most > 50 {
		t.Fatalf("%d keys died, at most %d lived at once", died, most)
	}
}

func coverAhead(t *testing.T, list []envelope.DirectoryKey, now time.Time) {
	t.Helper()
	for _, kind := range []envelope.Kind{envelope.KindDay, envelope.KindCode} {
		for _, suite := range suites() {
			for _, ahead := range []time.Duration{0, 7 * time.Hour, 25 * time.Hour, defaultAhead} {
				n := 0
				for _, k := range list {
					if at := now.Add(ahead); k.Name.Kind() == kind && k.Suite == suite && !at.Before(k.From.Time) && at.Before(k.Until.Time) {
						n++
					}
				}
				if n != 1 {
					t.Fatalf("%s: %d keys of %s %s are current in %s", now, n, kind, suite, ahead)
				}
			}
		}
	}
}

func TestDirectoryOrder(t *testing.T) {
	h := &manualClock{wall: start}
	dir := t.TempDir()
	r := openVault(t, dir, h, newVault(t, dir, h, 1, 1))
	tick(t, r, h)
	var got []string
	for _, k := range r.Directory(h.wall)[:8] {
		got = append(got, string(k.Name.Kind())+" "+string(k.Suite)+" "+k.From.String()[8:13])
	}
	want := "day xwing 10T00,day x25519 10T00,day xwing 11T00,day x25519 11T00,day xwing 12T00,day x25519 12T00,code xwing 10T12,code x25519 10T12"
	if strings.Join(got, ",") != want {
		t.Errorf("the directory lists %v", got)
	}
}

func TestScheduleOfCourierSitesFitsAndMoreIsRefused(t *testing.T) {
	h := &manualClock{wall: start}
	dir := t.TempDir()
	shares := newVault(t, dir, h, 1, 1)
	o := h.options()
	o.Ahead, o.CodeLife = 14*24*time.Hour, 14*24*time.Hour
	r, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Unlock(shares); err != nil {
		t.Fatal(err)
	}
	if change := tick(t, r, h); len(change.Created) != 2*(15+57) {
		t.Errorf("%d keys", len(change.Created))
	}
	code := current(t, r, envelope.KindCode, envelope.SuiteXWing, h.wall)
	if code.Dies.Sub(code.Until.Time) != o.CodeLife {
		t.Errorf("a courier site's code key dies %s after its until", code.Dies.Sub(code.Until.Time))
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	o.Ahead = 365 * 24 * time.Hour
	if _, err := Open(dir, o); err == nil || !strings.Contains(err.Error(), "publish less far ahead") {
		t.Errorf("a schedule that does not fit: %v", err)
	}
}

// Yesterday's backup opens nothing whose key has died since.
func TestRestoredBackupOpensNothingDead(t *testing.T) {
	h := &manualClock{wall: start}
	dir, backup := t.TempDir(), t.TempDir()
	shares := newVault(t, dir, h, 2, 3)
	r := openVault(t, dir, h, shares[:2])
	tick(t, r, h)
	day := current(t, r, envelope.KindDay, envelope.SuiteXWing, h.wall)
	account := sealed(t, day, envelope.PartAccount, testMerchant, testID, `{"card"}`)
	if err := os.WriteFile(filepath.Join(dir, "ledger.db"), account.Sealed, 0o600); err != nil {
		t.Fatal(err)
	}
	copyFiles(t, dir, backup, "ledger.db", custodyFile)
	file := filepath.Join(dir, sealingFile)
	slot := slotOffset(r.opened[day.Name].slot, 0)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	old := before[slot+4 : slot+1204]

	for h.wall.Before(day.Dies.Time) {
		if got, err := r.OpenPart(envelope.PartAccount, testMerchant, testID, account); err != nil || string(got) != `{"card"}` {
			t.Fatalf("%s before its death: %v", day.Dies.Sub(h.wall), err)
		}
		h.pass(min(5*time.Hour, day.Dies.Sub(h.wall)))
		if h.wall.Equal(day.Dies.Time) {
			if _, err := r.OpenPart(envelope.PartAccount, testMerchant, testID, account); !errors.Is(err, ErrKeyDead) {
				t.Fatalf("dead by the clock and not yet destroyed: %v", err)
			}
		}
		tick(t, r, h)
	}
	after, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(before) || !bytes.Contains(before, old) {
		t.Fatal("the file is not overwritten in place")
	}
	for i := 0; i+64 <= len(old); i += 64 {
		if bytes.Contains(after, old[i:i+64]) {
			t.Fatalf("64 bytes of the dead key's slot are still in the file")
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}

	copyFiles(t, backup, dir, "ledger.db", custodyFile)
	r = openVault(t, dir, h, shares[1:])
	tick(t, r, h)
	restored, err := os.ReadFile(filepath.Join(dir, "ledger.db"))
	if err != nil || !bytes.Equal(restored, account.Sealed) {
		t.Fatal("the ledger was not restored", err)
	}
	if _, err := r.OpenPart(envelope.PartAccount, testMerchant, testID, envelope.Part{Key: day.Name, Sealed: restored}); !errors.Is(err, ErrKeyDead) {
		t.Fatalf("the restored part: %v", err)
	}
}

func copyFiles(t *testing.T, from, to string, names ...string) {
	t.Helper()
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMissingSealingKeysAreMadeNew(t *testing.T) {
	h := &manualClock{wall: start}
	dir := t.TempDir()
	shares := newVault(t, dir, h, 1, 1)
	r := openVault(t, dir, h, shares)
	tick(t, r, h)
	day := current(t, r, envelope.KindDay, envelope.SuiteXWing, h.wall)
	p := sealed(t, day, envelope.PartOrder, testMerchant, testID, "{}")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, sealingFile)); err != nil {
		t.Fatal(err)
	}
	h.pass(100 * time.Hour) // a restore lasts; there is no key that a clock could kill
	var log bytes.Buffer
	o := h.options()
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	r, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Unlock(shares); err != nil {
		t.Fatal(err)
	}
	if change := tick(t, r, h); change.Clock != ClockSteady || len(change.Created) == 0 {
		t.Fatalf("%+v", change)
	}
	if _, err := r.OpenPart(envelope.PartOrder, testMerchant, testID, p); !errors.Is(err, ErrKeyDead) {
		t.Errorf("a part of a lost key: %v", err)
	}
	if !strings.Contains(log.String(), "sealing keys are missing") {
		t.Error("the loss is not logged")
	}
}

// damage is one way to alter a copy of sealing.keys.
type damage struct {
	name   string
	alter  func(b []byte) []byte
	heals  bool
	remark string // of the error, where it does not heal
}

// damages alters good, in which the last live slots are at offset and before it.
func damages(good, foreign []byte, offset int64) []damage {
	return []damage{
		{"one bit of the first header", func(b []byte) []byte { b[100] ^= 1; return b }, true, ""},
		{"one bit of the second header", func(b []byte) []byte { b[headerBytes+8000] ^= 1; return b }, true, ""},
		{"first header gone", func(b []byte) []byte { clear(b[:headerBytes]); return b }, true, ""},
		{"bytes of a free slot", func(b []byte) []byte { b[len(b)-1] = 7; return b }, true, ""},
		{"both headers", func(b []byte) []byte { b[100] ^= 1; b[headerBytes+100] ^= 1; return b }, false, "neither copy"},
		{"one bit of a live slot", func(b []byte) []byte { b[offset+60] ^= 1; return b }, true, ""},
		{"one bit of a live slot's second copy", func(b []byte) []byte { b[offset+areaBytes+60] ^= 1; return b }, true, ""},
		{"a live slot's length", func(b []byte) []byte { b[offset] = 0xff; return b }, true, ""},
		{"the zeros behind a live slot", func(b []byte) []byte { b[offset+pageBytes-1] = 1; return b }, true, ""},
		{"a live slot gone", func(b []byte) []byte { clear(b[offset : offset+pageBytes]); return b }, true, ""},
		{"two slots exchanged", func(b []byte) []byte {
			copy(b[offset:], good[offset-pageBytes:offset])
			copy(b[offset-pageBytes:], good[offset:offset+pageBytes])
			return b
		}, true, ""},
		{"the first copy of all slots", func(b []byte) []byte { clear(b[slotsAt : slotsAt+areaBytes]); return b }, true, ""},
		{"the second copy of all slots", func(b []byte) []byte { clear(b[slotsAt+areaBytes:]); return b }, true, ""},
		{"all slots", func(b []byte) []byte { clear(b[slotsAt:]); return b }, false, "none of its 24 keys opens"},
		{"of a newer version", func(b []byte) []byte { return newerFile(b, headerBytes) }, false, "newer version"},
		{"another vault's file", func([]byte) []byte { return foreign }, false, "neither copy"},
		{"cut", func(b []byte) []byte { return b[:len(b)-pageBytes] }, false, "cut"},
		{"cut to half", func(b []byte) []byte { return b[:bytesV1-1] }, false, "size"},
		{"empty", func([]byte) []byte { return nil }, false, "size"},
	}
}

// sealedToAll makes a vault in dir and a part for each of its keys. offset is the last live slot's.
func sealedToAll(t *testing.T, dir string, h *manualClock) (shares []Share, parts *announced, offset int64) {
	t.Helper()
	shares = newVault(t, dir, h, 1, 1)
	r := openVault(t, dir, h, shares)
	tick(t, r, h)
	parts = newAnnounced()
	for _, k := range r.Directory(h.wall) {
		parts.parts[k.Name] = sealed(t, k, partOf(k.Name), testMerchant, testID, "{}")
		offset = max(offset, slotOffset(r.opened[k.Name].slot, 0))
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return shares, parts, offset
}

func TestDamagedSealingKeys(t *testing.T) {
	h := &manualClock{wall: start}
	origin := t.TempDir()
	shares, parts, offset := sealedToAll(t, origin, h)
	stranger := t.TempDir()
	newVault(t, stranger, h, 1, 1)
	good, err := os.ReadFile(filepath.Join(origin, sealingFile))
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(filepath.Join(stranger, sealingFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range damages(good, foreign, offset) {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			copyFiles(t, origin, dir, custodyFile)
			if err := os.WriteFile(filepath.Join(dir, sealingFile), c.alter(bytes.Clone(good)), 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := Open(dir, h.options())
			if err == nil {
				defer r.Close()
				err = r.Unlock(shares)
			}
			if !c.heals {
				if errors.Is(err, ErrDamaged) == errors.Is(err, ErrNewer) || r != nil && !r.Locked() || errors.Is(err, ErrDamaged) && !strings.Contains(err.Error(), "move it aside") {
					t.Fatalf("%v", err)
				}
				for _, says := range []string{sealingFile, c.remark} {
					if !strings.Contains(err.Error(), says) {
						t.Errorf("%v: does not say %q", err, says)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for name := range parts.parts {
				if err := parts.opens(r, name); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			healed, err := os.ReadFile(filepath.Join(dir, sealingFile))
			if err != nil || !bytes.Equal(healed[:headerBytes], healed[headerBytes:slotsAt]) {
				t.Error("the header's copies differ", err)
			}
			if changed := c.alter(bytes.Clone(good))[slotsAt : bytesV1+areaBytes-pageBytes]; !bytes.Equal(changed, good[slotsAt:bytesV1+areaBytes-pageBytes]) {
				if reported := r.Damage(); len(reported) != 1 || reported[0].Lost || reported[0].File != sealingFile || len(reported[0].Keys) == 0 {
					t.Errorf("reported %+v", reported)
				}
				if !bytes.Equal(healed[slotsAt:], good[slotsAt:]) {
					t.Error("the slots are not repaired")
				}
			}
		})
	}
}

// An old copy of sealing.keys holds keys that died since. It looks like a clock that jumped, and
// the keys die again once custodians confirm the clock.
func TestOldSealingKeysPutBack(t *testing.T) {
	h := &manualClock{wall: start}
	dir, old := t.TempDir(), t.TempDir()
	shares := newVault(t, dir, h, 2, 3)
	r := openVault(t, dir, h, shares[:2])
	tick(t, r, h)
	day := current(t, r, envelope.KindDay, envelope.SuiteXWing, h.wall)
	p := sealed(t, day, envelope.PartAccount, testMerchant, testID, "{}")
	slot := slotOffset(r.opened[day.Name].slot, 0)
	copyFiles(t, dir, old, sealingFile)
	for h.wall.Before(day.Dies.Time) {
		h.pass(5 * time.Hour)
		tick(t, r, h)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}

	copyFiles(t, old, dir, sealingFile)
	r = openVault(t, dir, h, shares[1:])
	if change := tick(t, r, h); change.Clock != ClockJumped || change.Jump < 100*time.Hour || len(change.Destroyed) != 0 || !r.Suspended() {
		t.Fatalf("an old file is not noticed: %+v", change)
	}
	if err := r.ConfirmClock(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.OpenPart(envelope.PartAccount, testMerchant, testID, p); !errors.Is(err, ErrKeyDead) {
		t.Errorf("dead by the confirmed clock: %v", err)
	}
	if change := tick(t, r, h); !slices.Contains(change.Destroyed, day.Name) {
		t.Errorf("destroyed %v", change.Destroyed)
	}
	content, err := os.ReadFile(filepath.Join(dir, sealingFile))
	if err != nil {
		t.Fatal(err)
	}
	was, err := os.ReadFile(filepath.Join(old, sealingFile))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(content, was[slot+4:slot+1204]) {
		t.Error("the dead key is still in the file")
	}
}
