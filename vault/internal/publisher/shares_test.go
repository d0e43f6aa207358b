package publisher

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker/brokertest"
	"nightdrop/shared/envelope"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// small is a broker whose RESULTS holds 4 MiB: 512 results by ResultBytes, in fact some 550.
func small(t *testing.T) *brokertest.Site {
	t.Helper()
	broker := brokertest.New(t)
	broker.Config.ResultsBytes = 4 << 20
	broker.Start()
	return broker
}

// A merchant gets more results than RESULTS holds; another's arrive all the same, and the first
// keeps its newest.
func TestOneMerchantCannotFillResultsForOthers(t *testing.T) {
	d := newFixture(t)
	quiet := d.Enrol("shop-2")
	broker := small(t)
	relay := broker.Relay()
	o := d.publisher(broker.Vault())
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

// A vault that starts on a stream that a merchant has filled makes room.
func TestAFullStreamIsFreedAtTheStart(t *testing.T) {
	d := newFixture(t)
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
	o := d.publisher(vault)
	sealAll(t, o)
	stop := start(o)
	defer func() { _ = stop() }()
	waittest.For(t, "the quiet merchant's results", func() bool { return len(read(t, relay, quiet.ID)) == 2 })
}

func sealAll(t *testing.T, o *Publisher) {
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

// Merchants take turns: one's waiting thousands delay no other.
func TestMerchantsTakeTurns(t *testing.T) {
	d := newFixture(t)
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

// After lower serials the newest is republished, so that a relay sees how far the results go.
func TestTheNewestFollowsARepublication(t *testing.T) {
	d := newFixture(t)
	d.reject("shop-1", 6)
	r := &recorder{}
	o := d.publisher(r)
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
	d := newFixture(t)
	d.reject("shop-1", 3)
	d.Clock.Pass(20 * 24 * time.Hour)
	middle := d.Clock.Now()
	d.reject("shop-1", 4)
	o := d.publisher(&recorder{})
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

// What was purged is republished page by page, and each page is complete.
func TestPurgedResultsArePublishedAgainInPages(t *testing.T) {
	d := newFixture(t)
	d.Enrol("shop-2")
	broker := small(t)
	relay := broker.Relay()
	o := d.publisher(broker.Vault())
	stop := start(o)
	defer func() { _ = stop() }()
	for range 9 {
		d.reject("shop-1", 100)
	}
	waittest.For(t, "all results to be published", func() bool { pending, unsent := d.counts(); return pending+unsent == 0 })
	first := func(after uint64) uint64 {
		t.Helper()
		found, err := relay.Results(t.Context(), "shop-1", after, 100)
		if err != nil || len(found) == 0 {
			t.Fatalf("after %d: %d results, %v", after, len(found), err)
		}
		result, err := envelope.Peek[envelope.Result](found[0])
		if err != nil {
			t.Fatal(err)
		}
		return result.Serial
	}
	kept := first(0)
	if kept < 100 {
		t.Fatalf("the oldest result is %d: nothing to speak of was purged", kept)
	}
	by := book.Event{Actor: "user:anna", Origin: "socket", Merchant: "shop-1"}
	reported := 0
	for next, pages := uint64(1), 0; next != 0; pages++ {
		page, err := o.Resend(t.Context(), by, next, int(kept-next), func(done, total int) { reported = max(reported, done) })
		if err != nil || page.From != next || page.Last != 900 || pages > 20 {
			t.Fatalf("page %d: %+v, %v", pages, page, err)
		}
		for after := page.From - 1; after < page.Through; {
			found, err := relay.Results(t.Context(), "shop-1", after, 100)
			if err != nil || len(found) == 0 || first(after) != after+1 {
				t.Fatalf("result %d of page %+v is not there: %v", after+1, page, err)
			}
			after = min(after+uint64(len(found)), page.Through)
		}
		if page.Next == 0 && page.Through != kept-1 {
			t.Fatalf("the last page is %+v, and %d was asked for", page, kept-1)
		}
		next = page.Next
	}
	if reported == 0 {
		t.Error("no progress was reported")
	}
}

func TestWhatIsNotPublishedAgain(t *testing.T) {
	d := newFixture(t)
	d.reject("shop-1", 3)
	d.Clock.Pass(31 * 24 * time.Hour)
	d.reject("shop-1", 3)
	r := &recorder{}
	o := d.publisher(r)
	sealAll(t, o)
	if _, trouble, err := o.sendRound(t.Context()); trouble != nil || err != nil {
		t.Fatal(trouble, err)
	}
	by := book.Event{Actor: "user:anna", Origin: "socket", Merchant: "shop-1"}
	for _, c := range []struct {
		from  uint64
		count int
	}{{7, 0}, {100, 5}, {1, 3}, {2, 1}} {
		if page, err := o.Resend(t.Context(), by, c.from, c.count, nil); !errors.Is(err, ErrNoResults) {
			t.Errorf("from %d, count %d: %+v, %v", c.from, c.count, page, err)
		}
	}
	done := make(chan error, 1)
	go func() {
		page, err := o.Resend(context.Background(), by, 2, 3, nil) // 3 is too old too
		if err == nil && (page.From != 4 || page.Through != 4 || page.Oldest != 4 || page.Next != 0) {
			err = fmt.Errorf("%+v", page)
		}
		done <- err
	}()
	waittest.For(t, "the page to be marked", func() bool { _, unsent := d.counts(); return unsent == 1 })
	if _, trouble, err := o.sendRound(t.Context()); trouble != nil || err != nil {
		t.Fatal(trouble, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	r.setAway(true)
	if _, err := o.Resend(t.Context(), by, 4, 0, nil); !errors.Is(err, ErrResendWaits) {
		t.Errorf("while the channel is away: %v", err)
	}
	if _, unsent := d.counts(); unsent != 3 {
		t.Errorf("%d results wait for the channel, want 3", unsent)
	}
}

// liar is a broker that claims that RESULTS is full, whatever is purged.
type liar struct {
	recorder
	room   channel.Room
	gives  uint64 // what it claims to have purged, each time
	purges []uint64
}

func (l *liar) ResultsRoom(context.Context) (channel.Room, error) { return l.room, nil }

func (l *liar) PurgeResults(_ context.Context, _ string, keep uint64) (uint64, error) {
	l.purges = append(l.purges, keep)
	return l.gives, nil
}

// A lie of the broker about RESULTS neither keeps the vault busy nor stops it, and spares merchants
// within their share.
func TestALyingBrokerCostsLittle(t *testing.T) {
	d := newFixture(t)
	d.Enrol("shop-2")
	d.reject("shop-1", 100)
	for name, l := range map[string]*liar{
		"always full":           {room: channel.Room{Bytes: 1 << 20, MaxBytes: 1 << 20}},
		"no room at all":        {room: channel.Room{Bytes: math.MaxInt64, MaxBytes: 1}},
		"more than it has":      {room: channel.Room{Bytes: math.MaxInt64, MaxBytes: math.MaxInt64}},
		"a negative room":       {room: channel.Room{Bytes: math.MinInt64, MaxBytes: math.MinInt64}},
		"purges more than all":  {room: channel.Room{Bytes: 1 << 20, MaxBytes: 1 << 20}, gives: math.MaxUint64},
		"holds less than empty": {room: channel.Room{Bytes: -1, MaxBytes: 1 << 20}},
	} {
		o := d.publisher(l)
		sealAll(t, o)
		for range 3 {
			if err := o.checkRoom(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(l.purges) > 100 {
			t.Errorf("%s: %d purges", name, len(l.purges))
		}
		if fits := o.shares.maxPage(); fits < 1 || fits > maxResend {
			t.Errorf("%s: a page of %d results", name, fits)
		}
		if over := o.Shares().Over; len(over) > 0 && over[0].Merchant == "shop-2" {
			t.Errorf("%s: over its share is %v", name, over)
		}
	}
}
