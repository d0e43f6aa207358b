package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightdrop/relay/internal/daemon"
	"nightdrop/shared/channel"
	"nightdrop/shared/config"
)

// broken is a configuration or a file of it that a relay cannot run with.
type broken struct {
	name  string
	spoil func(s *site)
	want  string // part of the refusal
}

// replace edits the site's configuration.
func replace(old, now string) func(*site) {
	return func(s *site) {
		s.t.Helper()
		text, err := os.ReadFile(s.file("relay.toml"))
		s.check(err)
		if !bytes.Contains(text, []byte(old)) {
			s.t.Fatalf("the configuration has no %s", old)
		}
		s.check(os.WriteFile(s.file("relay.toml"), bytes.Replace(text, []byte(old), []byte(now), 1), 0o600))
	}
}

// reissue writes another certificate.
func reissue(change func(*x509.Certificate)) func(*site) {
	return func(s *site) { s.check(issue(s.dir, change)) }
}

// ownChannel gives the channel a certificate of its own and then has change of it.
func ownChannel(change func(*x509.Certificate)) func(*site) {
	return func(s *site) {
		s.check(os.Mkdir(s.file("own"), 0o700))
		s.check(issue(s.file("own"), change))
		replace("listen = \"127.0.0.1:0\"\ncert = \"tls.pem\"\nkey = \"tls.key\"\nvault_nkey", "listen = \"127.0.0.1:0\"\ncert = \"own/tls.pem\"\nkey = \"own/tls.key\"\nvault_nkey")(s)
	}
}

func expired(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }

// external configures a channel of another process, with a seed of this mode, and then edits it.
func external(edit func(*site)) func(*site) {
	return func(s *site) {
		seed, _, err := channel.GenerateNkey()
		s.check(err)
		s.check(os.WriteFile(s.file("relay.nkey"), seed, 0o600))
		s.configure("[channel.external]", `url = "tls://127.0.0.1:1"`, `seed = "relay.nkey"`, `ca = "tls.pem"`)
		edit(s)
	}
}

func brokenConfigurations() []broken {
	return []broken{
		{"placeholder for the vault", func(s *site) {
			replace(s.keys.Verifier().String(), "vault.example.com+0a1b2c3d+AReplaceThisLine")(s)
		}, "vault: still holds the example's placeholder"},
		{"no vkey", func(s *site) { replace(s.keys.Verifier().String(), "vault.example")(s) }, "vault: "},
		{"placeholder for the origin", replace("https://relay.example", "https://relay.example.com"), "origin: still holds the example's placeholder"},
		{"placeholder for the nkey", func(s *site) {
			text, err := os.ReadFile(s.file("relay.toml"))
			s.check(err)
			_, rest, _ := strings.Cut(string(text), "vault_nkey = \"")
			public, _, _ := strings.Cut(rest, "\"")
			replace(public, "UReplaceThisLine")(s)
		}, "channel.embedded.vault_nkey: still holds the example's placeholder"},
		{"a certificate that expired", reissue(expired), "cert: "},
		{"a certificate of tomorrow", reissue(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }), "is not valid before"},
		{"a certificate for another host", reissue(func(c *x509.Certificate) { c.DNSNames = []string{"other.example"} }), "is not for relay.example but for other.example"},
		{"a certificate for clients", reissue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), "was not issued for this use"},
		{"another's key", func(s *site) {
			key, err := os.ReadFile(s.file("tls.key"))
			s.check(err)
			s.check(certify(s.dir))
			s.check(os.WriteFile(s.file("tls.key"), key, 0o600))
		}, "not a certificate and its key"},
		{"a chain that is none", func(s *site) {
			first, err := os.ReadFile(s.file("tls.pem"))
			s.check(err)
			key, err := os.ReadFile(s.file("tls.key"))
			s.check(err)
			s.check(certify(s.dir))
			second, err := os.ReadFile(s.file("tls.pem"))
			s.check(err)
			s.check(os.WriteFile(s.file("tls.pem"), append(first, second...), 0o600))
			s.check(os.WriteFile(s.file("tls.key"), key, 0o600))
		}, "is not signed by the next"},
		{"a key for everybody", func(s *site) { s.check(os.Chmod(s.file("tls.key"), 0o644)) }, "may be read by everybody"},
		{"no certificate file", func(s *site) { s.check(os.Remove(s.file("tls.pem"))) }, "tls.pem"},
		{"no signing key", func(s *site) { s.check(os.Remove(s.file("relay.key"))) }, "relay keygen"},
		{"the channel's certificate expired", ownChannel(expired), "channel.embedded.cert: "},
		{"the channel's certificate without a name", ownChannel(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }), "holds no host name"},
		{"authorities that are none", replace("vault_nkey", "client_ca = \"relay.key\"\nvault_nkey"), "channel.embedded.client_ca: "},
		{"a port that is none", replace("admin = \"127.0.0.1:0\"", "admin = \"127.0.0.1:99999\""), "admin: "},
		{"an address of another machine", replace("listen = \"127.0.0.1:0\"", "listen = \"192.0.2.77:4433\""), "this machine has no address 192.0.2.77"},
		{"two listeners at one place", func(s *site) {
			replace("listen = \"127.0.0.1:0\"", "listen = \":44333\"")(s)
			replace("admin = \"127.0.0.1:0\"", "admin = \"127.0.0.1:44333\"")(s)
		}, "listens where listen does"},
		{"no directory for the head file", replace("[limits]", "head_file = \"absent/relay.head\"\n[limits]"), "head_file: "},
		{"a file in the place of the store", func(s *site) { s.check(os.WriteFile(s.file("channel"), nil, 0o600)) }, "is no directory"},
		{"streams that do not fit", replace("max_bytes = 67108864", "max_bytes = 1000"), "every stream needs at least"},
		{"an external channel's URL", external(replace("tls://127.0.0.1:1", "https://127.0.0.1:1")), "channel.external.url: "},
		{"an external channel without its seed", external(func(s *site) { s.check(os.Remove(s.file("relay.nkey"))) }), "channel.external.seed: "},
		{"a seed for everybody", external(func(s *site) { s.check(os.Chmod(s.file("relay.nkey"), 0o644)) }), "channel.external.seed: "},
		{"an external channel's authority that expired", external(reissue(expired)), "channel.external.ca: "},
	}
}

