package publisher

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker/brokertest"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// published starts a vault with two merchants, whose results a real broker has.
func published(t *testing.T) (d *fixture, broker *brokertest.Site, relay *channel.Relay, o *Publisher, stop func() error) {
	t.Helper()
	d = newFixture(t)
	d.Enrol("shop-2")
	broker = brokertest.Start(t)
	relay = broker.Relay()
	o = d.publisher(broker.Vault())
	stop = start(o)
	d.reject("shop-1", 40)
	d.reject("shop-2", 7)
	waittest.For(t, "all results", func() bool { return whole(t, d, relay) })
	looked(t, d, o)
	return d, broker, relay, o, stop
}

// whole reports whether both merchants' results are unbroken chains.
func whole(t *testing.T, d *fixture, relay *channel.Relay) bool {
	t.Helper()
	one, err := relay.Results(t.Context(), "shop-1", 0, 100)
	if err != nil {
		return false
	}
	two, err := relay.Results(t.Context(), "shop-2", 0, 100)
	if err != nil || len(one) < 40 || len(two) < 7 {
		return false
	}
	checkChain(t, d.shop, one)
	return true
}

// looked makes keepRoom check RESULTS and waits for that.
func looked(t *testing.T, d *fixture, o *Publisher) {
	t.Helper()
	before := o.Shares().Asked
	d.Clock.Pass(time.Second)
	waittest.For(t, "a look at RESULTS", func() bool {
		notify(o.shares.check)
		return o.Shares().Asked.After(before)
	})
}

// findings returns how many merchants lost results by the log.
func (d *fixture) findings() uint64 { return d.State().Findings[book.FindingResultsLost] }

func (d *fixture) mends(t *testing.T, relay *channel.Relay, o *Publisher) {
	t.Helper()
	waittest.For(t, "what was lost to be published again", func() bool {
		notify(o.shares.check)
		return whole(t, d, relay)
	})
}

// The relay has a new disk, so the stream is new and empty. The vault, which had every ack,
// republishes all.
func TestResultsOfALostStoreArePublishedAgain(t *testing.T) {
	d, broker, _, o, stop := published(t)
	defer func() { _ = stop() }()
	broker.Stop()
	broker.Lose()
	broker.Start()
	d.mends(t, broker.Relay(), o)
	if d.findings() != 2 {
		t.Errorf("findings of %d merchants, want 2", d.findings())
	}
	lost := o.Shares().Lost
	if lost.Results != 47 || lost.Merchants != 2 || lost.At.IsZero() {
		t.Errorf("the status says %+v", lost)
	}
	looked(t, d, o)
	if d.findings() != 2 {
		t.Errorf("a second look found more: %d", d.findings())
	}
}

// The store was lost while the vault was off: its next start detects that.
func TestResultsLostWhileTheVaultWasOff(t *testing.T) {
	d, broker, _, _, stop := published(t)
	_ = stop()
	broker.Stop()
	broker.Lose()
	broker.Start()
	d.Reopen()
	o := d.publisher(broker.Vault())
	stop = start(o)
	defer func() { _ = stop() }()
	d.mends(t, broker.Relay(), o)
}

// One merchant's results vanish from the stream: only those are republished.
func TestResultsThatVanishArePublishedAgain(t *testing.T) {
	d, broker, relay, o, stop := published(t)
	defer func() { _ = stop() }()
	if n, err := broker.Vault().PurgeResults(t.Context(), "shop-2", 3); err != nil || n != 4 {
		t.Fatalf("purged %d, %v", n, err)
	}
	d.mends(t, relay, o)
	if d.findings() != 1 || o.Shares().Lost.Results != 4 {
		t.Errorf("%d findings, %+v", d.findings(), o.Shares().Lost)
	}
}

// One bit flips in the block file of RESULTS, and the relay is started again.
func TestResultsAfterAFlipInTheirBlock(t *testing.T) {
	d, broker, _, o, stop := published(t)
	defer func() { _ = stop() }()
	broker.Stop()
	blocks, err := filepath.Glob(filepath.Join(broker.Config.Dir, "jetstream", "*", "streams", "RESULTS", "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatalf("blocks %v, %v", blocks, err)
	}
	data, err := os.ReadFile(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	state, err := filepath.Glob(filepath.Join(filepath.Dir(blocks[0]), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, index := range state { // a broker that crashed has to read the blocks
		if err := os.Remove(index); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(blocks[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	broker.Start()
	d.mends(t, broker.Relay(), o)
	if d.findings() == 0 {
		t.Error("nothing was found")
	}
}

// empty is a broker that accepts everything, and claims at each check to have nothing.
type empty struct {
	recorder
	looks uint64
}

func (e *empty) ResultsRoom(context.Context) (channel.Room, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.looks++
	return channel.Room{MaxBytes: 1 << 30, Created: time.Unix(int64(e.looks), 0)}, nil
}

func (e *empty) KeptResults(context.Context, string) (channel.Kept, error) {
	return channel.Kept{Serials: map[uint64]bool{}}, nil
}

// A lying broker can have the last 30 days republished once a day and no more, also when the vault
// restarts.
func TestALyingBrokerHasResultsRepublishedOnceADay(t *testing.T) {
	d := newFixture(t)
	d.reject("shop-1", 20)
	e := &empty{}
	o := d.publisher(e)
	sealAll(t, o)
	send := func(o *Publisher) {
		t.Helper()
		for range 4 {
			if err := o.checkRoom(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, trouble, err := o.sendRound(t.Context()); trouble != nil || err != nil {
				t.Fatal(trouble, err)
			}
		}
	}
	send(o)
	for hour := range 47 { // two days, with a restart each hour
		d.Clock.Pass(time.Hour)
		if hour%3 == 0 {
			d.Reopen()
		}
		o = d.publisher(e)
		if err := o.losses.begin(d.Ledger); err != nil {
			t.Fatal(err)
		}
		send(o)
	}
	if n := len(e.published()); n != 3*20 { // once as they were made, and twice again
		t.Errorf("%d results were published, want 60", n)
	}
	if d.findings() != 2 {
		t.Errorf("%d findings, want one a day", d.findings())
	}
	d.Clock.Pass(31 * 24 * time.Hour)
	send(o)
	if n := len(e.published()); n != 3*20 {
		t.Errorf("results over 30 days old were published again: %d", n)
	}
}

// What the vault itself purged is not missing, also after a restart.
func TestOwnPurgesAreNoLoss(t *testing.T) {
	d := newFixture(t)
	broker := small(t)
	o := d.publisher(broker.Vault())
	stop := start(o)
	for range 8 {
		d.reject("shop-1", 100)
	}
	waittest.For(t, "all results", func() bool { pending, unsent := d.counts(); return pending+unsent == 0 })
	looked(t, d, o)
	_ = stop()
	d.Reopen()
	var hint ledger.ResultsHint
	d.View(func(tx *ledger.Tx) (err error) {
		hint, err = tx.ResultsHint()
		return err
	})
	if hint.Floors["shop-1"] == 0 {
		t.Fatalf("no floor: %+v", hint)
	}
	broker.Stop()
	broker.Start()
	o = d.publisher(broker.Vault())
	stop = start(o)
	defer func() { _ = stop() }()
	waittest.For(t, "the broker", o.Channel.Connected)
	looked(t, d, o)
	found, _, err := o.missing(t.Context(), hint, difference{why: "asked"})
	if err != nil || len(found) != 0 || d.findings() != 0 {
		t.Errorf("missing %v, %d findings, %v", found, d.findings(), err)
	}
}
