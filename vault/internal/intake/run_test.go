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
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

// publish puts bags into the channel and waits until they are durable.
func publish(t *testing.T, relay *channel.Relay, messages ...channel.Message) {
	t.Helper()
	for _, m := range messages {
		if err := <-relay.PublishBag("relay-1", vaulttest.Digest(t, bagNote(t, m)), m.Data); err != nil {
			t.Fatal(err)
		}
	}
}

func bagNote(t *testing.T, m channel.Message) []byte {
	t.Helper()
	noteBytes, _, _, err := envelope.SplitBag(m.Data)
	if err != nil {
		t.Fatal(err)
	}
	return noteBytes
}

// start runs an intake until stop, which returns Run's error.
func (d *fixture) start(source Source) (stop func() error) {
	d.TB.Helper()
	i := d.newIntake(source)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- i.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

func (d *fixture) waitForPayments(n uint64) {
	d.TB.Helper()
	waittest.For(d.TB, "the payments", func() bool { return d.payments() == n })
}

func (d *fixture) hint() (h ledger.Hint) {
	d.TB.Helper()
	d.View(func(tx *ledger.Tx) (err error) {
		h, err = tx.BagHint()
		return err
	})
	return h
}

func TestRunReadsOnFromWhereTheLedgerStands(t *testing.T) {
	d := newFixture(t)
	broker := brokertest.Start(t)
	relay, vault := broker.Relay(), broker.Vault()
	publish(t, relay, d.bags(d.run, 3)...)
	stop := d.start(vault)
	d.waitForPayments(3)
	publish(t, relay, d.bags(d.run, 2)...)
	d.waitForPayments(5)
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("run ended with %v", err)
	}
	if h := d.hint(); h.Sequence != 5 {
		t.Errorf("hint %+v", h)
	}

	publish(t, relay, d.bags(d.run, 2)...)
	d.Reopen()
	stop = d.start(vault)
	d.waitForPayments(7)
	_ = stop()
	d.expectFound(nil)
	if n := d.runState(d.run).Number; n != 7 {
		t.Errorf("position %d", n)
	}
}

func TestRunOutlastsTheBroker(t *testing.T) {
	d := newFixture(t)
	broker := brokertest.Start(t)
	vault := broker.Vault()
	relay := broker.Relay()
	publish(t, relay, d.bags(d.run, 1)...)
	stop := d.start(vault)
	d.waitForPayments(1)
	relay.Close()
	broker.Stop()
	broker.Start()
	publish(t, broker.Relay(), d.bags(d.run, 1)...)
	d.waitForPayments(2)
	_ = stop()
	d.expectFound(nil)
}

// A channel that lost its store reuses sequences: that is detected, and it is read from its start.
func TestChannelThatLostItsStore(t *testing.T) {
	d := newFixture(t)
	broker := brokertest.Start(t)
	relay := broker.Relay()
	first := d.bags(d.run, 3)
	publish(t, relay, first...)
	vault := broker.Vault()
	stop := d.start(vault)
	d.waitForPayments(3)
	_ = stop()
	vault.Close()
	relay.Close()
	broker.Stop()
	broker.Lose()
	broker.Start()
	publish(t, broker.Relay(), append(d.bags(d.run, 3), first[1])...)
	stop = d.start(broker.Vault())
	d.waitForPayments(6)
	waittest.For(t, "the repeated bag", func() bool { return d.hint().Sequence == 4 })
	_ = stop()
	d.expectFound(findings{book.FindingSequence: 1})
	if n := d.runState(d.run).Number; n != 6 {
		t.Errorf("position %d", n)
	}
}

func TestPurgeKeepsAWeekAndTheLastBag(t *testing.T) {
	d := newFixture(t)
	broker := brokertest.Start(t)
	vault := broker.Vault()
	publish(t, broker.Relay(), d.bags(d.run, 6)...)
	stop := d.start(vault)
	d.waitForPayments(6)
	waittest.For(t, "the last bag", func() bool { return d.hint().Sequence == 6 })
	_ = stop()
	i := d.newIntake(vault)
	has := func(sequence uint64) bool {
		_, err := vault.BagAt(t.Context(), sequence)
		if err != nil && !errors.Is(err, channel.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	if err := i.purge(t.Context()); err != nil || !has(1) {
		t.Fatalf("young bags are purged, or %v", err)
	}
	i.Now = func() time.Time { return d.Clock.Now().Add(8 * 24 * time.Hour) }
	if err := i.purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if has(1) || has(5) || !has(6) {
		t.Errorf("bags there: 1 %v, 5 %v, 6 %v", has(1), has(5), has(6))
	}
	publish(t, broker.Relay(), d.bags(d.run, 1)...)
	stop = d.start(vault)
	d.waitForPayments(7)
	_ = stop()
	d.expectFound(nil)
}

type lockedAfter struct {
	Opener
	left atomic.Int64
}

func (o *lockedAfter) OpenPart(part envelope.PartName, merchant, id string, p envelope.Part) ([]byte, error) {
	if o.left.Add(-1) < 0 {
		return nil, keyring.ErrLocked
	}
	return o.Opener.OpenPart(part, merchant, id, p)
}

// While the ring is locked nothing of the group is committed; it is read again later.
func TestLockedRingRejectsNothing(t *testing.T) {
	d := newFixture(t)
	b := d.bags(d.run, 4)
	opener := &lockedAfter{Opener: d.Ring}
	opener.left.Store(5)
	i, err := New(Config{Ledger: d.Ledger, Opener: opener, Now: d.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Take(t.Context(), b); !errors.Is(err, keyring.ErrLocked) {
		t.Fatalf("took bags while locked: %v", err)
	}
	if d.payments() != 0 || len(d.facts()) != 0 {
		t.Errorf("%d payments, facts %+v", d.payments(), d.facts())
	}
	d.take(b...)
	if d.payments() != 4 {
		t.Errorf("%d payments", d.payments())
	}
}

// A stop between any two groups loses and repeats nothing.
func TestStopBetweenGroups(t *testing.T) {
	d := newFixture(t)
	b := d.bags(d.run, 9)
	for n := range b {
		b[n].Sequence = uint64(n + 1)
	}
	for start := range b {
		i := d.newIntake(nil)
		i.GroupBytes = 1
		ctx, cancel := context.WithCancel(t.Context())
		committed := d.Ledger.Committed()
		go func() {
			<-committed
			cancel()
		}()
		if err := i.Take(ctx, b[max(start-1, 0):]); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		cancel()
		d.Reopen()
	}
	d.intake = d.newIntake(nil)
	d.take(b...)
	if d.payments() != 9 || d.runState(d.run).Number != 9 || d.hint().Sequence != 9 {
		t.Errorf("%d payments, position %d, hint %+v", d.payments(), d.runState(d.run).Number, d.hint())
	}
	d.expectFound(nil)
}

func TestConfigurationThatLacksSomething(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("an intake without a ledger was made")
	}
}
