package journal

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"nightdrop/shared/channel/broker/brokertest"
	"nightdrop/shared/envelope/vector"
	"nightdrop/shared/frame"
)

// store is a place whose process can restart.
type store interface {
	open() Place
	restart() Place
}

type inDirectory struct {
	t    testing.TB
	path string
	now  *Directory
}

func newDirectory(t testing.TB) *inDirectory { return &inDirectory{t: t, path: t.TempDir()} }

func (d *inDirectory) open() Place {
	d.t.Helper()
	var err error
	if d.now, err = OpenDirectory(d.path, 0); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = d.now.Close() })
	return d.now
}

func (d *inDirectory) restart() Place {
	d.t.Helper()
	if err := d.now.Close(); err != nil {
		d.t.Fatal(err)
	}
	return d.open()
}

// onChannel is a place on a real broker.
type onChannel struct {
	t    testing.TB
	site *brokertest.Site
}

func newChannel(t testing.TB) *onChannel { return &onChannel{t: t, site: brokertest.New(t)} }

func (c *onChannel) open() Place {
	c.t.Helper()
	if c.site.Broker == nil {
		c.site.Start()
	}
	return NewStream(c.site.Vault())
}

func (c *onChannel) restart() Place {
	c.t.Helper()
	c.site.Stop()
	return c.open()
}

// TestPlaces checks both places against the contract.
func TestPlaces(t *testing.T) {
	for name, s := range map[string]store{"channel": newChannel(t), "directory": newDirectory(t)} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			p := s.open()
			newest := func(generation uint64, want []byte) {
				t.Helper()
				if got, err := p.Newest(ctx, generation); err != nil || !bytes.Equal(got, want) {
					t.Errorf("generation %d ends with %d bytes, want %d: %v", generation, len(got), len(want), err)
				}
			}
			put := func(generation uint64, message []byte) {
				t.Helper()
				if err := p.Append(ctx, generation, message); err != nil {
					t.Fatal(err)
				}
			}
			small, large := message(t, 1, 0), message(t, 1, 990_000)
			newest(1, nil)
			put(1, small)
			newest(1, small)
			put(1, large)
			newest(1, large)
			newest(2, nil)
			put(2, small)
			newest(1, large)
			p = s.restart()
			newest(1, large)
			newest(2, small)
			put(1, small)
			newest(1, small)
			p = s.restart()
			newest(1, small)
			if room, err := p.Room(ctx); err != nil || room.Used < 990_000 || room.Limit < room.Used || room.Shrunk {
				t.Errorf("room: %+v, %v", room, err)
			}
			if oldest, err := p.Oldest(ctx, 1); err != nil || !bytes.Equal(oldest, small) {
				t.Errorf("oldest: %d bytes, %v", len(oldest), err)
			}
			if got := pages(t, p, 1); len(got) != 3 || !bytes.Equal(got[0], small) || !bytes.Equal(got[1], large) || !bytes.Equal(got[2], small) {
				t.Errorf("%d messages are read", len(got))
			}
			if err := p.Ready(); err != nil {
				t.Error(err)
			}
		})
	}
}

func pages(t testing.TB, p Place, generation uint64) (all [][]byte) {
	t.Helper()
	for from := (&Cursor{}); from != nil; {
		messages, next, err := p.Page(t.Context(), generation, *from)
		must(t, err)
		all, from = append(all, messages...), next
	}
	return all
}

