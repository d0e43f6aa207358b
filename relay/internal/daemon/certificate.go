package daemon

import (
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"
	"time"

	"nightdrop/shared/config"
)

// certificate is the TLS certificate of the public listener, read from files and read again on
// SIGHUP. It is safe for concurrent use.
type certificate struct {
	files   config.Presented
	now     func() time.Time
	current atomic.Pointer[tls.Certificate]
}

// loadCertificate reads the certificate under which host, that of the public origin, is served.
func loadCertificate(cert, key, host string, now func() time.Time) (*certificate, error) {
	c := &certificate{files: config.Presented{Cert: cert, Key: key, Host: host, Usage: x509.ExtKeyUsageServerAuth}, now: now}
	return c, c.reload()
}

// reload takes what the files hold now. Where a start would refuse it, the old one stays.
func (c *certificate) reload() error {
	loaded, err := c.files.Load(c.now())
	if err != nil {
		return err
	}
	c.current.Store(&loaded)
	return nil
}

// validity says until when the certificate in use is good.
func (c *certificate) validity() config.Validity {
	return config.ValidityOf("cert", c.files.Cert, *c.current.Load())
}

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
