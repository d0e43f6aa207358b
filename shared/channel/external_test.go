package channel

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// external is a broker of its own, as an operator runs it: started from the file that Configuration prints.
type external struct {
	*site
	server  *server.Server
	keepers []nkeys.KeyPair
}

func startExternal(t *testing.T) *external {
	t.Helper()
	x := &external{site: newSite(t)}
	c := Configuration{Name: "external", Listen: "127.0.0.1:-1", Cert: x.config.Cert, Key: x.config.Key, ClientCA: x.config.ClientCA,
		Dir: x.config.Dir, MaxStore: 1 << 30, Vault: x.config.VaultNkey,
		Relays: []RelayKey{{Name: "relay-a", Nkey: x.key(t, "relay")}, {Name: "relay-b", Nkey: x.key(t, "relay-b")}}}
	for _, public := range []*string{&c.VaultKeeper, &c.RelayKeeper} {
		pair, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		if *public, err = pair.PublicKey(); err != nil {
			t.Fatal(err)
		}
		x.keepers = append(x.keepers, pair)
	}
	text, err := c.Text()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(x.file("nats.conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(x.file("nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	options.NoSigs, options.NoLog = true, true
	if x.server, err = server.NewServer(options); err != nil {
		t.Fatal(err)
	}
	x.server.Start()
	if !x.server.ReadyForConnections(10 * time.Second) {
		t.Fatal("the external broker did not start")
	}
	t.Cleanup(func() {
		x.server.Shutdown()
		x.server.WaitForShutdown()
	})
	x.config.Listen = x.server.Addr().String()
	return x
}

// makeStreams does what the operator does once.
func (x *external) makeStreams(t *testing.T) {
	t.Helper()
	for i, account := range []string{accountVault, accountRelay} {
		l, err := dial("keeper", Options{}, x.keepers[i], x.server)
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		js, err := jetstream.New(l.nc)
		if err != nil {
			t.Fatal(err)
		}
		var plans []plan
		for _, config := range Streams(account, Sizes{64 << 20, 64 << 20, 64 << 20, 64 << 20}, 1) {
			plans = append(plans, plan{js: js, config: config})
		}
		if err := makeStreams(t.Context(), plans); err != nil {
			t.Fatal(err)
		}
	}
}

func (x *external) dialRelay(t *testing.T, role string) *Relay {
	t.Helper()
	options := x.options(role)
	options.AckTimeout = 500 * time.Millisecond
	r, err := DialRelay(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func TestExternalBroker(t *testing.T) {
	t.Parallel()
	x := startExternal(t)
	r := x.dialRelay(t, "relay")
	if err := r.Ready(); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("ready before there are streams: %v", err)
	}
	if err := receive(t, "an answer", r.PublishBag("relay-a", "m", []byte("bag"))); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("a bag before there are streams: %v, want unavailable", err)
	}
	x.makeStreams(t)
	waitFor(t, "the relay to be ready", func() bool { return r.Ready() == nil })

	t.Run("bags", func(t *testing.T) { checkBags(t, r, x.vault(t)) })
	t.Run("results and notices", func(t *testing.T) { checkBackChannel(t, r, x.vault(t)) })
	t.Run("a relay writes under its own name only", func(t *testing.T) {
		other := x.dialRelay(t, "relay-b")
		if err := receive(t, "an answer", other.PublishBag("relay-a", "m2", []byte("bag"))); !errors.Is(err, ErrUnknown) {
			t.Fatalf("under another's name: %v", err)
		}
		mustAck(t, other.PublishBag("relay-b", "m3", []byte("bag")))
	})
}

func TestConfigurationNeedsTLS(t *testing.T) {
	for name, c := range map[string]Configuration{
		"no certificate": {Listen: "127.0.0.1:4222", Dir: "store", MaxStore: 1},
		"no directory":   {MaxStore: 1},
		"no size":        {Dir: "store"},
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
		"a public key":       write("public", s.config.VaultNkey, 0o600),
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
