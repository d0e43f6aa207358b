package iso8583

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// warmth is how long the record is that is written before each message: longer than any message.
const warmth = 2 * maxMessage

// sealed is a TLS connection that leaves no copy of what is written in memory. crypto/tls seals in
// place, but first it appends the plaintext to a buffer of a pool that all connections of the
// process share, and where that is too small it drops one that holds the plaintext. Who gets a
// buffer gets the one that was given back last, so a long record of zeros, sealed to nobody just
// before, leaves one that is long enough. The pool is emptied by the garbage collector: once after
// dialling would not do.
type sealed struct {
	net.Conn
	mu    sync.Mutex
	zero  *tls.Conn // to nobody
	zeros [warmth]byte
}

// dialSealed connects by TLS.
func dialSealed(ctx context.Context, config *tls.Config, address string) (net.Conn, error) {
	zero, err := toNobody(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &sealed{Conn: conn, zero: zero}, nil
}

// Write writes p, which must not be longer than a message.
func (s *sealed) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.zero.Write(s.zeros[:]); err != nil {
		return 0, fmt.Errorf("make room to seal a message: %w", err)
	}
	return s.Conn.Write(p)
}

// toNobody returns a TLS connection whose records vanish. Its other end was there for the handshake
// only.
func toNobody(ctx context.Context) (*tls.Conn, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("seal a message: %w", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"nobody"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return nil, fmt.Errorf("seal a message: %w", err)
	}
	near, far := net.Pipe()
	end := tls.Server(far, &tls.Config{MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}})
	shaken := make(chan error, 1)
	go func() { shaken <- end.HandshakeContext(ctx) }()
	void := &void{Conn: near}
	// #nosec G402 -- nothing is sent: the records are thrown away
	zero := tls.Client(void, &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true,
		DynamicRecordSizingDisabled: true})
	err = zero.HandshakeContext(ctx)
	if other := <-shaken; err == nil {
		err = other
	}
	void.open.Store(true)
	_, _ = near.Close(), far.Close() // a pipe's end has no error
	if err != nil {
		return nil, fmt.Errorf("seal a message: %w", err)
	}
	return zero, nil
}

// void swallows what is written to it once it is open.
type void struct {
	net.Conn
	open atomic.Bool
}

func (v *void) Write(p []byte) (int, error) {
	if v.open.Load() {
		return len(p), nil
	}
	return v.Conn.Write(p)
}
