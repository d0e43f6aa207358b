package channel

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"nightdrop/shared/waittest"
)

// anyPort lets the broker choose, in its own words.
const anyPort = "127.0.0.1:-1"

// site is a broker started from what Configuration prints, as a relay or an operator runs it, with
// its files: authority, server and client certificate, and a key for each role. The relay is in its
// process unless the test says otherwise.
type site struct {
	dir     string
	config  Configuration
	sizes   Sizes
	seeds   map[string]string // role -> seed file
	server  *server.Server
	keepers *Keepers
}

// newSite makes the files; start starts the broker on them.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), seeds: make(map[string]string), sizes: Sizes{32 << 20, 8 << 20, 16 << 20, 8 << 20}}
	s.certificates(t)
	s.config = Configuration{Name: "test", Listen: anyPort, Cert: s.file("server.pem"), Key: s.file("server.key"), ClientCA: s.file("ca.pem"),
		Dir: filepath.Join(s.dir, "store"), MaxStore: 1 << 30, RelayInProcess: true, Relays: []RelayKey{{Nkey: s.key(t, "relay")}},
		Vault: s.key(t, "vault"), Courier: s.key(t, "courier"), Monitor: s.key(t, "monitor")}
	return s
}

// startSite is a running broker with the default sizes of the tests.
func startSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	s.start(t)
	return s
}

func (s *site) file(name string) string { return filepath.Join(s.dir, name) }

// start starts the broker with its streams.
func (s *site) start(t *testing.T) {
	t.Helper()
	s.startBare(t)
	if err := s.keepers.MakeStreams(t.Context(), s.sizes); err != nil {
		t.Fatal(err)
	}
}

// startBare starts the broker without streams; after the first time on the same port, as an
// operator's broker would be.
func (s *site) startBare(t *testing.T) {
	t.Helper()
	var pairs [2]nkeys.KeyPair
	for i, public := range []*string{&s.config.VaultKeeper, &s.config.RelayKeeper} {
		var err error
		if pairs[i], err = nkeys.CreateUser(); err != nil {
			t.Fatal(err)
		}
		if *public, err = pairs[i].PublicKey(); err != nil {
			t.Fatal(err)
		}
	}
	text, err := s.config.Text()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.file("nats.conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(s.file("nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	options.NoSigs, options.NoLog = true, true
	if s.server, err = server.NewServer(options); err != nil {
		t.Fatal(err)
	}
	s.server.Start()
	t.Cleanup(func() { s.close(t) })
	if !s.server.ReadyForConnections(10 * time.Second) {
		t.Fatal("the broker did not start")
	}
	s.config.Listen = s.server.Addr().String()
	if s.keepers, err = DialKeepers(s.server, pairs[0], pairs[1], nil); err != nil {
		t.Fatal(err)
	}
}

func (s *site) close(t *testing.T) {
	t.Helper()
	if s.keepers != nil {
		s.keepers.Close()
	}
	if s.server != nil {
		s.server.Shutdown()
		s.server.WaitForShutdown()
	}
	s.keepers, s.server = nil, nil
}

// seed reads a role's key.
func (s *site) seed(t *testing.T, role string) []byte {
	t.Helper()
	seed, err := os.ReadFile(s.seeds[role])
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(seed)
}

// relay connects in the broker's process, with room for all.
func (s *site) relay(t *testing.T) *Relay {
	t.Helper()
	fine := func() error { return nil }
	r, err := InProcessRelay(Options{}, InProcess{Server: s.server, Seed: s.seed(t, "relay"), Verdict: fine, Reserve: fine,
		Streams: func() []StreamState { return nil }})
	if err != nil {
		t.Fatalf("relay: %v", err)
	}
	t.Cleanup(r.Close)
	return r
}

// options reach the broker's listener with a role's key.
func (s *site) options(role string) Options {
	return Options{URL: "tls://" + s.config.Listen, Seed: s.seeds[role], CA: s.file("ca.pem"), Cert: s.file("client.pem"),
		Key: s.file("client.key"), Name: role, AckTimeout: 3 * time.Second}
}

func (s *site) vault(t *testing.T) *Vault {
	t.Helper()
	v, err := DialVault(t.Context(), s.options("vault"))
	if err != nil {
		t.Fatalf("vault: %v", err)
	}
	t.Cleanup(v.Close)
	waittest.For(t, "the vault to connect", v.Connected)
	return v
}

// key makes a role's key and returns the public half.
func (s *site) key(t *testing.T, role string) string {
	t.Helper()
	seed, public, err := GenerateNkey()
	if err != nil {
		t.Fatal(err)
	}
	s.seeds[role] = s.file(role + ".seed")
	if err := os.WriteFile(s.seeds[role], seed, 0o600); err != nil {
		t.Fatal(err)
	}
	return public
}

// certificates makes an authority and, signed by it, one certificate for 127.0.0.1 and one for a
// client.
func (s *site) certificates(t *testing.T) {
	t.Helper()
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	caKey := s.certificate(t, "ca", authority, authority, nil)
	leaf := func(name string, use x509.ExtKeyUsage) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter}
	}
	s.certificate(t, "server", leaf("broker", x509.ExtKeyUsageServerAuth), authority, caKey)
	s.certificate(t, "client", leaf("vault", x509.ExtKeyUsageClientAuth), authority, caKey)
}

// certificate writes name.pem and name.key; without a signer it is signed by itself.
func (s *site) certificate(t *testing.T, name string, template, parent *x509.Certificate, signer *ecdsa.PrivateKey) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(s.file(file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return key
}

// mustAck fails the test unless the message became durable.
func mustAck(t *testing.T, ack Ack) {
	t.Helper()
	if err := waittest.Receive(t, "an ack", ack); err != nil {
		t.Fatalf("publish: %v", err)
	}
}

func textf(format string, v ...any) []byte { return fmt.Appendf(nil, format, v...) }
