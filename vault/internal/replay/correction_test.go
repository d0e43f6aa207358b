package replay

import (
	"slices"
	"strings"
	"testing"

	"nightdrop/vault/internal/book"
)

// decided is a sale of which nothing came, and of which a person said that it stands.
func (v *vault) decided(amount int64) string {
	v.t.Helper()
	pay := v.received(amount)
	v.do(shop, book.AuthorisationIntended{ID: pay, Trace: v.trace(), Batch: v.batch})
	v.do(shop, book.AuthorisationUnanswered{ID: pay})
	v.do(shop, book.ReversalIntended{ID: pay, Trace: v.trace(), Try: 1})
	v.do(shop, book.ReversalAbandoned{ID: pay, Tries: 1})
	v.do(shop, book.PaymentResolved{ID: pay, As: "approved", Reason: "a guess", Remembered: true})
	return pay
}

// TestCorrectionsAndAdjustmentsReplay: an auditor's replay comes to the vault's own state, and a
// payment's story reports them.
func TestCorrectionsAndAdjustmentsReplay(t *testing.T) {
	v := newVault(t)
	good := v.sale(1000)
	early, late := v.decided(700), v.decided(900)
	v.do(shop, book.PaymentCorrected{ID: early, As: "reversed", Reason: "its letter"})
	v.do(shop, book.PaymentCorrected{ID: early, As: "approved", Reason: "the other letter"})
	v.do(shop, book.ReversalIntended{ID: early, Trace: v.trace(), Try: 1})
	v.do(shop, book.ReversalAnswered{ID: early, Code: "iso-00"})
	b := book.Batches.In(v.state)[v.batch]
	v.do(shop, book.BatchClosing{Batch: v.batch})
	v.do(shop, book.BatchClosed{Batch: v.batch, Totals: b.Totals, HashTotal: b.HashTotal})
	v.do(shop, book.PaymentCorrected{ID: late, As: "reversed", Reason: "its listing"})
	v.do(shop, book.BatchAdjusted{Batch: v.batch, Total: book.Total{Currency: "USD", Count: 1, Amount: 77}, Reason: "a stray sale"})
	v.do(shop, book.BatchAgreed{Batch: v.batch, By: book.ByWord, Totals: []book.Total{{Currency: "USD", Count: 2, Amount: 1077}}, Reason: "its statement"})
	v.do(shop, book.PaymentSettled{ID: good, Batch: v.batch})
	v.do(shop, book.BatchSettled{Batch: v.batch})

	r, state, err := v.replay(v.export(), given{})
	v.must(err)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	same(t, state, v.state)
	story, err := v.storyOf(shop, late)
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
