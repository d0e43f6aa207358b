package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/note"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/daemon"
	"nightdrop/vault/internal/settings"
)

// checkedVault is a vault's directory whose configuration names everything that can be wrong.
type checkedVault struct {
	t   *testing.T
	dir string
}

func newCheckedVault(t *testing.T) *checkedVault {
	t.Helper()
	v := &checkedVault{t: t, dir: filepath.Join(t.TempDir(), "v")}
	shares := []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")}
	for _, dir := range shares {
		v.must(os.Mkdir(dir, 0o700))
	}
	_, err := runInit(initOptions{dir: v.dir, name: "vault.example", shares: 2, threshold: 2, sharesTo: shares, onOwnDisk: true}, testConsole())
	v.must(err)
	v.issue("client", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	v.issue("ca", func(*x509.Certificate) {})
	for _, dir := range []string{"outbox", "journal"} {
		v.must(os.Mkdir(v.file(dir), 0o700))
	}
	v.write(`[channel]
url = "tls://relay.example:4222"
ca = "ca.pem"
cert = "client.pem"
key = "client.key"
[acquirer]
address = "acquirer.example:8583"
terminals = ["ND000001"]
[acquirer.tls]
enabled = true
ca = "ca.pem"
cert = "client.pem"
key = "client.key"
[journal]
place = "directory"
directory = "journal"
[bank]
outbox = "outbox"
immediate_destination = "091000019"
destination_name = "FIRST BANK"
immediate_origin = "1987654321"
origin_name = "NIGHTDROP"
odfi = "09100001"
[batches]
close_at = ["22:00"]
`)
	return v
}

func (v *checkedVault) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *checkedVault) file(name string) string { return filepath.Join(v.dir, name) }

func (v *checkedVault) write(text string) {
	v.must(os.WriteFile(v.file(settings.File), []byte(text), 0o600))
}

// replace edits the configuration.
func (v *checkedVault) replace(old, now string) {
	v.t.Helper()
	text, err := os.ReadFile(v.file(settings.File))
	v.must(err)
	if !strings.Contains(string(text), old) {
		v.t.Fatalf("the configuration has no %s", old)
	}
	v.write(strings.Replace(string(text), old, now, 1))
}

