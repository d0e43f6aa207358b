package ledger

import (
	"context"
	"errors"
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/payment"
)

func TestSaleFromEnvelopeToSentResult(t *testing.T) {
	v := newVault(t)
	id := v.newID()
	v.commit(func(tx *Tx) error { return receive(tx, shop, id) })
	v.commit(func(tx *Tx) error { return authorise(tx, shop, id, "00") })
	v.view(func(tx *Tx) error {
		p, found, err := tx.Payment(shop, id)
		if err != nil || !found || p.Stage != payment.StageApproved || p.Number != 1 || len(p.Results) != 1 {
			t.Errorf("payment %+v, %v, %v", p, found, err)
		}
		if _, found, err := tx.Part(shop, id, envelope.PartCode); found || err != nil {
			t.Error("the security code's part is still there", err)
		}
		part, found, err := tx.Part(shop, id, envelope.PartAccount)
		if err != nil || !found || part.Key != sealedPart.Key || string(part.Sealed) != string(sealedPart.Sealed) {
			t.Error("the account's part is not what was put", err)
		}
		return nil
	})
	v.sealPending()
	var ready []Ready
	v.view(func(tx *Tx) (err error) {
		ready, err = tx.UnsentResults(10)
		return err
	})
	if len(ready) != 1 || ready[0].Serial != 1 || ready[0].ID != id {
		t.Fatalf("ready %v", ready)
	}
	first := ready[0].Note
	v.commit(func(tx *Tx) error { return tx.MarkSent(ready) })
	v.commit(func(tx *Tx) error { return tx.ResendResults(shop, id) })
	v.view(func(tx *Tx) (err error) {
		ready, err = tx.UnsentResults(10)
		return err
	})
	if len(ready) != 1 || string(ready[0].Note) != string(first) {
		t.Error("a result sent again is not the same bytes")
	}
}

func TestOneFailingCallerLeavesNoTrace(t *testing.T) {
	v := newVault(t)
	good, bad := v.newID(), v.newID()
	failure := errors.New("changed my mind")
	hold := make(chan struct{})
	results := make(chan error, 3)
	// The first holds the writer, so that the other two ride together.
	go func() { results <- v.Commit(context.Background(), func(*Tx) error { <-hold; return nil }) }()
	badDone, goodDone := make(chan error, 1), make(chan error, 1)
	go func() {
		badDone <- v.Commit(context.Background(), func(tx *Tx) error { return errors.Join(receive(tx, shop, bad), failure) })
	}()
	go func() {
		goodDone <- v.Commit(context.Background(), func(tx *Tx) error { return receive(tx, shop, good) })
	}()
	for len(v.queue) < 2 {
	}
	close(hold)
	if err := <-results; err != nil {
		t.Error(err)
	}
	if err := <-badDone; !errors.Is(err, failure) {
		t.Errorf("failing caller got %v", err)
	}
	if err := <-goodDone; err != nil {
		t.Error(err)
	}
	v.view(func(tx *Tx) error {
		if _, found, _ := tx.Payment(shop, bad); found {
			t.Error("something of the failing caller stayed")
		}
		if p, found, err := tx.Payment(shop, good); !found || p.Number != 1 {
			t.Error("the other caller lost its payment", err)
		}
		return nil
	})
}
