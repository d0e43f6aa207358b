package publisher

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker/brokertest"
	"nightdrop/shared/envelope"
	"nightdrop/shared/proof"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

func read(t *testing.T, relay *channel.Relay, merchant string) (notes [][]byte) {
	t.Helper()
	for {
		more, err := relay.Results(t.Context(), merchant, uint64(len(notes)), 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(more) == 0 {
			return notes
		}
		notes = append(notes, more...)
	}
}

// A storefront posts bad envelopes, opens their results and finds them in the log.
func TestResultsReachTheirStorefrontAndAreInTheLog(t *testing.T) {
	d := newFixture(t)
	broker := brokertest.Start(t)
	relay := broker.Relay()
	run := d.SetRelays("relay-1")[0].Start()
	sent := map[string]string{} // id -> digest
	var msgs [][]byte
	for n := range 30 {
		sale := d.shop.Sale()
		sale.Account = vaulttest.Card("4242424242424241", "2031-12")
		sale.Order = vaulttest.Order(int64(n+1), "EUR", fmt.Sprintf("order %d", n))
		msg := d.shop.Seal(sale)
		sent[sale.ID] = vaulttest.Digest(t, msg)
		msgs = append(msgs, msg)
	}
	if err := d.intake().Take(t.Context(), []channel.Message{run.Bag(msgs...)}); err != nil {
		t.Fatal(err)
	}
	o := d.publisher(broker.Vault())
	stop := start(o)
	waittest.For(t, "30 results", func() bool { return len(read(t, relay, "shop-1")) == 30 })
	waittest.For(t, "the checkpoint", func() bool { return o.Newest(channel.NoticeCheckpoint) != nil })
	for _, r := range checkChain(t, d.shop, read(t, relay, "shop-1")) {
		f := r.Facts
		if sent[r.ID] != r.Digest || f.Payment != r.ID || f.Status != envelope.StatusRejected || f.Code != envelope.CodeLuhn ||
			f.Currency != "EUR" || f.Masked != "424242******4241" || fmt.Sprintf("order %d", f.Amount-1) != f.Reference {
			t.Errorf("result %+v", r)
		}
		d.checkLeaf(r)
	}
	_ = stop()
	if pending, unsent := d.counts(); pending+unsent != 0 {
		t.Errorf("%d pending, %d unsent", pending, unsent)
	}
}

// checkLeaf checks that the log, by its checkpoint, holds a result.
func (d *fixture) checkLeaf(r vaulttest.Opened) {
	d.TB.Helper()
	raw, err := hex.DecodeString(r.Place.Entry)
	if err != nil || len(raw) != 32 {
		d.TB.Fatalf("entry of %d bytes, %v", len(raw), err)
	}
	record := proof.LeafRecord(r.Place.Salt, r.Line, [32]byte(raw))
	d.View(func(tx *ledger.Tx) error {
		size, err := tx.TreeSize()
		if err != nil {
			return err
		}
		path, err := tx.Proof(r.Place.Index, size)
		if err != nil {
			return err
		}
		msg, err := tx.Checkpoint(d.Ring.Signer())
		if err != nil {
			return err
		}
		c, err := proof.OpenCheckpoint(msg, d.Ring.Verifier())
		if err != nil {
			return err
		}
		return proof.CheckInclusion(c, int64(r.Place.Index), record, []tlog.Hash(path))
	})
}

func TestManyMerchantsAtOnce(t *testing.T) {
	d := newFixture(t)
	shops := []*vaulttest.Storefront{d.shop, d.Enrol("shop-2"), d.Enrol("shop-3")}
	broker := brokertest.Start(t)
	relay := broker.Relay()
	stop := start(d.publisher(broker.Vault()))
	var wait sync.WaitGroup
	for _, s := range shops {
		wait.Go(func() {
			for range 5 {
				d.reject(s.ID, 50)
			}
		})
	}
	wait.Wait()
	for _, s := range shops {
		waittest.For(t, "250 results", func() bool { return len(read(t, relay, s.ID)) == 250 })
		checkChain(t, s, read(t, relay, s.ID))
	}
	_ = stop()
}

// The broker is away when results are issued, comes, and loses its store: results and notices are
// published.
func TestChannelThatComesAndGoes(t *testing.T) {
	d := newFixture(t)
	broker := brokertest.Start(t)
	vault := broker.Vault()
	broker.Stop()
	waittest.For(t, "the connection's end", func() bool { return !vault.Connected() })
	d.reject("shop-1", 3)
	stop := start(d.publisher(vault))
	waittest.For(t, "sealing", func() bool { pending, unsent := d.counts(); return pending == 0 && unsent == 3 })
	broker.Start()
	relay := broker.Relay()
	waittest.For(t, "3 results", func() bool { return len(read(t, relay, "shop-1")) == 3 })
	newest := newNotices(t, relay)
	waittest.For(t, "four notices", func() bool { return newest.count() == 4 })
	relay.Close()
	broker.Stop()
	broker.Lose()
	broker.Start()
	newest = newNotices(t, broker.Relay())
	waittest.For(t, "four notices again", func() bool { return newest.count() == 4 })
	_ = stop()
}

type received struct {
	mu     sync.Mutex
	newest map[channel.Notice][]byte
}

func newNotices(t *testing.T, relay *channel.Relay) *received {
	t.Helper()
	r := &received{newest: map[channel.Notice][]byte{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = relay.Notices(ctx, func(kind channel.Notice, msg []byte) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.newest[kind] = msg
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

func (r *received) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.newest)
}

func TestRateOfResultsIsBounded(t *testing.T) {
	d := newFixture(t)
	d.reject("shop-1", 90)
	r := &recorder{}
	o, err := New(Config{Ledger: d.Ledger, Keys: d.Ring, Channel: r, Position: d.intake().Position, Rate: 60, Now: d.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	stop := start(o)
	waittest.For(t, "90 results", func() bool { return len(r.published()) == 90 })
	_ = stop()
	if took := time.Since(begun); took < 450*time.Millisecond { // 60 at once, then 60 a second
		t.Errorf("90 results at 60 a second took %s", took)
	}
}

// watching is a noticeLoop that a test drives.
func (d *fixture) watching(c Channel) *noticeLoop {
	d.TB.Helper()
	return &noticeLoop{Publisher: d.publisher(c), size: -1, membersSize: -1}
}

func (w *noticeLoop) look(t *testing.T) {
	t.Helper()
	if err := w.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.publish(t.Context())
}

func TestNoticesFollowWhatTheyTell(t *testing.T) {
	d := newFixture(t)
	r := &recorder{}
	w := d.watching(r)
	pin := envelope.NewPin(d.Ring.Verifier(), 0)
	counts := func() [4]int {
		var n [4]int
		for k, kind := range noticeOrder() {
			n[k] = len(r.notices[kind])
		}
		return n
	}
	expect := func(what string, directories, members, positions, checkpoints int) {
		t.Helper()
		w.look(t)
		w.look(t)
		if got, want := counts(), [4]int{directories, members, positions, checkpoints}; got != want {
			t.Errorf("%s: %v notices published, want %v", what, got, want)
		}
		d.checkNewest(t, pin, r)
	}
	expect("at the start", 1, 1, 1, 1)
	expect("nothing happened", 1, 1, 1, 1)

	d.Enrol("shop-2")
	expect("a merchant came", 1, 2, 1, 2)
	d.Append("shop-2", book.MerchantSuspended{})
	expect("a merchant was suspended", 1, 3, 1, 3)
	d.reject("shop-1", 1)
	expect("something else happened", 1, 3, 1, 4)

	run := d.SetRelays("relay-1", "relay-2")[0].Start()
	expect("relays changed", 2, 3, 1, 5)
	if err := d.intake().Take(t.Context(), []channel.Message{run.Bag(d.shop.Seal(d.shop.Sale()))}); err != nil {
		t.Fatal(err)
	}
	expect("a bag came", 2, 3, 2, 6)

	d.Clock.Pass(59 * time.Minute)
	expect("before an hour", 2, 3, 2, 6)
	d.Clock.Pass(time.Minute)
	expect("after an hour", 3, 4, 3, 7)
	for range 24 {
		d.Clock.Pass(time.Hour)
		d.Tick()
		w.look(t)
	}
	if n := counts(); n[0] != 27 {
		t.Errorf("%d directories after a day", n[0])
	}
}

func (d *fixture) checkNewest(t *testing.T, pin *envelope.Pin, r *recorder) {
	t.Helper()
	last := func(kind channel.Notice) []byte { return r.notices[kind][len(r.notices[kind])-1] }
	now := d.Clock.Now()
	directory, err := pin.Directory(last(channel.NoticeDirectory), now)
	if err != nil {
		t.Fatal(err)
	}
	v := directory.Value
	if _, ok := v.Newest(envelope.KindCode, envelope.SuiteXWing, now.Add(24*time.Hour)); !ok || v.Serial != d.State().Directory ||
		len(v.Relays) != len(d.State().Relays) || v.Expires.Sub(v.Issued.Time) != 48*time.Hour {
		t.Errorf("directory %d of %d keys", v.Serial, len(v.Keys))
	}
	members, err := pin.Members(last(channel.NoticeMembers), now)
	if err != nil {
		t.Fatal(err)
	}
	if members.Value.Serial != d.State().Members {
		t.Errorf("members %+v", members.Value)
	}
	d.View(func(tx *ledger.Tx) error {
		return tx.Merchants(func(m book.Merchant) error {
			for _, listed := range members.Value.Merchants {
				if listed.ID == m.ID && listed.Status == string(m.Status) && listed.Verifiers[0].String() == m.Verifiers[0] {
					return nil
				}
			}
			return fmt.Errorf("merchant %s is not in the members note as it is", m.ID)
		})
	})
	if _, err := pin.Position(last(channel.NoticePosition), now); err != nil {
		t.Fatal(err)
	}
	checkpoint, err := proof.OpenCheckpoint(last(channel.NoticeCheckpoint), d.Ring.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	d.View(func(tx *ledger.Tx) error {
		size, err := tx.TreeSize()
		if checkpoint.Size != size {
			t.Errorf("checkpoint of %d of %d entries", checkpoint.Size, size)
		}
		return err
	})
}

func TestNoticesAreSentAgainToANewConnection(t *testing.T) {
	d := newFixture(t)
	r := &recorder{away: true}
	w := d.watching(r)
	w.look(t)
	if len(r.notices) != 0 {
		t.Fatal("published while the channel was away")
	}
	r.setAway(false)
	w.look(t)
	before := len(r.notices[channel.NoticeMembers])
	r.setAway(true)
	w.look(t)
	r.setAway(false)
	w.look(t)
	if after := len(r.notices[channel.NoticeMembers]); before != 1 || after != 2 {
		t.Errorf("members published %d times, then %d", before, after)
	}
	if notes := r.notices[channel.NoticeDirectory]; !bytes.Equal(notes[0], notes[len(notes)-1]) {
		t.Error("the directory was issued again for a new connection")
	}
}

func TestDirectoryIssuedByHand(t *testing.T) {
	d := newFixture(t)
	o := d.publisher(&recorder{})
	if o.Newest(channel.NoticeDirectory) != nil {
		t.Error("a directory before the first")
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if _, err := o.IssueDirectory(t.Context(), "user:root", "socket", "a new relay"); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	newest, err := envelope.Peek[envelope.Directory](o.Newest(channel.NoticeDirectory))
	if err != nil || newest.Serial != 8 || d.State().Directory != 8 {
		t.Errorf("directory %d of %d, %v", newest.Serial, d.State().Directory, err)
	}
}

// TestAMemberIsAwaited: a change is out only when the channel has its members note, and the wait
// ends with the context.
// TestAMerchantIsNotMissed: who was added while merchants may not be read yet is in a note as soon
// as they may, though nothing else happens.
func TestAMerchantIsNotMissed(t *testing.T) {
	d := newFixture(t)
	r := &recorder{}
	w := d.watching(r)
	w.look(t)
	w.look(t)
	d.Enrol("shop-2")
	w.membersAfter = w.Now().Add(time.Hour)
	w.look(t)
	if n := len(r.notices[channel.NoticeMembers]); n != 1 {
		t.Fatalf("%d members notes before merchants may be read again", n)
	}
	w.membersAfter = time.Time{}
	w.look(t)
	if n := len(r.notices[channel.NoticeMembers]); n != 2 {
		t.Errorf("%d members notes afterwards", n)
	}
}

func TestAMemberIsAwaited(t *testing.T) {
	d := newFixture(t)
	r := &recorder{away: true}
	w := d.watching(r)
	d.Enrol("shop-2")
	var m book.Merchant
	d.View(func(tx *ledger.Tx) (err error) {
		m, _, err = tx.Merchant("shop-2")
		return err
	})
	expect := func(what string, want bool) {
		t.Helper()
		w.look(t)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if got, err := w.AwaitMember(ctx, m); err != nil || got != want {
			t.Errorf("%s: out %t (%v), want %t", what, got, err, want)
		}
	}
	expect("the channel is away", false)
	r.setAway(false)
	expect("the channel is there", true)
	m.Status = book.MerchantStopped
	expect("it changed since the note", false)
}
