package settle

import (
	"fmt"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/vaulttest"
)

// TestBlockedAccountsThatIntakeDidNotCompare: beyond a day's comparisons a blocked account is
// accepted, and its entry does not reach the bank.
func TestBlockedAccountsThatIntakeDidNotCompare(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	e := c.engine(nil)
	returned := c.send(c.shop.BankSale(300))
	c.endOfDay(e)
	c.Append("shop-1", book.PaymentReturned{ID: returned, Code: envelope.ACHCode("R02")})
	var tries [][]byte
	for n := range book.MaxBlockComparisons {
		try := c.shop.Store(vaulttest.Bank(vaulttest.Routing, fmt.Sprintf("%04d5678", n)))
		tries = append(tries, c.shop.Seal(try))
	}
	c.take(tries...)
	store := c.send(c.shop.Store(vaulttest.Bank(vaulttest.Routing, vaulttest.BankAccount)))
	byToken := c.shop.ByToken(envelope.OpSale, c.Payment("shop-1", store).Token, 5)
	blocked := []string{c.send(c.shop.BankSale(5)), c.send(c.shop.Payout(5)), c.send(byToken)}
	done := c.endOfDay(e)
	for _, id := range blocked {
		c.want("an entry of a blocked account", id, book.StageRejected, envelope.CodeBlockedAccount, "accepted", "rejected")
	}
	if len(done.Files) != 0 {
		t.Errorf("files %+v", done.Files)
	}
}
