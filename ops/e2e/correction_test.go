package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightdrop/ops/site"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
	"nightdrop/shared/waittest"
)

// TestAWrongWordIsCorrected has a person say of two captures that the host never booked them, which
// it has. One is corrected while its batch is open: it is taken back at the host. The other is
// corrected when the acquirer's totals have brought it to light: it is a line of the batch, which
// settles. The shop was told that they are declined, and is told nothing else.
func TestAWrongWordIsCorrected(t *testing.T) {
	s := running(t, site.Options{AnswerTimeout: 200 * time.Millisecond, ReversalRetry: 10 * time.Millisecond}, "bookshop")
	c := newCheckout(t, s, "bookshop")
	const silent = 900_100
	capture := func() storefront.Sealed {
		hold, _ := c.do(envelope.Order{Operation: envelope.OpAuthorize, Amount: 2_000_000, Currency: "EUR"}, testCard, envelope.StatusApproved, approved)
		return c.give(of(envelope.OpCapture, hold, silent), "")
	}
	early, late := capture(), capture()
	sold, _ := c.do(sale(1999, "EUR"), testCard, envelope.StatusApproved, approved)
	waittest.For(t, "two captures that wait for a person", func() bool { return len(list(t, s, "manual")) == 2 })
	letter := filepath.Join(t.TempDir(), "letter.txt")
	if err := os.WriteFile(letter, []byte(letterText), 0o600); err != nil {
		t.Fatal(err)
	}
	say := func(s2 storefront.Sealed, as string, more ...string) error {
		_, err := s.VaultRun(t.Context(), append([]string{"payment", "resolve", "bookshop/" + s2.ID, "--as", as}, more...)...)
		return err
	}
	// the host said so, not a person
	wantExit(t, 6, func() error { return say(sold, "reversed", "--correct", "--reason", "a guess") })
	if err := errors.Join(say(early, "declined", "--reason", "nobody picked up"), say(late, "declined", "--reason", "nobody picked up")); err != nil {
		t.Fatal(err)
	}
	c.await(early, envelope.StatusDeclined, envelope.CodeNoAnswer)
	c.await(late, envelope.StatusDeclined, envelope.CodeNoAnswer)
	wantExit(t, 6, func() error { return say(early, "captured", "--reason", "booked after all") })
	wantExit(t, 2, func() error { return say(early, "captured", "--correct") })
	wantExit(t, 6, func() error { return say(early, "declined", "--correct", "--reason", "it is declined already") })
	if err := say(early, "captured", "--correct", "--reason", "booked after all", "--evidence", letter); err != nil {
		t.Fatal(err)
	}
	waittest.For(t, "the capture to be taken back", func() bool { return readBook(t, s).Reversed == 1 && len(list(t, s, "correcting")) == 0 })

	if _, err := s.VaultRun(t.Context(), "batch", "close", "--all"); err != nil {
		t.Fatal(err)
	}
	wantExit(t, 7, func() error { _, err := s.VaultRun(t.Context(), "batch", "settle", "--all"); return err })
	if err := say(late, "captured", "--correct", "--reason", "its listing has it", "--evidence", letter); err != nil {
		t.Fatal(err)
	}
	done := c.settle()
	if done.Payments != 1 || len(done.Batches) != 1 || done.Batches[0].Status != "settled" {
		t.Errorf("settled %+v", done)
	}
	c.await(sold, envelope.StatusSettled, approved)
	for _, sealed := range []storefront.Sealed{early, late} {
		if got := statuses(c.results[sealed.Digest]); !slices.Equal(got, []string{"unknown no-answer", "declined no-answer"}) {
			t.Errorf("the shop was told %v", got)
		}
	}
	if b := readBook(t, s); b.Charged != 2 || b.Reversed != 1 {
		t.Errorf("the host charged %d and reversed %d", b.Charged, b.Reversed)
	}
	showsCorrection(t, s, late)

	wantExit(t, 6, func() error { return say(late, "declined", "--correct", "--reverse", "--reason", "case 17") })
	if err := say(late, "captured", "--correct", "--reverse", "--reason", "give it back, case 17"); err != nil {
		t.Fatal(err)
	}
	waittest.For(t, "the settled capture to be taken back", func() bool { return readBook(t, s).Reversed == 2 && len(list(t, s, "correcting")) == 0 })
	if out, err := s.VaultRun(t.Context(), "batch", "show", "card-000001"); err != nil || strings.Contains(out, late.ID) {
		t.Errorf("the batch tells (%v)\n%s", err, out)
	}
}