// TestCheckConfigRefusesWhatServeRefuses holds the two against each other: the same words, the same
// exit code, and nothing written.
func TestCheckConfigRefusesWhatServeRefuses(t *testing.T) {
	for _, test := range brokenConfigurations() {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			test.spoil(s)
			before, err := os.ReadDir(s.dir)
			s.check(err)
			checked := runCheckConfig(checkConfigOptions{config: s.file("relay.toml")}, io.Discard)
			if checked == nil || !strings.Contains(checked.Error(), test.want) {
				t.Fatalf("check-config says %v, want %q", checked, test.want)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			served := runServe(ctx, serveOptions{config: s.file("relay.toml")}, io.Discard)
			if served == nil || served.Error() != checked.Error() || exitCode(served) != exitCode(checked) {
				t.Errorf("serve says %v (%d),\ncheck-config %v (%d)", served, exitCode(served), checked, exitCode(checked))
			}
			after, err := os.ReadDir(s.dir)
			s.check(err)
			if len(after) != len(before) {
				t.Errorf("%d files became %d", len(before), len(after))
			}
		})
	}
}

// TestASoundConfigurationIsTakenByBoth is the control: nothing in the table is refused for another
// reason.
func TestASoundConfigurationIsTakenByBoth(t *testing.T) {
	for name, change := range map[string]func(*site){"embedded": func(*site) {}, "its own certificate": ownChannel(func(*x509.Certificate) {}), "external": external(func(*site) {})} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			change(s)
			s.check(runCheckConfig(checkConfigOptions{config: s.file("relay.toml")}, io.Discard))
			s.serve()
			// beside the running relay
			s.check(runCheckConfig(checkConfigOptions{config: s.file("relay.toml")}, io.Discard))
			s.check(s.finish())
		})
	}
}

// TestTheExampleIsRecognised: what `check-config --example` prints is refused for its placeholders,
// each by its key.
func TestTheExampleIsRecognised(t *testing.T) {
	s := newSite(t)
	s.check(os.WriteFile(s.file("relay.toml"), daemon.Reference(), 0o600))
	var out bytes.Buffer
	err := runCheckConfig(checkConfigOptions{config: s.file("relay.toml"), asJSON: true}, &out)
	if exitCode(err) != 2 && exitCode(err) != 5 {
		t.Errorf("exit code %d", exitCode(err))
	}
	var answer struct {
		OK       bool             `json:"ok"`
		Problems []config.Problem `json:"problems"`
	}
	s.check(json.Unmarshal(out.Bytes(), &answer))
	reported := map[string]bool{}
	for _, p := range answer.Problems {
		reported[p.Key] = reported[p.Key] || strings.Contains(p.What, "placeholder")
	}
	if answer.OK || !reported["vault"] || !reported["origin"] || !reported["channel.embedded.vault_nkey"] {
		t.Errorf("reported %s", &out)
	}
}

