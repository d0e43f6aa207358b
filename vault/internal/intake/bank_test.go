package intake

import (
	"slices"
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/vaulttest"
)

var onlyAccount = []envelope.PartName{envelope.PartAccount}

// bankFixture is a fixture whose merchant may do everything.
func bankFixture(t *testing.T) *fixture {
	t.Helper()
	d := newFixture(t)
	d.permit("shop-1")
	return d
}

func (d *fixture) accepted(draft vaulttest.Draft) string {
	d.TB.Helper()
	d.expect(draft, envelope.StatusAccepted, envelope.CodeOK)
	return draft.ID
}

func TestBankSaleIsAccepted(t *testing.T) {
	d := bankFixture(t)
	draft := d.shop.BankSale(2500)
	f := d.expect(draft, envelope.StatusAccepted, envelope.CodeOK)
	if f.Amount != 2500 || f.Currency != "USD" || f.Masked != "******5678" || f.Batch != "" {
		t.Errorf("answered %+v", f)
	}
	p := d.Payment("shop-1", draft.ID)
	if p.Stage != book.StageAccepted || p.Method != book.MethodBank || p.Standard != "WEB" || p.Brand != "" || p.Fingerprint == "" {
		t.Errorf("sale %+v", p)
	}
	if b := d.batch(p.Batch); b.Method != book.MethodBank || b.Stage != book.BatchOpen || b.Totals[0].Amount != 2500 {
		t.Errorf("batch %+v", b)
	}
	if kept := d.parts(draft.ID); !slices.Equal(kept, onlyAccount) {
		t.Errorf("parts %v are kept", kept)
	}
	second := d.accepted(d.shop.BankSale(1))
	if d.Payment("shop-1", second).Batch != p.Batch {
		t.Error("the second sale joined another batch")
	}
	card := d.approved(d.shop.Sale())
	if d.Payment("shop-1", card).Batch == p.Batch {
		t.Error("a card joined the bank's batch")
	}
}

func TestPayoutsByKindOfPayee(t *testing.T) {
	d := bankFixture(t)
	business := d.accepted(d.shop.Payout(700))
	policy := vaulttest.Policy()
	policy.Payees = book.PayeesConsumer
	d.Append("shop-1", book.MerchantPolicySet{Policy: policy})
	consumer := d.accepted(d.shop.Payout(700))
	if a, b := d.Payment("shop-1", business), d.Payment("shop-1", consumer); a.Standard != "CCD" || b.Standard != "PPD" {
		t.Errorf("standards %s and %s", a.Standard, b.Standard)
	}
	if b := d.batch(d.merchant().OpenBank); b.Totals[0].Credits != 2 || b.Totals[0].CreditAmount != 1400 || b.Totals[0].Count != 0 {
		t.Errorf("batch %+v", b)
	}
	d.refused(d.shop.Refund(business, 1), envelope.CodeWrongState)
	d.refused(d.shop.Capture(business, 1), envelope.CodeWrongState)
}

func TestVoidOfABankEntry(t *testing.T) {
	d := bankFixture(t)
	sale, payout := d.accepted(d.shop.BankSale(300)), d.accepted(d.shop.Payout(20))
	void := d.shop.Void(sale)
	f := d.expect(void, envelope.StatusVoided, envelope.CodeOK)
	if f != (envelope.Facts{Payment: sale, Status: envelope.StatusVoided, Code: envelope.CodeOK, Reference: "order 17", Masked: "******5678"}) {
		t.Errorf("void answered %+v", f)
	}
	if p := d.Payment("shop-1", sale); p.Stage != book.StageVoided || p.Void != void.ID {
		t.Errorf("sale %s", p.Stage)
	}
	if kept := d.parts(sale); len(kept) != 0 {
		t.Errorf("parts %v of a voided sale are kept", kept)
	}
	d.expect(d.shop.Void(payout), envelope.StatusVoided, envelope.CodeOK)
	d.refused(d.shop.Void(payout), envelope.CodeWrongState)
	if b := d.batch(d.merchant().OpenBank); len(b.Totals) != 0 {
		t.Errorf("batch %+v", b)
	}
	last := d.accepted(d.shop.BankSale(300))
	d.settleBank()
	d.refused(d.shop.Void(last), envelope.CodeWrongState)
}

func TestRefundOfABankSale(t *testing.T) {
	d := bankFixture(t)
	sale := d.accepted(d.shop.BankSale(300))
	d.refused(d.shop.Refund(sale, 100), envelope.CodeWrongState) // it is voided
	d.settleBank()
	refund := d.accepted(d.shop.Refund(sale, 100))
	p := d.Payment("shop-1", refund)
	if p.Standard != "PPD" || p.Of != sale || p.Masked != "******5678" || p.Currency != "USD" || len(d.parts(refund)) != 0 {
		t.Errorf("refund %+v", p)
	}
	given := d.shop.Refund(sale, 100)
	given.Account = vaulttest.Bank(vaulttest.Routing, vaulttest.BankAccount)
	if d.accepted(given); !slices.Equal(d.parts(given.ID), onlyAccount) {
		t.Error("the account of a refund is not kept")
	}
	other := d.shop.Refund(sale, 1)
	other.Account = vaulttest.Bank(vaulttest.Routing, "87654321")
	d.refused(other, envelope.CodeBadAccount)
	d.refused(d.shop.Refund(refund, 1), envelope.CodeUnknownPayment)
	d.refused(d.shop.Refund(sale, 101), envelope.CodeOverCaptured)
	d.refused(d.shop.Void(refund), envelope.CodeUnknownPayment)

	d.dropPart(sale)
	d.refused(d.shop.Refund(sale, 1), envelope.CodeAccountGone)
	d.Append("shop-1", book.MerchantPolicySet{})
	d.refused(d.shop.Refund(sale, 1), envelope.CodeNotPermitted)
}

// An account that a return has blocked is not used again by its merchant, whatever the operation,
// nor by token.
func TestBlockedAccount(t *testing.T) {
	d := bankFixture(t)
	sale, kept := d.accepted(d.shop.BankSale(300)), d.accepted(d.shop.BankSale(200))
	token := d.stored(d.shop.Store(vaulttest.Bank(vaulttest.Routing, vaulttest.BankAccount)))
	d.settleBank()
	d.Append("shop-1", book.PaymentReturned{ID: sale, Code: envelope.ACHCode("R02")})
	f := d.refused(d.shop.BankSale(5), envelope.CodeBlockedAccount)
	if f.Masked != "******5678" || f.Amount != 5 {
		t.Errorf("refused by %+v", f)
	}
	for _, draft := range []vaulttest.Draft{d.shop.Payout(5), d.shop.ByToken(envelope.OpSale, token, 5), d.shop.ByToken(envelope.OpPayout, token, 5),
		d.shop.Refund(kept, 5), d.shop.Store(vaulttest.Bank(vaulttest.Routing, vaulttest.BankAccount))} {
		d.refused(draft, envelope.CodeBlockedAccount)
	}
	d.refused(d.shop.Refund(sale, 5), envelope.CodeWrongState)
	other := d.shop.BankSale(5)
	other.Account = vaulttest.Bank(vaulttest.Routing, "87654321")
	d.accepted(other)

	elsewhere := d.Enrol("shop-2")
	d.permit("shop-2")
	same := elsewhere.BankSale(5)
	d.take(d.run.Bag(elsewhere.Seal(same)))
	if f := d.answers()[same.ID]; f.Status != envelope.StatusAccepted {
		t.Errorf("another merchant's sale from that account is answered %+v", f)
	}
}
