package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"nightdrop/shared/text"
)

// Authorities reads the PEM file of certificate authorities that a configuration names. A file that
// holds none wraps ErrInvalid, one that cannot be read the os error.
func Authorities(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read certificate authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text.WithoutMark(pem)) {
		return nil, fmt.Errorf("%s holds no PEM certificate: give the authority's certificate: %w", path, ErrInvalid)
	}
	return pool, nil
}

// KeyPair reads a certificate and its key from PEM files, as tls.LoadX509KeyPair does, with or
// without a byte order mark.
func KeyPair(certFile, keyFile string) (tls.Certificate, error) {
	certificate, err := os.ReadFile(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	defer clear(key)
	pair, err := tls.X509KeyPair(text.WithoutMark(certificate), text.WithoutMark(key))
	if err != nil {
		return tls.Certificate{}, errors.Join(fmt.Errorf("%s and %s: not a certificate and its key", certFile, keyFile), err)
	}
	return pair, nil
}
