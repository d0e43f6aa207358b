package intake

import (
	"errors"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker/brokertest"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/intake/intaketest"
	"nightdrop/vault/internal/payment"
)

// rejectedBags are bags of many envelopes that are rejected at once: nothing of them is ever sent.
func (d *desk) rejectedBags(run *intaketest.Run, bags, envelopes int) (list []channel.Message) {
	d.TB.Helper()
	for range bags {
		var notes [][]byte
		for range envelopes {
			sale := d.shop.Sale()
			sale.Account = intaketest.Card("4242424242424241", "2031-12")
			notes = append(notes, d.shop.Seal(sale))
		}
		list = append(list, run.Bag(notes...))
	}
	return list
}

// Under pressure committed bags go before their week is over, the oldest first; never one with an envelope that is not yet sent, nor one after it.
func TestBagsGoEarlierUnderPressure(t *testing.T) {
	d := newDesk(t)
	broker := brokertest.New(t)
	broker.Config.EnvelopesBytes = 4 << 20
	broker.Start()
	vault := broker.Vault()
	sale := d.shop.Sale()
	waiting := d.run.Bag(d.shop.Seal(sale))
	first, rest := d.rejectedBags(d.run, 4, 10), d.rejectedBags(d.run, 60, 10)
	// The bags' numbers follow the order in which they were made, which is of no matter here.
	all := append(append(first, waiting), rest...)
	publish(t, broker.Relay(), all...)
	for n := range all {
		all[n].Sequence = uint64(n + 1)
	}
	i := d.newIntake(vault)
	if err := i.Take(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	has := func(sequence uint64) bool {
		_, err := vault.BagAt(t.Context(), sequence)
		if err != nil && !errors.Is(err, channel.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	if err := i.relieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := i.Envelopes()
	if has(1) || has(4) || !has(5) || !has(6) || seen.Purged != 4 || seen.Held != 5 || !seen.Room.Full(pressure) || seen.Oldest.IsZero() {
		t.Fatalf("there: 1 %v, 4 %v, 5 %v, 6 %v; %+v", has(1), has(4), has(5), has(6), seen)
	}
	d.Append("shop-1", payment.PaymentRefused{ID: sale.ID, Code: envelope.CodeLate}) // what waited is decided
	for range 2 {
		if err := i.relieve(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	seen = i.Envelopes()
	if has(5) || !has(65) || seen.Held != 0 || seen.Room.Full(pressure) || !seen.Room.Full(relieved-10) || seen.Purged < 5 {
		t.Errorf("there: 5 %v, 65 %v; %+v", has(5), has(65), seen)
	}
	before := seen.Purged
	if err := i.relieve(t.Context()); err != nil || i.Envelopes().Purged != before {
		t.Errorf("without pressure: %d purged, %v", i.Envelopes().Purged-before, err)
	}
}

// Nothing that is not committed goes, however full the stream is.
func TestWhatIsNotCommittedStays(t *testing.T) {
	d := newDesk(t)
	broker := brokertest.New(t)
	broker.Config.EnvelopesBytes = 4 << 20
	broker.Start()
	vault := broker.Vault()
	publish(t, broker.Relay(), d.rejectedBags(d.run, 60, 10)...)
	i := d.newIntake(vault)
	i.Now = time.Now
	if err := i.relieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.BagAt(t.Context(), 1); err != nil || i.Envelopes().Purged != 0 {
		t.Errorf("bag 1: %v; purged %d", err, i.Envelopes().Purged)
	}
}
