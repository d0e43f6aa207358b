package keyring

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/envelope"
)

// newerFile makes both headers, of size bytes, name a future format.
func newerFile(b []byte, size int) []byte {
	for _, at := range []int{0, size} {
		b[at+bytes.IndexByte(b[at:], 0)-1] = '7'
	}
	return b
}

// fileV1 writes sealing.keys as magicV1: each slot once.
func fileV1(t *testing.T, content []byte, keys *wrapping) []byte {
	t.Helper()
	before := bytes.Clone(content[:bytesV1])
	s := &store{keyFile: keyFile{keys: keys}}
	for _, at := range []int{0, headerBytes} {
		header := before[at:][:headerBytes]
		copy(header, magicV1)
		const end = magicBytes + 16 + slotCount*entryBytes
		copy(header[end:], s.headerMAC(header[:end]))
	}
	return before
}

// storedFileV1 writes stored.keys, of one group, as storedMagicV1.
func storedFileV1(content []byte, r *Ring) []byte {
	before := bytes.Clone(content[:storedSlots+storedGrowth*slotBytes])
	for _, at := range []int{0, pageBytes} {
		header := before[at:][:pageBytes]
		copy(header, storedMagicV1)
		clear(header[storedTextV1:])
		copy(header[storedTextV1:], r.stored.Load().headerMAC(header[:storedTextV1]))
	}
	return before
}

// Where both copies of a key are damaged, that key alone is lost: it is named, its parts are dead,
// and senders get a new one.
func TestOneLostKeyCostsThatKey(t *testing.T) {
	h := &manualClock{wall: start}
	dir := t.TempDir()
	shares := newVault(t, dir, h, 1, 1)
	r := openVault(t, dir, h, shares)
	tick(t, r, h)
	lost := current(t, r, envelope.KindDay, envelope.SuiteXWing, h.wall)
	parts := newAnnounced()
	for _, k := range r.Directory(h.wall) {
		parts.parts[k.Name] = sealed(t, k, partOf(k.Name), testMerchant, testID, "{}")
	}
	slot := r.opened[lost.Name].slot
	closeRing(t, r)
	path := filepath.Join(dir, sealingFile)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for c := range copies {
		content[slotOffset(slot, c)+100] ^= 4
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}

	r = openVault(t, dir, h, shares)
	if reported := r.Damage(); len(reported) != 1 || !reported[0].Lost || reported[0].File != sealingFile || !slices.Equal(reported[0].Keys, []string{string(lost.Name)}) {
		t.Fatalf("reported %+v", reported)
	}
	if again := r.Damage(); len(again) != 0 {
		t.Errorf("reported twice: %+v", again)
	}
	for name := range parts.parts {
		if err := parts.opens(r, name); name != lost.Name && err != nil || name == lost.Name && !errors.Is(err, ErrKeyDead) {
			t.Errorf("%s: %v", name, err)
		}
	}
	change := tick(t, r, h)
	if len(change.Created) != 1 || change.Created[0].From != lost.From || change.Created[0].Suite != lost.Suite {
		t.Errorf("made %+v in its place", change.Created)
	}
	if k := current(t, r, envelope.KindDay, envelope.SuiteXWing, h.wall); k.Name == lost.Name {
		t.Error("the lost key is still published")
	}
	for h.wall.Before(lost.Dies.Time) {
		h.pass(6 * time.Hour)
		tick(t, r, h)
	}
	if content, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	closeRing(t, r)
	r = openVault(t, dir, h, shares)
	if reported := r.Damage(); len(reported) != 0 {
		t.Errorf("after its time: %+v", reported)
	}
	for c := range copies {
		if page := content[slotOffset(slot, c):][:pageBytes]; r.store.table[slot].state == slotFree && !allZeros(page) {
			t.Errorf("copy %d of the lost key was not wiped when its time had come", c)
		}
	}
}

