package authority

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestCertificatesVerifyAndStay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	a, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if made, err := a.Issue("relay", "shop.test", "192.0.2.7"); err != nil || !made {
		t.Fatalf("the first certificate: made %t (%v)", made, err)
	}
	pair, err := load(dir, "relay")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.pair.Leaf)
	for _, host := range []string{"shop.test", "192.0.2.7", "127.0.0.1", "localhost", "relay"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
			t.Errorf("for %s: %v", host, err)
		}
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "other.test"}); err == nil {
		t.Error("the certificate is good for a name that was not asked for")
	}
	again, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if made, err := again.Issue("relay", "shop.test"); err != nil || made {
		t.Errorf("asked again: made %t (%v), want the one that is there", made, err)
	}
	if made, err := again.Issue("relay", "new.test"); err != nil || !made {
		t.Errorf("for another name: made %t (%v), want a new one", made, err)
	}
}

func TestAForeignAuthorityIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if _, err := Open(dir); !errors.Is(err, ErrForeign) {
		t.Errorf("a ca.pem whose key is elsewhere: %v", err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "ca.pem")); err != nil || string(after) != string(before) {
		t.Errorf("its certificate has changed (%v)", err)
	}
}
