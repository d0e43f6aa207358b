package journal

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/merkle"
	"nightdrop/vault/internal/vaulttest"
)

type fixture struct {
	*vaulttest.Vault
	t testing.TB
}

func newFixture(t testing.TB) *fixture { return &fixture{Vault: vaulttest.New(t), t: t} }

// grow makes n commits and returns the log's size.
func (d *fixture) grow(n int) int64 {
	d.t.Helper()
	for range n {
		d.Append("", book.IntegrityFound{Finding: book.FindingClockForward, Detail: "1h"})
	}
	return d.size()
}

func (d *fixture) size() (size int64) {
	d.t.Helper()
	d.View(func(tx *ledger.Tx) (err error) {
		size, err = tx.TreeSize()
		return err
	})
	return size
}

func (d *fixture) root(size int64) (root [32]byte) {
	d.t.Helper()
	d.View(func(tx *ledger.Tx) error {
		h, err := tx.RootAt(size)
		root = h
		return err
	})
	return root
}

func (d *fixture) journal(p Place) *Journal {
	return New(Config{Ledger: d.Ledger, Place: p, Name: "channel", Signer: d.Ring.Signer(), Retry: 10 * time.Millisecond, Look: 50 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(d.t.Output(), nil))})
}

// run runs a journal until the returned function stops it and returns its error.
func (d *fixture) run(j *Journal) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

func (d *fixture) durable(j *Journal, size int64) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	must(d.t, j.Durable(ctx, size))
}

// memory is a place in memory, under an attacker's control. It is safe for concurrent use.
type memory struct {
	mu       sync.Mutex
	messages map[uint64][][]byte
	down     error // of every call
	// what is kept instead; nil: nothing, without an error
	append func(n int, message []byte) ([]byte, error)
	// Append keeps the message and fails with it, once
	after error
	calls int
	seen  int // messages at the last call of Room
}

func newMemory() *memory { return &memory{messages: map[uint64][][]byte{}} }

func (m *memory) Ready() error { m.mu.Lock(); defer m.mu.Unlock(); return m.down }

func (m *memory) Newest(_ context.Context, generation uint64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if all := m.messages[generation]; len(all) > 0 && m.down == nil {
		return all[len(all)-1], nil
	}
	return nil, m.down
}

func (m *memory) Append(_ context.Context, generation uint64, message []byte) (err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return m.down
	}
	m.calls++
	if m.append != nil {
		if message, err = m.append(m.calls, message); err != nil || message == nil {
			return err
		}
	}
	m.messages[generation] = append(m.messages[generation], message)
	err, m.after = m.after, nil
	return err
}

func (m *memory) Oldest(_ context.Context, generation uint64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if all := m.messages[generation]; len(all) > 0 && m.down == nil {
		return all[0], nil
	}
	return nil, m.down
}

// Page returns one message at a time.
func (m *memory) Page(_ context.Context, generation uint64, from Cursor) ([][]byte, *Cursor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.messages[generation]
	if m.down != nil || from.Part >= uint64(len(all)) {
		return nil, nil, m.down
	}
	return all[from.Part : from.Part+1], &Cursor{Part: from.Part + 1}, nil
}

func (m *memory) Room(context.Context) (Room, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	shrunk := len(m.messages[1]) < m.seen
	m.seen = len(m.messages[1])
	return Room{Limit: 1 << 40, Shrunk: shrunk}, m.down
}

func (m *memory) SetAside(context.Context, uint64) error { return nil }
func (m *memory) Close() error                           { return nil }

func (m *memory) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

// standby reads a journal as a restore does: from nothing it reaches the current log, and opens
// every entry.
func (d *fixture) standby(messages [][]byte) (tail merkle.Tail) {
	d.t.Helper()
	for _, data := range messages {
		m, err := Decode(data, d.Ring.Verifier())
		must(d.t, err)
		for _, k := range m.Keys {
			_, err := d.Ring.OpenBox(keyring.LogKeyPurpose(k.Number), k.Wrapped)
			must(d.t, err)
		}
		tail, err = m.Follow(tail)
		must(d.t, err)
	}
	return tail
}

