package intake

import (
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/vaulttest"
)

// replace is an update by a whole account.
func (d *fixture) replace(token, account string) vaulttest.Draft {
	draft := d.shop.Update(token, "2031-01")
	draft.Account = account
	return draft
}

// TestANotedAccountIsNotUsed until an update replaces it: sales, payouts and refunds of its token
// are refused, and only those.
func TestANotedAccountIsNotUsed(t *testing.T) {
	d := bankFixture(t)
	corrected := vaulttest.Bank(vaulttest.Routing, "99887766")
	token := d.stored(d.shop.Store(payee))
	sale, other := d.accepted(d.shop.ByToken(envelope.OpSale, token, 300)), d.accepted(d.shop.BankSale(200))
	d.settleBank()
	d.Append("shop-1", book.ChangeNotified{ID: sale, Code: "C01", Told: true}, book.ChangeNotified{ID: other, Code: "C02", Told: true})
	for _, draft := range []vaulttest.Draft{d.shop.ByToken(envelope.OpSale, token, 5), d.shop.ByToken(envelope.OpPayout, token, 5), d.shop.Refund(sale, 5)} {
		d.refused(draft, envelope.CodeBlockedAccount)
	}
	d.accepted(d.shop.Refund(other, 5)) // no stored account is noted of it
	d.refused(d.shop.Update(token, "2036-01"), envelope.CodeBadAccount)
	d.refused(d.shop.ByToken(envelope.OpSale, token, 5), envelope.CodeBlockedAccount)

	d.Clock.Pass(time.Minute)
	before, _ := d.record(token)
	f := d.expect(d.replace(token, corrected), envelope.StatusUpdated, envelope.CodeOK)
	if f.Token != token || f.Masked != "******7766" {
		t.Errorf("update answered %+v", f)
	}
	d.dead(token, before)
	if acct, err := d.open(token); err != nil || acct.Bank == nil || string(acct.Bank.Account()) != "99887766" {
		t.Fatalf("the stored account is another, or %v", err)
	}
	if p := d.Payment("shop-1", d.accepted(d.shop.ByToken(envelope.OpSale, token, 5))); p.Masked != "******7766" {
		t.Errorf("sale %+v", p)
	}
}

// TestARefundDoesNotFollowAnUpdate: else a signer could have every sale of a token refunded to
// another account.
func TestARefundDoesNotFollowAnUpdate(t *testing.T) {
	d := bankFixture(t)
	token := d.stored(d.shop.Store(payee))
	sale := d.accepted(d.shop.ByToken(envelope.OpSale, token, 300))
	d.settleBank()
	d.expect(d.replace(token, vaulttest.Bank(vaulttest.Routing, "99887766")), envelope.StatusUpdated, envelope.CodeOK)
	d.refused(d.shop.Refund(sale, 5), envelope.CodeAccountGone)
	given := d.shop.Refund(sale, 5)
	given.Account = payee
	d.accepted(given)
}

func TestUpdatesByAWholeAccount(t *testing.T) {
	d := bankFixture(t)
	bank, card := d.stored(d.shop.Store(payee)), d.stored(d.shop.Store(goodCard))
	sale := d.accepted(d.shop.BankSale(300))
	d.settleBank()
	blocked := vaulttest.Bank(vaulttest.Routing, vaulttest.BankAccount)
	good := vaulttest.Bank(vaulttest.Routing, "99887766")
	record, _ := d.record(bank)
	for name, c := range map[string]struct {
		draft vaulttest.Draft
		code  envelope.Code
	}{
		"a card for a bank account":  {d.replace(bank, goodCard), envelope.CodeBadAccount},
		"a card for a card":          {d.replace(card, goodCard), envelope.CodeBadAccount},
		"a bank account for a card":  {d.replace(card, good), envelope.CodeBadAccount},
		"a routing number of nobody": {d.replace(bank, vaulttest.Bank("990000000", "99887766")), envelope.CodeRouting},
		"no token that was made":     {d.replace("tok_aaaaaaaaaaaaaaaaaaaaaaaaaa", good), envelope.CodeUnknownToken},
		"nameless":                   {d.replace(bank, nameless), envelope.CodeBadAccount},
	} {
		t.Run(name, func(*testing.T) { d.refused(c.draft, c.code) })
	}
	d.Append("shop-1", book.PaymentReturned{ID: sale, Code: envelope.ACHCode("R02")})
	d.refused(d.replace(bank, blocked), envelope.CodeBlockedAccount)
	if now, _ := d.record(bank); now.Slot != record.Slot {
		t.Error("the stored account was replaced")
	}
	d.Append("shop-1", book.MerchantPolicySet{Policy: book.Policy{Storage: true}})
	d.refused(d.replace(bank, good), envelope.CodeNotPermitted)
}
