package e2e

import (
	"encoding/pem"
	"errors"
	"net/http/httptest"
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

var approved = envelope.ISOCode("00")

func of(op envelope.Operation, s storefront.Sealed, amount int64) envelope.Order {
	return envelope.Order{Operation: op, Of: s.ID, Amount: amount}
}

func sale(amount int64, currency string) envelope.Order {
	return envelope.Order{Operation: envelope.OpSale, Amount: amount, Currency: currency}
}

// TestCardsFromHoldToRefund takes an authorisation, a sale and a stored card through everything
// that a shop may ask.
func TestCardsFromHoldToRefund(t *testing.T) {
	s := running(t, site.Options{}, "bookshop")
	if err := s.Permit(t.Context(), "bookshop", "--storage", "on"); err != nil {
		t.Fatal(err)
	}
	c := newCheckout(t, s, "bookshop")
	hold, _ := c.do(envelope.Order{Operation: envelope.OpAuthorize, Amount: 5000, Currency: "EUR"}, testCard, envelope.StatusApproved, approved)
	c.do(of(envelope.OpCapture, hold, 3000), "", envelope.StatusCaptured, approved)
	c.do(of(envelope.OpCapture, hold, 2001), "", envelope.StatusRejected, envelope.CodeOverAuthorised)
	c.do(of(envelope.OpVoid, hold, 0), "", envelope.StatusRejected, envelope.CodeWrongState)
	last, _ := c.do(of(envelope.OpCapture, hold, 2000), "", envelope.StatusCaptured, approved)

	cancelled, _ := c.do(sale(700, "EUR"), testCard, envelope.StatusApproved, approved)
	void, facts := c.do(of(envelope.OpVoid, cancelled, 0), "", envelope.StatusVoided, approved)
	if void.ID == cancelled.ID || facts.Payment != cancelled.ID {
		t.Errorf("the void %s tells of payment %s, not of %s", void.ID, facts.Payment, cancelled.ID)
	}

	kept, facts := c.do(envelope.Order{Operation: envelope.OpStore}, testCard, envelope.StatusStored, envelope.CodeOK)
	byToken := sale(1200, "EUR")
	byToken.Token = facts.Token
	sold, _ := c.do(byToken, "", envelope.StatusApproved, approved)
	// before the batch is closed it is voided
	c.do(of(envelope.OpRefund, sold, 200), "", envelope.StatusRejected, envelope.CodeWrongState)
	c.do(envelope.Order{Operation: envelope.OpForget, Token: facts.Token}, "", envelope.StatusForgotten, envelope.CodeOK)
	c.do(byToken, "", envelope.StatusRejected, envelope.CodeUnknownToken)

	if first := c.settle(); first.Payments != 3 {
		t.Errorf("settled %d payments, want two captures and a sale", first.Payments)
	}
	c.await(last, envelope.StatusSettled, approved)
	c.do(of(envelope.OpRefund, hold, 4000), "", envelope.StatusRefunded, approved)
	c.do(of(envelope.OpRefund, hold, 1001), "", envelope.StatusRejected, envelope.CodeOverCaptured)
	c.do(of(envelope.OpRefund, sold, 1200), "", envelope.StatusRefunded, approved)
	c.do(of(envelope.OpRefund, kept, 1), "", envelope.StatusRejected, envelope.CodeUnknownPayment)
	if second := c.settle(); second.Payments != 2 {
		t.Errorf("settled %d payments, want two refunds", second.Payments)
	}
	if b := readBook(t, s); b.Charged != 3 || b.Credited != 2 || b.Reversed != 1 || len(b.Doubled) != 0 {
		t.Errorf("the host charged %d, credited %d, reversed %d, twice %v", b.Charged, b.Credited, b.Reversed, b.Doubled)
	}
}

// TestBankAccountsFromFileToReturn charges, pays out and refunds bank accounts, and takes the
// bank's answer once however often it is imported.
func TestBankAccountsFromFileToReturn(t *testing.T) {
	s := running(t, site.Options{}, "bookshop")
	c := newCheckout(t, s, "bookshop")
	payout := envelope.Order{Operation: envelope.OpPayout, Amount: 2500, Currency: "USD"}
	c.do(payout, testBank, envelope.StatusRejected, envelope.CodeNotPermitted)
	if err := s.Permit(t.Context(), "bookshop", "--payouts", "USD=3000"); err != nil {
		t.Fatal(err)
	}
	paid, _ := c.do(payout, testBank, envelope.StatusAccepted, envelope.CodeOK)
	c.do(payout, testBank, envelope.StatusRejected, envelope.CodeLimit)
	c.do(sale(100, "EUR"), testBank, envelope.StatusRejected, envelope.CodeCurrency)
	good, _ := c.do(sale(4200, "USD"), testBank, envelope.StatusAccepted, envelope.CodeOK)
	closed, _ := c.do(sale(900_202, "USD"), strings.Replace(testBank, "913", "914", 1), envelope.StatusAccepted, envelope.CodeOK)

	first := c.settle()
	if first.Payments != 3 || len(first.Files) != 1 {
		t.Fatalf("settled %+v", first)
	}
	c.await(paid, envelope.StatusPaidOut, envelope.CodeOK)
	c.await(good, envelope.StatusSettled, envelope.CodeOK)
	c.do(of(envelope.OpRefund, good, 1000), "", envelope.StatusAccepted, envelope.CodeOK)

	answer := importAnswer(t, s)
	c.await(closed, envelope.StatusReturned, envelope.ACHCode("R02"))
	results := len(c.results[closed.Digest])
	if _, err := s.VaultRun(t.Context(), "returns", "import", answer); err != nil {
		t.Errorf("the answer once more: %v", err)
	}
	c.do(sale(100, "USD"), strings.Replace(testBank, "913", "914", 1), envelope.StatusRejected, envelope.CodeBlockedAccount)
	if len(c.results[closed.Digest]) != results {
		t.Errorf("importing the answer again told the shop again: %v", statuses(c.results[closed.Digest]))
	}
	refuseDamaged(t, s, answer)
	if second := c.settle(); second.Payments != 1 || len(second.Files) != 1 || second.Files[0].Name == first.Files[0].Name {
		t.Errorf("the refund was settled as %+v", second)
	}
	if bank := awaitBank(t, s, 4); bank.Entries != 4 || bank.Returned != 1 || len(bank.Doubled) != 0 {
		t.Errorf("the bank's book has %+v", bank)
	}
}

// importAnswer waits for the bank's answer and imports it.
func importAnswer(t *testing.T, s *site.Site) string {
	t.Helper()
	var answers []string
	waittest.For(t, "the bank's answer", func() bool {
		answers, _ = filepath.Glob(filepath.Join(s.Returns(), "*.ach"))
		return len(answers) > 0
	})
	if _, err := s.VaultRun(t.Context(), "returns", "import", answers[0]); err != nil {
		t.Fatal(err)
	}
	return answers[0]
}

// refuseDamaged imports the answer with another control sum: it is refused whole, and the file is
// left alone.
func refuseDamaged(t *testing.T, s *site.Site, answer string) {
	t.Helper()
	data, err := os.ReadFile(answer)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	control := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "9") })
	// the entry hash (file control record, field 6)
	lines[control] = lines[control][:21] + "0000000042" + lines[control][31:]
	damaged := filepath.Join(t.TempDir(), "damaged.ach")
	if err := os.WriteFile(damaged, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	wantExit(t, 7, func() error { _, err := s.VaultRun(t.Context(), "returns", "import", damaged); return err })
	if _, err := os.Stat(damaged); err != nil {
		t.Error("a file that was refused is gone")
	}
}

