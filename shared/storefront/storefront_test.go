package storefront

import (
	"context"
	"crypto/hpke"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/seal"
)

// faultyRelay is a relay over real TLS whose every answer a test can bend: what an attacker who owns the relay could do.
type faultyRelay struct {
	*httptest.Server
	vault, relay *note.Signer
	dayKey       envelope.KeyName
	day          hpke.PrivateKey

	mu        sync.Mutex
	serial    uint64
	expires   time.Duration
	post      func(w http.ResponseWriter, body []byte)
	posts     [][]byte
	results   []string
	authority string // the last Authorization header
}

func newFaultyRelay(t *testing.T) *faultyRelay {
	t.Helper()
	r := &faultyRelay{vault: signer(t, "vault.example"), relay: signer(t, "relay-1"), serial: 7, expires: time.Hour}
	day, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	r.day, r.dayKey = day, envelope.MakeKeyName(envelope.KindDay, 0x0a0b0c0d, envelope.SuiteXWing)
	r.post = func(w http.ResponseWriter, body []byte) { r.accept(t, w, body, r.relay) }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/directory", func(w http.ResponseWriter, _ *http.Request) { w.Write(r.directory(t)) })
	mux.HandleFunc("POST /v1/envelopes", r.take)
	mux.HandleFunc("GET /v1/results", r.page)
	mux.HandleFunc("GET /v1/envelopes/{id}", r.page)
	r.Server = httptest.NewTLSServer(mux)
	t.Cleanup(r.Close)
	return r
}

