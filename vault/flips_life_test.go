package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"nightdrop/ops/simulator/bank"
	"nightdrop/ops/simulator/host"
	"nightdrop/relay/bagtest"
	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker"
	"nightdrop/shared/config"
	"nightdrop/shared/note"
	"nightdrop/shared/storefront"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/daemon"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/settings"
)

// town is what stays the same whatever is flipped: keys, certificates, who sells.
type town struct {
	t         testing.TB
	vkey      note.Verifier
	shares    [][]byte
	nkey      string // the vault's, public
	cert, key string // of the channel's listener
	relays    [2]*note.Signer
	shops     [2]*storefront.Identity
	place     string // of the journal
	directory string // the vault's note, once there is one
}

// newTown makes a vault in dir, and keys for all who deal with it.
func newTown(t testing.TB, dir, place string) *town {
	t.Helper()
	w := &town{t: t, place: place}
	var out bytes.Buffer
	shares := []string{t.TempDir(), t.TempDir()}
	arguments := []string{"init", "--dir", filepath.Join(dir, "v"), "--name", "vault.example.com", "--shares", "2",
		"--threshold", "2", "--shares-to", strings.Join(shares, ","), "--shares-on-own-disk", "--json"}
	code := run(t.Context(), arguments, console{in: strings.NewReader(""), out: &out, errOut: t.Output(), now: time.Now})
	var made initialised
	if code != 0 {
		t.Fatalf("init: exit code %d", code)
	}
	w.must(json.Unmarshal(out.Bytes(), &made))
	w.nkey = made.ChannelKey
	var err error
	w.vkey, err = note.ParseVerifier(made.Verifier)
	w.must(err)
	for _, path := range made.Shares {
		share, err := readShare(path)
		w.must(err)
		w.shares = append(w.shares, share)
	}
	w.certify()
	for i, name := range []string{"relay-1", "relay-2"} {
		w.relays[i], err = note.GenerateSigner(name)
		w.must(err)
	}
	for i, name := range []string{"corner-cafe", "book-shop"} {
		w.shops[i], err = storefront.NewIdentity(name)
		w.must(err)
	}
	for _, name := range []string{"outbox", "returns", "journal"} {
		w.must(os.Mkdir(filepath.Join(dir, name), 0o700))
	}
	return w
}

func (w *town) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// certify makes the certificate of the channel's listener.
func (w *town) certify() {
	web := httptest.NewTLSServer(nil) // for its certificate, which names 127.0.0.1
	defer web.Close()
	private, err := x509.MarshalPKCS8PrivateKey(web.TLS.Certificates[0].PrivateKey)
	w.must(err)
	dir := w.t.TempDir()
	w.cert, w.key = filepath.Join(dir, "broker.pem"), filepath.Join(dir, "broker.key")
	w.must(os.WriteFile(w.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
		Bytes: web.Certificate().Raw}), 0o600))
	w.must(os.WriteFile(w.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

// life is a vault's life in a directory, with the relay, the channel, the acquirer's host and the
// bank around it.
type life struct {
	*town
	dir   string
	clock func() time.Time
	said  *warnings

	host    *host.Host
	broker  *broker.Broker
	channel *channel.Relay
	bags    *recorder
	relay   *bagtest.Relay
	daemon  *daemon.Daemon
	client  *control.Client
	stop    context.CancelFunc
	ended   chan struct{} // closed when the daemon has ended, with err
	err     error
}

func (l *life) path(parts ...string) string {
	return filepath.Join(append([]string{l.dir}, parts...)...)
}

// ledgerPath is where the ledger lies.
func (l *life) ledgerPath() string { return l.path("v", settings.LedgerFile) }

// startHost has the acquirer's host answer.
func (l *life) startHost() (err error) {
	l.host, err = host.Start(host.Config{Listen: "127.0.0.1:0", Book: l.path("book"), NoSync: true, Now: l.clock})
	return err
}

// startRelay starts the channel and the relay that makes bags. On an error nothing is left running
// but what l names.
func (l *life) startRelay(ctx context.Context) (err error) {
	logger := slog.New(l.said)
	l.broker, err = broker.Start(ctx, broker.Config{Dir: l.path("store"), Listen: "127.0.0.1:0",
		Cert: l.cert, Key: l.key, VaultNkey: l.nkey,
		MaxBytes: 64 << 20, MinFree: 1 << 20, Logger: logger})
	if err != nil {
		return err
	}
	if l.channel, err = l.broker.Relay(); err != nil {
		return err
	}
	l.bags = &recorder{channel: l.channel}
	l.relay, err = bagtest.Start(l.path("head"), l.relays[0], l.bags, logger)
	return err
}

// recorder keeps the bags that go into the channel.
type recorder struct {
	channel *channel.Relay
	mu      sync.Mutex
	bags    [][]byte
}

func (r *recorder) PublishBag(relay, msgID string, msg []byte) channel.Ack {
	r.mu.Lock()
	r.bags = append(r.bags, slices.Clone(msg))
	r.mu.Unlock()
	return r.channel.PublishBag(relay, msgID, msg)
}

func (r *recorder) all() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bags)
}