// TestLogReachesBothPlaces follows a vault through a restart and a new day.
func TestLogReachesBothPlaces(t *testing.T) {
	for name, s := range map[string]store{"channel": newChannel(t), "directory": newDirectory(t)} {
		t.Run(name, func(t *testing.T) {
			d := newFixture(t)
			kept := &keeping{Place: s.open()}
			j := d.journal(kept)
			must(t, j.Begin(t.Context()))
			stop := d.run(j)
			d.durable(j, d.grow(5))
			must(t, stop())
			d.grow(3) // while no journal runs
			d.Reopen()
			kept.Place = s.restart()
			j = d.journal(kept)
			must(t, j.Begin(t.Context()))
			if st := j.State(); st.Size != d.size()-3 || st.Err != nil {
				t.Errorf("found %+v", st)
			}
			stop = d.run(j)
			d.Clock.Pass(24 * time.Hour)
			size := d.grow(2)
			d.durable(j, size)
			if tail := d.standby(kept.messages); tail.Size() != size || tail.Root() != d.root(size) {
				t.Errorf("the standby has %d of %d entries, or others", tail.Size(), size)
			}
			must(t, stop())
		})
	}
}

type keeping struct {
	Place
	messages [][]byte
}

func (k *keeping) Append(ctx context.Context, generation uint64, message []byte) error {
	k.messages = append(k.messages, message)
	return k.Place.Append(ctx, generation, message)
}

// TestManyShareAMessage: waiting entries share a message, and a long log goes in several.
func TestManyShareAMessage(t *testing.T) {
	d, p := newFixture(t), newMemory()
	must(t, d.Ledger.Commit(t.Context(), func(tx *ledger.Tx) error {
		for range 6000 {
			if _, err := tx.Append(book.Event{Actor: "vault", Origin: "timer", Body: book.IntegrityFound{Finding: book.FindingClockForward, Detail: "1h"}}); err != nil {
				return err
			}
		}
		return nil
	}))
	j := d.journal(p)
	stop := d.run(j)
	size := d.size()
	d.durable(j, size)
	must(t, stop())
	if n := len(p.messages[1]); n < 2 || n > 4 {
		t.Errorf("%d entries went in %d messages", size, n)
	}
	for _, m := range p.messages[1][:len(p.messages[1])-1] {
		if len(m) < MaxBytes-2000 {
			t.Errorf("a message of %d bytes, and there was more", len(m))
		}
	}
	if tail := d.standby(p.messages[1]); tail.Root() != d.root(size) {
		t.Error("the standby has another log")
	}
}

// TestPlaceThatIsDown: nothing is durable while the place is down, and everything is soon after.
func TestPlaceThatIsDown(t *testing.T) {
	d, p := newFixture(t), newMemory()
	p.down = errors.New("no route to host")
	j := d.journal(p)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := j.Begin(short); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("begin: %v", err)
	}
	stop := d.run(j)
	for range 2 {
		size := d.grow(2)
		waittest.For(t, "the journal to stand still", func() bool {
			return errors.Is(j.Ready(), ErrUnavailable) && errors.Is(j.State().Err, ErrUnavailable)
		})
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := j.Durable(short, size); !errors.Is(err, ErrUnavailable) {
			t.Errorf("durable: %v", err)
		}
		p.set(func() { p.down = nil })
		d.durable(j, size)
		must(t, j.Ready())
		p.set(func() { p.down = errors.New("no route to host") })
	}
	must(t, stop())
}

// TestAckThatWasLost: a message that is there although its append failed is found.
func TestAckThatWasLost(t *testing.T) {
	d, p := newFixture(t), newMemory()
	p.after = errors.New("the connection broke")
	j := d.journal(p)
	stop := d.run(j)
	size := d.grow(1)
	d.durable(j, size)
	must(t, stop())
	if tail := d.standby(p.messages[1]); tail.Size() != size {
		t.Errorf("the standby has %d of %d", tail.Size(), size)
	}
}

// TestPlaceThatLosesItsEnd: what a broker's store lost is sent again.
func TestPlaceThatLosesItsEnd(t *testing.T) {
	d, p := newFixture(t), newMemory()
	j := d.journal(p)
	stop := d.run(j)
	d.durable(j, d.grow(2))
	d.durable(j, d.grow(2))
	size := d.size()
	for _, left := range []int{1, 0} {
		p.set(func() { p.messages[1] = p.messages[1][:left] })
		waittest.For(t, "the end to be there again", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.messages[1]) > left
		})
		d.durable(j, size)
	}
	must(t, stop())
	if tail := d.standby(p.messages[1]); tail.Size() != size {
		t.Errorf("the standby has %d of %d", tail.Size(), size)
	}
}
