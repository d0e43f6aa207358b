package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/waittest"
)

// certify writes tls.pem and tls.key into dir: a certificate for relay.example and 127.0.0.1 that
// is its own authority.
func certify(dir string) error { return issue(dir, func(*x509.Certificate) {}) }

// issue is certify of a certificate that differs.
func issue(dir string, change func(*x509.Certificate)) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "relay"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames: []string{"relay.example"},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "tls.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(filepath.Join(dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

// site is a relay's directory, its vault's keys, and the process once it runs.
type site struct {
	t         *testing.T
	dir       string
	relay     note.Verifier
	keys      *note.Signer // the vault's
	shop      *note.Signer
	addresses map[string]string
	log       *lockedBuffer
	stop      context.CancelFunc
	ended     chan error
	client    *http.Client
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), client: &http.Client{}}
	s.check(certify(s.dir))
	var vkey bytes.Buffer
	s.check(runKeygen(keygenOptions{name: "relay-one", out: s.file("relay.key")}, &vkey))
	var err error
	s.relay, err = note.ParseVerifier(strings.TrimSpace(vkey.String()))
	s.check(err)
	s.keys, err = note.GenerateSigner("vault.example")
	s.check(err)
	s.shop, err = note.GenerateSigner("shop-one")
	s.check(err)
	seed, public, err := channel.GenerateNkey()
	s.check(err)
	s.check(os.WriteFile(s.file("vault.nkey"), seed, 0o600))
	s.configure("[channel.embedded]", `dir = "channel"`, `listen = "127.0.0.1:0"`, `cert = "tls.pem"`, `key = "tls.key"`,
		fmt.Sprintf("vault_nkey = %q", public), "max_bytes = 67108864", "min_free = 1048576")
	return s
}

func (s *site) configure(channel ...string) {
	s.t.Helper()
	lines := append([]string{fmt.Sprintf("vault = %q", s.keys.Verifier()), `origin = "https://relay.example"`, `listen = "127.0.0.1:0"`,
		`admin = "127.0.0.1:0"`, `cert = "tls.pem"`, `key = "tls.key"`, "[limits]", "address_rate = 1e6", "address_burst = 1000000",
		"merchant_rate = 1e6", "merchant_burst = 1000000"}, channel...)
	s.check(os.WriteFile(s.file("relay.toml"), []byte(strings.Join(lines, "\n")), 0o600))
}

func (s *site) file(name string) string { return filepath.Join(s.dir, name) }

func (s *site) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) eventually(what string, done func() bool) {
	s.t.Helper()
	defer func() {
		if s.t.Failed() {
			s.t.Log("the log:\n" + s.log.String())
		}
	}()
	waittest.For(s.t, what, done)
}

// serve runs `relay serve` until finish or the end of the test.
func (s *site) serve() {
	s.t.Helper()
	_ = os.Remove(s.file("addresses"))
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.ended, s.log = stop, make(chan error, 1), new(lockedBuffer)
	ended, log := s.ended, s.log
	go func() {
		ended <- runServe(ctx, serveOptions{config: s.file("relay.toml"), addressFile: s.file("addresses")}, log)
		close(ended)
	}()
	s.t.Cleanup(func() { stop(); <-ended })
	s.eventually("start", func() bool {
		data, err := os.ReadFile(s.file("addresses"))
		return err == nil && json.Unmarshal(data, &s.addresses) == nil
	})
	s.trust()
}

// trust makes the client believe the certificate that is in the file now.
func (s *site) trust() {
	s.t.Helper()
	data, err := os.ReadFile(s.file("tls.pem"))
	s.check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(data)
	s.client.CloseIdleConnections()
	s.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 100}
}

// finish stops the relay and returns how it ended.
func (s *site) finish() error {
	s.t.Helper()
	s.stop()
	return waittest.Receive(s.t, "the relay to stop", s.ended)
}

func (s *site) admin(path string) (status int, body string) {
	s.t.Helper()
	answer, err := http.Get("http://" + s.addresses["admin"] + path)
	s.check(err)
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	s.check(err)
	return answer.StatusCode, string(read)
}

