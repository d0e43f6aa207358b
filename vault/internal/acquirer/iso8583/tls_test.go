package iso8583_test

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/acquirer/iso8583"
)

func TestLineOverTLS(t *testing.T) {
	certificate, roots := selfSigned(t)
	h := &crookedHost{signOn: "00", answers: func(s string) []string { return []string{s} }}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go h.serve(conn)
		}
	}()
	address := listener.Addr().String()
	a := iso8583.New(iso8583.Config{Address: address, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}})
	defer func() { _ = a.Close() }()
	if answer, err := a.Authorise(t.Context(), testSale(t, 1)); err != nil || answer.Outcome != acquirer.Approves {
		t.Errorf("answer %+v, error %v", answer, err)
	}
	_, others := selfSigned(t)
	stranger := iso8583.New(iso8583.Config{Address: address, ConnectTimeout: 300 * time.Millisecond,
		TLS: &tls.Config{RootCAs: others, MinVersion: tls.VersionTLS13}})
	defer func() { _ = stranger.Close() }()
	if _, err := stranger.Authorise(t.Context(), testSale(t, 1)); !errors.Is(err, acquirer.ErrNotSent) {
		t.Errorf("a host whose certificate is not known: error %v, want ErrNotSent", err)
	}
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, roots
}
