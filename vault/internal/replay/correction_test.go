package replay

import (
	"slices"
	"strings"
	"testing"

	"nightdrop/vault/internal/payment"
)

// decided is a sale of which nothing came, and of which a person said that it stands.
func (v *vault) decided(amount int64) string {
	v.t.Helper()
	pay := v.received(amount)
	v.do(shop, payment.AuthorisationIntended{ID: pay, Trace: v.trace(), Batch: v.batch})
	v.do(shop, payment.AuthorisationUnanswered{ID: pay})
	v.do(shop, payment.ReversalIntended{ID: pay, Trace: v.trace(), Try: 1})
	v.do(shop, payment.ReversalAbandoned{ID: pay, Tries: 1})
	v.do(shop, payment.PaymentResolved{ID: pay, As: "approved", Reason: "a guess", Remembered: true})
	return pay
}

// TestCorrectionsAndAdjustmentsReplay: an auditor's replay comes to the vault's own state, and a payment's story tells of them.
func TestCorrectionsAndAdjustmentsReplay(t *testing.T) {
	v := newVault(t)
	good := v.sale(1000)
	early, late := v.decided(700), v.decided(900)
	v.do(shop, payment.PaymentCorrected{ID: early, As: "reversed", Reason: "its letter"})
	v.do(shop, payment.PaymentCorrected{ID: early, As: "approved", Reason: "the other letter"})
	v.do(shop, payment.ReversalIntended{ID: early, Trace: v.trace(), Try: 1})
	v.do(shop, payment.ReversalAnswered{ID: early, Code: "iso-00"})
	b := v.state.Batches[v.batch]
	v.do(shop, payment.BatchClosing{Batch: v.batch})
	v.do(shop, payment.BatchClosed{Batch: v.batch, Totals: b.Totals, HashTotal: b.HashTotal})
	v.do(shop, payment.PaymentCorrected{ID: late, As: "reversed", Reason: "its listing"})
	v.do(shop, payment.BatchAdjusted{Batch: v.batch, Total: payment.Total{Currency: "USD", Count: 1, Amount: 77}, Reason: "a stray sale"})
	v.do(shop, payment.BatchAgreed{Batch: v.batch, By: payment.ByWord, Totals: []payment.Total{{Currency: "USD", Count: 2, Amount: 1077}}, Reason: "its statement"})
	v.do(shop, payment.PaymentSettled{ID: good, Batch: v.batch})
	v.do(shop, payment.BatchSettled{Batch: v.batch})

	r, state, err := v.replay(v.export(), given{})
	v.must(err)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	same(t, state, v.state)
	story, err := v.tell(shop, late)
	v.must(err)
	kinds := story.kinds(t)
	for _, kind := range []string{"payment-resolved", "payment-corrected", "batch-adjusted", "batch-agreed", "batch-settled"} {
		if !slices.Contains(kinds, kind) {
			t.Errorf("the story does not tell of %s: %v", kind, kinds)
		}
	}
	var text strings.Builder
	v.must(story.Write(&text))
	if !strings.Contains(text.String(), "told reversed, no-answer") || !strings.Contains(text.String(), "its listing") {
		t.Errorf("told\n%s", &text)
	}
}
