package book

import (
	"testing"
	"time"

	"nightdrop/shared/envelope"
)

// TestRepeatedCountsFromTheFirstTryOrAPersonsWord: since when a message is repeated, and how often
// it was sent since then, is what the log says.
func TestRepeatedCountsFromTheFirstTryOrAPersonsWord(t *testing.T) {
	b := newBook(t)
	b.must(shop, BatchOpened{Batch: 1, Method: MethodCard})
	b.must(shop, sale(1))
	b.must(shop, AuthorisationIntended{ID: id(1), Trace: b.trace(), Batch: 1})
	b.must(shop, AuthorisationUnanswered{ID: id(1)})
	if since, tries := b.payment(1).Repeated(); !since.IsZero() || tries != 0 {
		t.Errorf("before its first reversal it is repeated since %v, %d times", since, tries)
	}
	first := b.now
	trace := b.trace()
	for n := 1; n <= 3; n++ {
		b.must(shop, ReversalIntended{ID: id(1), Trace: trace, Try: n})
		b.now = b.now.Add(time.Minute)
	}
	if since, tries := b.payment(1).Repeated(); !since.Equal(first) || tries != 3 {
		t.Errorf("after three tries it is repeated since %v, %d times", since, tries)
	}
	b.misfits(shop, PaymentResent{ID: id(1), Reason: "it is not manual"})
	b.must(shop, ReversalAbandoned{ID: id(1), Tries: 3})
	b.now = b.now.Add(time.Hour)
	b.must(shop, PaymentResent{ID: id(1), Reason: "the host is up"})
	if since, tries := b.payment(1).Repeated(); !since.Equal(b.now) || tries != 0 || b.payment(1).Stage != StageUnknown {
		t.Errorf("sent again it is %s, repeated since %v, %d times", b.payment(1).Stage, since, tries)
	}
	b.must(shop, ReversalIntended{ID: id(1), Trace: trace, Try: 4})
	if _, tries := b.payment(1).Repeated(); tries != 1 {
		t.Errorf("after another try it was sent %d times since", tries)
	}
	b.must(shop, PaymentResolved{ID: id(1), As: envelope.StatusApproved, Reason: "the acquirer's listing"})
	if p := b.payment(1); p.Stage != StageApproved || p.Resent != nil || Batches.In(b.State)[1].Unresolved != 0 {
		t.Errorf("resolved it is %+v", p)
	}
	if err := b.Verify(); err != nil {
		t.Error(err)
	}
}

// TestRefusedAfterItsIntent: a request that certainly never left is of no batch, and what it would
// have refunded is free again.
func TestRefusedAfterItsIntent(t *testing.T) {
	b := newBook(t)
	b.card(original, envelope.OpSale, 0)
	b.closeAll()
	b.must(shop, order(subject, envelope.OpRefund, 60, original))
	batch := b.batchFor(envelope.OpRefund)
	b.must(shop, AuthorisationIntended{ID: id(subject), Trace: b.trace(), Batch: batch})
	b.must(shop, PaymentRefused{ID: id(subject), Code: envelope.CodeNoAnswer})
	if p := b.payment(subject); p.Stage != StageRejected || p.Batch != 0 || Batches.In(b.State)[batch].Outstanding != 0 || b.payment(original).Refunded != 0 {
		t.Errorf("refused it is %+v, of a batch with %d outstanding, and %d is refunded", p, Batches.In(b.State)[batch].Outstanding, b.payment(original).Refunded)
	}
	if err := b.Verify(); err != nil {
		t.Error(err)
	}
}
