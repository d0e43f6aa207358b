package ingest

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"nightdrop/relay/internal/bagger"
	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/seal"
	"nightdrop/shared/waittest"
)

const (
	vaultName = "vault.example"
	shop      = "shop-one"
	otherShop = "shop-two"
	suspended = "shop-three"
	origin    = "https://relay.example"
)

// site is a relay's edge over real TLS with the real embedded channel, and a vault that publishes
// into it.
type site struct {
	t       *testing.T
	dir     string
	broker  *broker.Broker
	relay   *channel.Relay
	vault   *channel.Vault
	signer  *note.Signer // the relay's
	keys    *note.Signer // the vault's
	shops   map[string]*note.Signer
	board   *Board
	bags    *bagger.Bagger
	edge    *Edge
	metrics *Metrics
	log     *bytes.Buffer
	address string
	roots   *x509.CertPool
	client  *http.Client
	day     envelope.DirectoryKey
	codeKey envelope.DirectoryKey
	dead    envelope.DirectoryKey
	coming  envelope.DirectoryKey
}

// plan is what a test changes of a site before it starts.
type plan struct {
	limits   Limits
	channel  func(*broker.Config)
	bags     func(Bags) Bags
	bagger   func(*bagger.Config)
	silent   bool // the vault publishes nothing
	noServer bool
}

func openLimits() Limits {
	return Limits{AddressBurst: 1, Tracked: 1000, MerchantBurst: 1, InFlight: 1000, AddressInFlight: 1000, MerchantInFlight: 1000,
		Polls: 1000, MerchantPolls: 1000, AckWait: 10 * time.Second}
}

func newSite(t *testing.T, change func(*plan)) *site {
	t.Helper()
	p := plan{limits: openLimits(), channel: func(*broker.Config) {}, bags: func(b Bags) Bags { return b }, bagger: func(*bagger.Config) {}}
	if change != nil {
		change(&p)
	}
	s := &site{t: t, dir: t.TempDir(), shops: map[string]*note.Signer{}, log: new(bytes.Buffer), metrics: NewMetrics()}
	s.certify()
	s.signer, s.keys = s.newSigner("relay-1"), s.newSigner(vaultName)
	for _, name := range []string{shop, otherShop, suspended} {
		s.shops[name] = s.newSigner(name)
	}
	s.openChannel(p)
	s.openEdge(p)
	s.makeKeys()
	if !p.silent {
		s.publish(channel.NoticeDirectory, s.directory(1, nil))
		s.publish(channel.NoticeMembers, s.members(1))
		waittest.For(s.t, "directory and members", func() bool { return s.board.Directory() != nil && s.board.HasMembers() })
	}
	return s
}

func (s *site) newSigner(name string) *note.Signer {
	s.t.Helper()
	signer, err := note.GenerateSigner(name)
	s.check(err)
	return signer
}

