package storefront

import (
	"context"
	"crypto/hpke"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/redacted"
	"nightdrop/shared/storefront/relaytest"
)

func identity(t *testing.T, merchant string) *Identity {
	t.Helper()
	i, err := NewIdentity(merchant)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func client(t *testing.T, r *relaytest.Relay, i *Identity) *Client {
	t.Helper()
	c, err := New(Config{Relay: r.URL, Vault: r.Vault.Verifier(), Identity: i, HTTP: r.Client()})
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
	r := relaytest.New(t)
	c := client(t, r, identity(t, "bookshop"))
	s := sealOne(t, c)
	e, err := envelope.Peek[envelope.Envelope](s.Note)
	if err != nil {
		t.Fatal(err)
	}
	open := func(part envelope.PartName, id string) error {
		_, err := hpke.Open(r.Private[part], hpke.HKDFSHA256(), hpke.AES256GCM(), envelope.PartInfo(part, "bookshop", id, r.Keys[part]), e.Account.Sealed[tinkPrefix:])
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
	r := relaytest.New(t)
	c := client(t, r, identity(t, "bookshop"))
	s := sealOne(t, c)
	tries := 0
	r.Post = func(w http.ResponseWriter, body []byte) {
		switch tries++; tries {
		case 1:
			relaytest.Problem(w, http.StatusServiceUnavailable, "channel-unavailable")
		case 2:
			panic(http.ErrAbortHandler) // the connection breaks after the relay took it
		default:
			r.Accept(w, body, r.Signer)
		}
	}
	receipt, err := c.Post(context.Background(), s.Note)
	if err != nil {
		t.Fatal(err)
	}
	if receipt.Digest != s.Digest || len(r.Posts()) != 3 {
		t.Errorf("receipt of %s after %d posts", receipt.Digest, len(r.Posts()))
	}
	for _, body := range r.Posts() {
		if string(body) != string(s.Note) {
			t.Error("a repeat had other bytes")
		}
	}
}

func TestPostStopsOnRefusalsAndFalseReceipts(t *testing.T) {
	other := relaytest.Signer(t, "relay-1") // same name, another key
	for name, c := range map[string]struct {
		post func(r *relaytest.Relay, w http.ResponseWriter, body []byte)
		want func(error) bool
	}{
		"refused for good": {func(_ *relaytest.Relay, w http.ResponseWriter, _ []byte) {
			relaytest.Problem(w, 403, "merchant-suspended")
		},
			func(err error) bool {
				var refused *Refused
				return errors.As(err, &refused) && refused.Code == "merchant-suspended" && !refused.Temporary()
			}},
		"receipt of a stranger": {func(r *relaytest.Relay, w http.ResponseWriter, body []byte) { r.Accept(w, body, other) },
			func(err error) bool { return errors.Is(err, ErrUnverified) }},
		"receipt of another envelope": {func(r *relaytest.Relay, w http.ResponseWriter, _ []byte) {
			receipt, err := envelope.Sign(envelope.Receipt{Merchant: "bookshop", ID: "6f0c2d7e-9c0b-4a5e-8f1d-3b1f0a7c5d21", Digest: envelope.ZeroDigest,
				Relay: "relay-1", Run: strings.Repeat("0a", 16), Number: 1, Received: envelope.At(time.Now())}, r.Signer)
			if err != nil {
				t.Error(err)
			}
			w.WriteHeader(http.StatusAccepted)
			w.Write(receipt.Note)
		}, func(err error) bool { return errors.Is(err, ErrUnverified) }},
		"a proxy's page": {func(_ *relaytest.Relay, w http.ResponseWriter, _ []byte) {
			http.Error(w, "<html>", http.StatusNotFound)
		},
			func(err error) bool { var refused *Refused; return errors.As(err, &refused) && refused.Status == 404 }},
	} {
		t.Run(name, func(t *testing.T) {
			r := relaytest.New(t)
			client := client(t, r, identity(t, "bookshop"))
			s := sealOne(t, client)
			r.Post = func(w http.ResponseWriter, body []byte) { c.post(r, w, body) }
			if _, err := client.Post(context.Background(), s.Note); !c.want(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPostGivesUpWithItsContextAndSaysSo(t *testing.T) {
	r := relaytest.New(t)
	c := client(t, r, identity(t, "bookshop"))
	s := sealOne(t, c)
	r.Post = func(w http.ResponseWriter, _ []byte) { relaytest.Problem(w, 503, "channel-full") }
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Post(ctx, s.Note)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "post the same bytes again") {
		t.Errorf("got %v", err)
	}
}

func TestDirectoryMustBeFreshAndPinned(t *testing.T) {
	r := relaytest.New(t)
	i := identity(t, "bookshop")
	c := client(t, r, i)
	if _, err := c.Directory(context.Background()); err != nil {
		t.Fatal(err)
	}
	refetch := func() error {
		c.fetched = time.Time{}
		_, err := c.Directory(context.Background())
		return err
	}
	r.Serial = 6
	if err := refetch(); !errors.Is(err, envelope.ErrRolledBack) {
		t.Errorf("a rolled back directory: %v", err)
	}
	r.Serial, r.Expires = 8, -time.Minute
	if err := refetch(); !errors.Is(err, envelope.ErrExpired) {
		t.Errorf("an expired directory: %v", err)
	}
	r.Expires, r.Vault = time.Hour, relaytest.Signer(t, "vault.example")
	if err := refetch(); !errors.Is(err, note.ErrUnverified) {
		t.Errorf("another vault's directory under the same name: %v", err)
	}
	demanding, err := New(Config{Relay: r.URL, Vault: r.Vault.Verifier(), Identity: i, HTTP: r.Client(), MinSerial: 9})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := demanding.Directory(context.Background()); !errors.Is(err, envelope.ErrRolledBack) {
		t.Errorf("a directory below the minimum serial: %v", err)
	}
}

// approvals is a chain of n approvals of a merchant.
func approvals(r *relaytest.Relay, i *Identity, n int) []string {
	var answers []relaytest.Answer
	for serial := 1; serial <= n; serial++ {
		answers = append(answers, relaytest.Answer{ID: fmt.Sprintf("6f0c2d7e-9c0b-4a5e-8f1d-%012d", serial), Digest: envelope.ZeroDigest,
			Status: envelope.StatusApproved, Code: envelope.ISOCode("00")})
	}
	return r.Results(i.Merchant(), i.ReplyLine(), answers...)
}

func TestResultsOpenInAnUnbrokenChain(t *testing.T) {
	r := relaytest.New(t)
	i := identity(t, "bookshop")
	c := client(t, r, i)
	all := approvals(r, i, 5)
	var chain Chain
	r.Page = all[:3]
	opened, err := c.Results(context.Background(), &chain, 0)
	if err != nil || len(opened) != 3 || chain.Serial != 3 || chain.First != 1 || chain.Began.IsZero() || opened[2].Facts.Approval != "A1" {
		t.Fatalf("%d results, chain at %d, %v", len(opened), chain.Serial, err)
	}
	if !strings.HasPrefix(r.Authority("/v1/results"), "Bearer ") {
		t.Error("the results were asked for without a token")
	}
	before := chain
	for name, page := range map[string][]string{
		"repeated":         {all[2]},
		"before the first": {approvals(r, i, 1)[0]},
		"another's":        {approvals(r, identity(t, "velo-works"), 1)[0]},
		"other past":       approvals(r, i, 4)[3:],
		"altered":          {strings.Replace(all[3], `"serial":4`, `"serial":5`, 1)},
	} {
		r.Page = page
		_, err := c.Results(context.Background(), &chain, 0)
		if !errors.Is(err, ErrChain) && !errors.Is(err, ErrUnverified) {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(chain, before) {
			t.Errorf("%s: the chain moved", name)
		}
	}
	r.Page = all[3:]
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
		if strings.Contains(shown, key) || !strings.Contains(shown, redacted.Text) {
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
	r := relaytest.New(t)
	c := client(t, r, identity(t, "bookshop"))
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

// Only a chain that began before an envelope, and goes on over an hour after its until, proves that
// nothing answers it.
func TestSilenceIsProvedByTheChainAlone(t *testing.T) {
	r := relaytest.New(t)
	s := sealOne(t, client(t, r, identity(t, "bookshop")))
	box, err := OpenOutbox(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := box.Keep(s); err != nil {
		t.Fatal(err)
	}
	late := s.Until.Add(answerTime + time.Second)
	for name, c := range map[string]struct {
		chain Chain
		want  int
	}{
		"nothing read":                           {Chain{}, 0},
		"from the first result, long enough":     {Chain{Serial: 9, Created: late, First: 1, Began: s.Created.Add(time.Hour)}, 1},
		"from before the envelope, long enough":  {Chain{Serial: 9, Created: late, First: 5, Began: s.Created.Add(-time.Hour)}, 1},
		"from after the envelope":                {Chain{Serial: 9, Created: late, First: 5, Began: s.Created.Add(time.Second)}, 0},
		"from so near that clocks may differ":    {Chain{Serial: 9, Created: late, First: 5, Began: s.Created.Add(-time.Minute)}, 0},
		"until an hour after until and no later": {Chain{Serial: 9, Created: s.Until.Add(answerTime), First: 1}, 0},
	} {
		if _, err := box.Record(nil, c.chain); err != nil {
			t.Fatal(err)
		}
		if lapsed, err := box.Lapsed(); err != nil || len(lapsed) != c.want {
			t.Errorf("%s: %d lapsed, %v", name, len(lapsed), err)
		}
	}
}