// vault connects as the vault does.
func (s *site) vault() *channel.Vault {
	s.t.Helper()
	v, err := channel.DialVault(s.t.Context(), channel.Options{URL: "tls://" + s.addresses["channel"], Seed: s.file("vault.nkey"), CA: s.file("tls.pem")})
	s.check(err)
	s.t.Cleanup(v.Close)
	s.eventually("the vault's connection", v.Connected)
	return v
}

// publish gives the relay a directory and members, and waits until it is ready.
func (s *site) publish(v *channel.Vault) {
	s.t.Helper()
	now := time.Now()
	directory, err := envelope.Sign(envelope.Directory{Vault: "vault.example", Serial: 1, Generation: 1, Issued: envelope.At(now), Expires: envelope.At(now.Add(time.Hour)),
		Signers: []note.Verifier{s.keys.Verifier()}, Relays: []note.Verifier{s.relay}, Keys: []envelope.DirectoryKey{{Name: "day-0a0b0c0d-x25519",
			Suite: envelope.SuiteX25519, Public: make([]byte, 32), From: envelope.At(now.Add(-time.Hour)), Until: envelope.At(now.Add(time.Hour)), Dies: envelope.At(now.Add(2 * time.Hour))}}}, s.keys)
	s.check(err)
	members, err := envelope.Sign(envelope.Members{Vault: "vault.example", Generation: 1, Serial: 1, Issued: envelope.At(now), Expires: envelope.At(now.Add(time.Hour)),
		Merchants: []envelope.Member{{ID: "shop-one", Verifiers: []note.Verifier{s.shop.Verifier()}, Status: envelope.MemberActive}}}, s.keys)
	s.check(err)
	s.check(v.PublishNotice(s.t.Context(), channel.NoticeDirectory, directory.Note))
	s.check(v.PublishNotice(s.t.Context(), channel.NoticeMembers, members.Note))
	s.eventually("readiness", func() bool { status, _ := s.admin("/readyz"); return status == 200 })
}

// envelope returns an envelope whose part has the form of a sealed one; no relay can see more.
func (s *site) envelope() []byte {
	s.t.Helper()
	sealed := make([]byte, envelope.SuiteX25519.Overhead()+256)
	copy(sealed, []byte{1, 0x0a, 0x0b, 0x0c, 0x0d})
	signed, err := envelope.Sign(envelope.Envelope{Merchant: "shop-one", ID: uuid.NewString(), Created: envelope.At(time.Now()),
		Until: envelope.At(time.Now().Add(time.Hour)), Order: envelope.Part{Key: "day-0a0b0c0d-x25519", Sealed: sealed}}, s.shop)
	s.check(err)
	return signed.Note
}

// post returns the status, 0 when there was no answer.
func (s *site) post(body []byte) (status int, receipt envelope.Receipt) {
	answer, err := s.client.Post("https://"+s.addresses["listen"]+"/v1/envelopes", envelope.MediaType, bytes.NewReader(body))
	if err != nil {
		return 0, receipt
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, receipt
	}
	if answer.StatusCode == http.StatusAccepted {
		signed, err := envelope.Open[envelope.Receipt](read, s.relay)
		if err != nil {
			s.t.Error(err)
		}
		receipt = signed.Value
	}
	return answer.StatusCode, receipt
}