func (s *site) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// certify makes one certificate for 127.0.0.1 that is its own authority.
func (s *site) certify() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.check(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	s.check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	s.check(err)
	s.check(os.WriteFile(s.file("tls.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	s.check(os.WriteFile(s.file("tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	parsed, err := x509.ParseCertificate(der)
	s.check(err)
	s.roots = x509.NewCertPool()
	s.roots.AddCert(parsed)
}

func (s *site) file(name string) string { return filepath.Join(s.dir, name) }

func (s *site) openChannel(p plan) {
	seed, public, err := channel.GenerateNkey()
	s.check(err)
	s.check(os.WriteFile(s.file("vault.nkey"), seed, 0o600))
	config := broker.Config{Dir: s.file("channel"), Listen: "127.0.0.1:0", Cert: s.file("tls.pem"), Key: s.file("tls.key"),
		VaultNkey: public, MaxBytes: 64 << 20, MinFree: 1 << 20, AckTimeout: time.Second}
	p.channel(&config)
	s.broker, err = broker.Start(s.t.Context(), config)
	s.check(err)
	s.relay, err = s.broker.Relay()
	s.check(err)
	s.vault, err = channel.DialVault(s.t.Context(), channel.Options{URL: "tls://" + s.broker.Addr(), Seed: s.file("vault.nkey"), CA: s.file("tls.pem")})
	s.check(err)
	s.t.Cleanup(func() {
		s.vault.Close()
		s.relay.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = s.broker.Close(ctx)
	})
	waittest.For(s.t, "the vault's connection", s.vault.Connected)
}

func (s *site) openEdge(p plan) {
	logger := slog.New(slog.DiscardHandler)
	head, err := bagger.OpenHead(s.file("head"), time.Now, logger)
	s.check(err)
	config := bagger.Config{Relay: s.signer.Name(), Signer: s.signer, Publisher: s.relay, Head: head, Window: 4,
		QueueEnvelopes: 1000, QueueBytes: 8 << 20, Repeats: 1000, Now: time.Now, Logger: logger, Observer: s.metrics}
	p.bagger(&config)
	s.bags, err = bagger.Open(config)
	s.check(err)
	s.board = NewBoard(envelope.NewPin(s.keys.Verifier(), 0), s.signer.Verifier(), time.Now, logger)
	s.board.Observe(func(active int) { _ = s.bags.Share(active) }, func(position envelope.Position) {
		for _, entry := range position.Relays {
			s.bags.Committed(entry.Number)
		}
	})
	s.edge, err = New(Config{Signer: s.signer, Origin: origin, Board: s.board, Bags: p.bags(s.bags), Channel: s.relay, Limits: p.limits,
		Metrics: s.metrics, Now: time.Now, Logger: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	s.check(err)
	watching, stop := context.WithCancel(context.Background())
	go s.board.Watch(watching, s.relay.Notices)
	s.t.Cleanup(func() {
		stop()
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = s.bags.Close(ctx)
		_ = head.Close()
	})
	if !p.noServer {
		s.serve()
	}
}

func (s *site) serve() {
	pair, err := tls.LoadX509KeyPair(s.file("tls.pem"), s.file("tls.key"))
	s.check(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	s.check(err)
	s.address = listener.Addr().String()
	server := NewServer(s.edge, slog.New(slog.DiscardHandler))
	limited := LimitListener(listener, 1000, 1000, s.metrics.Connection)
	go func() {
		_ = server.Serve(tls.NewListener(limited, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}}))
	}()
	s.t.Cleanup(func() { _ = server.Close() })
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots}, MaxIdleConnsPerHost: 300}}
	s.t.Cleanup(s.client.CloseIdleConnections)
}

// makeKeys makes sealing keys: one of each kind in force, one dead, one not begun.
func (s *site) makeKeys() {
	now := time.Now()
	key := func(kind envelope.Kind, id uint32, from, dies time.Duration) envelope.DirectoryKey {
		private, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
		s.check(err)
		return envelope.DirectoryKey{Name: envelope.MakeKeyName(kind, id, envelope.SuiteX25519), Suite: envelope.SuiteX25519,
			Public: private.PublicKey().Bytes(), From: envelope.At(now.Add(from)), Until: envelope.At(now.Add(from + time.Hour)), Dies: envelope.At(now.Add(dies))}
	}
	s.day = key(envelope.KindDay, 0x0a0b0c0d, -time.Minute, 168*time.Hour)
	s.codeKey = key(envelope.KindCode, 0x01020304, -time.Minute, 12*time.Hour)
	s.dead = key(envelope.KindDay, 0xdeaddead, -169*time.Hour, -time.Hour)
	s.coming = key(envelope.KindDay, 0xc0c0c0c0, time.Hour, 169*time.Hour)
}

func (s *site) directory(serial uint64, change func(*envelope.Directory)) []byte {
	d := envelope.Directory{Vault: vaultName, Serial: serial, Generation: 1, Issued: envelope.At(time.Now()),
		Expires: envelope.At(time.Now().Add(48 * time.Hour)), Signers: []note.Verifier{s.keys.Verifier()},
		Keys: []envelope.DirectoryKey{s.day, s.codeKey, s.dead, s.coming}, Relays: []note.Verifier{s.signer.Verifier()}}
	if change != nil {
		change(&d)
	}
	return sign(s, d, s.keys)
}

func (s *site) members(serial uint64) []byte {
	m := envelope.Members{Vault: vaultName, Generation: 1, Serial: serial, Issued: envelope.At(time.Now()), Expires: envelope.At(time.Now().Add(time.Hour))}
	for _, name := range []string{shop, otherShop, suspended} {
		status := envelope.MemberActive
		if name == suspended {
			status = envelope.MemberSuspended
		}
		m.Merchants = append(m.Merchants, envelope.Member{ID: name, Verifiers: []note.Verifier{s.shops[name].Verifier()}, Status: status})
	}
	return sign(s, m, s.keys)
}

func sign[T envelope.Statement](s *site, v T, signer *note.Signer) []byte {
	s.t.Helper()
	signed, err := envelope.Sign(v, signer)
	s.check(err)
	return signed.Note
}

func (s *site) publish(kind channel.Notice, msg []byte) {
	s.t.Helper()
	s.check(s.vault.PublishNotice(s.t.Context(), kind, msg))
}

// part seals a plaintext.
func (s *site) part(name envelope.PartName, key envelope.DirectoryKey, id string) envelope.Part {
	s.t.Helper()
	part, err := seal.Seal(key.Name, key.Public, name, shop, id, []byte(`{"nothing":"that the relay could read"}`))
	s.check(err)
	return part
}

// envelope returns a valid envelope of shop.
func (s *site) envelope() envelope.Envelope {
	id, err := uuid.NewV7()
	s.check(err)
	account, code := s.part(envelope.PartAccount, s.day, id.String()), s.part(envelope.PartCode, s.codeKey, id.String())
	return envelope.Envelope{Merchant: shop, ID: id.String(), Created: envelope.At(time.Now()), Until: envelope.At(time.Now().Add(time.Hour)),
		Order: s.part(envelope.PartOrder, s.day, id.String()), Account: &account, Code: &code}
}

// response is an answer with its body read.
type response struct {
	status int
	header http.Header
	body   []byte
	closed bool
}

func (s *site) do(method, path string, body io.Reader, change func(*http.Request)) response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, "https://"+s.address+path, body)
	s.check(err)
	if change != nil {
		change(r)
	}
	answer, err := s.client.Do(r)
	s.check(err)
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	s.check(err)
	return response{answer.StatusCode, answer.Header, read, answer.Close}
}

func (s *site) post(body []byte) response {
	s.t.Helper()
	return s.do(http.MethodPost, "/v1/envelopes", bytes.NewReader(body), func(r *http.Request) { r.Header.Set("Content-Type", envelope.MediaType) })
}

func (s *site) get(path string) response { s.t.Helper(); return s.do(http.MethodGet, path, nil, nil) }

// code returns the problem's code after checking that it is one, as RFC 9457 says.
func (s *site) code(r response) string {
	s.t.Helper()
	var problem struct {
		Type, Title, Detail string
		Status              int
	}
	if err := json.Unmarshal(r.body, &problem); err != nil || r.header.Get("Content-Type") != "application/problem+json" {
		s.t.Fatalf("%d %s is no problem: %s", r.status, r.header.Get("Content-Type"), r.body)
	}
	if problem.Status != r.status || problem.Title == "" || problem.Detail == "" {
		s.t.Errorf("problem %+v in an answer of status %d", problem, r.status)
	}
	return problem.Type
}
