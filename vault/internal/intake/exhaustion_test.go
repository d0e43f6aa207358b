package intake

import (
	"fmt"
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
)

// edit changes a record without an event, and must be undone before the test ends: using up a vault
// for real would last too long.
func (d *fixture) edit(change func(tx *ledger.Tx) error) {
	d.TB.Helper()
	if err := d.Ledger.Commit(d.TB.Context(), change); err != nil {
		d.TB.Fatal(err)
	}
}

func (d *fixture) nextBatch(number uint32) {
	d.TB.Helper()
	d.edit(func(tx *ledger.Tx) error {
		v, err := tx.Vault()
		if err != nil {
			return err
		}
		v.NextBatch = number
		return book.TheVault.Put(tx.State, v)
	})
}

// When the last batch number is used, what needs a new batch is refused; everything else goes on.
func TestBatchNumbersRunOut(t *testing.T) {
	d := bankFixture(t)
	d.intake.RefundsByReference = true
	sale, held := d.approved(d.shop.Sale()), d.approved(d.shop.Authorize(100))
	d.settleCards()
	next := d.State().NextBatch
	d.nextBatch(book.MaxBatch + 1)
	f := d.beyond(d.shop.BankSale(5), book.ExceededBatches)
	if f.Amount != 5 || f.Masked != "******5678" {
		t.Errorf("refused by %+v", f)
	}
	d.beyond(d.shop.Payout(5), book.ExceededBatches)
	d.beyond(d.shop.Sale(), book.ExceededBatches)
	d.beyond(d.shop.Capture(held, 5), book.ExceededBatches)
	d.beyond(d.shop.Refund(sale, 5), book.ExceededBatches)
	d.waits(d.shop.Authorize(5)) // holds money and is of no batch
	d.waits(d.shop.Void(held))
	d.stored(d.shop.Store(goodCard))

	d.nextBatch(next)
	d.accepted(d.shop.BankSale(6))
	next = d.State().NextBatch
	d.nextBatch(book.MaxBatch + 1)
	d.accepted(d.shop.Payout(7)) // into the open batch
	d.beyond(d.shop.Sale(), book.ExceededBatches)
	d.nextBatch(next)
}

// A batch that would become too large for a settlement file is closed, and the entry begins the
// next.
func TestABankBatchIsNotMadeTooLargeForAFile(t *testing.T) {
	d := bankFixture(t)
	first := d.accepted(d.shop.BankSale(300))
	full := d.Payment("shop-1", first).Batch
	amount := func(cents int64) {
		d.edit(func(tx *ledger.Tx) error {
			b, _, err := tx.Batch(full)
			if err != nil {
				return err
			}
			b.Totals = []book.Total{{Currency: "USD", Count: b.Totals[0].Count, Amount: cents}}
			return book.Batches.Put(tx.State, b)
		})
	}
	amount(book.MaxFileAmount - 400)
	same, next := d.accepted(d.shop.BankSale(400)), d.accepted(d.shop.BankSale(1))
	amount(700)
	if d.Payment("shop-1", same).Batch != full {
		t.Error("what fits joined another batch")
	}
	if b := d.batch(full); b.Stage != book.BatchCutover {
		t.Errorf("the full batch is %s", b.Stage)
	}
	if b := d.batch(d.Payment("shop-1", next).Batch); b.Number == full || b.Stage != book.BatchOpen || b.Count() != 1 || d.merchant().OpenBank != b.Number {
		t.Errorf("the next batch is %+v", b)
	}
	d.refused(d.shop.Void(same), envelope.CodeWrongState)
}

// Each update uses a key: a thief of a storefront's key could use them up.
func TestUpdatesAreLimitedAsStores(t *testing.T) {
	d := newFixture(t)
	d.permit("shop-1")
	token := d.stored(d.shop.Store(goodCard))
	policy := d.merchant().Policy
	policy.StoresPerDay = 2
	d.Append("shop-1", book.MerchantPolicySet{Policy: policy})
	d.expect(d.shop.Update(token, "2032-01"), envelope.StatusUpdated, envelope.CodeOK)
	before, _ := d.record(token)
	d.beyond(d.shop.Update(token, "2033-01"), book.ExceededStores)
	d.beyond(d.shop.Store(goodCard), book.ExceededStores)
	if after, _ := d.record(token); after.Slot != before.Slot {
		t.Error("an update over the limit changed the account")
	}
}

type full struct{ Accounts }

func (full) SealStored(string, string, []byte) (uint32, []byte, error) {
	return 0, nil, fmt.Errorf("stored.keys: %w", keyring.ErrFull)
}

// A vault that can store no more accounts accepts everything else.
func TestNoMoreAccountsCanBeStored(t *testing.T) {
	d := bankFixture(t)
	token := d.stored(d.shop.Store(goodCard))
	d.intake.Accounts = full{d.Ring}
	d.beyond(d.shop.Store(goodCard), book.ExceededKeys)
	d.beyond(d.shop.Update(token, "2032-01"), book.ExceededKeys)
	d.accepted(d.shop.BankSale(5))
	d.expect(d.shop.Forget(token), envelope.StatusForgotten, envelope.CodeOK)
}
