package outbox

import (
	"testing"
	"time"

	"nightdrop/shared/channel/broker/brokertest"
	"nightdrop/shared/envelope"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/ledger"
)

// small is a broker whose RESULTS holds 4 MiB: 512 results by the rule of thumb, some 550 in truth.
func small(t *testing.T) *brokertest.Site {
	t.Helper()
	broker := brokertest.New(t)
	broker.Config.ResultsBytes = 4 << 20
	broker.Start()
	return broker
}

// A merchant issues more than RESULTS holds; another's results arrive all the same, and the first has its newest there.
func TestOneMerchantCannotFillResultsForOthers(t *testing.T) {
	d := newDesk(t)
	quiet := d.Enrol("shop-2")
	broker := small(t)
	relay := broker.Relay()
	o := d.outbox(broker.Vault())
	stop := start(o)
	defer func() { _ = stop() }()
	d.reject(quiet.ID, 3)
	waittest.For(t, "the quiet merchant's first results", func() bool { return len(read(t, relay, quiet.ID)) == 3 })
	for range 15 {
		d.reject("shop-1", 100)
	}
	d.reject(quiet.ID, 5)
	waittest.For(t, "all results to be published", func() bool { pending, unsent := d.counts(); return pending+unsent == 0 })
	if got := checkChain(t, quiet, read(t, relay, quiet.ID)); len(got) != 8 {
		t.Errorf("the quiet merchant has %d of 8 results", len(got))
	}
	left, err := relay.Results(t.Context(), "shop-1", 0, 100)
	if err != nil || len(left) == 0 {
		t.Fatalf("the loud merchant has none left: %v", err)
	}
	if found, err := relay.Results(t.Context(), "shop-1", 1499, 100); err != nil || len(found) != 1 {
		t.Errorf("the loud merchant's newest: %d, %v", len(found), err)
	}
	known := o.Shares()
	if known.Share != uint64(4<<20/100*75/ResultBytes/2) {
		t.Errorf("share %d", known.Share)
	}
	if len(known.Purged) != 1 || known.Purged[0].Merchant != "shop-1" || known.Purged[0].Results < 900 {
		t.Errorf("purged %+v", known.Purged)
	}
}

// A vault that starts on a stream which a merchant has filled already, as those of before did, makes room.
func TestAFullStreamIsFreedAtTheStart(t *testing.T) {
	d := newDesk(t)
	quiet := d.Enrol("shop-2")
	broker := small(t)
	relay, vault := broker.Relay(), broker.Vault()
	for serial := uint64(1); ; serial++ {
		if err := <-vault.PublishResult("shop-1", serial, "id", make([]byte, 7000)); err != nil {
			break
		}
	}
	for range 7 {
		d.reject("shop-1", 100) // as many as the ledger knows of
	}
	d.reject(quiet.ID, 2)
	o := d.outbox(vault)
	sealAll(t, o)
	stop := start(o)
	defer func() { _ = stop() }()
	waittest.For(t, "the quiet merchant's results", func() bool { return len(read(t, relay, quiet.ID)) == 2 })
}

// sealAll seals what is pending.
func sealAll(t *testing.T, o *Outbox) {
	t.Helper()
	for {
		n, err := o.sealRound(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// Merchants take turns: what one has waiting in thousands holds up no other, whichever end of the queue it is at.
func TestMerchantsTakeTurns(t *testing.T) {
	d := newDesk(t)
	late := d.Enrol("shop-2")
	for range 90 { // two windows and more
		d.reject("shop-1", 100)
	}
	d.reject(late.ID, 3)
	d.View(func(tx *ledger.Tx) error {
		list, err := tx.PendingResults(10)
		of := map[string][]uint64{}
		for _, p := range list {
			of[p.Merchant] = append(of[p.Merchant], p.Serial)
		}
		if len(list) != 10 || len(of[late.ID]) != 3 || of[late.ID][0] != 1 || of["shop-1"][0] != 1 || of["shop-1"][6] != 7 {
			t.Errorf("the first ten: %v", of)
		}
		return err
	})
}

// Lower serials are published again: the newest follows them, so that a relay sees how far the results go.
func TestTheNewestFollowsARepublication(t *testing.T) {
	d := newDesk(t)
	d.reject("shop-1", 6)
	r := &recorder{}
	o := d.outbox(r)
	sealAll(t, o)
	send := func() []uint64 {
		t.Helper()
		before := len(r.published())
		if _, trouble, err := o.sendRound(t.Context()); trouble != nil || err != nil {
			t.Fatal(trouble, err)
		}
		var serials []uint64
		for _, p := range r.published()[before:] {
			serials = append(serials, p.Serial)
		}
		return serials
	}
	if got := send(); len(got) != 6 || got[5] != 6 {
		t.Fatalf("first: %v", got)
	}
	again := func(from, through uint64) {
		err := d.Ledger.Commit(t.Context(), func(tx *ledger.Tx) error {
			for serial := from; serial <= through; serial++ {
				if err := tx.ResendResult("shop-1", serial); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	again(2, 3)
	if got := send(); len(got) != 3 || got[0] != 2 || got[1] != 3 || got[2] != 6 {
		t.Errorf("2 and 3 again: %v", got)
	}
	again(5, 6)
	if got := send(); len(got) != 2 || got[1] != 6 {
		t.Errorf("5 and 6 again: %v", got)
	}
	if got := send(); len(got) != 0 {
		t.Errorf("nothing is due: %v", got)
	}
}

func TestResultsOfTheLastDays(t *testing.T) {
	d := newDesk(t)
	d.reject("shop-1", 3)
	d.Clock.Pass(20 * 24 * time.Hour)
	middle := d.Clock.Now()
	d.reject("shop-1", 4)
	o := d.outbox(&recorder{})
	if _, err := o.sealRound(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		since       time.Time
		first, last uint64
	}{{middle.Add(-21 * 24 * time.Hour), 1, 7}, {envelope.At(middle).Time, 4, 7}, {middle.Add(time.Hour), 8, 7}} {
		d.View(func(tx *ledger.Tx) error {
			first, last, err := tx.ResultsSince("shop-1", c.since)
			if first != c.first || last != c.last {
				t.Errorf("since %s: %d to %d, want %d to %d", c.since, first, last, c.first, c.last)
			}
			return err
		})
	}
}
