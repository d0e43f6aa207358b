package e2e

import (
	"strings"
	"testing"

	"nightdrop/ops/site"
	"nightdrop/shared/envelope"
)

// TestAnAcceptorWaitsForWhatStands: neither a held authorisation nor an unsettled batch may be left
// under an acceptor that the merchant has no more. A currency that is removed stops new sales
// alone.
func TestAnAcceptorWaitsForWhatStands(t *testing.T) {
	s := running(t, site.Options{}, "bookshop")
	c := newCheckout(t, s, "bookshop")
	update := func(flags ...string) (string, error) {
		return s.VaultRun(t.Context(), append([]string{"merchant", "update", "bookshop", "--reason", "contract 18"}, flags...)...)
	}
	refused := func(why string) {
		t.Helper()
		if out, err := update("--acceptor", "NEWBOOKSHOP"); err == nil || !strings.Contains(out+err.Error(), why) {
			t.Errorf("%q, %v; want %q", out, err, why)
		}
	}
	hold, _ := c.do(envelope.Order{Operation: envelope.OpAuthorize, Amount: 5000, Currency: "EUR"}, testCard, envelope.StatusApproved, "iso-00")
	refused(hold.ID + " is authorised")
	if _, err := update("--currency", "USD"); err != nil {
		t.Fatal(err)
	}
	c.do(sale(700, "EUR"), testCard, envelope.StatusRejected, envelope.CodeCurrency)
	c.do(of(envelope.OpCapture, hold, 5000), "", envelope.StatusCaptured, "iso-00")
	refused("batch card-000001 of bookshop")
	c.settle()
	if out, err := update("--acceptor", "NEWBOOKSHOP"); err != nil || !strings.Contains(out, "bookshop updated") {
		t.Fatalf("%q, %v", out, err)
	}
	c.do(sale(800, "USD"), testCard, envelope.StatusApproved, "iso-00")
	if done := c.settle(); len(done.Batches) == 0 {
		t.Error("nothing was settled under the new acceptor")
	}
}
