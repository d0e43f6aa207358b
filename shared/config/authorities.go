package config

import (
	"crypto/x509"
	"fmt"
	"os"
)

// Authorities reads the PEM file of certificate authorities that a configuration names. A file that holds none wraps ErrInvalid, one
// that cannot be read the os error.
func Authorities(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read certificate authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate: give the authority's certificate: %w", path, ErrInvalid)
	}
	return pool, nil
}
