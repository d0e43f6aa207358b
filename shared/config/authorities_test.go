package config

import (
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
	if _, err := Authorities(write("none.pem", []byte("no certificate"))); !errors.Is(err, ErrInvalid) {
		t.Errorf("a file without certificates: %v", err)
	}
	if _, err := Authorities(filepath.Join(dir, "missing.pem")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}
