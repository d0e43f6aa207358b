package e2e

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"nightdrop/ops/site"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
)

// withoutISK builds a vault whose table of ISO 4217's list one lacks ISK, as of an amendment that
// withdraws it, beside the other programs.
func withoutISK(t *testing.T) (dir string) {
	t.Helper()
	source, err := filepath.Abs(filepath.Join("..", "..", "shared", "envelope", "currency.go"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	amended := strings.ReplaceAll(string(text), ";ISK3520", "")
	if amended == string(text) {
		t.Fatal("list one has no ISK")
	}
	dir = t.TempDir()
	changed, overlay := filepath.Join(dir, "currency.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{source: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{changed: []byte(amended), overlay: replace} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-overlay", overlay, "-o", filepath.Join(dir, "vault"), "nightdrop/vault")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, program := range []string{"relay", "storefront", "simulator"} {
		if err := os.Symlink(filepath.Join(binaries, program), filepath.Join(dir, program)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// caseRows reads a file of testdata/cases, without its header.
func caseRows(t *testing.T, name string) [][]string {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "..", "testdata", "cases", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%s has %d rows, %v", name, len(rows), err)
	}
	return rows[1:]
}

// TestAWithdrawnCurrencyStrandsNothing takes payments in ISK, puts a vault into their place whose
// table lacks ISK, and has them captured, voided, refunded, compared, settled and told; only what
// is new is refused.
func TestAWithdrawnCurrencyStrandsNothing(t *testing.T) {
	s := running(t, site.Options{}, "bookshop")
	if err := s.Enrol(t.Context(), site.Merchant{ID: "geysir", Currencies: []string{"ISK", "EUR"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.AwaitMerchant(t.Context(), "geysir"); err != nil {
		t.Fatal(err)
	}
	if err := s.Permit(t.Context(), "geysir", "--limit", "ISK=1000000/5000000"); err != nil {
		t.Fatal(err)
	}
	c := newCheckout(t, s, "geysir")
	sold, _ := c.do(sale(5000, "ISK"), testCard, envelope.StatusApproved, approved)
	c.settle()
	held := envelope.Order{Operation: envelope.OpAuthorize, Amount: 5000, Currency: "ISK"}
	hold, _ := c.do(held, testCard, envelope.StatusApproved, approved)
	open, _ := c.do(sale(700, "ISK"), testCard, envelope.StatusApproved, approved)

	if err := s.Vault.Stop(); err != nil {
		t.Fatal(err)
	}
	s.Bin = withoutISK(t)
	if err := s.StartVault(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Unlock(t.Context(), 1, 3); err != nil {
		t.Fatal(err)
	}
	c.do(sale(700, "ISK"), testCard, envelope.StatusRejected, envelope.CodeCurrency)
	c.do(sale(800, "EUR"), testCard, envelope.StatusApproved, approved)
	if err := s.Permit(t.Context(), "geysir", "--limit", "EUR=1000000/5000000"); err != nil {
		t.Errorf("a merchant with limits in a withdrawn currency has its policy changed: %v", err)
	}
	withdrawnOperations(t, c, map[string]storefront.Sealed{"capture": hold, "void": open, "refund": sold})

	if _, err := s.VaultRun(t.Context(), "batch", "close", "--all"); err != nil {
		t.Fatal(err)
	}
	listed := filepath.Join(t.TempDir(), "listing.csv")
	listing, err := s.Run(t.Context(), "simulator", "listing", "--book", s.Book(),
		"--acceptor", "GEYSIR", "--batch", "2")
	if err != nil || strings.Count(listing, `,"352"`) != 2 {
		t.Fatalf("the acquirer lists\n%s%v", listing, err)
	}
	if err := os.WriteFile(listed, []byte(listing), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := s.VaultRun(t.Context(), "batch", "compare", "card-000002", "--listing", listed); err != nil {
		t.Errorf("the batch is not as the acquirer lists it: %v\n%s", err, out)
	}
	if done := c.settle(); done.Payments != 3 || len(done.Batches) != 1 || done.Batches[0].Status != "settled" {
		t.Errorf("settled %+v", done)
	}
	report, err := s.VaultRun(t.Context(), "batch", "report", "card-000002")
	if err != nil || !strings.Contains(report, "5,000 ISK") || strings.Contains(report, "50.00 ISK") {
		t.Errorf("the report says\n%s%v", report, err)
	}
	if b := readBook(t, s); b.Charged != 3 || b.Credited != 1 || b.Reversed != 1 || len(b.Doubled) != 0 {
		t.Errorf("the host charged %d, credited %d, reversed %d, twice %v", b.Charged, b.Credited, b.Reversed, b.Doubled)
	}
}

// withdrawnOperations does what testdata/cases/withdrawn-currency.csv says, each operation on the
// payment that is given for it.
func withdrawnOperations(t *testing.T, c *checkout, on map[string]storefront.Sealed) {
	t.Helper()
	ends := map[string]envelope.Status{"capture": envelope.StatusCaptured, "void": envelope.StatusVoided,
		"refund": envelope.StatusRefunded}
	for _, row := range caseRows(t, "withdrawn-currency.csv") {
		payment, known := on[row[1]]
		if !known {
			t.Fatalf("%s: no payment for a %s", row[0], row[1])
		}
		amount := int64(0)
		if row[2] != "" {
			var err error
			if amount, err = strconv.ParseInt(row[2], 10, 64); err != nil {
				t.Fatal(fmt.Errorf("%s: %w", row[0], err))
			}
		}
		c.do(of(envelope.Operation(row[1]), payment, amount), "", ends[row[1]], approved)
	}
}