// A file of magicV1 is converted in place, whenever the power goes, and no key is lost or left
// behind.
func TestSealingKeysOfBefore(t *testing.T) {
	h := &manualClock{wall: start}
	dir := t.TempDir()
	shares, parts, offset := sealedToAll(t, dir, h)
	r := openVault(t, dir, h, shares)
	path := filepath.Join(dir, sealingFile)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before := fileV1(t, content, r.keys.Load())
	closeRing(t, r)
	whole := newPowerDisk(before)
	for cutAt := 0; cutAt == 0 || cutAt <= whole.ops; cutAt++ {
		d := newPowerDisk(before)
		if cutAt == 0 {
			d = whole
		}
		d.cutAt, d.rng = cutAt, rand.New(rand.NewPCG(5, uint64(cutAt)))
		r, err := openOn(dir, h.options(), d, shares)
		if cutAt > 0 && !errors.Is(err, errPower) {
			t.Fatalf("cut at %d: the power was not cut: %v", cutAt, err)
		}
		if cutAt > 0 {
			d = newPowerDisk(d.durable)
			r, err = openOn(dir, h.options(), d, shares)
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", cutAt, err)
		}
		if reported := r.Damage(); len(reported) != 0 || magicOf(d.durable) != magic || len(d.durable) != storeBytes {
			t.Errorf("cut at %d: reported %+v, format %s", cutAt, reported, magicOf(d.durable))
		}
		if !bytes.Equal(d.durable[slotsAt:bytesV1], d.durable[bytesV1:]) || !bytes.Equal(d.durable[slotsAt:bytesV1], before[slotsAt:]) {
			t.Errorf("cut at %d: the slots are not doubled", cutAt)
		}
		for name := range parts.parts {
			if err := parts.opens(r, name); err != nil {
				t.Errorf("cut at %d: %s: %v", cutAt, name, err)
			}
		}
		closeRing(t, r)
	}
	// With one bad slot it loses that key alone.
	before[offset+60] ^= 1
	r, err = openOn(dir, h.options(), newPowerDisk(before), shares)
	if err != nil {
		t.Fatal(err)
	}
	if reported := r.Damage(); len(reported) != 1 || !reported[0].Lost || len(reported[0].Keys) != 1 {
		t.Errorf("reported %+v", reported)
	}
	closeRing(t, r)
}

