package intake

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

const (
	// maxDetailed is how many findings of one source get an event each, an hour. The owner of a
	// relay's host could otherwise write thousands of log entries a second with bags of a few
	// bytes.
	maxDetailed = 16
	tallySpan   = time.Hour
)

// source groups findings that are counted together. The relay is a known one, or "": else a
// stranger could make up sources. The merchant is that of a forged envelope.
type source struct {
	finding  book.Finding
	relay    string
	merchant string
}

// tally counts findings per source and hour: the first of an hour are reported one by one, later
// ones in one event each time that their number has doubled, and the rest when the hour is over.
// What was not reported is lost with the process.
type tally struct {
	mu      sync.Mutex
	sources map[source]tallied
}

// tallied are a source's findings in the hour from since.
type tallied struct {
	since      time.Time
	found      uint64
	unreported uint64 // of them, not reported yet
	due        uint64 // found, at which unreported is reported
}

// count counts a finding and returns for how many an event is due: none, this one, or it with those
// before.
func (t *tallied) count(now time.Time) uint64 {
	if age := now.Sub(t.since); age < 0 || age >= tallySpan {
		*t = tallied{since: now, unreported: t.unreported, due: 2 * maxDetailed}
	}
	t.found++
	t.unreported++
	if t.found > maxDetailed && t.found < t.due {
		return 0
	}
	if t.found >= t.due {
		t.due *= 2
	}
	due := t.unreported
	t.unreported = 0
	return due
}

// attemptCounts counts findings of one try at a commit.
type attemptCounts struct {
	*tally
	before map[source]tallied // as they were before the try
}

func (t *tally) begin() *attemptCounts { return &attemptCounts{tally: t, before: map[source]tallied{}} }

// due counts a finding of a source and reports whether an event is due, whose count it sets where
// that is also of findings before (tallied.count).
func (t *attemptCounts) due(s source, now time.Time, f *book.IntegrityFound) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	counted := t.sources[s]
	if _, changed := t.before[s]; !changed {
		t.before[s] = counted
	}
	due := counted.count(now)
	t.sources[s] = counted
	if due > 1 {
		f.Count = due
	}
	return due > 0
}

// over removes and returns what is unreported of hours that are over, or of all.
func (t *attemptCounts) over(now time.Time, all bool) map[source]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	left := map[source]uint64{}
	for s, counted := range t.sources {
		age := now.Sub(counted.since)
		if counted.unreported == 0 || !all && 0 <= age && age < tallySpan {
			continue
		}
		if _, changed := t.before[s]; !changed {
			t.before[s] = counted
		}
		left[s] = counted.unreported
		counted.unreported = 0
		t.sources[s] = counted
	}
	return left
}

// undo undoes the try's counts.
func (t *attemptCounts) undo() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s, counted := range t.before {
		t.sources[s] = counted
	}
}

// reportCounted commits what is unreported of hours that are over, or of all.
func (i *Intake) reportCounted(ctx context.Context, all bool) error {
	return i.commitCounting(ctx, func(tx *ledger.Tx, counts *attemptCounts) error {
		for s, n := range counts.over(tx.Now().Time, all) {
			f := book.IntegrityFound{Finding: s.finding, Relay: s.relay, Count: n, Detail: fmt.Sprintf("%d that were counted and not reported one by one", n)}
			if _, err := tx.Append(book.Event{Actor: "vault", Origin: "timer", Merchant: s.merchant, Body: f}); err != nil {
				return err
			}
		}
		return nil
	})
}

// commitCounting commits what do does, and its counts with it. The ledger may call do twice.
func (i *Intake) commitCounting(ctx context.Context, do func(*ledger.Tx, *attemptCounts) error) error {
	var counts *attemptCounts
	undo := func() {
		if counts != nil {
			counts.undo()
		}
	}
	err := i.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		undo()
		counts = i.tally.begin()
		return do(tx, counts)
	})
	if err != nil {
		undo()
	}
	return err
}

// stray identifies a message that is not a bag by its sequence and bytes.
type stray [16]byte

func strayOf(m channel.Message) (s stray) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%s", m.Sequence, digestOf(m)))
	copy(s[:], sum[:])
	return s
}

// seenBefore reports whether a message that is not a bag was reported before, so that reading the
// channel again counts nothing twice, as far as memory reaches.
func (c *committer) seenBefore(b *bag) bool {
	key := strayOf(b.message)
	if c.strays[key] || c.Intake.strays.Contains(key) {
		return true
	}
	c.strays[key] = true
	return false
}
