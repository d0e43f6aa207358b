package broker_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"testing"

	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker/brokertest"
	"nightdrop/shared/waittest"
)

func TestBothSidesMeet(t *testing.T) {
	s := brokertest.Start(t)
	r, v := s.Relay(), s.Vault()
	if err := r.Ready(); err != nil {
		t.Fatalf("ready: %v", err)
	}
	mustAck(t, r.PublishBag("relay-a", "m", []byte("a bag")))
	if m := waittest.Receive(t, "the bag", collectBags(t, v)); string(m.Data) != "a bag" {
		t.Fatalf("the bag came as %q", m.Data)
	}
	mustAck(t, v.PublishJournal(1, "j", []byte("entries")))
	mustAck(t, v.PublishResult("shop", 1, "id", []byte("a result")))
	if found, err := r.Results(t.Context(), "shop", 0, 1); err != nil || len(found) != 1 || string(found[0]) != "a result" {
		t.Fatalf("results: %q, %v", found, err)
	}
	if err := v.PublishNotice(t.Context(), channel.NoticeDirectory, []byte("a directory")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := r.Notices(ctx, func(kind channel.Notice, note []byte) {
		if kind != channel.NoticeDirectory || string(note) != "a directory" {
			t.Errorf("notice %s: %q", kind, note)
		}
		cancel()
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestWithoutAListenerNothingIsServed(t *testing.T) {
	s := brokertest.New(t)
	s.Config.Listen, s.Config.Cert, s.Config.Key = "", "", ""
	s.Start()
	mustAck(t, s.Relay().PublishBag("relay-a", "m", []byte("a bag")))
	if address := s.Broker.Addr(); address != "" {
		t.Errorf("listens on %s", address)
	}
	if err := s.Broker.Reload(); err != nil {
		t.Errorf("reload of nothing: %v", err)
	}
}

func TestClientsMustShowACertificateWhereOneIsAsked(t *testing.T) {
	s := brokertest.New(t)
	s.Certify("vault")
	s.Config.ClientCA = s.File("vault.pem")
	s.Start()
	dial := func(cert, key string) *channel.Vault {
		options := s.Options()
		options.Cert, options.Key = cert, key
		v, err := channel.DialVault(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(v.Close)
		return v
	}
	waittest.For(t, "the vault with a certificate", dial(s.File("vault.pem"), s.File("vault.key")).Connected)
	for name, v := range map[string]*channel.Vault{"none": dial("", ""), "another's": dial(s.File("broker.pem"), s.File("broker.key"))} {
		waittest.For(t, "a refusal of the certificate: "+name, func() bool {
			err := <-v.PublishResult("shop", 1, "id", nil)
			return errors.Is(err, channel.ErrUnavailable) && strings.Contains(err.Error(), "tls")
		})
		if v.Connected() {
			t.Errorf("certificate: %s: connected", name)
		}
	}
}

// shown is the certificate that the listener shows to a new connection.
func shown(t *testing.T, s *brokertest.Site) *x509.Certificate {
	t.Helper()
	// only looked at
	conn, err := tls.Dial("tcp", s.Config.Listen, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

func TestReloadTakesUpARenewedCertificate(t *testing.T) {
	s := brokertest.Start(t)
	onDisk := func() *x509.Certificate {
		data, err := os.ReadFile(s.Config.Cert)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	old, before := onDisk(), s.Vault()
	if !shown(t, s).Equal(old) {
		t.Fatal("the listener does not show its certificate")
	}
	s.Certify("broker")
	if !shown(t, s).Equal(old) {
		t.Fatal("a new certificate is shown before Reload")
	}
	if err := s.Broker.Reload(); err != nil {
		t.Fatal(err)
	}
	renewed := onDisk()
	if !shown(t, s).Equal(renewed) {
		t.Fatal("the old certificate is shown after Reload")
	}
	mustAck(t, s.Vault().PublishResult("shop", 1, "id", []byte("over a new connection")))
	mustAck(t, before.PublishResult("shop", 2, "id", []byte("over the old one")))

	if err := os.WriteFile(s.Config.Key, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Broker.Reload(); err == nil {
		t.Fatal("a damaged key was taken")
	}
	if !shown(t, s).Equal(renewed) {
		t.Fatal("a failed Reload changed the certificate")
	}
}
