package settle

import (
	"testing"
	"time"

	"github.com/moov-io/ach"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/vaulttest"
)

// TestEntriesThatWereOvertaken: what the bank, or an operator, said since an entry was accepted
// keeps it out of the file.
func TestEntriesThatWereOvertaken(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	e := c.engine(nil)
	sold := c.settled(500, 700)
	shaky := c.shop.BankSale(900)
	shaky.Account = vaulttest.Bank(vaulttest.Routing, "777766665555")
	first := c.send(shaky)
	c.endOfDay(e)
	shaky.ID = c.shop.BankSale(1).ID
	second := c.send(shaky)
	refund, good := c.send(c.shop.Refund(sold[0], 500)), c.send(c.shop.Refund(sold[1], 10))
	payout := c.shop.Payout(4000)
	payout.Account = vaulttest.Bank(vaulttest.Routing, "444433332222")
	paid := c.send(payout)

	c.Append("shop-1",
		// the account would be paid what it never paid
		book.PaymentReturned{ID: sold[0], Code: envelope.ACHCode("R01")},
		book.PaymentReturned{ID: first, Code: envelope.ACHCode("R02")}, // and blocked
		book.MerchantSuspended{})
	c.endOfDay(e)
	c.want("the refund of a sale that came back", refund, book.StageRejected, "ach-R01", "accepted", "rejected")
	c.want("the sale from a blocked account", second, book.StageRejected, envelope.CodeBlockedAccount, "accepted", "rejected")
	c.want("the payout of a suspended merchant", paid, book.StageRejected, envelope.CodeMerchantSuspended, "accepted", "rejected")
	c.want("the other refund", good, book.StageSettled, envelope.CodeOK, "accepted", "refunded")
	if p := c.Payment("shop-1", sold[0]); p.Refunded != 0 || p.Stage != book.StageReturned {
		t.Errorf("the sale that came back is %s, of it %d are refunded", p.Stage, p.Refunded)
	}
	c.noParts(refund, second, paid)
	c.changesNothing(e)
}

// replace is the draft of an update by a whole bank account.
func (c *counter) replace(token, number string) vaulttest.Draft {
	d := c.shop.Update(token, "2031-01")
	d.Account = vaulttest.Bank(vaulttest.Routing, number)
	return d
}

// TestEntriesOfANotedAccount: what waits for its file when a notice of change comes is not sent,
// and what is made after the update is.
func TestEntriesOfANotedAccount(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	e := c.engine(nil)
	token := c.Payment("shop-1", c.send(c.shop.Store(vaulttest.Bank(vaulttest.Routing, "777766665555")))).Token
	first := c.send(c.shop.ByToken(envelope.OpSale, token, 500))
	c.endOfDay(e)
	waiting := c.send(c.shop.ByToken(envelope.OpSale, token, 600))
	done, err := c.importing(answerFile{created: today, entries: []*ach.EntryDetail{answerOf(c.Payment("shop-1", first).Entry, "C01", 0, ach.CheckingReturnNOCDebit)}})
	c.must(err)
	if done.Changes != 1 {
		t.Errorf("imported %+v", done)
	}
	c.want("the noted sale", first, book.StageSettled, envelope.CodeOK, "accepted", "settled", "noted")
	c.endOfDay(e)
	c.want("the sale that waited", waiting, book.StageRejected, envelope.CodeBlockedAccount, "accepted", "rejected")

	c.Clock.Pass(time.Minute)
	c.send(c.replace(token, "1111222233"))
	again := c.send(c.shop.ByToken(envelope.OpSale, token, 600))
	c.endOfDay(e)
	c.want("the sale after the update", again, book.StageSettled, envelope.CodeOK, "accepted", "settled")
}

// TestEntriesWhoseAccountWasReplaced while they waited: a sale is of the new account from then on,
// also where it comes back; a refund is not sent.
func TestEntriesWhoseAccountWasReplaced(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	e := c.engine(nil)
	token := c.Payment("shop-1", c.send(c.shop.Store(vaulttest.Bank(vaulttest.Routing, "777766665555")))).Token
	paid := c.send(c.shop.ByToken(envelope.OpSale, token, 500))
	c.endOfDay(e)
	sale, refund := c.send(c.shop.ByToken(envelope.OpSale, token, 600)), c.send(c.shop.Refund(paid, 100))
	c.send(c.replace(token, "1111222233"))
	c.endOfDay(e)
	c.want("the refund", refund, book.StageRejected, envelope.CodeAccountGone, "accepted", "rejected")
	c.want("the sale", sale, book.StageSettled, envelope.CodeOK, "accepted", "settled")
	if p := c.Payment("shop-1", sale); p.Masked != "******2233" || p.Fingerprint == c.Payment("shop-1", paid).Fingerprint {
		t.Errorf("the sale is of %s", p.Masked)
	}
	_, err := c.importing(answerFile{created: today, entries: []*ach.EntryDetail{answerOf(c.Payment("shop-1", sale).Entry, "R02", 600, ach.CheckingReturnNOCDebit)}})
	c.must(err)
	c.want("a sale from the account that came back", c.send(c.shop.ByToken(envelope.OpSale, token, 5)), book.StageRejected, envelope.CodeBlockedAccount, "rejected")
}