// showsCorrection: the payment names who decided and why, and the batch and its report have the
// line.
func showsCorrection(t *testing.T, s *site.Site, late storefront.Sealed) {
	t.Helper()
	var p struct {
		Status    string
		AtHost    bool
		Decisions []struct {
			Actor, As, Reason, Evidence string
			Corrects                    bool
		}
	}
	decode(t, s, &p, "payment", "show", "bookshop/"+late.ID, "--json")
	if p.Status != "declined" || !p.AtHost || len(p.Decisions) != 2 || p.Decisions[0].Reason != "nobody picked up" || p.Decisions[0].Corrects ||
		!strings.HasPrefix(p.Decisions[1].Actor, "user:") || p.Decisions[1].As != "captured" || !p.Decisions[1].Corrects || p.Decisions[1].Evidence != letterDigest {
		t.Errorf("the payment shows %+v", p)
	}
	for _, command := range [][]string{{"batch", "show", "card-000001"}, {"batch", "report", "card-000001"}} {
		out, err := s.VaultRun(t.Context(), command...)
		if err != nil || !strings.Contains(out, late.ID) || !strings.Contains(out, "+1 for 9,001.00 EUR") || !strings.Contains(out, "its listing has it") {
			t.Errorf("%v tells (%v)\n%s", command, err, out)
		}
	}
}

// TestHostsThatReconcileOtherwise settles a batch with a host of each form of answer to a 0500, and
// then one that refuses it: by its listing, and by a person's word.
func TestHostsThatReconcileOtherwise(t *testing.T) {
	s := running(t, site.Options{}, "bookshop")
	c := newCheckout(t, s, "bookshop")
	answersAs := func(form string) {
		s.Totals = form
		if err := errors.Join(s.Simulator.Stop(), s.StartSimulator(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	for _, form := range []string{"settlement-code", "response-code", "settlement-currency"} {
		answersAs(form)
		sold, _ := c.do(sale(1999, "EUR"), testCard, envelope.StatusApproved, approved)
		if done := c.settle(); done.Payments != 1 {
			t.Errorf("%s: settled %+v", form, done)
		}
		c.await(sold, envelope.StatusSettled, approved)
	}

	answersAs("unsupported")
	c.do(sale(2500, "EUR"), testCard, envelope.StatusApproved, approved)
	closeAll(t, s)
	refusal := func(code int, args ...string) string {
		out, err := s.VaultRun(t.Context(), args...)
		wantExit(t, code, func() error { return err })
		return fmt.Sprint(out, err)
	}
	if said := refusal(6, "batch", "settle", "--all"); strings.Contains(said, "did not answer") || !strings.Contains(said, "code 40") || !strings.Contains(said, "reconciliation") {
		t.Errorf("a host that refuses: %s", said)
	}
	reconcileBy(t, s, "listing")
	if said := refusal(6, "batch", "settle", "card-000004"); !strings.Contains(said, "--listing") {
		t.Errorf("without its listing: %s", said)
	}
	refusal(7, "batch", "settle", "card-000004", "--listing", listingOf(t, s, "3"))
	if out, err := s.VaultRun(t.Context(), "batch", "settle", "card-000004", "--listing", listingOf(t, s, "4")); err != nil || !strings.Contains(out, "settled") {
		t.Errorf("by its listing: %v\n%s", err, out)
	}
	reconcileBy(t, s, "none")
	sold, _ := c.do(sale(700, "EUR"), testCard, envelope.StatusApproved, approved)
	closeAll(t, s)
	refusal(2, "batch", "settle", "card-000005")
	if _, err := s.VaultRun(t.Context(), "batch", "settle", "card-000005", "--reason", "its statement of today has 7.00"); err != nil {
		t.Error(err)
	}
	c.await(sold, envelope.StatusSettled, approved)
	var b struct{ Status, By string }
	decode(t, s, &b, "batch", "show", "card-000005", "--json")
	if b.Status != "settled" || b.By != "none" {
		t.Errorf("the batch shows %+v", b)
	}
}

// letterText is a person's evidence, and letterDigest what the log keeps of it.
const (
	letterText   = "they were booked"
	letterDigest = "f68861cb49cbcb73eff0b8395aa8e29a2ef26664a24a092208eeae2ba25c1fc3"
)

// decode reads what a command of the vault's prints as JSON.
func decode(t *testing.T, s *site.Site, v any, args ...string) {
	t.Helper()
	out, err := s.VaultRun(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out), v); err != nil {
		t.Fatal(err)
	}
}

func closeAll(t *testing.T, s *site.Site) {
	t.Helper()
	if _, err := s.VaultRun(t.Context(), "batch", "close", "--all"); err != nil {
		t.Fatal(err)
	}
}

// reconcileBy has the vault agree its batches otherwise from now on.
func reconcileBy(t *testing.T, s *site.Site, way string) {
	t.Helper()
	config := s.Path("vault", "vault.toml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	before, after, _ := strings.Cut(string(text), "[acquirer]\n")
	if strings.HasPrefix(after, "reconciliation") {
		_, after, _ = strings.Cut(after, "\n")
	}
	if err := os.WriteFile(config, []byte(before+"[acquirer]\nreconciliation = \""+way+"\"\n"+after), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Vault.Stop(), s.StartVault(t.Context()), s.Unlock(t.Context(), 1, 2)); err != nil {
		t.Fatal(err)
	}
}

// listingOf writes the acquirer's listing of a batch into a file.
func listingOf(t *testing.T, s *site.Site, batch string) string {
	t.Helper()
	listing, err := s.Run(t.Context(), "simulator", "listing", "--book", s.Book(), "--acceptor", "BOOKSHOP", "--batch", batch)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "listing.csv")
	if err := os.WriteFile(file, []byte(listing), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
