package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/envelope"
)

const sectorBytes = 512

var errPower = errors.New("power cut")

type write struct {
	at   int64
	data []byte
}

// powerDisk keeps a file in memory and cuts the power at one operation: of the writes since the
// last sync any sector may be durable. A lying disk only claims to sync.
type powerDisk struct {
	seen, durable []byte
	pending       []write
	ops, cutAt    int // cutAt 0: never
	lying         bool
	rng           *rand.Rand
}

func newPowerDisk(content []byte) *powerDisk {
	return &powerDisk{seen: bytes.Clone(content), durable: bytes.Clone(content)}
}

func (d *powerDisk) ReadAt(p []byte, at int64) (int, error) {
	if at >= int64(len(d.seen)) {
		return 0, io.EOF
	}
	n := copy(p, d.seen[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (d *powerDisk) Close() error { return nil }

// writeAt writes to one of the disk's two images, growing it.
func writeAt(image *[]byte, at int64, p []byte) int {
	if end := at + int64(len(p)); end > int64(len(*image)) {
		*image = append(*image, make([]byte, end-int64(len(*image)))...)
	}
	return copy((*image)[at:], p)
}

func (d *powerDisk) WriteAt(p []byte, at int64) (int, error) {
	d.pending = append(d.pending, write{at, bytes.Clone(p)})
	if d.cut() {
		return 0, errPower
	}
	return writeAt(&d.seen, at, p), nil
}

func (d *powerDisk) Sync() error {
	if d.cut() {
		return errPower
	}
	if !d.lying {
		for _, w := range d.pending {
			writeAt(&d.durable, w.at, w.data)
		}
		d.pending = nil
	}
	return nil
}

func (d *powerDisk) cut() bool {
	if d.ops++; d.cutAt == 0 || d.ops < d.cutAt {
		return false
	}
	for _, w := range d.pending {
		for i := 0; i < len(w.data); i += sectorBytes {
			if d.rng.IntN(2) == 0 {
				writeAt(&d.durable, w.at+int64(i), w.data[i:min(i+sectorBytes, len(w.data))])
			}
		}
	}
	d.pending, d.seen = nil, nil
	return true
}

// openOn opens the vault in dir on another disk.
func openOn(dir string, o Options, d disk, shares []Share) (*Ring, error) {
	r, err := Open(dir, o)
	if err != nil {
		return nil, err
	}
	_ = r.disk.Close()
	r.disk = d
	if err := r.Unlock(shares); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// announced are the keys that Tick has reported: what a crash may not change.
type announced struct {
	keys  map[envelope.KeyName]envelope.DirectoryKey
	parts map[envelope.KeyName]envelope.Part // sealed to them
	slots map[envelope.KeyName][]byte        // their bytes on disk
	dead  map[envelope.KeyName]bool          // reported destroyed
}

func newAnnounced() *announced {
	return &announced{map[envelope.KeyName]envelope.DirectoryKey{}, map[envelope.KeyName]envelope.Part{},
		map[envelope.KeyName][]byte{}, map[envelope.KeyName]bool{}}
}

func partOf(name envelope.KeyName) envelope.PartName {
	if name.Kind() == envelope.KindCode {
		return envelope.PartCode
	}
	return envelope.PartOrder
}

func (w *announced) take(t *testing.T, r *Ring, c Change) {
	for _, k := range c.Created {
		w.keys[k.Name] = k
		w.parts[k.Name] = sealed(t, k, partOf(k.Name), testMerchant, testID, "{}")
		page := make([]byte, pageBytes)
		_, _ = r.disk.ReadAt(page, slotOffset(r.opened[k.Name].slot, 0))
		w.slots[k.Name] = page[4:200]
	}
	for _, name := range c.Destroyed {
		w.dead[name] = true
	}
}

func (w *announced) opens(r *Ring, name envelope.KeyName) error {
	_, err := r.OpenPart(partOf(name), testMerchant, testID, w.parts[name])
	return err
}

var powerTimes = []time.Duration{0, 6 * time.Hour, 12 * time.Hour, 168 * time.Hour}

// powerRun ticks over keys' births and deaths until the power goes, restarts, and returns what was
// violated.
func powerRun(t *testing.T, dir string, shares []Share, d *powerDisk) error {
	h := &manualClock{wall: start}
	o := h.options()
	o.Ahead = time.Second
	w := newAnnounced()
	r, err := openOn(dir, o, d, shares)
	if err != nil {
		return err
	}
	for _, at := range powerTimes {
		h.pass(at - h.wall.Sub(start))
		var c Change
		if c, err = r.Tick(h.wall); err != nil {
			break
		}
		w.take(t, r, c)
	}
	if err := errors.Join(r.Close()); err != nil {
		return err
	}
	if d.cutAt > 0 && !errors.Is(err, errPower) {
		return fmt.Errorf("the power was not cut: %w", err)
	}

	d = newPowerDisk(d.durable)
	r, err = openOn(dir, o, d, shares)
	if err != nil {
		return fmt.Errorf("after the cut: %w", err)
	}
	defer r.Close()
	if err := r.ConfirmClock(); err != nil {
		return err
	}
	for name := range r.opened {
		if w.dead[name] {
			return fmt.Errorf("%s came back from the dead", name)
		}
	}
	c, err := r.Tick(h.wall)
	if err != nil {
		return err
	}
	w.take(t, r, c)
	return w.check(r, d, h.wall)
}

// check checks that every reported key lives or is dead by the clock, that each due one exists
// once, and that free slots are zeros.
func (w *announced) check(r *Ring, d *powerDisk, now time.Time) error {
	for name, k := range w.keys {
		switch err := w.opens(r, name); {
		case k.Dies.After(now) && err != nil:
			return fmt.Errorf("%s lives and: %w", name, err)
		case !k.Dies.After(now) && !errors.Is(err, ErrKeyDead):
			return fmt.Errorf("%s is dead and opens", name)
		case !k.Dies.After(now) && bytes.Contains(d.durable, w.slots[name]):
			return fmt.Errorf("%s is dead and still on disk", name)
		}
	}
	seen := map[due]bool{}
	for _, e := range r.store.table {
		d := due{e.life.Name.Kind(), e.life.Name.Suite(), e.life.From}
		if e.state != slotLive {
			continue
		}
		if seen[d] || !e.life.Dies.After(now) {
			return fmt.Errorf("%s is twice or should be dead", e.life.Name)
		}
		seen[d] = true
	}
	for _, d := range r.plan.due(now) {
		if !seen[d] {
			return fmt.Errorf("no %s %s of %s", d.kind, d.suite, d.from)
		}
	}
	for i, e := range r.store.table {
		for c := range copies {
			page := d.durable[slotOffset(i, c):][:pageBytes]
			if e.state == slotFree && !bytes.Equal(page, make([]byte, pageBytes)) {
				return fmt.Errorf("copy %d of free slot %d is not zero", c, i)
			}
			if e.state == slotLive && !bytes.Equal(page, d.durable[slotOffset(i, 0):][:pageBytes]) {
				return fmt.Errorf("the copies of live slot %d differ", i)
			}
		}
	}
	return nil
}

func TestPowerCuts(t *testing.T) {
	t.Parallel()
	h := &manualClock{wall: start}
	dir := t.TempDir()
	shares := newVault(t, dir, h, 1, 1)
	content, err := os.ReadFile(filepath.Join(dir, sealingFile))
	if err != nil {
		t.Fatal(err)
	}
	whole := newPowerDisk(content)
	if err := powerRun(t, dir, shares, whole); err != nil {
		t.Fatal(err)
	}
	broken := 0
	for cutAt := 1; cutAt <= whole.ops; cutAt++ {
		d := newPowerDisk(content)
		d.cutAt, d.rng = cutAt, rand.New(rand.NewPCG(1, uint64(cutAt)))
		if err := powerRun(t, dir, shares, d); err != nil {
			t.Fatalf("power cut at operation %d: %v", cutAt, err)
		}
		// The control: on a disk that lies the same cuts must break something, or this test sees
		// nothing.
		if cutAt%4 != 0 {
			continue
		}
		d = newPowerDisk(content)
		d.cutAt, d.lying, d.rng = cutAt, true, rand.New(rand.NewPCG(9, uint64(cutAt)))
		if powerRun(t, dir, shares, d) != nil {
			broken++
		}
	}
	if broken < whole.ops/12 {
		t.Fatalf("a lying disk broke only %d of %d cuts", broken, whole.ops/4)
	}
}

func TestFailedWriteLatches(t *testing.T) {
	h := &manualClock{wall: start}
	dir := t.TempDir()
	shares := newVault(t, dir, h, 1, 1)
	f, err := os.OpenFile(filepath.Join(dir, sealingFile), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	d := &faultyDisk{File: f}
	r, err := openOn(dir, h.options(), d, shares)
	if err != nil {
		t.Fatal(err)
	}
	tick(t, r, h)
	day := current(t, r, envelope.KindDay, envelope.SuiteXWing, h.wall)
	p := sealed(t, day, envelope.PartOrder, testMerchant, testID, "{}")
	h.pass(24 * time.Hour)
	d.fails = true
	if _, err := r.Tick(h.wall); !errors.Is(err, errPower) || !strings.Contains(err.Error(), sealingFile) || !strings.Contains(err.Error(), "start it again") {
		t.Fatalf("a failed fsync: %v", err)
	}
	d.fails = false
	if _, err := r.Tick(h.wall); !errors.Is(err, errPower) {
		t.Fatalf("a tick after a failed fsync: %v", err)
	}
	if err := r.ConfirmClock(); !errors.Is(err, errPower) {
		t.Fatalf("a confirmation after a failed fsync: %v", err)
	}
	if _, err := r.OpenPart(envelope.PartOrder, testMerchant, testID, p); err != nil {
		t.Fatalf("a living key after a failed fsync: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = openVault(t, dir, h, shares)
	if err := r.ConfirmClock(); err != nil {
		t.Fatal(err)
	}
	change := tick(t, r, h)
	for _, k := range r.Directory(h.wall) {
		if !k.Dies.After(h.wall) {
			t.Errorf("%s outlived its time", k.Name)
		}
	}
	current(t, r, envelope.KindCode, envelope.SuiteXWing, h.wall)
	if len(change.Created) == 0 {
		t.Error("the restart made no keys")
	}
}

type faultyDisk struct {
	*os.File
	fails bool
}

func (d *faultyDisk) Sync() error {
	if d.fails {
		return errPower
	}
	return d.File.Sync()
}
