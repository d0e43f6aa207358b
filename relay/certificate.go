package main

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"time"

	"nightdrop/shared/config"
)

// certificate is the TLS certificate of the public listener, read from files and read again on SIGHUP. It is safe for
// concurrent use.
type certificate struct {
	cert, key string // PEM files
	current   atomic.Pointer[tls.Certificate]
}

func loadCertificate(cert, key string) (*certificate, error) {
	c := &certificate{cert: cert, key: key}
	return c, c.reload()
}

// reload takes what the files hold now. When they are not a certificate and its key, the old one stays.
func (c *certificate) reload() error {
	loaded, err := config.KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("read the certificate %s and its key %s: %w", c.cert, c.key, err)
	}
	c.current.Store(&loaded)
	return nil
}

// expires returns the end of the certificate's validity.
func (c *certificate) expires() time.Time { return c.current.Load().Leaf.NotAfter }

// config is TLS 1.3 (RFC 8446) and HTTP/1.1 only.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}