// message is a message of a generation, of about more bytes above the sample's.
func message(t testing.TB, generation uint64, more int) []byte {
	t.Helper()
	m := sample()
	m.Generation = generation
	m.Entries[1].Sealed = append(m.Entries[1].Sealed, bytes.Repeat([]byte{0xaa}, more)...)
	data, err := m.Encode(vector.Signer(t, "vault.example", "vault.example"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestTornAppend cuts a directory's last append at every byte, as a crash does, or fills the rest
// with zeros: what was durable before is there, and the journal goes on.
func TestTornAppend(t *testing.T) {
	whole, torn := message(t, 1, 0), message(t, 1, 200)
	frame := frame.Append(nil, torn)
	for at := 0; at < len(frame); at += 19 {
		for name, tail := range map[string][]byte{"cut": frame[:at], "not written": append(bytes.Clone(frame[:at]), make([]byte, len(frame)-at)...), "only its length": make([]byte, at)} {
			d := newDirectory(t)
			p := d.open()
			must(t, p.Append(t.Context(), 1, whole))
			path := filepath.Join(d.path, "generation-1", "00000001.seg")
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			must(t, err)
			_, err = f.Write(tail)
			must(t, errors.Join(err, f.Close()))
			p = d.restart()
			if got, err := p.Newest(t.Context(), 1); err != nil || !bytes.Equal(got, whole) {
				t.Fatalf("%s at %d: %d bytes, %v", name, at, len(got), err)
			}
			must(t, p.Append(t.Context(), 1, torn))
			p = d.restart()
			if got, err := p.Newest(t.Context(), 1); err != nil || !bytes.Equal(got, torn) {
				t.Fatalf("%s at %d, afterwards: %d bytes, %v", name, at, len(got), err)
			}
			must(t, p.Close())
		}
	}
}

func TestDamageIsNoTornAppend(t *testing.T) {
	d := newDirectory(t)
	p := d.open()
	must(t, p.Append(t.Context(), 1, message(t, 1, 0)))
	must(t, p.Append(t.Context(), 1, message(t, 1, 10)))
	must(t, p.Close())
	path := filepath.Join(d.path, "generation-1", "00000001.seg")
	data, err := os.ReadFile(path)
	must(t, err)
	data[len(message(t, 1, 0))-1] ^= 1 // in the body of the first
	must(t, os.WriteFile(path, data, 0o600))
	if _, err := d.open().Newest(t.Context(), 1); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, data) {
		t.Error("the damaged file was changed")
	}
}

// TestDiskThatFails: after a failed append the place is not ready, what was durable stays the
// newest, and the next append begins a segment.
func TestDiskThatFails(t *testing.T) {
	d := newDirectory(t)
	p := d.open().(*Directory)
	first, lost, next := message(t, 1, 0), message(t, 1, 10), message(t, 1, 20)
	must(t, p.Append(t.Context(), 1, first))
	must(t, p.current.file.Close()) // every write fails from here on
	if err := p.Append(t.Context(), 1, lost); err == nil {
		t.Fatal("a write to a dead disk succeeded")
	}
	if err := p.Ready(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("ready: %v", err)
	}
	if got, err := p.Newest(t.Context(), 1); err != nil || !bytes.Equal(got, first) {
		t.Errorf("newest: %d bytes, %v", len(got), err)
	}
	must(t, p.Append(t.Context(), 1, next))
	must(t, p.Ready())
	if got, err := d.restart().Newest(t.Context(), 1); err != nil || !bytes.Equal(got, next) {
		t.Errorf("newest after a restart: %d bytes, %v", len(got), err)
	}
}

// TestFullDirectoryLosesItsOldest: a directory stays within its limit, and keeps its newest.
func TestFullDirectoryLosesItsOldest(t *testing.T) {
	path := t.TempDir()
	p, err := OpenDirectory(path, MinLimit)
	must(t, err)
	defer p.Close()
	big := message(t, 1, 990_000)
	for range 90 {
		must(t, p.Append(t.Context(), 1, big))
	}
	room, err := p.Room(t.Context())
	used, limit := room.Used, room.Limit
	if err != nil || limit != MinLimit || used > limit || used < limit/2 || room.Shrunk || !room.Dropping() {
		t.Errorf("%+v, %v", room, err)
	}
	if _, err := os.Stat(filepath.Join(path, "generation-1", "00000001.seg")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the oldest segment: %v", err)
	}
	if got, err := p.Newest(t.Context(), 1); err != nil || !bytes.Equal(got, big) {
		t.Errorf("newest: %d bytes, %v", len(got), err)
	}
	if !(Room{Used: used, Limit: used}).Scarce() || (Room{Used: used, Limit: 2 * used}).Scarce() {
		t.Error("scarce at the wrong time")
	}
}

func TestDirectoryHasOneProcess(t *testing.T) {
	d := newDirectory(t)
	d.open()
	if _, err := OpenDirectory(d.path, 0); !errors.Is(err, ErrInUse) {
		t.Errorf("a second process: %v", err)
	}
	if _, err := OpenDirectory(filepath.Join(d.path, "none"), 0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if _, err := OpenDirectory(t.TempDir(), MinLimit-1); err == nil {
		t.Error("a limit too small was taken")
	}
}

// TestFullChannelLosesItsOldest: a full JOURNAL accepts new messages.
func TestFullChannelLosesItsOldest(t *testing.T) {
	c := newChannel(t)
	p := c.open()
	room, err := p.Room(t.Context())
	must(t, err)
	limit := room.Limit
	big := message(t, 1, 990_000)
	for range limit/int64(len(big)) + 3 {
		must(t, p.Append(context.Background(), 1, big))
	}
	if room, err := p.Room(t.Context()); err != nil || room.Used > limit || room.Used < limit/10*8 || room.Shrunk || !room.Dropping() {
		t.Errorf("%+v, %v", room, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