// issue writes NAME.pem and NAME.key, its own authority.
func (v *checkedVault) issue(name string, change func(*x509.Certificate)) {
	v.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	v.must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	v.must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	v.must(err)
	v.must(os.WriteFile(v.file(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	v.must(os.WriteFile(v.file(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

// check runs check-config.
func (v *checkedVault) check() (out string, err error) {
	var printed bytes.Buffer
	c := testConsole()
	c.out = &printed
	err = runCheckConfig(&global{dir: v.dir, json: true}, c)
	return printed.String(), err
}

// serve runs `vault serve` for as long as ctx lives.
func (v *checkedVault) serve(ctx context.Context) error {
	s, err := settings.Load(v.dir)
	if err != nil {
		return err
	}
	return runServe(ctx, s, testConsole(), slog.New(slog.DiscardHandler))
}

func past(c *x509.Certificate)   { c.NotAfter = time.Now().Add(-time.Minute) }
func server(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }

// TestVaultCheckConfigRefusesWhatServeRefuses holds the two against each other, by a table of what
// may be wrong.
func TestVaultCheckConfigRefusesWhatServeRefuses(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(v *checkedVault)
		want  string
	}{
		{"acquirer without a port", func(v *checkedVault) { v.replace("acquirer.example:8583", "acquirer.example") }, `acquirer.address: \"acquirer.example\" is no address`},
		{"acquirer with a scheme", func(v *checkedVault) { v.replace("acquirer.example:8583", "tcp://acquirer.example:8583") }, "acquirer.address: "},
		{"acquirer with half an address", func(v *checkedVault) { v.replace("acquirer.example:8583", "10.1.2:8583") }, "acquirer.address: "},
		{"channel of another scheme", func(v *checkedVault) { v.replace("tls://relay.example:4222", "https://relay.example:4222") }, "channel.url: "},
		{"channel's port", func(v *checkedVault) { v.replace("relay.example:4222", "relay.example:99999") }, "channel.url: "},
		{"no seed", func(v *checkedVault) { v.must(os.Remove(v.file(settings.ChannelSeed))) }, "channel.seed: "},
		{"a seed for everybody", func(v *checkedVault) { v.must(os.Chmod(v.file(settings.ChannelSeed), 0o604)) }, "channel.seed: "},
		{"a public key for a seed", func(v *checkedVault) {
			v.must(os.Remove(v.file(settings.ChannelSeed)))
			v.must(os.Rename(v.file(settings.ChannelSeed+".pub"), v.file(settings.ChannelSeed)))
			v.must(os.Chmod(v.file(settings.ChannelSeed), 0o600))
		}, "channel.seed: "},
		{"an authority that expired", func(v *checkedVault) { v.issue("ca", past) }, "channel.ca: "},
		{"an authority that is none", func(v *checkedVault) { v.must(os.WriteFile(v.file("ca.pem"), []byte("none"), 0o600)) }, "acquirer.tls.ca: "},
		{"a client's certificate that expired", func(v *checkedVault) { v.issue("client", past) }, "acquirer.tls.cert: "},
		{"a certificate of tomorrow", func(v *checkedVault) {
			v.issue("client", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(24 * time.Hour) })
		}, "channel.cert: "},
		{"a server's certificate", func(v *checkedVault) { v.issue("client", server) }, "was not issued for this use"},
		{"another's key", func(v *checkedVault) { v.replace(`key = "client.key"`, `key = "ca.key"`) }, "not a certificate and its key"},
		{"half a certificate", func(v *checkedVault) { v.replace(`key = "client.key"`, `key = ""`) }, "channel.cert: "},
		{"a key for everybody", func(v *checkedVault) { v.must(os.Chmod(v.file("client.key"), 0o644)) }, "may be read by everybody"},
		{"no journal directory", func(v *checkedVault) { v.must(os.Remove(v.file("journal"))) }, "journal.directory"},
		{"no outbox", func(v *checkedVault) { v.must(os.Remove(v.file("outbox"))) }, "bank.outbox"},
		{"an outbox for everybody", func(v *checkedVault) { v.must(os.Chmod(v.file("outbox"), 0o755)) }, "bank.outbox"},
		{"a time that is none", func(v *checkedVault) { v.replace("22:00", "25:00") }, "batches.close_at"},
		{"a dialect that is none", func(v *checkedVault) { v.replace("terminals", "dialect = \"vault.toml\"\nterminals") }, "acquirer.dialect"},
		{"a terminal that is none", func(v *checkedVault) { v.replace("ND000001", "nd") }, "acquirer.terminals"},
		{"a socket's path", func(v *checkedVault) { v.replace("[channel]", "socket = \""+strings.Repeat("s", 120)+"\"\n[channel]") }, "socket: "},
		{"a socket's directory", func(v *checkedVault) { v.must(os.Chmod(v.dir, 0o755)) }, "0700"},
		{"a file in the socket's place", func(v *checkedVault) { v.must(os.WriteFile(v.file("vault.sock"), nil, 0o600)) }, "is not a socket"},
		{"a relay twice", func(v *checkedVault) {
			relay, err := note.GenerateSigner("relay-1")
			v.must(err)
			line := `"` + relay.Verifier().String() + `"`
			v.replace("[channel]", "relays = ["+line+", "+line+"]\n[channel]")
		}, "names relay \"relay-1\" twice"},
		{"a key ring for everybody", func(v *checkedVault) { v.must(os.Chmod(v.file("sealing.keys"), 0o644)) }, "0600"},
		{"an unknown key", func(v *checkedVault) { v.replace("[channel]", "[chanel]") }, "unknown key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := newCheckedVault(t)
			test.spoil(v)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			out, checked := v.check()
			served := v.serve(ctx)
			if checked == nil || served == nil || checked.Error() != served.Error() || exitCode(checked) != exitCode(served) {
				t.Fatalf("serve says %v,\ncheck-config %v", served, checked)
			}
			var answer struct {
				OK       bool
				Problems []struct{ Key, What, Do string }
			}
			v.must(json.Unmarshal([]byte(out), &answer))
			if want := strings.ReplaceAll(test.want, `\"`, `"`); answer.OK || len(answer.Problems) == 0 || !strings.Contains(checked.Error(), want) {
				t.Errorf("told %s, want %q", checked, want)
			}
		})
	}
}

// TestASoundVaultIsTakenByBoth is the control, before, beside and after a daemon.
func TestASoundVaultIsTakenByBoth(t *testing.T) {
	v := newCheckedVault(t)
	if out, err := v.check(); err != nil || !strings.Contains(out, `"ok": true`) {
		t.Fatalf("%v: %s", err, out)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.serve(ctx) }()
	waittest.For(t, "the daemon's socket", func() bool { _, err := os.Stat(v.file("vault.sock")); return err == nil })
	if _, err := v.check(); err != nil {
		t.Errorf("beside a daemon: %v", err)
	}
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("serve: %v", err)
	}
	if _, err := v.check(); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// TestVaultCertificatesNearTheirEndAreTold: by check-config and the locked vault's status.
func TestVaultCertificatesNearTheirEndAreTold(t *testing.T) {
	v := newCheckedVault(t)
	v.issue("client", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(5*24*time.Hour + time.Hour) })
	out, err := v.check()
	if err != nil || !strings.Contains(out, "acquirer.tls.cert: the certificate "+v.file("client.pem")) || !strings.Contains(out, "in 5 days") {
		t.Errorf("check-config: %v, %s", err, out)
	}
	s, err := settings.Load(v.dir)
	v.must(err)
	var log bytes.Buffer
	d, err := daemon.New(daemonConfig(s, time.Now, slog.New(slog.NewTextHandler(&log, nil))))
	v.must(err)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	defer func() { v.must(d.Run(stopped)) }() // which gives the directory back
	status, err := d.State()
	v.must(err)
	if len(status.Certificates) != 2 || !strings.Contains(status.Certificates[0], "in 5 days") {
		t.Errorf("status: %q", status.Certificates)
	}
}
