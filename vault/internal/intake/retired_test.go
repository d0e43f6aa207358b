package intake

import (
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/vaulttest"
)

// After an update the retired key no longer counts, whenever it signed; what was accepted before
// goes on.
func TestARetiredKeyIsAnUnknownSigner(t *testing.T) {
	d := newFixture(t)
	d.take(d.run.Bag(d.sale()))
	made := d.sale()
	next := vaulttest.Signer(t, d.shop.ID)
	d.Append(d.shop.ID, book.MerchantUpdated{AddedVerifiers: []string{next.Verifier().String()},
		RetiredVerifiers: []string{d.shop.Signer.Verifier().String()}})
	d.take(d.run.Bag(made, d.sale()))
	if got := d.payments(); got != 1 {
		t.Errorf("%d payments, want the one from before", got)
	}
	facts := d.facts()
	if len(facts) != 2 || facts[0].Code != envelope.CodeUnknownSigner || facts[1].Code != envelope.CodeUnknownSigner {
		t.Errorf("facts %+v", facts)
	}
	d.expectFound(map[book.Finding]uint64{book.FindingForgedEnvelope: 2})
	d.shop.Signer = next
	d.take(d.run.Bag(d.sale()))
	if got := d.payments(); got != 2 {
		t.Errorf("the new key's sale was not taken: %d payments", got)
	}
}
