package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"nightdrop/ops/simulator/host"
	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/seal"
	"nightdrop/shared/storefront"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/audit"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/settings"
)

// site is a vault's daemon between a real broker and a real acquirer's host, worked by its command
// line.
type site struct {
	t        *testing.T
	dir      string
	shares   []string
	book     string
	acquirer *host.Host
	broker   *broker.Broker
	channel  broker.Config // of broker
	relay    *channel.Relay
	signer   *note.Signer // the relay's
	shop     *note.Signer
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: filepath.Join(t.TempDir(), "v"), book: filepath.Join(t.TempDir(), "book")}
	var made initialised
	s.json(&made, "init", "--name", "vault.example.com", "--shares", "3", "--threshold", "2",
		"--shares-to", strings.Join([]string{t.TempDir(), t.TempDir(), t.TempDir()}, ","), "--shares-on-own-disk")
	s.shares = made.Shares
	s.surround(made.ChannelKey)
	return s
}

// surround puts a broker, an acquirer's host and a relay's key around the vault's directory, and
// names them in its settings.
func (s *site) surround(channelKey string) {
	s.t.Helper()
	s.startBroker(channelKey)
	var err error
	s.acquirer, err = host.Start(host.Config{Listen: "127.0.0.1:0", Book: s.book})
	s.must(err)
	s.t.Cleanup(func() { _ = s.acquirer.Close() })
	s.signer, err = note.GenerateSigner("relay-1")
	s.must(err)
	s.configure(map[string]string{`url = ""`: fmt.Sprintf("url = %q", "tls://"+s.broker.Addr()), `ca = ""`: `ca = "broker.pem"`,
		`address = ""`: fmt.Sprintf("address = %q", s.acquirer.Addr()), "relays = []": fmt.Sprintf("relays = [%q]", s.signer.Verifier())})
}

// startBroker runs an embedded channel whose certificate the vault knows.
func (s *site) startBroker(vaultKey string) {
	s.t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate, which names 127.0.0.1
	defer web.Close()
	private, err := x509.MarshalPKCS8PrivateKey(web.TLS.Certificates[0].PrivateKey)
	s.must(err)
	cert, key := filepath.Join(s.dir, "broker.pem"), filepath.Join(s.t.TempDir(), "broker.key")
	s.must(os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600))
	s.must(os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	s.channel = broker.Config{Dir: filepath.Join(s.t.TempDir(), "store"), Listen: "127.0.0.1:0",
		Cert: cert, Key: key, VaultNkey: vaultKey, MaxBytes: 64 << 20, MinFree: 1 << 20}
	s.runBroker()
	s.channel.Listen = s.broker.Addr()
}

// runBroker starts the channel, anew once it is closed: on the same store and address.
func (s *site) runBroker() {
	s.t.Helper()
	var err error
	s.broker, err = broker.Start(s.t.Context(), s.channel)
	s.must(err)
	s.t.Cleanup(func() { _ = s.broker.Close(context.Background()) })
	s.relay, err = s.broker.Relay()
	s.must(err)
	s.t.Cleanup(s.relay.Close)
}

func (s *site) configure(replace map[string]string) {
	s.t.Helper()
	path := filepath.Join(s.dir, settings.File)
	text, err := os.ReadFile(path)
	s.must(err)
	for from, to := range replace {
		text = bytes.Replace(text, []byte(from), []byte(to), 1)
	}
	s.must(os.WriteFile(path, text, 0o600))
}

// command runs a command line in this process.
func (s *site) command(args ...string) (code int, out string) {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(s.t.Context(), append(args, "--dir", s.dir), console{in: strings.NewReader(""), out: &stdout, errOut: &stderr, now: time.Now})
	if code != 0 {
		s.t.Logf("vault %v: %s", args, stderr.String())
	}
	return code, stdout.String()
}

// json runs a command that must succeed and reads its JSON.
func (s *site) json(v any, args ...string) {
	s.t.Helper()
	code, out := s.command(append(args, "--json")...)
	if code != 0 {
		s.t.Fatalf("vault %v: exit code %d", args, code)
	}
	s.must(json.Unmarshal([]byte(out), v))
}