// settings are those of the vault in this life.
func (l *life) settings() (settings.Settings, error) {
	s, err := settings.Load(l.path("v"))
	if err != nil {
		return s, err
	}
	s.Channel.URL, s.Channel.CA = "tls://127.0.0.1:9", l.cert
	if l.broker != nil {
		s.Channel.URL = "tls://" + l.broker.Addr()
	}
	s.Acquirer.Address = "127.0.0.1:9"
	if l.host != nil {
		s.Acquirer.Address = l.host.Addr()
	}
	s.Relays = []note.Verifier{l.relays[0].Verifier(), l.relays[1].Verifier()}
	s.StopGrace = config.Duration(100 * time.Millisecond)
	s.Journal.Place = l.place
	if l.place == settings.InDirectory {
		s.Journal.Directory = l.path("journal")
	}
	s.Bank = settings.Bank{Outbox: l.path("outbox"), ImmediateDestination: "231380104",
		DestinationName: "OUR BANK", ImmediateOrigin: "121042882",
		OriginName: "NIGHTDROP", ODFI: "23138010", Cutoff: "16:45", Zone: "America/New_York", LeadDays: 1}
	return s, s.Check(time.Now())
}

// startVault starts the daemon, locked.
func (l *life) startVault() error {
	s, err := l.settings()
	if err != nil {
		return err
	}
	if l.daemon, err = daemon.New(daemonConfig(s, l.clock, slog.New(l.said))); err != nil {
		return err
	}
	var ctx context.Context
	ctx, l.stop = context.WithCancel(context.Background())
	l.ended = make(chan struct{})
	go func() {
		defer close(l.ended)
		l.err = l.daemon.Run(ctx)
	}()
	l.client = control.NewClient(s.Socket, "")
	for {
		if _, err := l.client.Status(ctx); err == nil {
			return nil
		}
		select {
		case <-l.ended:
			return l.err
		case <-time.After(time.Millisecond):
		}
	}
}

func (l *life) unlock(ctx context.Context) error { return l.unlockWith(ctx, control.UnlockOptions{}) }

// waitsForJournal is why the vault takes and sends nothing, "" where it does.
func (l *life) waitsForJournal(ctx context.Context) string {
	status, err := l.client.Status(ctx)
	if err != nil || !strings.Contains(status.Journal, "bags wait") || strings.HasPrefix(status.Journal, "ready") {
		return ""
	}
	return status.Journal
}

func (l *life) unlockWith(ctx context.Context, o control.UnlockOptions) error {
	var shares [][]byte
	for _, share := range l.shares {
		shares = append(shares, slices.Clone(share))
	}
	_, err := l.client.Unlock(ctx, shares, o)
	return err
}

// alive reports whether the daemon has not ended.
func (l *life) alive() bool {
	select {
	case <-l.ended:
		return false
	default:
		return true
	}
}

// stopVault ends the daemon and returns why it ended, nil for a stop.
func (l *life) stopVault() error {
	if l.daemon == nil {
		return nil
	}
	l.stop()
	<-l.ended
	l.daemon = nil
	return l.err
}

func (l *life) stopRelay() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if l.relay != nil {
		err = l.relay.Close(ctx)
	}
	if l.channel != nil {
		l.channel.Close()
	}
	if l.broker != nil {
		err = errors.Join(err, l.broker.Close(ctx))
	}
	l.relay, l.channel, l.broker = nil, nil, nil
	return err
}

func (l *life) stopHost() {
	if l.host != nil {
		_ = l.host.Close()
		l.host = nil
	}
}

// end stops all that runs.
func (l *life) end() error {
	err := l.stopVault()
	l.stopHost()
	return errors.Join(err, l.stopRelay())
}

