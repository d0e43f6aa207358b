package channel

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"nightdrop/shared/waittest"
)

func TestExternalBroker(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.config.RelayInProcess = false
	s.config.Relays = []RelayKey{{Name: "relay-a", Nkey: s.key(t, "relay")}, {Name: "relay-b", Nkey: s.key(t, "relay-b")}}
	s.startBare(t)
	dialRelay := func(role string) *Relay {
		options := s.options(role)
		options.AckTimeout = 500 * time.Millisecond
		r, err := DialRelay(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		return r
	}
	r := dialRelay("relay")
	if err := r.Ready(); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("ready before there are streams: %v", err)
	}
	if err := waittest.Receive(t, "an answer", r.PublishBag("relay-a", "m", []byte("bag"))); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("a bag before there are streams: %v, want unavailable", err)
	}
	// what the operator does once
	if err := s.keepers.MakeStreams(t.Context(), s.sizes); err != nil {
		t.Fatal(err)
	}
	waittest.For(t, "the relay to be ready", func() bool { return r.Ready() == nil })

	t.Run("bags", func(t *testing.T) { checkBags(t, r, s.vault(t)) })
	t.Run("results and notices", func(t *testing.T) { checkBackChannel(t, r, s.vault(t)) })
	t.Run("a relay writes under its own name only", func(t *testing.T) {
		other := dialRelay("relay-b")
		if err := waittest.Receive(t, "an answer", other.PublishBag("relay-a", "m2", []byte("bag"))); !errors.Is(err, ErrUnknown) {
			t.Fatalf("under another's name: %v", err)
		}
		mustAck(t, other.PublishBag("relay-b", "m3", []byte("bag")))
	})
}

func TestRefusedConfigurations(t *testing.T) {
	for name, c := range map[string]Configuration{
		"no certificate": {Listen: "127.0.0.1:4222", Dir: "store", MaxStore: 1},
		"no directory":   {MaxStore: 1},
		"no size":        {Dir: "store"},
		"a second line":  {Dir: "store", MaxStore: 1, Name: "broker\nmax_payload: 64"},
	} {
		if _, err := c.Text(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSeedFiles(t *testing.T) {
	s := newSite(t)
	good := s.seeds["vault"]
	write := func(name, text string, mode os.FileMode) string {
		if err := os.WriteFile(s.file(name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return s.file(name)
	}
	seed, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	accountSeed, err := account.Seed()
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"absent":             s.file("absent"),
		"empty":              write("empty", "", 0o600),
		"readable by others": write("open", string(seed), 0o644),
		"a public key":       write("public", s.config.Vault, 0o600),
		"an account's":       write("account", string(accountSeed), 0o600),
		"cut":                write("cut", string(seed[:30]), 0o600),
	} {
		options := s.options("vault")
		options.URL, options.Seed = "tls://127.0.0.1:1", path
		v, err := DialVault(t.Context(), options)
		if err == nil {
			v.Close()
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := readSeed(good); err != nil {
		t.Fatal(err)
	}
}

func TestBagsEndWithTheirReader(t *testing.T) {
	s := startSite(t)
	r, v := s.relay(t), s.vault(t)
	mustAck(t, r.PublishBag("relay-a", "m", []byte("bag")))
	full := errors.New("the reader's disk is full")
	if err := v.Bags(t.Context(), 0, func([]Message) error { return full }); !errors.Is(err, full) {
		t.Fatalf("ended with %v", err)
	}
	if err := v.Bags(t.Context(), 3, func([]Message) error { return nil }); !errors.Is(err, ErrRewound) {
		t.Fatalf("from beyond the end: %v, want rewound", err)
	}
	v.Close()
	if v.Connected() {
		t.Fatal("connected after Close")
	}
	if err := <-v.PublishJournal(1, "j", nil); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("after Close: %v", err)
	}
}