func TestStoredKeysOfBefore(t *testing.T) {
	_, _, r := unlocked(t)
	var ledger []account
	for range 5 {
		ledger = append(ledger, storeOne(t, r, testToken))
	}
	content := make([]byte, storedSlots+copies*storedGrowth*slotBytes)
	if _, err := r.storedDisk.ReadAt(content, 0); err != nil {
		t.Fatal(err)
	}
	before := storedFileV1(content, r)
	whole := newPowerDisk(before)
	if _, err := storedOn(r, whole, ledger); err != nil {
		t.Fatal(err)
	}
	for cutAt := 1; cutAt <= whole.ops; cutAt++ {
		d := newPowerDisk(before)
		d.cutAt, d.rng = cutAt, rand.New(rand.NewPCG(6, uint64(cutAt)))
		if _, err := storedOn(r, d, ledger); !errors.Is(err, errPower) {
			t.Fatalf("cut at %d: the power was not cut: %v", cutAt, err)
		}
		d = newPowerDisk(d.durable)
		other, err := storedOn(r, d, ledger)
		if err != nil {
			t.Fatalf("cut at %d: %v", cutAt, err)
		}
		s := &shop{recorded: ledger}
		if err := s.promises(other, d); err != nil || magicOf(d.durable) != storedMagic {
			t.Errorf("cut at %d: %s: %v", cutAt, magicOf(d.durable), err)
		}
		for range storedGrowth + 1 { // and it grows
			if err := storeOne(t, other, testToken).open(other); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// One damaged copy of a stored account's key costs nothing and is repaired.
func TestStoredKeysAreMended(t *testing.T) {
	dir, shares, r := unlocked(t)
	a, b := storeOne(t, r, "tok_a"), storeOne(t, r, "tok_b")
	closeRing(t, r)
	good := storedContent(t, dir)
	content := bytes.Clone(good)
	clear(content[storedOffset(a.slot, 0):][:slotBytes])
	content[storedOffset(b.slot, 1)+slotBytes-1] = 1
	path := filepath.Join(dir, storedFileName)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	r = reopened(t, dir, shares, []account{a, b})
	if reported := r.Damage(); len(reported) != 1 || reported[0].Lost || len(reported[0].Keys) != 2 {
		t.Errorf("reported %+v", reported)
	}
	if err := errors.Join(a.open(r), b.open(r)); err != nil {
		t.Error(err)
	}
	mended := storedContent(t, dir)
	for _, x := range []account{a, b} {
		for c := range copies {
			if at := storedOffset(x.slot, c); !bytes.Equal(mended[at:at+slotBytes], good[at:at+slotBytes]) {
				t.Errorf("copy %d of slot %d is not repaired", c, x.slot)
			}
		}
	}
	// While the vault runs the other copy serves at once.
	if _, err := r.storedDisk.WriteAt(make([]byte, slotBytes), storedOffset(a.slot, 0)); err != nil {
		t.Fatal(err)
	}
	if err := a.open(r); err != nil {
		t.Error(err)
	}
	// Where neither does, the account is lost, which is reported once.
	for c := range copies {
		if _, err := r.storedDisk.WriteAt([]byte{1}, storedOffset(b.slot, c)+slotBytes-1); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := b.open(r); !errors.Is(err, ErrForgotten) || !errors.Is(err, ErrDamaged) {
			t.Errorf("damaged while the vault runs: %v", err)
		}
	}
	if reported := r.Damage(); len(reported) != 1 || !reported[0].Lost || reported[0].Sealing || len(reported[0].Keys) != 1 {
		t.Errorf("reported %+v", reported)
	}
}

// An older header counts fewer slots: those that the ledger uses beyond it are kept.
func TestOlderHeaderOfStoredKeys(t *testing.T) {
	dir, shares, r := unlocked(t)
	old := storedContent(t, dir)[:storedSlots]
	var ledger []account
	for len(ledger) == 0 || ledger[len(ledger)-1].slot < storedGrowth {
		ledger = append(ledger, storeOne(t, r, testToken))
	}
	closeRing(t, r)
	content := storedContent(t, dir)
	copy(content, old)
	if err := os.WriteFile(filepath.Join(dir, storedFileName), content, 0o600); err != nil {
		t.Fatal(err)
	}
	r = reopened(t, dir, shares, ledger)
	for range 2 * storedGrowth {
		storeOne(t, r, testToken)
	}
	for _, a := range ledger {
		if err := a.open(r); err != nil {
			t.Fatalf("slot %d: %v", a.slot, err)
		}
	}
}

// One flipped bit anywhere in any file of the ring is harmless, or stops the vault with an error
// that names the file and the remedy.
func TestFlipsOfKeyFiles(t *testing.T) {
	h := &manualClock{wall: start}
	origin := t.TempDir()
	shares, parts, offset := sealedToAll(t, origin, h)
	r := reopened(t, origin, shares, nil)
	a := storeOne(t, r, testToken)
	closeRing(t, r)
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(10, 6))
	used := map[string][][2]int{ // ranges in use
		custodyFile:    {{0, 1 << 20}},
		sealingFile:    {{0, slotsAt}, {slotsAt, int(offset) + pageBytes}, {slotsAt + areaBytes, int(offset) + areaBytes + pageBytes}},
		storedFileName: {{0, storedSlots}, {int(storedOffset(a.slot, 0)), int(storedOffset(a.slot, 0)) + slotBytes}, {int(storedOffset(a.slot, 1)), int(storedOffset(a.slot, 1)) + slotBytes}},
	}
	for name, ranges := range used {
		good, err := os.ReadFile(filepath.Join(origin, name))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 60 {
			copyFiles(t, origin, dir, custodyFile, sealingFile, storedFileName)
			where := ranges[i%len(ranges)]
			at := where[0] + rng.IntN(min(where[1], len(good))-where[0])
			flipped := bytes.Clone(good)
			flipped[at] ^= 1 << rng.IntN(8)
			if err := os.WriteFile(filepath.Join(dir, name), flipped, 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := Open(dir, h.options())
			if err == nil {
				err = r.Unlock(shares)
			}
			switch {
			case err == nil:
				keepAll(t, r, []account{a})
				if err := a.open(r); err != nil {
					t.Errorf("%s, byte %d: %v", name, at, err)
				}
				for key := range parts.parts {
					if err := parts.opens(r, key); err != nil {
						t.Errorf("%s, byte %d: %s: %v", name, at, key, err)
					}
				}
			case name != custodyFile || !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "restore it"):
				t.Errorf("%s, byte %d: %v", name, at, err)
			}
			if r != nil {
				closeRing(t, r)
			}
		}
	}
}

// badDisk has sectors that cannot be read, until they are written.
type badDisk struct {
	*powerDisk
	bad []int64 // offsets of pages
}

var errSector = errors.New("a bad sector")

func (d *badDisk) ReadAt(p []byte, at int64) (int, error) {
	for _, bad := range d.bad {
		if at < bad+pageBytes && bad < at+int64(len(p)) {
			return 0, errSector
		}
	}
	return d.powerDisk.ReadAt(p, at)
}

func (d *badDisk) WriteAt(p []byte, at int64) (int, error) {
	d.bad = slices.DeleteFunc(d.bad, func(bad int64) bool { return bad >= at && bad < at+int64(len(p)) })
	return d.powerDisk.WriteAt(p, at)
}

// One unreadable copy of a header or slot costs nothing; where neither can be read, the file is
// named and nothing is changed.
func TestBadSectors(t *testing.T) {
	h := &manualClock{wall: start}
	dir := t.TempDir()
	shares, parts, offset := sealedToAll(t, dir, h)
	content, err := os.ReadFile(filepath.Join(dir, sealingFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]int64{{0}, {headerBytes}, {offset}, {offset + areaBytes}} {
		d := &badDisk{newPowerDisk(content), bad}
		r, err := openOn(dir, h.options(), d, shares)
		if err != nil {
			t.Fatalf("pages %v: %v", bad, err)
		}
		for name := range parts.parts {
			if err := parts.opens(r, name); err != nil {
				t.Errorf("pages %v: %s: %v", bad, name, err)
			}
		}
		if len(d.bad) != 0 || !bytes.Equal(d.durable[slotsAt:], content[slotsAt:]) {
			t.Errorf("pages %v are not rewritten", bad)
		}
		closeRing(t, r)
	}
	for _, bad := range [][]int64{{0, headerBytes}, {offset, offset + areaBytes}} {
		d := &badDisk{newPowerDisk(content), bad}
		if _, err := openOn(dir, h.options(), d, shares); !errors.Is(err, errSector) || !strings.Contains(err.Error(), sealingFile) {
			t.Errorf("pages %v: %v", bad, err)
		}
		if !bytes.Equal(d.seen, content) {
			t.Errorf("pages %v: the file was changed", bad)
		}
	}
	_, _, ring := unlocked(t)
	a := storeOne(t, ring, testToken)
	stored := make([]byte, storedSlots+copies*storedGrowth*slotBytes)
	if _, err := ring.storedDisk.ReadAt(stored, 0); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []int64{0, pageBytes, storedOffset(a.slot, 0), storedOffset(a.slot, 1)} {
		other, err := storedOn(ring, &badDisk{newPowerDisk(stored), []int64{bad}}, []account{a})
		if err != nil {
			t.Fatalf("page %d of stored.keys: %v", bad, err)
		}
		if err := a.open(other); err != nil {
			t.Errorf("page %d of stored.keys: %v", bad, err)
		}
	}
}