// bags reads bags until n envelopes came: the bags in stream order, and each envelope's place by
// digest.
func (s *site) bags(v *channel.Vault, n int) (bags []envelope.Signed[envelope.Bag], places map[string]string) {
	s.t.Helper()
	places = map[string]string{}
	enough := errors.New("enough")
	err := v.Bags(s.t.Context(), 1, func(messages []channel.Message) error {
		for _, m := range messages {
			bag, notes, err := envelope.OpenBag(m.Data, s.relay)
			s.check(err)
			bags = append(bags, bag)
			for i, msg := range notes {
				text, err := note.Text(msg)
				s.check(err)
				places[note.Digest(text)] = fmt.Sprintf("%s/%d/%d", bag.Value.Run, bag.Value.Number, i)
			}
		}
		if len(places) >= n {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		s.t.Fatal(err)
	}
	return bags, places
}

// TestAStopAnswersAllThatWasAccepted stops a relay in the middle of many posts, twice, and then
// reads the stream as the vault does: every receipt kept, the chain whole over the restarts.
func TestAStopAnswersAllThatWasAccepted(t *testing.T) {
	s := newSite(t)
	var mu sync.Mutex
	receipts := map[string]string{}
	for range 2 {
		s.serve()
		v := s.vault()
		s.publish(v)
		var group sync.WaitGroup
		started := make(chan struct{}, 1000)
		for range 32 {
			bodies := make([][]byte, 60)
			for i := range bodies {
				bodies[i] = s.envelope()
			}
			group.Go(func() {
				for _, body := range bodies {
					status, r := s.post(body)
					if status != http.StatusAccepted && status != 0 {
						t.Errorf("answer %d", status)
					}
					if status != http.StatusAccepted {
						return
					}
					started <- struct{}{}
					mu.Lock()
					receipts[r.Digest] = fmt.Sprintf("%s/%d/%d", r.Run, r.Number, r.Index)
					mu.Unlock()
				}
			})
		}
		for range 200 {
			<-started
		}
		go func() {
			for range started {
			}
		}()
		if err := s.finish(); err != nil {
			t.Errorf("the relay ended with %v", err)
		}
		group.Wait()
		close(started)
		v.Close()
	}
	s.serve()
	bags, places := s.bags(s.vault(), len(receipts))
	for digest, place := range receipts {
		if places[digest] != place {
			t.Errorf("an envelope is at %q, its receipt says %s", places[digest], place)
		}
	}
	checkChain(t, bags)
}

// checkChain checks that bags follow one another, each run after the last bag of the run before.
func checkChain(t *testing.T, bags []envelope.Signed[envelope.Bag]) {
	t.Helper()
	var last *envelope.Signed[envelope.Bag]
	for i, bag := range bags {
		b := bag.Value
		switch {
		case b.Number > 1 && (b.Run != last.Value.Run || b.Number != last.Value.Number+1 || b.Previous != last.Digest):
			t.Errorf("bag %d of %s does not follow bag %d of %s", b.Number, b.Run, last.Value.Number, last.Value.Run)
		case b.Number == 1 && i > 0 && (b.After == nil || *b.After != envelope.BagRef{Run: last.Value.Run, Number: last.Value.Number, Digest: last.Digest}):
			t.Errorf("run %s begins after %+v, want bag %d of %s", b.Run, b.After, last.Value.Number, last.Value.Run)
		}
		last = &bag
	}
}

func TestTheCertificateIsReloaded(t *testing.T) {
	s := newSite(t)
	s.serve()
	get := func() error {
		answer, err := s.client.Get("https://" + s.addresses["listen"] + "/openapi.yaml")
		if err != nil {
			return err
		}
		return answer.Body.Close()
	}
	s.check(get())
	// Bad files: the old certificate stays.
	old, err := os.ReadFile(s.file("tls.pem"))
	s.check(err)
	s.check(os.WriteFile(s.file("tls.pem"), []byte("no certificate"), 0o600))
	s.check(syscall.Kill(os.Getpid(), syscall.SIGHUP))
	s.eventually("the refusal", func() bool { return strings.Contains(s.log.String(), "the old one stays") })
	s.client.CloseIdleConnections()
	s.check(get())
	// Good ones: new connections get the new certificate, which the client does not trust yet.
	s.check(os.WriteFile(s.file("tls.pem"), old, 0o600))
	s.check(certify(s.dir))
	s.check(syscall.Kill(os.Getpid(), syscall.SIGHUP))
	s.eventually("the reload", func() bool { return strings.Contains(s.log.String(), "certificate reloaded") })
	s.client.CloseIdleConnections()
	if err := get(); err == nil {
		t.Error("the old certificate is still shown")
	}
	s.trust()
	s.check(get())
	// The embedded channel has the same files.
	conn, err := tls.Dial("tcp", s.addresses["channel"], s.client.Transport.(*http.Transport).TLSClientConfig)
	s.check(err)
	s.check(conn.Close())
	s.check(s.finish())
}

// TestTheChannelComesLater starts a relay whose external channel is not there: it serves, says 503,
// and stops in order.
func TestTheChannelComesLater(t *testing.T) {
	s := newSite(t)
	seed, _, err := channel.GenerateNkey()
	s.check(err)
	s.check(os.WriteFile(s.file("relay.nkey"), seed, 0o600))
	s.configure("[channel.external]", `url = "tls://127.0.0.1:1"`, `seed = "relay.nkey"`, `ca = "tls.pem"`)
	s.serve()
	if status, _ := s.admin("/healthz"); status != 200 {
		t.Errorf("/healthz: %d", status)
	}
	if status, body := s.admin("/readyz"); status != 503 || !strings.Contains(body, "channel unavailable") {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if status, _ := s.post(s.envelope()); status != 503 {
		t.Errorf("a post: %d", status)
	}
	s.check(s.finish())
}

func TestTheChannelGoesAndComes(t *testing.T) {
	s := newSite(t)
	s.serve()
	s.publish(s.vault())
	first, _ := s.post(s.envelope())
	s.check(s.finish())
	// The store, on its own, is now an external channel's stand-in that went away: the next run
	// finds directory and members in it, without the vault.
	s.serve()
	s.eventually("readiness without the vault", func() bool { status, _ := s.admin("/readyz"); return status == 200 })
	second, receipt := s.post(s.envelope())
	if first != 202 || second != 202 || receipt.Number != 1 {
		t.Errorf("posts %d and %d, bag %d", first, second, receipt.Number)
	}
	s.check(s.finish())
}

func TestTwoRelaysOnOneHead(t *testing.T) {
	s := newSite(t)
	s.serve()
	err := runServe(t.Context(), serveOptions{config: s.file("relay.toml")}, io.Discard)
	if exitCode(err) != 6 {
		t.Errorf("a second relay: %v, exit code %d", err, exitCode(err))
	}
	s.configure("[channel.embedded]", `dir = "channel"`, `max_bytes = 67108864`)
	text, err := os.ReadFile(s.file("relay.toml"))
	s.check(err)
	s.check(os.WriteFile(s.file("relay.toml"), append([]byte("head_file = \"other.head\"\n"), text...), 0o600))
	err = runServe(t.Context(), serveOptions{config: s.file("relay.toml")}, io.Discard)
	if exitCode(err) != 6 {
		t.Errorf("a second relay on the store: %v, exit code %d", err, exitCode(err))
	}
}

func TestATakenPort(t *testing.T) {
	s := newSite(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	s.check(err)
	defer taken.Close()
	text, err := os.ReadFile(s.file("relay.toml"))
	s.check(err)
	s.check(os.WriteFile(s.file("relay.toml"), bytes.Replace(text, []byte(`listen = "127.0.0.1:0"`), fmt.Appendf(nil, "listen = %q", taken.Addr()), 1), 0o600))
	err = runServe(t.Context(), serveOptions{config: s.file("relay.toml")}, io.Discard)
	if exitCode(err) != 6 {
		t.Errorf("%v, exit code %d", err, exitCode(err))
	}
}

func TestADamagedHeadDoesNotKeepTheRelayDown(t *testing.T) {
	s := newSite(t)
	s.check(os.WriteFile(s.file("relay.head"), []byte("damaged"), 0o600))
	s.serve()
	if !strings.Contains(s.log.String(), "the head file is damaged: this run begins a new chain") {
		t.Errorf("log:\n%s", s.log)
	}
	s.publish(s.vault())
	if status, r := s.post(s.envelope()); status != 202 || r.Number != 1 {
		t.Errorf("post: %d, bag %d", status, r.Number)
	}
	s.check(s.finish())
}
