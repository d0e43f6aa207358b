// Package brokertest runs the relay's broker in tests: the real one, on a store of the test's own,
// with the vault's side over TLS and the relay's side in the process. It is apart from the tests
// that use it, so that no package of the vault links a server.
package brokertest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker"
	"nightdrop/shared/waittest"
)

// Site is a broker with its files: a certificate that vouches for itself, and the vault's key.
type Site struct {
	Config broker.Config  // as Start uses it; the test may change it while the broker is stopped
	Broker *broker.Broker // nil while it is stopped

	tb  testing.TB
	dir string
}

// New makes the files of a broker with 64 MiB for its streams. It stops with the test.
func New(tb testing.TB) *Site {
	tb.Helper()
	s := &Site{tb: tb, dir: tb.TempDir()}
	seed, public, err := channel.GenerateNkey()
	s.must(err)
	s.must(os.WriteFile(s.File("vault.seed"), seed, 0o600))
	s.Certify("broker")
	s.Config = broker.Config{Dir: s.File("store"), Listen: "127.0.0.1:0", Cert: s.File("broker.pem"), Key: s.File("broker.key"),
		VaultNkey: public, MaxBytes: 64 << 20, MinFree: 1 << 20}
	tb.Cleanup(s.Stop)
	return s
}

// Start runs a new broker on an empty store.
func Start(tb testing.TB) *Site {
	tb.Helper()
	s := New(tb)
	s.Start()
	return s
}

// File is the path of a file of the site: store, vault.seed, broker.pem, broker.key, and what the
// test adds.
func (s *Site) File(name string) string { return filepath.Join(s.dir, name) }

// Start starts the broker on the site's store; after the first time on the same port, as an
// operator's broker would be.
func (s *Site) Start() {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	started, err := broker.Start(ctx, s.Config)
	s.must(err)
	s.Broker, s.Config.Listen = started, started.Addr()
}

// Stop stops the broker, if it runs.
func (s *Site) Stop() {
	s.tb.Helper()
	if s.Broker == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.Broker.Close(ctx); err != nil {
		s.tb.Errorf("stop the broker: %v", err)
	}
	s.Broker = nil
}

// Lose destroys all that the broker, which is stopped, has stored.
func (s *Site) Lose() {
	s.tb.Helper()
	s.must(os.RemoveAll(s.Config.Dir))
}

// Options are the vault's way to the broker.
func (s *Site) Options() channel.Options {
	return channel.Options{URL: "tls://" + s.Config.Listen, Seed: s.File("vault.seed"), CA: s.File("broker.pem"), AckTimeout: 5 * time.Second}
}

// Vault dials the broker as the vault, and waits until it is connected.
func (s *Site) Vault() *channel.Vault {
	s.tb.Helper()
	v, err := channel.DialVault(s.tb.Context(), s.Options())
	s.must(err)
	s.tb.Cleanup(v.Close)
	waittest.For(s.tb, "the vault to be connected", v.Connected)
	return v
}

// Relay connects in the broker's process.
func (s *Site) Relay() *channel.Relay {
	s.tb.Helper()
	r, err := s.Broker.Relay()
	s.must(err)
	s.tb.Cleanup(r.Close)
	return r
}

// Certify writes name.pem and name.key, in place of those that are there: a certificate for
// 127.0.0.1, of a server and a client, that vouches for itself.
func (s *Site) Certify(name string) {
	s.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	s.must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	s.must(err)
	s.must(os.WriteFile(s.File(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	s.must(os.WriteFile(s.File(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

func (s *Site) must(err error) {
	s.tb.Helper()
	if err != nil {
		s.tb.Fatal(err)
	}
}
