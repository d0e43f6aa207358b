package config

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

func TestAuthoritiesAreReadOrRefused(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	pool, err := Authorities(good)
	if err != nil || len(pool.Subjects()) != 1 { //nolint:staticcheck // deprecated for the system's pool only
		t.Errorf("a good file: %v", err)
	}
	marked := append([]byte("\ufeff"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})...)
	if pool, err := Authorities(write("marked.pem", marked)); err != nil || len(pool.Subjects()) != 1 { //nolint:staticcheck // as above
		t.Errorf("a file with a byte order mark: %v", err)
	}
	if _, err := Authorities(write("none.pem", []byte("no certificate"))); !errors.Is(err, ErrInvalid) {
		t.Errorf("a file without certificates: %v", err)
	}
	if _, err := Authorities(filepath.Join(dir, "missing.pem")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestKeyPairsAreReadWithTheirMarks(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), append([]byte("\ufeff"), pem.EncodeToMemory(block)...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, private := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if _, err := KeyPair(cert, private); err != nil {
		t.Errorf("with byte order marks: %v", err)
	}
	if _, err := KeyPair(private, cert); err == nil {
		t.Error("exchanged, they were taken")
	}
	for _, missing := range [][2]string{{"none.pem", private}, {cert, "none.pem"}} {
		if _, err := KeyPair(missing[0], missing[1]); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a missing file: %v", err)
		}
	}
}
