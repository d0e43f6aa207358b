package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker/brokertest"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// mostEntries bounds a source's log entries in an hour with 100,000 findings.
const mostEntries = maxDetailed + 13

// entries counts the log's entries.
func (d *fixture) entries() (n int64) {
	d.TB.Helper()
	d.View(func(tx *ledger.Tx) (err error) {
		n, err = tx.TreeSize()
		return err
	})
	return n
}

// lockedBuffer is a buffer safe for concurrent use.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) lines() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.text.String(), "\n")
}

// garbage is a message of 12 bytes.
func garbage(n int) []byte { return fmt.Appendf(nil, "junk %07d", n) }

// TestGarbageIsCounted: 100,000 messages that are not bags make some dozens of log entries and
// lines, however often they are read, and all are counted. Payments among them are accepted.
func TestGarbageIsCounted(t *testing.T) {
	const published, given = 5_000, 95_000
	d := newFixture(t)
	log := &lockedBuffer{}
	site := brokertest.Start(t)
	relay := site.Relay()
	acks := make([]channel.Ack, published)
	for n := range acks {
		acks[n] = relay.PublishBag("relay-1", "", garbage(n))
	}
	for _, ack := range acks {
		if err := <-ack; err != nil {
			t.Fatal(err)
		}
	}
	before := d.entries()
	config := d.newIntake(site.Vault()).Config
	config.Logger = slog.New(slog.NewTextHandler(log, nil))
	var err error
	if d.intake, err = New(config); err != nil {
		t.Fatal(err)
	}
	run := func(until uint64) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.intake.Run(ctx) }()
		waittest.For(t, "the messages", func() bool { return d.hint().Sequence == until })
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	run(published)
	var messages []channel.Message
	for n := range given {
		messages = append(messages, channel.Message{Subject: "bag.relay-1", Sequence: uint64(published + 1 + n), Data: garbage(published + n)})
	}
	d.take(messages...)
	// stops, and the last commit reports what was counted
	if n := d.entries() - before; n > mostEntries+3 {
		t.Errorf("%d log entries report %d messages", n, published+given)
	}
	if n := log.lines(); n > 40 {
		t.Errorf("%d log lines", n)
	}
	d.Clock.Pass(time.Hour)
	if err := d.intake.reportCounted(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	d.expectFound(findings{book.FindingBagAltered: published + given})

	// After a rewind what memory holds is not counted again, and the bound holds.
	if err := d.Ledger.Commit(t.Context(), func(tx *ledger.Tx) error {
		return tx.SetBagHint(ledger.Hint{Sequence: published + given, Digest: "lost"})
	}); err != nil {
		t.Fatal(err)
	}
	before = d.entries()
	publish(t, relay, d.bags(d.run, 1)...)
	run(published + 1)
	if d.payments() != 1 {
		t.Errorf("%d payments", d.payments())
	}
	if n := d.entries() - before; n > mostEntries+10 {
		t.Errorf("%d log entries after a rewind", n)
	}
}

// TestRewindCountsNothingAgain: garbage at the same sequence is not a finding again.
func TestRewindCountsNothingAgain(t *testing.T) {
	d := newFixture(t)
	var messages []channel.Message
	for n := range 40 {
		messages = append(messages, channel.Message{Subject: "bag.relay-1", Sequence: uint64(n + 1), Data: garbage(n)})
	}
	for range 3 {
		d.take(messages...)
	}
	d.Clock.Pass(time.Hour)
	if err := d.intake.reportCounted(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	d.expectFound(findings{book.FindingBagAltered: 40})
	d.take(channel.Message{Subject: "bag.relay-1", Sequence: 41, Data: garbage(0)})
	d.expectFound(findings{book.FindingBagAltered: 41})
}

// TestStrangersShareOneSource: unknown relays are counted together.
func TestStrangersShareOneSource(t *testing.T) {
	d := newFixture(t)
	before := d.entries()
	for n := range 500 {
		d.take(channel.Message{Subject: fmt.Sprintf("bag.made-up-%d", n), Data: garbage(n)})
	}
	if n := d.entries() - before; n > mostEntries {
		t.Errorf("%d log entries", n)
	}
}

// TestCountsSurviveAFailedCommit: what a failed try counted is counted by the next.
func TestCountsSurviveAFailedCommit(t *testing.T) {
	d := newFixture(t)
	failure := errors.New("the disk is full")
	from := source{finding: book.FindingBagAltered}
	for range 3 {
		err := d.intake.commitCounting(t.Context(), func(_ *ledger.Tx, counts *attemptCounts) error {
			var f book.IntegrityFound
			if due := counts.due(from, d.Clock.Now(), &f); !due || f.Count != 0 {
				t.Errorf("an event is due: %v, for %d", due, f.Times())
			}
			return failure
		})
		if !errors.Is(err, failure) {
			t.Fatal(err)
		}
	}
	if found := d.intake.tally.sources[from].found; found != 0 {
		t.Errorf("%d were counted", found)
	}
}