// ledger is the vault's, nil where it is not unlocked any more.
func (l *life) ledger() *ledger.Ledger {
	if l.daemon == nil {
		return nil
	}
	parts, err := l.daemon.Parts()
	if err != nil {
		return nil
	}
	return parts.Ledger
}

// unsettled are the stages of payments on their way.
var unsettled = []book.Stage{book.StageReceived, book.StageAuthorising, book.StageCapturing,
	book.StageVoiding, book.StageUnknown,
	book.StageCorrecting}

// quiet reports whether the vault has at least so many payments, and nothing under way.
func (l *life) quiet(payments int) bool {
	open := l.ledger()
	if open == nil {
		return false
	}
	quiet := false
	err := open.View(func(tx *ledger.Tx) error {
		if busy, err := underway(tx); err != nil || busy {
			return err
		}
		n := 0
		err := tx.Payments(ledger.Query{}, func(book.Payment) error { n++; return nil })
		quiet = n >= payments
		return err
	})
	return err == nil && quiet
}

// underway reports whether a payment is on its way, or a result is not published.
func underway(tx *ledger.Tx) (some bool, err error) {
	for _, stage := range unsettled {
		err := tx.Payments(ledger.Query{Stage: stage, Limit: 1},
			func(book.Payment) error { some = true; return nil })
		if err != nil || some {
			return some, err
		}
	}
	pending, err := tx.PendingResults(1)
	if err != nil || len(pending) > 0 {
		return true, err
	}
	unsent, err := tx.UnsentResults(1)
	return len(unsent) > 0, err
}

// settles waits until the vault has so many payments and is quiet, and reports whether that came
// about before it committed nothing for as long as patience.
func (l *life) settles(payments int, patience time.Duration) bool {
	for open := l.ledger(); open != nil && l.alive(); {
		news := open.Committed()
		if l.quiet(payments) {
			return true
		}
		select {
		case <-news:
		case <-l.ended:
		case <-time.After(patience):
			return false
		}
	}
	return false
}

// await waits until done, and reports whether that came about before the daemon ended and a long
// time passed.
func (l *life) await(done func() bool) bool {
	met := false
	waittest.Within(longWait, func() bool { met = done(); return met || !l.alive() })
	return met
}

// shop is a storefront's client, which reaches its relay without a network.
func (l *life) shop(i int) (*storefront.Client, error) {
	return storefront.New(storefront.Config{Relay: "https://relay.example.com", Vault: l.vkey,
		Identity: l.shops[i], Now: l.clock,
		HTTP: &http.Client{Transport: counter{l, l.shops[i].Merchant()}}})
}

// counter is the relay as a storefront meets it, as far as it reads.
type counter struct {
	life     *life
	merchant string
}

// RoundTrip implements http.RoundTripper.
func (c counter) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := c.answer(r)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body)), Request: r,
		Header: http.Header{}}, nil
}

func (c counter) answer(r *http.Request) ([]byte, error) {
	switch r.URL.Path {
	case "/v1/directory":
		if c.life.directory != "" {
			return []byte(c.life.directory), nil
		}
		d, err := c.life.client.Directory(r.Context())
		return []byte(d.Note), err
	case "/v1/results":
		after, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
		if err != nil {
			return nil, err
		}
		notes, err := c.life.channel.Results(r.Context(), c.merchant, after, 100)
		if err != nil {
			return nil, err
		}
		page := struct {
			Results []string `json:"results"`
			Next    uint64   `json:"next"`
		}{Results: []string{}, Next: after}
		for _, n := range notes {
			page.Results = append(page.Results, string(n))
			page.Next++
		}
		return json.Marshal(page)
	}
	return nil, fmt.Errorf("nobody asks for %s", r.URL.Path)
}

// bankStep has the bank look at the outbox once, and returns its book.
func (l *life) bankStep() (statement bank.Statement, err error) {
	b, err := bank.Open(bank.Config{Outbox: l.path("outbox"), Returns: l.path("returns"),
		Book: l.path("bank"), Now: l.clock})
	if err != nil {
		return statement, err
	}
	err = b.Step()
	statement = b.Statement()
	return statement, errors.Join(err, b.Close())
}

// warnings keeps what was logged at warning and above.
type warnings struct {
	mu    sync.Mutex
	lines []string
}

// Enabled implements slog.Handler.
func (*warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle implements slog.Handler.
func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line)
	return nil
}

// WithAttrs implements slog.Handler.
func (w *warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup implements slog.Handler.
func (w *warnings) WithGroup(string) slog.Handler { return w }

func (w *warnings) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.lines)
}
