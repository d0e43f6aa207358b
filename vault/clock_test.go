package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/daemon"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/settings"
)

// hands are a wall clock and the monotonic clock beside it, set by hand. They are safe for
// concurrent use.
type hands struct {
	mu      sync.Mutex
	wall    time.Time
	elapsed time.Duration
}

func (h *hands) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wall
}

func (h *hands) monotonic() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.elapsed
}

// jump moves the wall clock alone.
func (h *hands) jump(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wall = h.wall.Add(d)
}

// pass lets time pass.
func (h *hands) pass(d time.Duration) {
	h.jump(d)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.elapsed += d
}

// tickEvery is how often these daemons look after their keys.
const tickEvery = 50 * time.Millisecond

// serveBy runs and unlocks a daemon whose clocks these are, until the returned function stops it.
func (s *site) serveBy(clock *hands) (ring *keyring.Ring, stop func()) {
	s.t.Helper()
	config, err := settings.Load(s.dir)
	s.must(err)
	c := daemonConfig(config, clock.now, slog.New(slog.NewTextHandler(s.t.Output(), nil)))
	c.TickEvery = tickEvery
	c.OpenRing = func(dir string, o keyring.Options) (_ *keyring.Ring, err error) {
		o.Elapsed = clock.monotonic
		ring, err = keyring.Open(dir, o)
		return ring, err
	}
	d, err := daemon.New(c)
	s.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	s.wait("the socket", func() bool { code, _ := s.command("status"); return code == 0 })
	var unlocked control.Unlocked
	s.json(&unlocked, "unlock", "--share", s.shares[0], "--share", s.shares[1])
	return ring, func() {
		s.t.Helper()
		cancel()
		s.must(<-ended)
	}
}

func names(keys []envelope.DirectoryKey) []envelope.KeyName {
	list := make([]envelope.KeyName, 0, len(keys))
	for _, k := range keys {
		list = append(list, k.Name)
	}
	return list
}

// TestClockJumpsWhileItRuns: a clock that jumps past the death of every key destroys none, until
// enough custodians vouch for it.
func TestClockJumpsWhileItRuns(t *testing.T) {
	s := newSite(t)
	clock := &hands{wall: time.Now()}
	ring, stop := s.serveBy(clock)
	before := names(ring.Live())
	if len(before) == 0 {
		t.Fatal("there are no keys")
	}

	clock.jump(12 * 24 * time.Hour)
	var st control.Status
	s.wait("the jump to be seen", func() bool {
		s.json(&st, "status")
		return st.Findings[book.FindingClockForward] > 0
	})
	clock.pass(time.Minute)
	time.Sleep(4 * tickEvery) // it is found once
	s.json(&st, "status")
	if st.Ready.Clock || !strings.Contains(st.Clock, "jumped ahead by 288h") || !strings.Contains(st.Clock, "--confirm-clock") || st.Findings[book.FindingClockForward] != 1 {
		t.Errorf("status says %q, findings %v", st.Clock, st.Findings)
	}
	if code, _ := s.command("unlock", "--confirm-clock", "--share", s.shares[0]); code != 4 {
		t.Errorf("one custodian alone: exit code %d", code)
	}
	if code, _ := s.command("unlock", "--confirm-clock", "--share", s.shares[0], "--share", s.shares[0]); code != 4 {
		t.Errorf("one custodian twice: exit code %d", code)
	}
	if live := names(ring.Live()); !slices.Equal(live, before) {
		t.Errorf("before anybody vouched: %v, were %v", live, before)
	}

	var unlocked control.Unlocked
	s.json(&unlocked, "unlock", "--confirm-clock", "--share", s.shares[1], "--share", s.shares[2], "--reason", "the time server was wrong")
	if !unlocked.Confirmed || unlocked.Clock != string(keyring.ClockSteady) {
		t.Errorf("confirmed: %+v", unlocked)
	}
	for _, name := range names(ring.Live()) {
		if slices.Contains(before, name) {
			t.Errorf("%s lives, though its time has passed", name)
		}
	}
	live := names(ring.Live())
	stop()
	told := s.readLog()
	confirmed := told.find(book.FindingClockConfirmed)
	if !slices.Equal(told.destroyed(), sorted(before)) || len(confirmed) != 1 || !strings.HasSuffix(confirmed[0].Body.(book.IntegrityFound).Detail, "by shares [2 3]") ||
		confirmed[0].Actor == "vault" || confirmed[0].Purpose != "the time server was wrong" {
		t.Errorf("the log tells of %v destroyed, and %+v", told.destroyed(), confirmed)
	}
	if !slices.Equal(told.vault.Keys, sorted(live)) {
		t.Errorf("by the log live %v, not %v", told.vault.Keys, live)
	}
	s.checkLedger()
}

// TestKeysThatACrashLeftUntold: what the key ring did before a crash stands in the log after the
// next unlock.
func TestKeysThatACrashLeftUntold(t *testing.T) {
	s := newSite(t)
	clock := &hands{wall: time.Now()}
	served, stop := s.serveBy(clock)
	before := names(served.Live())
	stop()

	// A ring that makes and destroys keys, in a process that ends before it commits anything. By
	// half hours: more would be a jump.
	ring := s.unlockedRing(keyring.Options{Now: clock.now, Elapsed: clock.monotonic})
	for range 2 * 24 * 4 {
		clock.pass(30 * time.Minute)
		_, err := ring.Tick(clock.now())
		s.must(err)
	}
	live := names(ring.Live())
	s.must(ring.Close())
	if told := s.readLog(); !slices.Equal(told.vault.Keys, sorted(before)) || slices.Equal(live, before) {
		t.Fatalf("the log tells of %v, before the crash lived %v, after it %v", told.vault.Keys, before, live)
	}

	_, stop = s.serveBy(clock)
	stop()
	told := s.readLog()
	if !slices.Equal(told.vault.Keys, sorted(live)) {
		t.Errorf("the log tells of %v, there are %v", told.vault.Keys, live)
	}
	for _, name := range before {
		if !slices.Contains(live, name) && !slices.Contains(told.destroyed(), name) {
			t.Errorf("nothing tells that %s was destroyed", name)
		}
	}
	s.checkLedger()
}