// TestAReloadNeverGoesFromGoodToBad gives a running relay certificates that a start would refuse:
// the old one stays in use, and readiness and metrics say so until a good one is taken.
func TestAReloadNeverGoesFromGoodToBad(t *testing.T) {
	s := newSite(t)
	s.serve()
	s.publish(s.vault())
	good, err := os.ReadFile(s.file("tls.pem"))
	s.check(err)
	key, err := os.ReadFile(s.file("tls.key"))
	s.check(err)
	get := func() error {
		s.client.CloseIdleConnections()
		answer, err := s.client.Get("https://" + s.addresses["listen"] + "/openapi.yaml")
		if err != nil {
			return err
		}
		return answer.Body.Close()
	}
	for name, change := range map[string]func(*x509.Certificate){
		"expired":      expired,
		"another host": func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"other.example"}, nil },
		"no server":    func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} },
	} {
		s.check(issue(s.dir, change))
		s.check(syscall.Kill(os.Getpid(), syscall.SIGHUP))
		s.eventually(name+" is reported", func() bool {
			_, body := s.admin("/readyz")
			return strings.Contains(body, "the new certificate was refused")
		})
		if err := get(); err != nil {
			t.Errorf("%s: the old certificate is not in use any more: %v", name, err)
		}
		if status, body := s.admin("/readyz"); status != 200 {
			t.Errorf("%s: /readyz %d %s", name, status, body)
		}
		if _, body := s.admin("/metrics"); !strings.Contains(body, "nightdrop_relay_reload_refused 1") {
			t.Errorf("%s: no metric shows the refusal", name)
		}
		if err := tlsOf(s.addresses["channel"], s); err != nil {
			t.Errorf("%s: the channel's old certificate is not in use any more: %v", name, err)
		}
		s.check(os.WriteFile(s.file("tls.pem"), good, 0o600))
		s.check(os.WriteFile(s.file("tls.key"), key, 0o600))
		s.check(syscall.Kill(os.Getpid(), syscall.SIGHUP))
		s.eventually("the refusal ends", func() bool {
			_, body := s.admin("/metrics")
			return strings.Contains(body, "nightdrop_relay_reload_refused 0")
		})
	}
	s.check(s.finish())
}

// tlsOf dials the channel as a client that trusts the site's first certificate.
func tlsOf(address string, s *site) error {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	return shakeHands(conn, s)
}

// TestCertificatesNearTheirEndAreTold: by check-config, the log, readiness and metrics; when one
// has expired the relay is not ready.
func TestCertificatesNearTheirEndAreTold(t *testing.T) {
	s := newSite(t)
	s.check(issue(s.dir, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(20 * 24 * time.Hour) }))
	var out bytes.Buffer
	s.check(runCheckConfig(checkConfigOptions{config: s.file("relay.toml")}, &out))
	if strings.Count(out.String(), "in 19 days") != 2 {
		t.Errorf("check-config: %s", &out)
	}
	s.serve()
	s.publish(s.vault())
	if status, body := s.admin("/readyz"); status != 200 || !strings.Contains(body, "channel.embedded.cert: the certificate") || !strings.Contains(body, "in 19 days") {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if _, body := s.admin("/metrics"); !strings.Contains(body, `nightdrop_relay_certificate_remaining_seconds{certificate="cert"} 1.7`) ||
		!strings.Contains(body, `nightdrop_relay_certificate_remaining_seconds{certificate="channel.embedded.cert"} 1.7`) {
		t.Errorf("metrics do not show it: %s", body)
	}
	s.eventually("the log", func() bool { return strings.Contains(s.log.String(), "a certificate is near its end") })
	s.check(s.finish())

	s.check(issue(s.dir, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(3 * time.Second) }))
	s.serve()
	s.eventually("that it is at its end", func() bool { return strings.Contains(s.log.String(), "a certificate is at its end") })
	s.eventually("that it has expired", func() bool {
		status, body := s.admin("/readyz")
		return status == 503 && strings.Contains(body, "cert: the certificate "+s.file("tls.pem")+" has expired")
	})
	s.check(s.finish())
}

// shakeHands is a TLS handshake over conn that trusts the site's first certificate.
func shakeHands(conn net.Conn, s *site) error {
	config := s.client.Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "127.0.0.1"
	return tls.Client(conn, config).Handshake()
}
