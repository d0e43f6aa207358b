package channel

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// largeBag is a bag of exactly MaxMessage bytes.
func largeBag(i int) []byte {
	bag := bytes.Repeat([]byte{byte(i)}, MaxMessage)
	copy(bag, textf("bag %d", i))
	return bag
}

func TestBagsOfAMillionBytes(t *testing.T) {
	s := startSite(t)
	r, v := s.relay(t), s.vault(t)
	var acks []Ack
	for i := range 24 { // more than one read brings
		acks = append(acks, r.PublishBag("relay-a", string(textf("%064d", i)), largeBag(i)))
	}
	for _, ack := range acks {
		mustAck(t, ack)
	}
	if err := <-r.PublishBag("relay-a", "m", make([]byte, MaxMessage+1)); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("a byte more: %v, want too large", err)
	}
	var groups, largest int
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	found := 0
	err := v.Bags(ctx, 0, func(group []Message) error {
		size := 0
		for _, m := range group {
			size += len(m.Data)
			if !bytes.Equal(m.Data, largeBag(found)) {
				t.Errorf("bag %d is damaged", found)
			}
			found++
		}
		groups, largest = groups+1, max(largest, size)
		if found == 24 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if groups < 2 || largest > fetchBytes+MaxMessage {
		t.Fatalf("%d groups, the largest of %d bytes", groups, largest)
	}
	m, err := v.BagAt(t.Context(), 2) // through the JSON of the API
	if err != nil || !bytes.Equal(m.Data, largeBag(1)) {
		t.Fatalf("bag at 2: %d bytes, %v", len(m.Data), err)
	}
}

func TestTheSameBagTwiceIsStoredOnce(t *testing.T) {
	s := startSite(t)
	r, v := s.relay(t), s.vault(t)
	for range 3 {
		mustAck(t, r.PublishBag("relay-a", "digest-1", []byte("bag 1")))
	}
	mustAck(t, r.PublishBag("relay-a", "digest-2", []byte("bag 2")))
	bags, _ := collectBags(t, v, 0)
	for _, want := range []string{"bag 1", "bag 2"} {
		if m := receive(t, want, bags); string(m.Data) != want {
			t.Fatalf("%q, want %q", m.Data, want)
		}
	}
}

func TestAFullStreamRefusesUntilItIsPurged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.config.EnvelopesBytes = minStream
	s.start(t)
	r, v := s.relay(t), s.vault(t)
	stored := 0
	for ; stored < 10; stored++ {
		err := <-r.PublishBag("relay-a", string(textf("m%d", stored)), largeBag(stored))
		if errors.Is(err, ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if stored != minStream/MaxMessage {
		t.Fatalf("%d bags fitted", stored)
	}
	waitFor(t, "Ready to say full", func() bool { return errors.Is(r.Ready(), ErrFull) })
	mustAck(t, v.PublishResult("shop", 1, "id", []byte("results still flow")))

	if err := v.PurgeBags(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := v.PurgeBags(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := v.BagAt(t.Context(), 1); err != nil {
		t.Fatalf("bag 1 after purges of nothing: %v", err)
	}
	if err := v.PurgeBags(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if _, err := v.BagAt(t.Context(), 2); !errors.Is(err, ErrNotFound) {
		t.Fatalf("bag 2 after the purge: %v", err)
	}
	mustAck(t, r.PublishBag("relay-a", "again", largeBag(99)))
	if err := v.PurgeBags(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "Ready to be nil again", func() bool { return r.Ready() == nil })
	bags, _ := collectBags(t, v, 1) // begins at the oldest that is left
	if m := receive(t, "bag 4", bags); m.Sequence != 4 {
		t.Fatalf("the first bag left is %d", m.Sequence)
	}
}

func TestResultsMayBePublishedAgainWhenFull(t *testing.T) {
	s := newSite(t)
	s.config.ResultsBytes = minStream
	s.start(t)
	v := s.vault(t)
	var err error
	serial := uint64(0)
	for err == nil {
		serial++
		err = <-v.PublishResult("shop", serial, "id", largeBag(int(serial)))
	}
	if !errors.Is(err, ErrFull) {
		t.Fatalf("result %d: %v, want full", serial, err)
	}
	mustAck(t, v.PublishResult("shop", 1, "id", largeBag(1)))
}

func TestAShrunkStreamIsRefused(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	r := s.relay(t)
	for i := range 6 {
		mustAck(t, r.PublishBag("relay-a", string(textf("m%d", i)), largeBag(i)))
	}
	r.Close()
	s.close(t)
	s.config.EnvelopesBytes = minStream
	_, err := StartEmbedded(t.Context(), s.config)
	if err == nil || !strings.Contains(err.Error(), "at least what it holds") {
		t.Fatalf("shrunk below what it holds: %v", err)
	}
	s.config.EnvelopesBytes = 40 << 20 // at the cost of others
	s.start(t)
	s.close(t)
	s.config.MaxBytes, s.config.EnvelopesBytes = 32<<20, 0 // all of them shrink
	s.start(t)
	s.close(t)
	s.config.MaxBytes = 128 << 20
	s.start(t)
	if m, err := s.vault(t).BagAt(t.Context(), 1); err != nil || !bytes.Equal(m.Data, largeBag(0)) {
		t.Fatalf("bag 1 after the refusal: %v", err)
	}
}

func TestWrongConfigurationsAreRefused(t *testing.T) {
	s := newSite(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for name, change := range map[string]func(*EmbeddedConfig){
		"no directory":       func(c *EmbeddedConfig) { c.Dir = "" },
		"a file in its way":  func(c *EmbeddedConfig) { c.Dir = s.file("ca.pem") },
		"no certificate":     func(c *EmbeddedConfig) { c.Cert = "" },
		"absent certificate": func(c *EmbeddedConfig) { c.Cert = s.file("absent.pem") },
		"key of another":     func(c *EmbeddedConfig) { c.Key = s.file("client.key") },
		"address taken":      func(c *EmbeddedConfig) { c.Listen = taken.Addr().String() },
		"bad address":        func(c *EmbeddedConfig) { c.Listen = "localhost" },
		"seed in place of a key": func(c *EmbeddedConfig) {
			seed, _, err := GenerateNkey()
			if err != nil {
				t.Fatal(err)
			}
			c.VaultNkey = string(seed)
		},
		"one key for two roles": func(c *EmbeddedConfig) { c.CourierNkey = c.VaultNkey },
		"streams over the sum":  func(c *EmbeddedConfig) { c.EnvelopesBytes = c.MaxBytes },
		"too small":             func(c *EmbeddedConfig) { c.MaxBytes = 8 << 20 },
		"control characters":    func(c *EmbeddedConfig) { c.Cert = "a\nauthorization {}" },
	} {
		t.Run(name, func(t *testing.T) {
			config := s.config
			config.Dir = filepath.Join(t.TempDir(), `store "quoted" \ `)
			change(&config)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			broker, err := StartEmbedded(ctx, config)
			if err == nil {
				_ = broker.Close(ctx)
				t.Fatal("started")
			}
			if ctx.Err() != nil {
				t.Fatalf("only time ended it: %v", err)
			}
			if strings.Contains(err.Error(), "SU") && strings.Contains(name, "seed") {
				t.Fatalf("the error repeats the seed: %v", err)
			}
		})
	}
	s.config.Dir = filepath.Join(s.dir, `store "quoted" \ `)
	s.start(t) // the same directory does it when nothing is wrong
}

func TestGuardHasHysteresis(t *testing.T) {
	var free int64
	var health error
	g := &guard{minFree: 1000, free: func() (int64, error) { return free, nil }, healthy: func() error { return health },
		room: func(context.Context) error { return nil }, change: func(string, ...any) {}}
	for i, step := range []struct {
		free int64
		full bool
	}{{1000, false}, {999, true}, {1000, true}, {1249, true}, {1250, false}, {1000, false}, {0, true}, {5000, false}} {
		free = step.free
		g.look(t.Context())
		if got := errors.Is(g.verdict(), ErrFull); got != step.full {
			t.Errorf("step %d: %d free: full %t, want %t", i, step.free, got, step.full)
		}
		if errors.Is(g.reserve(), ErrFull) != step.full {
			t.Errorf("step %d: the reserve tells otherwise", i)
		}
	}
	health = ErrUnavailable
	g.look(t.Context())
	if !errors.Is(g.verdict(), ErrUnavailable) || g.reserve() != nil {
		t.Errorf("sick broker: %v, %v", g.verdict(), g.reserve())
	}
	g.free = func() (int64, error) { return 0, errors.New("statfs failed") }
	g.look(t.Context())
	if !errors.Is(g.reserve(), ErrUnavailable) {
		t.Errorf("no figure for the volume: %v", g.reserve())
	}
}

func TestTheReserveOfFreeSpaceIsKept(t *testing.T) {
	s := newSite(t)
	free, _, err := volume(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	s.config.MinFree = free * 2 // more than there can be
	s.start(t)
	r := s.relay(t)
	if err := r.Ready(); !errors.Is(err, ErrFull) {
		t.Fatalf("ready: %v, want full", err)
	}
	if err := <-r.PublishBag("relay-a", "m", []byte("bag")); !errors.Is(err, ErrFull) {
		t.Fatalf("publish: %v, want full", err)
	}
}
