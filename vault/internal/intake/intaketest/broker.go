package intaketest

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
)

// Broker is an embedded channel with a TLS listener, and a vault's key for it.
type Broker struct {
	Embedded *channel.Embedded

	tb     testing.TB
	dir    string
	config channel.EmbeddedConfig
	seed   string
}

// StartBroker starts a broker on an empty store; it stops with the test.
func StartBroker(tb testing.TB) *Broker {
	tb.Helper()
	b := &Broker{tb: tb, dir: tb.TempDir()}
	seed, public, err := channel.GenerateNkey()
	b.must(err)
	b.seed = filepath.Join(b.dir, "vault.seed")
	b.must(os.WriteFile(b.seed, seed, 0o600))
	b.certify()
	b.config = channel.EmbeddedConfig{Dir: filepath.Join(b.dir, "store"), Listen: "127.0.0.1:0", Cert: filepath.Join(b.dir, "broker.pem"),
		Key: filepath.Join(b.dir, "broker.key"), VaultNkey: public, MaxBytes: 64 << 20, MinFree: 1 << 20}
	b.Start()
	tb.Cleanup(b.Stop)
	return b
}

// Start starts the broker again after Stop, on the same address and store.
func (b *Broker) Start() {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var err error
	b.Embedded, err = channel.StartEmbedded(ctx, b.config)
	b.must(err)
	b.config.Listen = b.Embedded.Addr()
}

// Stop stops the broker.
func (b *Broker) Stop() {
	if b.Embedded == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := b.Embedded.Close(ctx); err != nil {
		b.tb.Errorf("stop the broker: %v", err)
	}
	b.Embedded = nil
}

// Lose destroys all that the broker, which is stopped, has stored.
func (b *Broker) Lose() {
	b.tb.Helper()
	b.must(os.RemoveAll(b.config.Dir))
}

// Vault dials the broker as the vault.
func (b *Broker) Vault() *channel.Vault {
	b.tb.Helper()
	v, err := channel.DialVault(b.tb.Context(), channel.Options{URL: "tls://" + b.config.Listen, Seed: b.seed,
		CA: filepath.Join(b.dir, "broker.pem"), AckTimeout: 5 * time.Second})
	b.must(err)
	b.tb.Cleanup(v.Close)
	WaitFor(b.tb, "the vault's connection", v.Connected)
	return v
}

// Relay connects in the broker's process.
func (b *Broker) Relay() *channel.Relay {
	b.tb.Helper()
	r, err := b.Embedded.Relay()
	b.must(err)
	b.tb.Cleanup(r.Close)
	return r
}

// WaitFor fails the test when something does not come true within 20 seconds.
func WaitFor(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if done() {
			return
		}
	}
	tb.Fatalf("%s did not come", what)
}

// certify writes a certificate for 127.0.0.1 that vouches for itself.
func (b *Broker) certify() {
	b.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	b.must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	b.must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	b.must(err)
	write := func(name, kind string, bytes []byte) {
		b.must(os.WriteFile(filepath.Join(b.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600))
	}
	write("broker.pem", "CERTIFICATE", der)
	write("broker.key", "PRIVATE KEY", private)
}

func (b *Broker) must(err error) {
	b.tb.Helper()
	if err != nil {
		b.tb.Fatal(err)
	}
}
