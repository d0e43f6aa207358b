package storefront

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nightdrop/shared/note"
	"nightdrop/shared/storefront/relaytest"
)

// What an attacker who owns the relay, or the way to it, tries on a shop's server.

func TestRedirectsAreNotFollowed(t *testing.T) {
	var lured atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { lured.Add(1) }))
	defer elsewhere.Close()
	r := relaytest.New(t)
	c := client(t, r, identity(t, "bookshop"))
	s := sealOne(t, c)
	for _, status := range []int{301, 302, 303, 307, 308} {
		redirect := func(w http.ResponseWriter) {
			w.Header().Set("Location", elsewhere.URL+"/v1/results")
			w.WriteHeader(status)
		}
		r.Get = func(w http.ResponseWriter, _ *http.Request) { redirect(w) }
		r.Post = func(w http.ResponseWriter, _ []byte) { redirect(w) }
		var refused *Refused
		if _, err := c.Results(context.Background(), &Chain{}, 0); !errors.As(err, &refused) || refused.Status != status {
			t.Errorf("%d of results: %v", status, err)
		}
		if _, err := c.Post(context.Background(), s.Note); !errors.As(err, &refused) || refused.Status != status || refused.Temporary() {
			t.Errorf("%d of a post: %v", status, err)
		}
	}
	if n := lured.Load(); n != 0 {
		t.Errorf("%d calls followed a redirect", n)
	}
}

func TestAnswersAreBoundedAndPrintable(t *testing.T) {
	r := relaytest.New(t)
	c := client(t, r, identity(t, "bookshop"))
	s := sealOne(t, c)
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for block := []byte(strings.Repeat(" ", 1<<20)); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
	r.Get = endless
	if _, err := c.Results(context.Background(), &Chain{}, 0); !errors.Is(err, ErrUnverified) {
		t.Errorf("an endless page: %v", err)
	}
	r.Post = func(w http.ResponseWriter, _ []byte) {
		w.WriteHeader(http.StatusAccepted)
		endless(w, nil)
	}
	if _, err := c.Post(context.Background(), s.Note); !errors.Is(err, ErrUnverified) {
		t.Errorf("an endless receipt: %v", err)
	}
	r.Post = func(w http.ResponseWriter, _ []byte) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Retry-After", "9223372036854775807")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"type":"urn:nightdrop:merchant-suspended","detail":"\u001b]0;all is well\u0007%s"}`, strings.Repeat("A", 4000))
	}
	var refused *Refused
	if _, err := c.Post(context.Background(), s.Note); !errors.As(err, &refused) {
		t.Fatal(err)
	}
	if strings.ContainsAny(refused.Error(), "\x1b\x07\n") || len(refused.Detail) > maxDetailBytes || refused.RetryAfter != maxRetryAfter {
		t.Errorf("a refusal of %d bytes, to be tried in %v: %q", len(refused.Detail), refused.RetryAfter, refused)
	}
}

func TestCertificateMustVerify(t *testing.T) {
	r := relaytest.New(t)
	i := identity(t, "bookshop")
	s := sealOne(t, client(t, r, i))
	// by the system's roots
	c, err := New(Config{Relay: r.URL, Vault: r.Vault.Verifier(), Identity: i})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Post(context.Background(), s.Note); !errors.Is(err, ErrUnverified) || len(r.Posts()) != 0 {
		t.Errorf("posted to a stranger's certificate: %v", err)
	}
}

func TestReceiptOfARelayNewerThanTheDirectory(t *testing.T) {
	r := relaytest.New(t)
	c := client(t, r, identity(t, "bookshop"))
	s := sealOne(t, c)
	second := relaytest.Signer(t, "relay-2")
	r.Post = func(w http.ResponseWriter, body []byte) { r.Accept(w, body, second) }
	if _, err := c.Post(context.Background(), s.Note); !errors.Is(err, ErrUnverified) {
		t.Errorf("a receipt of a relay that the vault does not list: %v", err)
	}
	r.Listed, r.Serial = []*note.Signer{second}, r.Serial+1
	if receipt, err := c.Post(context.Background(), s.Note); err != nil || receipt.Relay != "relay-2" {
		t.Errorf("a receipt of a relay listed since: %v", err)
	}
}

// A directory that is withheld stops nothing before it expires, and never passes for an answer
// about the envelope.
func TestWithheldDirectory(t *testing.T) {
	r := relaytest.New(t)
	now := time.Now()
	c := client(t, r, identity(t, "bookshop"))
	c.now = func() time.Time { return now }
	s := sealOne(t, c)
	r.Get = func(w http.ResponseWriter, _ *http.Request) { relaytest.Problem(w, 503, "no-directory") }
	now = now.Add(2 * directoryAge)
	if _, err := c.Post(context.Background(), s.Note); err != nil {
		t.Errorf("with the directory before: %v", err)
	}
	now = now.Add(2 * time.Hour)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Post(ctx, s.Note); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with an expired directory: %v", err)
	}
}

func TestOrigins(t *testing.T) {
	i := identity(t, "bookshop")
	vault := relaytest.Signer(t, "vault.example").Verifier()
	for given, want := range map[string]string{
		"https://relay.example":        "https://relay.example",
		"https://Relay.Example:443":    "https://relay.example",
		"https://relay.example:8443":   "https://relay.example:8443",
		"https://[2001:db8::1]:443":    "https://[2001:db8::1]",
		"http://127.0.0.1:8080":        "http://127.0.0.1:8080",
		"http://[::1]:8080":            "http://[::1]:8080",
		"http://localhost:8080":        "http://localhost:8080",
		"http://relay.example":         "",
		"http://127.0.0.1.example":     "",
		"ftp://relay.example":          "",
		"relay.example":                "",
		"https://":                     "",
		"https://:8443":                "",
		"https://relay.example/":       "",
		"https://relay.example/v1":     "",
		"https://relay.example?x=1":    "",
		"https://relay.example#x":      "",
		"https://shop:x@relay.example": "",
	} {
		c, err := New(Config{Relay: given, Vault: vault, Identity: i})
		if (err == nil) != (want != "") || err == nil && c.relay != want {
			t.Errorf("%s: %v, want %q", given, err, want)
		}
	}
}

func TestOutboxTakesNoPathForAnID(t *testing.T) {
	r := relaytest.New(t)
	s := sealOne(t, client(t, r, identity(t, "bookshop")))
	box, err := OpenOutbox(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s.ID = "../answered/" + s.ID
	if _, err := box.Keep(s); err == nil {
		t.Error("kept outside its folder")
	}
	if _, err := box.Find("4242424242424242"); err == nil || strings.Contains(err.Error(), "4242") {
		t.Errorf("an id that may be a number: %v", err)
	}
}
