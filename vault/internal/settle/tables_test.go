package settle

import (
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

// storedAs puts another account into a token's place, as if it had been stored when the tables were
// others.
func (c *counter) storedAs(token, account string) {
	c.t.Helper()
	slot, sealed, err := c.Ring.SealStored("shop-1", token, []byte(account))
	c.must(err)
	c.must(c.Ledger.Commit(c.t.Context(), func(tx *ledger.Tx) error {
		return tx.PutStored("shop-1", token, ledger.Stored{Slot: slot, Sealed: sealed})
	}))
}

// TestWhatIsStoredOutlivesTheTables: cards of a length that their scheme no longer has, and bank
// accounts of routing numbers that are not assigned any more, are charged, filed and refunded as
// they were stored; only a card's expiry is looked at again.
func TestWhatIsStoredOutlivesTheTables(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	stored := func(account string) string { return c.Payment("shop-1", c.send(c.shop.Store(account))).Token }
	good := vaulttest.Card(vaulttest.CardNumber, vaulttest.CardExpiry)
	card, expired, bank := stored(good), stored(good), stored(vaulttest.Bank(vaulttest.Routing, vaulttest.BankAccount))
	// a Visa card of 15 digits
	c.storedAs(card, vaulttest.Card("424242424242424", vaulttest.CardExpiry))
	c.storedAs(expired, vaulttest.Card(vaulttest.CardNumber, "2020-01"))
	c.storedAs(bank, vaulttest.Bank("500000005", vaulttest.BankAccount)) // 50 is of no district
	sale := func(token string) string { return c.send(c.shop.ByToken(envelope.OpSale, token, 20)) }
	charged, late, debit := sale(card), sale(expired), sale(bank)
	e := c.engine(nil)
	c.finish(e)
	c.endOfDay(e)
	c.want("the card", charged, book.StageSettled, envelope.ISOCode("00"), "approved", "settled")
	c.want("the expired card", late, book.StageRejected, envelope.CodeExpiredCard, "rejected")
	c.want("the bank account", debit, book.StageSettled, envelope.CodeOK, "accepted", "settled")
	_, _, file := c.theFile()
	if got := file.Batches[0].GetEntries()[0]; got.RDFIIdentification+got.CheckDigit != "500000005" {
		t.Errorf("the file has an entry of %s", got.RDFIIdentification+got.CheckDigit)
	}
	refund := c.send(c.shop.Refund(debit, 20))
	c.endOfDay(e)
	c.want("the refund", refund, book.StageSettled, envelope.CodeOK, "accepted", "refunded")
	c.agree()
}