func signer(t *testing.T, name string) *note.Signer {
	t.Helper()
	s, err := note.GenerateSigner(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (r *faultyRelay) directory(t *testing.T) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	d := envelope.Directory{Vault: r.vault.Name(), Serial: r.serial, Generation: 1, Issued: envelope.At(now), Expires: envelope.At(now.Add(r.expires)),
		Signers: []note.Verifier{r.vault.Verifier()}, Relays: []note.Verifier{r.relay.Verifier()},
		Keys: []envelope.DirectoryKey{{Name: r.dayKey, Suite: envelope.SuiteXWing, Public: r.day.PublicKey().Bytes(),
			From: envelope.At(now.Add(-time.Hour)), Until: envelope.At(now.Add(23 * time.Hour)), Dies: envelope.At(now.Add(167 * time.Hour))}}}
	if r.expires < 0 {
		d.Issued = envelope.At(now.Add(2 * r.expires))
	}
	signed, err := envelope.Sign(d, r.vault)
	if err != nil {
		t.Error(err)
	}
	return signed.Note
}

func (r *faultyRelay) take(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	r.posts = append(r.posts, body)
	post := r.post
	r.mu.Unlock()
	post(w, body)
}

func (r *faultyRelay) accept(t *testing.T, w http.ResponseWriter, body []byte, by *note.Signer) {
	e, err := envelope.Peek[envelope.Envelope](body)
	if err != nil {
		t.Error(err)
	}
	text, _ := note.Text(body)
	receipt, err := envelope.Sign(envelope.Receipt{Merchant: e.Merchant, ID: e.ID, Digest: note.Digest(text), Relay: by.Name(),
		Run: strings.Repeat("0a", 16), Number: 1, Received: envelope.At(time.Now())}, by)
	if err != nil {
		t.Error(err)
	}
	w.WriteHeader(http.StatusAccepted)
	w.Write(receipt.Note)
}

func (r *faultyRelay) page(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.authority = request.Header.Get("Authorization")
	json.NewEncoder(w).Encode(map[string]any{"results": r.results, "next": 0})
}

func problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"type":"urn:nightdrop:%s","status":%d,"detail":"do this next"}`, code, status)
}

func identity(t *testing.T, merchant string) *Identity {
	t.Helper()
	i, err := NewIdentity(merchant)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func (r *faultyRelay) client(t *testing.T, i *Identity) *Client {
	t.Helper()
	c, err := New(Config{Relay: r.URL, Vault: r.vault.Verifier(), Identity: i, HTTP: r.Server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func sealOne(t *testing.T, c *Client) Sealed {
	t.Helper()
	s, err := c.Seal(context.Background(), Payment{Order: envelope.Order{Operation: envelope.OpSale, Reference: "order-1", Amount: 1999, Currency: "EUR"},
		Account: []byte(`{"card":{"number":"4242424242424242","expiry":"2031-05"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealedPartsOpenOnlyAtTheirPlace(t *testing.T) {
	r := newFaultyRelay(t)
	c := r.client(t, identity(t, "bookshop"))
	s := sealOne(t, c)
	e, err := envelope.Peek[envelope.Envelope](s.Note)
	if err != nil {
		t.Fatal(err)
	}
	open := func(part envelope.PartName, id string) error {
		_, err := hpke.Open(r.day, hpke.HKDFSHA256(), hpke.AES256GCM(), envelope.PartInfo(part, "bookshop", id, r.dayKey), e.Account.Sealed[tinkPrefix:])
		return err
	}
	if err := open(envelope.PartAccount, s.ID); err != nil {
		t.Errorf("the account does not open at its place: %v", err)
	}
	if open(envelope.PartOrder, s.ID) == nil || open(envelope.PartAccount, "6f0c2d7e-9c0b-4a5e-8f1d-3b1f0a7c5d21") == nil {
		t.Error("the account opens as another part or in another envelope")
	}
}

func TestPostRepeatsTheSameBytesUntilAnswered(t *testing.T) {
	r := newFaultyRelay(t)
	c := r.client(t, identity(t, "bookshop"))
	s := sealOne(t, c)
	tries := 0
	r.post = func(w http.ResponseWriter, body []byte) {
		switch tries++; tries {
		case 1:
			problem(w, http.StatusServiceUnavailable, "channel-unavailable")
		case 2:
			panic(http.ErrAbortHandler) // the connection breaks after the relay took it
		default:
			r.accept(t, w, body, r.relay)
		}
	}
	receipt, err := c.Post(context.Background(), s.Note)
	if err != nil {
		t.Fatal(err)
	}
	if receipt.Digest != s.Digest || len(r.posts) != 3 {
		t.Errorf("receipt of %s after %d posts", receipt.Digest, len(r.posts))
	}
	for _, body := range r.posts {
		if string(body) != string(s.Note) {
			t.Error("a repeat had other bytes")
		}
	}
}

func TestPostStopsOnRefusalsAndFalseReceipts(t *testing.T) {
	other := signer(t, "relay-1") // same name, another key
	for name, c := range map[string]struct {
		post func(r *faultyRelay, w http.ResponseWriter, body []byte)
		want func(error) bool
	}{
		"refused for good": {func(_ *faultyRelay, w http.ResponseWriter, _ []byte) { problem(w, 403, "merchant-suspended") },
			func(err error) bool {
				var refused *Refused
				return errors.As(err, &refused) && refused.Code == "merchant-suspended" && !refused.Temporary()
			}},
		"receipt of a stranger": {func(r *faultyRelay, w http.ResponseWriter, body []byte) { r.accept(t, w, body, other) },
			func(err error) bool { return errors.Is(err, ErrUnverified) }},
		"receipt of another envelope": {func(r *faultyRelay, w http.ResponseWriter, _ []byte) {
			receipt, err := envelope.Sign(envelope.Receipt{Merchant: "bookshop", ID: "6f0c2d7e-9c0b-4a5e-8f1d-3b1f0a7c5d21", Digest: envelope.ZeroDigest,
				Relay: "relay-1", Run: strings.Repeat("0a", 16), Number: 1, Received: envelope.At(time.Now())}, r.relay)
			if err != nil {
				t.Error(err)
			}
			w.WriteHeader(http.StatusAccepted)
			w.Write(receipt.Note)
		}, func(err error) bool { return errors.Is(err, ErrUnverified) }},
		"a proxy's page": {func(_ *faultyRelay, w http.ResponseWriter, _ []byte) { http.Error(w, "<html>", http.StatusNotFound) },
			func(err error) bool { var refused *Refused; return errors.As(err, &refused) && refused.Status == 404 }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newFaultyRelay(t)
			client := r.client(t, identity(t, "bookshop"))
			s := sealOne(t, client)
			r.post = func(w http.ResponseWriter, body []byte) { c.post(r, w, body) }
			if _, err := client.Post(context.Background(), s.Note); !c.want(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPostGivesUpWithItsContextAndSaysSo(t *testing.T) {
	r := newFaultyRelay(t)
	c := r.client(t, identity(t, "bookshop"))
	s := sealOne(t, c)
	r.post = func(w http.ResponseWriter, _ []byte) { problem(w, 503, "channel-full") }
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Post(ctx, s.Note)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "post the same bytes again") {
		t.Errorf("got %v", err)
	}
}

func TestDirectoryMustBeFreshAndPinned(t *testing.T) {
	r := newFaultyRelay(t)
	i := identity(t, "bookshop")
	c := r.client(t, i)
	if _, err := c.Directory(context.Background()); err != nil {
		t.Fatal(err)
	}
	refetch := func() error {
		c.fetched = time.Time{}
		_, err := c.Directory(context.Background())
		return err
	}
	r.serial = 6
	if err := refetch(); !errors.Is(err, envelope.ErrRolledBack) {
		t.Errorf("a rolled back directory: %v", err)
	}
	r.serial, r.expires = 8, -time.Minute
	if err := refetch(); !errors.Is(err, envelope.ErrExpired) {
		t.Errorf("an expired directory: %v", err)
	}
	r.expires, r.vault = time.Hour, signer(t, "vault.example")
	if err := refetch(); !errors.Is(err, note.ErrUnverified) {
		t.Errorf("another vault's directory under the same name: %v", err)
	}
	demanding, err := New(Config{Relay: r.URL, Vault: r.vault.Verifier(), Identity: i, HTTP: r.Server.Client(), MinSerial: 9})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := demanding.Directory(context.Background()); !errors.Is(err, envelope.ErrRolledBack) {
		t.Errorf("a directory below the minimum serial: %v", err)
	}
}

// chainOf makes n results of a merchant as the vault would.
func (r *faultyRelay) chainOf(t *testing.T, i *Identity, n int) []string {
	t.Helper()
	name, public, err := seal.ReplyKey(i.ReplyLine())
	if err != nil {
		t.Fatal(err)
	}
	var notes []string
	previous := envelope.ZeroDigest
	for serial := 1; serial <= n; serial++ {
		id := fmt.Sprintf("6f0c2d7e-9c0b-4a5e-8f1d-%012d", serial)
		facts, err := envelope.EncodeFacts(envelope.Facts{Payment: id, Status: envelope.StatusApproved, Code: envelope.ISOCode("00"), Amount: 5, Currency: "EUR",
			Reference: "r", Masked: "424242******4242", Approval: "A1"})
		if err != nil {
			t.Fatal(err)
		}
		salt := make([]byte, 16)
		rand.Read(salt)
		plain, err := envelope.EncodeResult(facts, envelope.Place{Index: uint64(serial), Salt: salt, Entry: envelope.ZeroDigest}, nil)
		if err != nil {
			t.Fatal(err)
		}
		part, err := seal.Seal(name, public, envelope.PartResult, i.Merchant(), id, plain)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := envelope.Sign(envelope.Result{Merchant: i.Merchant(), Serial: uint64(serial), Previous: previous, ID: id,
			Digest: envelope.ZeroDigest, Created: envelope.At(time.Now()), Sealed: part}, r.vault)
		if err != nil {
			t.Fatal(err)
		}
		previous = signed.Digest
		notes = append(notes, string(signed.Note))
	}
	return notes
}

func TestResultsOpenInAnUnbrokenChain(t *testing.T) {
	r := newFaultyRelay(t)
	i := identity(t, "bookshop")
	c := r.client(t, i)
	all := r.chainOf(t, i, 5)
	var chain Chain
	r.results = all[:3]
	opened, err := c.Results(context.Background(), &chain, 0)
	if err != nil || len(opened) != 3 || chain.Serial != 3 || opened[2].Facts.Approval != "A1" {
		t.Fatalf("%d results, chain at %d, %v", len(opened), chain.Serial, err)
	}
	if !strings.HasPrefix(r.authority, "Bearer ") {
		t.Error("the results were asked for without a token")
	}
	before := chain
	for name, page := range map[string][]string{
		"withheld":   {all[4]},
		"repeated":   {all[2]},
		"reordered":  {all[4], all[3]},
		"another's":  {r.chainOf(t, identity(t, "velo-works"), 1)[0]},
		"other past": r.chainOf(t, i, 4)[3:],
		"altered":    {strings.Replace(all[3], `"serial":4`, `"serial":5`, 1)},
	} {
		r.results = page
		_, err := c.Results(context.Background(), &chain, 0)
		if !errors.Is(err, ErrChain) && !errors.Is(err, ErrUnverified) {
			t.Errorf("%s: %v", name, err)
		}
		if chain != before {
			t.Errorf("%s: the chain moved", name)
		}
	}
	r.results = all[3:]
	if opened, err := c.Results(context.Background(), &chain, 0); err != nil || len(opened) != 2 || chain.Serial != 5 {
		t.Errorf("the true page after the false ones: %d, %v", len(opened), err)
	}
}

func TestIdentityIsKeptSafely(t *testing.T) {
	i := identity(t, "bookshop")
	path := filepath.Join(t.TempDir(), "shop.key")
	if err := i.Save(path); err != nil {
		t.Fatal(err)
	}
	if err := i.Save(path); err == nil {
		t.Error("an identity was overwritten")
	}
	loaded, err := LoadIdentity(path)
	if err != nil || loaded.Verifier() != i.Verifier() || loaded.ReplyLine() != i.ReplyLine() {
		t.Fatalf("loaded another identity: %v", err)
	}
	key := string(i.signer.Encode())
	for _, shown := range []string{fmt.Sprint(i), fmt.Sprintf("%+v %#v %s %x", i, i, i, i), fmt.Sprintf("%v", *i)} {
		if strings.Contains(shown, key) || !strings.Contains(shown, redacted) && !strings.Contains(shown, "0x") {
			t.Errorf("an identity prints as %q", shown)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadIdentity(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("an identity that others can read: %v", err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged.key")
	if err := os.WriteFile(damaged, []byte(`{"merchant":"bookshop","signer":"`+key[:20]), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadIdentity(damaged); err == nil || strings.Contains(err.Error(), key[:20]) {
		t.Errorf("a damaged identity: %v", err)
	}
	if _, err := NewIdentity("No Such Name"); err == nil {
		t.Error("an identity with a bad name")
	}
}

func TestOutboxKeepsUntilAResultWithTheDigest(t *testing.T) {
	r := newFaultyRelay(t)
	c := r.client(t, identity(t, "bookshop"))
	dir := t.TempDir()
	box, err := OpenOutbox(dir)
	if err != nil {
		t.Fatal(err)
	}
	first := sealOne(t, c)
	if _, err := box.Keep(first); err != nil {
		t.Fatal(err)
	}
	var id uint32 = 1
	second := first
	second.Note = binary.BigEndian.AppendUint32(nil, id)
	if kept, err := box.Keep(second); err != nil || string(kept.Note) != string(first.Note) {
		t.Errorf("an id was kept twice: %v", err)
	}
	answer := func(digest string, serial uint64) Opened {
		return Opened{Result: envelope.Result{ID: first.ID, Digest: digest, Serial: serial}, Note: []byte("x")}
	}
	ours, err := box.Record([]Opened{answer(envelope.ZeroDigest, 1)}, Chain{Serial: 1})
	if pending, _ := box.Pending(); err != nil || ours != 0 || len(pending) != 1 {
		t.Errorf("a result about other bytes under the id answered it: %d, %v", ours, err)
	}
	ours, err = box.Record([]Opened{answer(first.Digest, 2)}, Chain{Serial: 2, Digest: "d"})
	if pending, _ := box.Pending(); err != nil || ours != 1 || len(pending) != 0 {
		t.Errorf("its own result did not answer it: %d, %v", ours, err)
	}
	reopened, err := OpenOutbox(dir)
	if err != nil {
		t.Fatal(err)
	}
	if chain, err := reopened.Chain(); err != nil || chain.Serial != 2 {
		t.Errorf("chain at %d, %v", chain.Serial, err)
	}
	if kept, err := reopened.Find(first.ID); err != nil || kept.Digest != first.Digest {
		t.Errorf("an answered envelope is not found: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "chain.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := reopened.Chain(); err == nil {
		t.Error("a damaged chain file was read")
	}
}