// TestAPersonDecides lets a capture go without an answer until a person must say what became of it.
// What was said wrongly, the acquirer's totals bring to light, and its listing shows where.
func TestAPersonDecides(t *testing.T) {
	s := running(t, site.Options{AnswerTimeout: 200 * time.Millisecond, ReversalRetry: 10 * time.Millisecond, RepeatFor: time.Second}, "bookshop")
	c := newCheckout(t, s, "bookshop")
	const silent = 900_100
	capture := func() storefront.Sealed {
		hold, _ := c.do(envelope.Order{Operation: envelope.OpAuthorize, Amount: 2_000_000, Currency: "EUR"}, testCard, envelope.StatusApproved, approved)
		return c.give(of(envelope.OpCapture, hold, silent), "")
	}
	asked, guessed := capture(), capture()
	waittest.For(t, "two captures that wait for a person", func() bool { return len(list(t, s, "manual")) == 2 })
	c.await(asked, envelope.StatusUnknown, envelope.CodeNoAnswer)
	resolve := func(s2 storefront.Sealed, as string, more ...string) error {
		_, err := s.VaultRun(t.Context(), append([]string{"payment", "resolve", "bookshop/" + s2.ID, "--as", as}, more...)...)
		return err
	}
	wantExit(t, 2, func() error { return resolve(asked, "captured") })
	wantExit(t, 2, func() error { return resolve(asked, "captured", "--reason", "card 4242 4242 4242 4242") })
	wantExit(t, 6, func() error { return resolve(asked, "reversed", "--reason", "acquirer, call 17") })
	if err := errors.Join(resolve(asked, "captured", "--reason", "acquirer, call 17: booked"), resolve(guessed, "declined", "--reason", "nobody picked up")); err != nil {
		t.Fatal(err)
	}
	wantExit(t, 6, func() error {
		return resolve(guessed, "captured", "--reason", "acquirer, call 18: booked")
	})
	c.await(asked, envelope.StatusCaptured, envelope.CodeOK)
	c.await(guessed, envelope.StatusDeclined, envelope.CodeNoAnswer)

	if _, err := s.VaultRun(t.Context(), "batch", "close", "--all"); err != nil {
		t.Fatal(err)
	}
	wantExit(t, 7, func() error { _, err := s.VaultRun(t.Context(), "batch", "settle", "--all"); return err })
	compareListing(t, s)

	adjust := []string{"batch", "adjust", "card-000001", "--currency", "EUR", "--count", "1", "--amount", "900100", "--payment", "bookshop/" + guessed.ID}
	wantExit(t, 2, func() error { _, err := s.VaultRun(t.Context(), adjust...); return err })
	wantExit(t, 2, func() error {
		_, err := s.VaultRun(t.Context(), "batch", "adjust", "card-000001", "--currency", "EUR", "--reason", "x")
		return err
	})
	if _, err := s.VaultRun(t.Context(), append(adjust, "--reason", "booked there, given back by them on 3 December, case 17")...); err != nil {
		t.Fatal(err)
	}
	if done := c.settle(); done.Payments != 1 {
		t.Errorf("settled %+v", done)
	}
	if out, err := s.VaultRun(t.Context(), "batch", "report", "card-000001"); err != nil || !strings.Contains(out, "+1 for 9,001.00 EUR") || !strings.Contains(out, "case 17") {
		t.Errorf("the report tells (%v)\n%s", err, out)
	}
	if out, err := s.VaultRun(t.Context(), "payment", "show", "bookshop/"+guessed.ID); err != nil || !strings.Contains(out, "adjusted") || !strings.Contains(out, "case 17") {
		t.Errorf("the payment shows (%v)\n%s", err, out)
	}
	other := append(slices.Clone(adjust), "--payment", "elsewhere/"+guessed.ID, "--reason", "of another")
	wantExit(t, 2, func() error { _, err := s.VaultRun(t.Context(), other...); return err })
	wantExit(t, 6, func() error { _, err := s.VaultRun(t.Context(), append(adjust, "--reason", "again")...); return err })
}

