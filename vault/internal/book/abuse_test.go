package book

import (
	"testing"
	"time"

	"nightdrop/shared/envelope"
)

// Who sells, refunds old sales on the strength of it, and voids, would refund without sales: only
// what is settled counts.
func TestSalesThatMayStillBeVoidedAllowNoRefunds(t *testing.T) {
	b := newBook(t)
	b.inStage(1, StageSettled)
	b.now = b.now.AddDate(0, 3, 0) // nothing of that sale counts any more
	b.must(shop, MerchantPolicySet{Policy: Policy{RefundPercent: 50}})
	b.card(2, envelope.OpSale, 0)
	b.card(3, envelope.OpAuthorize, 0)
	b.must(shop, order(4, envelope.OpCapture, 100, 3))
	b.must(shop, b.captureOf(4))
	b.must(shop, CaptureAnswered{ID: id(4), Code: "iso-00"})
	if b.payment(2).Stage != StageApproved || b.payment(4).Stage != StageCaptured {
		t.Fatalf("the sale is %s, the capture %s", b.payment(2).Stage, b.payment(4).Stage)
	}
	refund := order(5, envelope.OpRefund, 50, 1)
	b.misfits(shop, refund)
	b.closeAll()
	b.must(shop, PaymentSettled{ID: id(2), Batch: b.payment(2).Batch})
	b.misfits(shop, order(5, envelope.OpRefund, 51, 1))
	b.must(shop, refund)
	b.must(shop, PaymentSettled{ID: id(4), Batch: b.payment(4).Batch})
	b.must(shop, order(6, envelope.OpRefund, 50, 1))
}

// An issuer holds the money from the request on, however late a person finds out that it does.
func TestAnAuthorisationThatAPersonApprovedDatesFromItsRequest(t *testing.T) {
	b := newBook(t)
	b.must(shop, order(1, envelope.OpAuthorize, 100, 0))
	b.must(shop, AuthorisationIntended{ID: id(1), Trace: b.trace()})
	b.must(shop, AuthorisationUnanswered{ID: id(1)})
	b.must(shop, ReversalIntended{ID: id(1), Trace: b.trace(), Try: 1})
	b.must(shop, ReversalAbandoned{ID: id(1), Tries: 1})
	b.now = b.now.Add(5 * 24 * time.Hour)
	b.must(shop, PaymentResolved{ID: id(1), As: envelope.StatusApproved, Reason: "the acquirer's listing has it"})
	b.misfits(shop, PaymentResolved{ID: id(1), As: envelope.StatusApproved, Reason: "again"})
	b.must(shop, order(2, envelope.OpCapture, 10, 1))
	b.must(shop, PaymentRefused{ID: id(2), Code: envelope.CodeLate})
	b.now = b.now.Add(24 * time.Hour)
	b.misfits(shop, order(3, envelope.OpCapture, 10, 1))
	b.must(shop, AuthorisationExpired{ID: id(1)})
}

func TestBatchNumbersRunOut(t *testing.T) {
	b := newBook(t)
	v := b.vault()
	v.NextBatch = MaxBatch
	if err := TheVault.Put(b.State, v); err != nil {
		t.Fatal(err)
	}
	b.must(shop, BatchOpened{Batch: MaxBatch, Method: MethodBank})
	if b.vault().MayOpenBatch() {
		t.Error("there is a number after the last")
	}
	b.misfits(shop, BatchOpened{Batch: MaxBatch + 1, Method: MethodCard})
}

func TestWhatAFileHolds(t *testing.T) {
	debit := Payment{Operation: envelope.OpSale, Currency: "USD", Amount: 2}
	credit := Payment{Operation: envelope.OpPayout, Currency: "USD", Amount: 2}
	for name, c := range map[string]struct {
		total         Total
		debit, credit bool
	}{
		"nothing yet":  {Total{Currency: "USD"}, true, true},
		"all but one":  {Total{Currency: "USD", Count: MaxFileEntries - 1}, true, true},
		"all entries":  {Total{Currency: "USD", Count: MaxFileEntries - 1, Credits: 1}, false, false},
		"debits, just": {Total{Currency: "USD", Count: 1, Amount: MaxFileAmount - 2}, true, true},
		"debits":       {Total{Currency: "USD", Count: 1, Amount: MaxFileAmount - 1}, false, true},
		"credits":      {Total{Currency: "USD", Credits: 1, CreditAmount: MaxFileAmount}, true, false},
	} {
		batch := Batch{Totals: []Total{c.total}}
		if batch.Fits(debit) != c.debit || batch.Fits(credit) != c.credit {
			t.Errorf("%s: a debit fits: %v, a credit: %v", name, batch.Fits(debit), batch.Fits(credit))
		}
		if batch.Totals[0] != c.total {
			t.Errorf("%s: asking changed the batch", name)
		}
	}
}
