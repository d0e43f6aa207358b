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

// zeroRecord is the length of the record written before each message: longer than any message.
const zeroRecord = 2 * maxMessage

// sealedConn is a TLS connection that leaves no copy of what is written in memory. crypto/tls seals
// in place, but first it appends the plaintext to a buffer of a pool that all connections of the
// process share, and where that is too small it drops one that holds the plaintext. The pool
// returns the buffer that was put back last, so a long record of zeros, sealed just before and
// discarded, leaves one that is long enough. The garbage collector empties the pool: once after
// dialling would not do.
type sealedConn struct {
	net.Conn
	mu    sync.Mutex
	zero  *tls.Conn // its records are discarded
	zeros [zeroRecord]byte
}

func dialSealed(ctx context.Context, config *tls.Config, address string) (net.Conn, error) {
	zero, err := dialDiscard(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &sealedConn{Conn: conn, zero: zero}, nil
}

// Write writes p, at most a message.
func (s *sealedConn) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.zero.Write(s.zeros[:]); err != nil {
		return 0, fmt.Errorf("make room to seal a message: %w", err)
	}
	return s.Conn.Write(p)
}

// dialDiscard returns a TLS connection whose records are discarded; its other end exists for the
// handshake only.
func dialDiscard(ctx context.Context) (*tls.Conn, error) {
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
	sink := &discard{Conn: near}
	// #nosec G402 -- nothing is sent: the records are discarded
	zero := tls.Client(sink, &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true,
		DynamicRecordSizingDisabled: true})
	err = zero.HandshakeContext(ctx)
	if other := <-shaken; err == nil {
		err = other
	}
	sink.on.Store(true)
	_, _ = near.Close(), far.Close() // a pipe's end has no error
	if err != nil {
		return nil, fmt.Errorf("seal a message: %w", err)
	}
	return zero, nil
}

// discard discards what is written to it once on is set.
type discard struct {
	net.Conn
	on atomic.Bool
}

func (v *discard) Write(p []byte) (int, error) {
	if v.on.Load() {
		return len(p), nil
	}
	return v.Conn.Write(p)
}