// compareListing holds the first card batch against the acquirer's listing, which has one capture
// that the vault has not.
func compareListing(t *testing.T, s *site.Site) {
	t.Helper()
	listing, err := s.Run(t.Context(), "simulator", "listing", "--book", s.Book(), "--acceptor", "BOOKSHOP", "--batch", "1")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(listing, "\n") != 3 {
		t.Fatalf("the acquirer's listing is\n%s", listing)
	}
	file := filepath.Join(t.TempDir(), "listing.csv")
	if err := os.WriteFile(file, []byte(listing), 0o600); err != nil {
		t.Fatal(err)
	}
	var out string
	wantExit(t, 7, func() (err error) {
		out, err = s.VaultRun(t.Context(), "batch", "compare", "card-000001", "--listing", file)
		return err
	})
	if !strings.Contains(out, "missing-here") || strings.Contains(out, "missing-there") {
		t.Errorf("the comparison tells\n%s", out)
	}
}

// TestAcquirerWithAnotherCertificate gives the vault an authority that did not sign the host's
// certificate: nothing leaves, and nothing is lost.
func TestAcquirerWithAnotherCertificate(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	stranger := filepath.Join(t.TempDir(), "stranger.pem")
	if err := os.WriteFile(stranger, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	s := running(t, site.Options{AcquirerCA: stranger}, "bookshop")
	c := newCheckout(t, s, "bookshop")
	waiting := c.give(sale(1999, "EUR"), testCard)
	waittest.For(t, "the sale to be at the vault", func() bool { return len(list(t, s, "received"))+len(list(t, s, "authorising")) > 0 })
	status, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if why, _ := status["messages"].(map[string]any)["acquirer"].(string); !strings.Contains(why, "certificate") {
		t.Errorf("status tells of the acquirer: %q", why)
	}
	if b := readBook(t, s); len(b.Transactions) != 0 {
		t.Errorf("the host took %d requests", len(b.Transactions))
	}
	config := s.Path("vault", "vault.toml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(strings.ReplaceAll(string(text), stranger, s.CA())), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Vault.Kill()
	if err := errors.Join(s.StartVault(t.Context()), s.Unlock(t.Context(), 1, 2)); err != nil {
		t.Fatal(err)
	}
	c.await(waiting, envelope.StatusApproved, approved)
	if b := readBook(t, s); b.Charged != 1 || len(b.Doubled) != 0 {
		t.Errorf("the host charged %d, twice %v", b.Charged, b.Doubled)
	}
}