// serve runs the daemon, unlocked, until the returned function stops it.
func (s *site) serve() (stop func()) {
	s.t.Helper()
	stop = s.serveLocked()
	var unlocked control.Unlocked
	s.json(&unlocked, "unlock", "--share", s.shares[0], "--share", s.shares[2])
	return stop
}

// serveLocked runs the daemon until the returned function stops it.
func (s *site) serveLocked() (stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--dir", s.dir}, console{in: strings.NewReader(""), out: io.Discard, errOut: s.t.Output(), now: time.Now})
	}()
	s.wait("the socket", func() bool { code, _ := s.command("status"); return code == 0 })
	return func() {
		s.t.Helper()
		cancel()
		if code := <-ended; code != 0 {
			s.t.Errorf("the daemon ended with exit code %d", code)
		}
	}
}

func (s *site) wait(what string, done func() bool) {
	s.t.Helper()
	waittest.For(s.t, what, done)
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// enrol adds the merchant shop-1.
func (s *site) enrol() {
	s.t.Helper()
	identity, err := storefront.NewIdentity("shop-1") // for its reply key
	s.must(err)
	s.shop, err = note.GenerateSigner("shop-1")
	s.must(err)
	var m control.Merchant
	s.json(&m, "merchant", "add", "shop-1", "--name", "Corner shop", "--verifier", s.shop.Verifier().String(),
		"--reply-key", identity.ReplyLine(), "--currency", "USD", "--reason", "contract 17")
}

// draft is an envelope before it is sealed; account and code may be empty, and an empty id is a
// fresh one.
type draft struct{ order, account, code, id string }

// post sends sales of these amounts in one bag.
func (s *site) post(amounts ...int64) {
	s.t.Helper()
	var drafts []draft
	for i, amount := range amounts {
		drafts = append(drafts, draft{order: fmt.Sprintf(`{"operation":"sale","reference":"order %d","amount":%d,"currency":"USD"}`, i, amount),
			account: `{"card":{"number":"4242424242424242","expiry":"2031-12"}}`, code: `{"code":"123"}`})
	}
	s.send(drafts...)
}

// send sends the drafts in one bag, sealed by the directory that the vault published, and returns
// their ids.
func (s *site) send(drafts ...draft) (ids []string) {
	s.t.Helper()
	var d control.Directory
	s.json(&d, "directory", "show")
	var envelopes [][]byte
	for _, draft := range drafts {
		id := cmp.Or(draft.id, uuid.NewString())
		part := func(kind envelope.Kind, name envelope.PartName, plaintext string) *envelope.Part {
			if plaintext == "" {
				return nil
			}
			key, ok := d.Directory.Newest(kind, envelope.SuiteXWing, time.Now())
			if !ok {
				s.t.Fatalf("the directory has no %s key", kind)
			}
			sealed, err := seal.Seal(key.Name, key.Public, name, "shop-1", id, []byte(plaintext))
			s.must(err)
			return &sealed
		}
		signed, err := envelope.Sign(envelope.Envelope{Merchant: "shop-1", ID: id, Created: envelope.At(time.Now()), Until: envelope.At(time.Now().Add(time.Hour)),
			Order: *part(envelope.KindDay, envelope.PartOrder, draft.order), Account: part(envelope.KindDay, envelope.PartAccount, draft.account),
			Code: part(envelope.KindCode, envelope.PartCode, draft.code)}, s.shop)
		s.must(err)
		envelopes, ids = append(envelopes, signed.Note), append(ids, id)
	}
	run := uuid.New()
	msg, digest, err := envelope.PackBag(envelope.Bag{Relay: "relay-1", Run: hex.EncodeToString(run[:]), Number: 1, Previous: envelope.ZeroDigest, Window: 1}, envelopes, s.signer)
	s.must(err)
	s.must(<-s.relay.PublishBag("relay-1", digest, msg))
	return ids
}

// TestFromBagToSettlement runs the main job by the command line alone: a bag comes in by the
// channel, its sales are authorised, the batch is closed and settled, results go out, the log
// verifies, and the ledger is sound.
func TestFromBagToSettlement(t *testing.T) {
	s := newSite(t)
	stop := s.serve()
	s.enrol()
	s.wait("the line to the acquirer", func() bool {
		var st control.Status
		s.json(&st, "status")
		return *st.Ready == control.Ready{Clock: true, Channel: true, Acquirer: true, Journal: true} && st.Acquirer == "ready" && st.Channel == "connected"
	})
	s.post(1999, 2500, 900_051)
	var payments []control.Payment
	s.wait("three outcomes", func() bool {
		s.json(&payments, "payment", "list", "--merchant", "shop-1", "--oldest-first")
		return len(payments) == 3 && payments[0].Status == book.StageApproved && payments[1].Status == book.StageApproved && payments[2].Status == book.StageDeclined
	})
	if payments[0].Masked != "424242******4242" || payments[0].Trace == nil {
		t.Errorf("payment %+v", payments[0])
	}
	var closed []control.Batch
	s.json(&closed, "batch", "close", "--merchant", "shop-1", "--reason", "end of day")
	if len(closed) != 1 || closed[0].Totals[0] != (book.Total{Currency: "USD", Count: 2, Amount: 4499}) {
		t.Fatalf("closed %+v", closed)
	}
	var settled control.Settlement
	s.json(&settled, "batch", "settle", "--all")
	if settled.Payments != 2 || settled.Batches[0].Status != book.BatchDone {
		t.Errorf("settled %+v", settled)
	}
	s.json(&settled, "batch", "settle", closed[0].ID)
	if settled.Payments != 0 {
		t.Errorf("a second run settled %d", settled.Payments)
	}
	s.json(&payments, "payment", "list", "--batch", closed[0].ID, "--all")
	if len(payments) != 3 {
		t.Errorf("the batch lists %d payments, want 3", len(payments))
	}
	s.wait("five results", func() bool {
		results, err := s.relay.Results(t.Context(), "shop-1", 0, 100)
		return err == nil && len(results) == 5
	})
	s.verifyLog()
	for _, args := range [][]string{{"status"}, {"merchant", "show", "shop-1"}, {"batch", "list"}, {"batch", "show", "1"}, {"payment", "show", "shop-1/" + payments[0].ID}} {
		if code, out := s.command(args...); code != 0 || strings.Contains(out, "4242424242424242") {
			t.Errorf("vault %v: exit code %d\n%s", args, code, out)
		}
	}
	stop()
	s.checkLedger()
	if st, err := host.ReadBook(s.book); err != nil || st.Charged != 2 || len(st.Doubled) != 0 {
		t.Errorf("the host's book: %+v %v", st, err)
	}
}

// TestStopAndStartLosesNothing: what came while the vault was down or locked is processed after the
// next unlock.
func TestStopAndStartLosesNothing(t *testing.T) {
	s := newSite(t)
	stop := s.serve()
	s.enrol()
	s.post(1999)
	stop()
	stop = s.serve()
	var payments []control.Payment
	s.wait("an approval", func() bool {
		s.json(&payments, "payment", "list", "--status", "approved")
		return len(payments) == 1
	})
	stop()
	s.checkLedger()
}

func (s *site) verifyLog() {
	s.t.Helper()
	var export control.Export
	dir := filepath.Join(s.t.TempDir(), "log")
	s.json(&export, "audit", "export", dir)
	var st control.Status
	s.json(&st, "status")
	var report audit.Report
	s.json(&report, "audit", "verify", dir, "--verifier", st.Verifier)
	if report.Verified != export.Size || export.Size == 0 {
		s.t.Errorf("verified %d of %d entries", report.Verified, export.Size)
	}
}

// unlockedRing opens the stopped vault's key ring.
func (s *site) unlockedRing(o keyring.Options) *keyring.Ring {
	s.t.Helper()
	ring, err := keyring.Open(s.dir, o)
	s.must(err)
	var shares []keyring.Share
	for _, path := range s.shares[:2] {
		line, err := readShare(path)
		s.must(err)
		share, err := keyring.ParseShare(line)
		s.must(err)
		shares = append(shares, share)
	}
	s.must(ring.Unlock(shares))
	return ring
}

// checkLedger opens the stopped vault's ledger and checks every invariant.
func (s *site) checkLedger() {
	s.t.Helper()
	ring := s.unlockedRing(keyring.Options{})
	defer ring.Close()
	l, err := ledger.Open(filepath.Join(s.dir, settings.LedgerFile), ring, ledger.Options{})
	s.must(err)
	s.must(l.Check(s.t.Context(), nil))
	s.must(l.Close())
}
