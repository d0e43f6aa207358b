package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// issued writes c.pem and c.key with this serial and end into dir.
func issued(t *testing.T, dir string, serial int64, until time.Time) Presented {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: until.Add(-1000 * time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := Presented{Cert: filepath.Join(dir, "c.pem"), Key: filepath.Join(dir, "c.key"), Usage: x509.ExtKeyUsageClientAuth}
	err = errors.Join(os.WriteFile(files.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(files.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestARenewedCertificateIsTakenAndAWorseOneIsNot: what is shown is the newest that could be used.
func TestARenewedCertificateIsTakenAndAWorseOneIsNot(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	renewed, err := NewRenewed(issued(t, dir, 1, now.Add(time.Hour)), time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	shows := func(want int64, why string) {
		t.Helper()
		pair, err := renewed.Get(nil)
		if err != nil || pair.Leaf.SerialNumber.Int64() != want {
			t.Errorf("%s: shows %v, %v, want certificate %d", why, pair.Leaf.SerialNumber, err, want)
		}
	}
	shows(1, "at first")
	issued(t, dir, 2, now.Add(2*time.Hour))
	shows(2, "renewed")
	issued(t, dir, 3, now.Add(-time.Hour))
	shows(2, "expired")
	if err := os.WriteFile(filepath.Join(dir, "c.pem"), []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	shows(2, "half written")
	issued(t, dir, 4, now.Add(3*time.Hour))
	shows(4, "good again")
}

func TestNotesOfValidity(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	for _, test := range []struct {
		left time.Duration
		near bool
		want string
	}{{90 * 24 * time.Hour, false, "in 90 days"}, {20*24*time.Hour + time.Hour, true, "in 20 days"}, {5*time.Hour + time.Minute, true, "in 5 hours"}, {-time.Hour, true, "has expired"}} {
		files := issued(t, dir, 1, now.Add(test.left))
		v := ValidityOfFiles("tls.cert", files.Cert, files.Key)
		if note := v.Note(now); v.Near(now) != test.near && test.left < 60*24*time.Hour || !strings.Contains(note, "tls.cert: ") ||
			test.near && !strings.Contains(note, test.want) || v.Expired(now) != (test.left < 0) {
			t.Errorf("with %v left: near %v, %q", test.left, v.Near(now), note)
		}
	}
	if v := ValidityOfFiles("tls.cert", "absent.pem", "absent.key"); !v.Near(now) || v.Expired(now) || !strings.Contains(v.Note(now), "cannot be read") {
		t.Errorf("an absent one: %q", v.Note(now))
	}
}

func TestAddressesToDial(t *testing.T) {
	for _, good := range []string{"host:1", "acquirer.example:8583", "127.0.0.1:65535", "[2001:db8::1]:80", "my_host.example.:80"} {
		if err := CheckAddress(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "host", ":80", "host:", "host:0", "host:65536", "host:http", "tcp://host:80", "10.1.2:80", "1.2.3.4.5:80", "2001:db8::1:80", "a b:80", "-a.example:80", "a..b:80"} {
		if err := CheckAddress(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", bad, err)
		}
	}
}
