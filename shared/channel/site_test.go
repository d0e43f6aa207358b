package channel

import (
	"context"
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
)

// site is one broker with its files: authority, server and client certificate, and a key for each role.
type site struct {
	dir    string
	config EmbeddedConfig
	seeds  map[string]string // role -> seed file
	broker *Embedded
}

// newSite makes the files; start starts the broker on them.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), seeds: make(map[string]string)}
	s.certificates(t)
	s.config = EmbeddedConfig{Dir: filepath.Join(s.dir, "store"), Listen: "127.0.0.1:0", Cert: s.file("server.pem"), Key: s.file("server.key"),
		ClientCA: s.file("ca.pem"), MaxBytes: 64 << 20, MinFree: 1 << 20}
	s.config.VaultNkey = s.key(t, "vault")
	s.config.CourierNkey = s.key(t, "courier")
	s.config.MonitorNkey = s.key(t, "monitor")
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

// start starts the broker; after the first time on the same port, as an operator's broker would be.
func (s *site) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	broker, err := StartEmbedded(ctx, s.config)
	if err != nil {
		t.Fatalf("start broker: %v", err)
	}
	s.broker, s.config.Listen = broker, broker.Addr()
	t.Cleanup(func() { s.close(t) })
}

func (s *site) close(t *testing.T) {
	t.Helper()
	if s.broker == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.broker.Close(ctx); err != nil {
		t.Errorf("close broker: %v", err)
	}
	s.broker = nil
}

func (s *site) relay(t *testing.T) *Relay {
	t.Helper()
	r, err := s.broker.Relay()
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
	waitFor(t, "the vault to connect", v.Connected)
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

// certificates makes an authority and, signed by it, one certificate for 127.0.0.1 and one for a client.
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

// waitFor polls a condition for up to ten seconds.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("timed out waiting for %s", what)
}

// receive waits for one value.
func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("timed out waiting for %s", what)
		panic("unreachable")
	}
}

// mustAck fails the test unless the message became durable.
func mustAck(t *testing.T, ack Ack) {
	t.Helper()
	if err := receive(t, "an ack", ack); err != nil {
		t.Fatalf("publish: %v", err)
	}
}

func textf(format string, v ...any) []byte { return fmt.Appendf(nil, format, v...) }
