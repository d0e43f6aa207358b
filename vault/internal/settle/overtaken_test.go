package settle

import (
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/intake/intaketest"
	"nightdrop/vault/internal/payment"
)

// TestEntriesThatWereOvertaken: what the bank, or an operator, said since an entry was accepted keeps it out of the file.
func TestEntriesThatWereOvertaken(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	e := c.engine(nil)
	sold := c.settled(500, 700)
	shaky := c.shop.BankSale(900)
	shaky.Account = intaketest.Bank(intaketest.Routing, "777766665555")
	first := c.send(shaky)
	c.endOfDay(e)
	shaky.ID = c.shop.BankSale(1).ID
	second := c.send(shaky)
	refund, good := c.send(c.shop.Refund(sold[0], 500)), c.send(c.shop.Refund(sold[1], 10))
	payout := c.shop.Payout(4000)
	payout.Account = intaketest.Bank(intaketest.Routing, "444433332222")
	paid := c.send(payout)

	c.Append("shop-1",
		payment.PaymentReturned{ID: sold[0], Code: envelope.ACHCode("R01")}, // the account would be paid what it never paid
		payment.PaymentReturned{ID: first, Code: envelope.ACHCode("R02")},   // and blocked
		payment.MerchantSuspended{})
	c.endOfDay(e)
	c.want("the refund of a sale that came back", refund, payment.StageRejected, envelope.CodeWrongState, "accepted", "rejected")
	c.want("the sale from a blocked account", second, payment.StageRejected, envelope.CodeBlockedAccount, "accepted", "rejected")
	c.want("the payout of a suspended merchant", paid, payment.StageRejected, envelope.CodeMerchantSuspended, "accepted", "rejected")
	c.want("the other refund", good, payment.StageSettled, envelope.CodeOK, "accepted", "refunded")
	if p := c.Payment("shop-1", sold[0]); p.Refunded != 0 || p.Stage != payment.StageReturned {
		t.Errorf("the sale that came back is %s, of it %d are refunded", p.Stage, p.Refunded)
	}
	c.noParts(refund, second, paid)
	c.changesNothing(e)
}
