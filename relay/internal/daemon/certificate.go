package daemon

import (
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"
	"time"

	"nightdrop/shared/config"
)

// certificate is the public listener's TLS certificate, read again on SIGHUP. Safe for concurrent
// use.
type certificate struct {
	files   config.Presented
	now     func() time.Time
	current atomic.Pointer[tls.Certificate]
}

// loadCertificate reads the certificate for host, that of the public origin.
func loadCertificate(cert, key, host string, now func() time.Time) (*certificate, error) {
	c := &certificate{files: config.Presented{Cert: cert, Key: key, Host: host, Usage: x509.ExtKeyUsageServerAuth}, now: now}
	return c, c.reload()
}

// reload reads the files again. If a start would refuse them, the old certificate stays.
func (c *certificate) reload() error {
	loaded, err := c.files.Load(c.now())
	if err != nil {
		return err
	}
	c.current.Store(&loaded)
	return nil
}

func (c *certificate) validity() config.Validity {
	return config.ValidityOf("cert", c.files.Cert, *c.current.Load())
}

// config allows TLS 1.3 (RFC 8446) and HTTP/1.1 only.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}
