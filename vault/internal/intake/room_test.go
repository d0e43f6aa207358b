package intake

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker/brokertest"
	"nightdrop/shared/envelope"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/vaulttest"
)

// rejectedBags are bags of many envelopes that are rejected at once.
func (d *fixture) rejectedBags(run *vaulttest.Run, bags, envelopes int) (list []channel.Message) {
	d.TB.Helper()
	for range bags {
		var notes [][]byte
		for range envelopes {
			sale := d.shop.Sale()
			sale.Account = vaulttest.Card("4242424242424241", "2031-12")
			notes = append(notes, d.shop.Seal(sale))
		}
		list = append(list, run.Bag(notes...))
	}
	return list
}

// Under pressure committed bags are purged early, oldest first; never one with an envelope that is
// not yet sent, nor one after it.
func TestBagsGoEarlierUnderPressure(t *testing.T) {
	d := newFixture(t)
	broker := brokertest.New(t)
	broker.Config.EnvelopesBytes = 4 << 20
	broker.Start()
	vault := broker.Vault()
	sale := d.shop.Sale()
	first, waiting, rest := d.rejectedBags(d.run, 4, 10), d.run.Bag(d.shop.Seal(sale)), d.rejectedBags(d.run, 60, 10)
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
	// what waited is decided
	d.Append("shop-1", book.PaymentRefused{ID: sale.ID, Code: envelope.CodeLate})
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

// What is not committed is not purged, however full the stream is.
func TestWhatIsNotCommittedStays(t *testing.T) {
	d := newFixture(t)
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

// A bag above the signed position stays until the missing number before it came or is recorded as
// missing; a claim that is not a relay's has no effect.
func TestBagsAboveThePositionStay(t *testing.T) {
	d := newFixture(t)
	broker := brokertest.New(t)
	broker.Config.EnvelopesBytes = 4 << 20
	broker.Start()
	vault := broker.Vault()
	d.run.Window = 8
	all := d.rejectedBags(d.run, 3, 10)
	late := d.rejectedBags(d.run, 1, 10)[0]
	all = append(all, d.rejectedBags(d.run, 4, 10)...)
	publish(t, broker.Relay(), append(all, d.rejectedBags(d.run.Restart(), 58, 10)...)...)
	for n := range all {
		all[n].Sequence = uint64(n + 1)
	}
	i := d.newIntake(vault)
	if err := i.Take(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if r := d.runState(d.run); r.Number != 3 || len(r.Ahead) != 4 {
		t.Fatalf("the run stands at %d with %d ahead", r.Number, len(r.Ahead))
	}
	if err := i.relieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	if seen := i.Envelopes(); seen.Purged != 3 || seen.Held != 4 {
		t.Fatalf("%d purged, held at %d: the bags above the position may not go", seen.Purged, seen.Held)
	}
	late.Sequence = 8
	if err := i.Take(t.Context(), []channel.Message{late}); err != nil {
		t.Fatal(err)
	}
	if err := i.relieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	if seen := i.Envelopes(); seen.Purged != 7 {
		t.Errorf("%d purged when the position had passed them", seen.Purged)
	}
}

// flaky is a source whose bags cannot be read from a sequence on.
type flaky struct {
	Source
	from uint64
}

func (f flaky) BagAt(ctx context.Context, sequence uint64) (channel.Message, error) {
	if sequence >= f.from {
		return channel.Message{}, channel.ErrUnavailable
	}
	return f.Source.BagAt(ctx, sequence)
}

// What was seen before a failed look is purged: a channel that fails now and then must not stay
// full.
func TestALookThatBreaksOffMakesRoom(t *testing.T) {
	d := newFixture(t)
	broker := brokertest.New(t)
	broker.Config.EnvelopesBytes = 4 << 20
	broker.Start()
	vault := broker.Vault()
	all := d.rejectedBags(d.run, 64, 10)
	publish(t, broker.Relay(), all...)
	for n := range all {
		all[n].Sequence = uint64(n + 1)
	}
	i := d.newIntake(flaky{vault, 3})
	if err := i.Take(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if err := i.relieve(t.Context()); !errors.Is(err, channel.ErrUnavailable) {
		t.Fatal(err)
	}
	if _, err := vault.BagAt(t.Context(), 2); !errors.Is(err, channel.ErrNotFound) || i.Envelopes().Purged != 2 {
		t.Errorf("bag 2: %v; %d purged", err, i.Envelopes().Purged)
	}
}

// Without room bags wait in the channel and are read once there is room; a bundle is refused.
func TestBagsWaitForRoom(t *testing.T) {
	d := newFixture(t)
	broker := brokertest.New(t)
	broker.Start()
	bags := d.rejectedBags(d.run, 1, 1)
	publish(t, broker.Relay(), bags...)
	var asked atomic.Int32
	full := errors.New("no room")
	var room atomic.Bool
	i := d.newIntake(broker.Vault())
	i.Room = func() error {
		asked.Add(1)
		if room.Load() {
			return nil
		}
		return full
	}
	if err := i.Take(t.Context(), bags); !errors.Is(err, full) {
		t.Errorf("a bundle without room: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- i.Run(ctx) }()
	waittest.For(t, "the bag to wait", func() bool { return asked.Load() >= 3 })
	if d.hint().Sequence != 0 {
		t.Error("a bag was taken without room")
	}
	room.Store(true)
	waittest.For(t, "the bag", func() bool { return d.hint().Sequence == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
