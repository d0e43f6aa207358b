package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker"
	"nightdrop/shared/channel/broker/brokertest"
	"nightdrop/shared/waittest"
)

// leastStream is the least that a stream may be given.
const leastStream = 4 << 20

func TestAFullStreamRefusesUntilItIsPurged(t *testing.T) {
	t.Parallel()
	s := brokertest.New(t)
	s.Config.EnvelopesBytes = leastStream
	s.Start()
	r, v := s.Relay(), s.Vault()
	stored := 0
	for ; stored < 10; stored++ {
		err := <-r.PublishBag("relay-a", fmt.Sprintf("m%d", stored), largeBag(stored))
		if errors.Is(err, channel.ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if stored != leastStream/channel.MaxMessage {
		t.Fatalf("%d bags fitted", stored)
	}
	waittest.For(t, "Ready to say full", func() bool { return errors.Is(r.Ready(), channel.ErrFull) })
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
	if _, err := v.BagAt(t.Context(), 2); !errors.Is(err, channel.ErrNotFound) {
		t.Fatalf("bag 2 after the purge: %v", err)
	}
	mustAck(t, r.PublishBag("relay-a", "again", largeBag(99)))
	if err := v.PurgeBags(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	waittest.For(t, "Ready to be nil again", func() bool { return r.Ready() == nil })
	bags := collectBags(t, v) // begins at the oldest that is left
	if m := waittest.Receive(t, "bag 4", bags); m.Sequence != 4 {
		t.Fatalf("the first bag left is %d", m.Sequence)
	}
}

func TestAShrunkStreamIsRefused(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t)
	r := s.Relay()
	for i := range 6 {
		mustAck(t, r.PublishBag("relay-a", fmt.Sprintf("m%d", i), largeBag(i)))
	}
	r.Close()
	s.Stop()
	s.Config.EnvelopesBytes = leastStream
	_, err := broker.Start(t.Context(), s.Config)
	if err == nil || !strings.Contains(err.Error(), "at least what it holds") {
		t.Fatalf("shrunk below what it holds: %v", err)
	}
	s.Config.EnvelopesBytes = 40 << 20 // at the cost of others
	s.Start()
	s.Stop()
	s.Config.MaxBytes, s.Config.EnvelopesBytes = 32<<20, 0 // all of them shrink
	s.Start()
	s.Stop()
	s.Config.MaxBytes = 128 << 20
	s.Start()
	if m, err := s.Vault().BagAt(t.Context(), 1); err != nil || !bytes.Equal(m.Data, largeBag(0)) {
		t.Fatalf("bag 1 after the refusal: %v", err)
	}
}

func TestWrongConfigurationsAreRefused(t *testing.T) {
	s := brokertest.New(t)
	s.Certify("other")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for name, change := range map[string]func(*broker.Config){
		"no directory":       func(c *broker.Config) { c.Dir = "" },
		"a file in its way":  func(c *broker.Config) { c.Dir = s.File("broker.pem") },
		"no certificate":     func(c *broker.Config) { c.Cert = "" },
		"absent certificate": func(c *broker.Config) { c.Cert = s.File("absent.pem") },
		"key of another":     func(c *broker.Config) { c.Key = s.File("other.key") },
		"address taken":      func(c *broker.Config) { c.Listen = taken.Addr().String() },
		"bad address":        func(c *broker.Config) { c.Listen = "localhost" },
		"seed in place of a key": func(c *broker.Config) {
			seed, _, err := channel.GenerateNkey()
			if err != nil {
				t.Fatal(err)
			}
			c.VaultNkey = string(seed)
		},
		"one key for two roles": func(c *broker.Config) { c.CourierNkey = c.VaultNkey },
		"streams over the sum":  func(c *broker.Config) { c.EnvelopesBytes = c.MaxBytes },
		"too small":             func(c *broker.Config) { c.MaxBytes = 8 << 20 },
		"control characters":    func(c *broker.Config) { c.Cert = "a\nauthorization {}" },
	} {
		t.Run(name, func(t *testing.T) {
			config := s.Config
			config.Dir = filepath.Join(t.TempDir(), `store "quoted" \ `)
			change(&config)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			started, err := broker.Start(ctx, config)
			if err == nil {
				_ = started.Close(ctx)
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
	s.Config.Dir = filepath.Join(filepath.Dir(s.Config.Dir), `store "quoted" \ `)
	s.Start() // the same directory does it when nothing is wrong
}

func TestTheReserveOfFreeSpaceIsKept(t *testing.T) {
	s := brokertest.New(t)
	s.Config.MinFree = 1 << 60 // more than there can be
	s.Start()
	r := s.Relay()
	if err := r.Ready(); !errors.Is(err, channel.ErrFull) {
		t.Fatalf("ready: %v, want full", err)
	}
	if err := <-r.PublishBag("relay-a", "m", []byte("bag")); !errors.Is(err, channel.ErrFull) {
		t.Fatalf("publish: %v, want full", err)
	}
}

func TestStoreIsPrivate(t *testing.T) {
	s := brokertest.Start(t)
	info, err := os.Stat(s.Config.Dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("store directory: %v, %v", info.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(s.Config.Dir, "lock")); err != nil {
		t.Fatal(err)
	}
}
