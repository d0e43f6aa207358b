package e2e

import (
	"strings"
	"testing"

	"nightdrop/ops/site"
	"nightdrop/shared/envelope"
)

// TestANoticeOfChangeReachesTheShop: the bank says that a stored account is to be corrected, the
// shop reads noted, with the token and the datum's code, and the account makes no entry until an
// update brings a whole one.
func TestANoticeOfChangeReachesTheShop(t *testing.T) {
	s := running(t, site.Options{}, "bookshop")
	if err := s.Permit(t.Context(), "bookshop", "--storage", "on"); err != nil {
		t.Fatal(err)
	}
	c := newCheckout(t, s, "bookshop")
	_, kept := c.do(envelope.Order{Operation: envelope.OpStore}, testBank, envelope.StatusStored, envelope.CodeOK)
	byToken := func(amount int64) envelope.Order {
		order := sale(amount, "USD")
		order.Token = kept.Token
		return order
	}
	noted, _ := c.do(byToken(900_401), "", envelope.StatusAccepted, envelope.CodeOK)
	plain, _ := c.do(sale(900_405, "USD"), strings.Replace(testBank, "913", "914", 1), envelope.StatusAccepted, envelope.CodeOK)
	c.settle()
	c.await(noted, envelope.StatusSettled, envelope.CodeOK)
	importAnswer(t, s)
	c.await(noted, envelope.StatusNoted, envelope.ACHCode("C01"))
	c.await(plain, envelope.StatusNoted, envelope.ACHCode("C05"))
	got := c.results[noted.Digest]
	if f := got[len(got)-1].Facts; f.Payment != noted.ID || f.Token != kept.Token || f.Masked != kept.Masked || f.Amount != 900_401 || f.Currency != "USD" {
		t.Errorf("told %+v", f)
	}

	if out, err := s.ShopRun(t.Context(), "bookshop", "results", "--id", noted.ID); err != nil || !strings.Contains(out, "noted") || !strings.Contains(out, "ach-C01") {
		t.Errorf("the storefront's command line tells %v\n%s", err, out)
	}
	if out, err := s.ShopRun(t.Context(), "bookshop", "results", "--explain", noted.ID); err != nil || !strings.Contains(out, "send an update with all of it") {
		t.Errorf("the storefront's command line explains %v\n%s", err, out)
	}

	c.do(byToken(700), "", envelope.StatusRejected, envelope.CodeBlockedAccount)
	c.do(of(envelope.OpRefund, noted, 100), "", envelope.StatusRejected, envelope.CodeBlockedAccount)
	update := envelope.Order{Operation: envelope.OpUpdate, Token: kept.Token}
	c.do(update, `{"card":{"expiry":"2031-12"}}`, envelope.StatusRejected, envelope.CodeBadAccount)
	corrected := strings.Replace(testBank, "71002345678913", "71002345678999", 1)
	if _, f := c.do(update, corrected, envelope.StatusUpdated, envelope.CodeOK); f.Token != kept.Token || f.Masked != "******8999" {
		t.Errorf("the update told %+v", f)
	}
	again, _ := c.do(byToken(700), "", envelope.StatusAccepted, envelope.CodeOK)
	c.settle()
	c.await(again, envelope.StatusSettled, envelope.CodeOK)
	awaitBank(t, s, 3)
	if out, err := s.Run(t.Context(), "simulator", "bank-book", "--book", s.BankBook(), "--json"); err != nil || !strings.Contains(out, "******8999") {
		t.Errorf("the bank's book has no entry of the corrected account: %v\n%s", err, out)
	}
}
