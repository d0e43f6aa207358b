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
	// inDetail is how many findings of one source get an event each, an hour. Whoever owns the
	// relay's host could otherwise write thousands of log entries a second, for ever, with bags of
	// a few bytes.
	inDetail = 16
	// tallySpan is the hour.
	tallySpan = time.Hour
)

// source is where findings come from that are counted together. The relay is one that the vault
// knows, or "": else a stranger could make up sources. The merchant is that of a forged envelope.
type source struct {
	finding  book.Finding
	relay    string
	merchant string
}

// tally counts findings per source and hour: the first of an hour are reported one by one, those
// after them in one event each time that there are twice as many, and what is left when the hour is
// over. What was counted and not reported is lost with the process.
type tally struct {
	mu      sync.Mutex
	sources map[source]tallied
}

// tallied are the findings of a source in the hour that began with the first of them.
type tallied struct {
	since  time.Time
	found  uint64
	silent uint64 // of them, not reported yet
	due    uint64 // found, at which silent is reported
}

// take counts a finding and returns for how many an event is due: none, this one, or it with those
// before it.
func (t *tallied) take(now time.Time) uint64 {
	if age := now.Sub(t.since); age < 0 || age >= tallySpan {
		*t = tallied{since: now, silent: t.silent, due: 2 * inDetail}
	}
	t.found++
	t.silent++
	if t.found > inDetail && t.found < t.due {
		return 0
	}
	if t.found >= t.due {
		t.due *= 2
	}
	due := t.silent
	t.silent = 0
	return due
}

// takes counts findings of one try at a commit.
type takes struct {
	*tally
	before map[source]tallied // what the try changed
}

func (t *tally) begin() *takes { return &takes{tally: t, before: map[source]tallied{}} }

// due counts a finding of a source and reports whether an event is due for it, whose count it sets
// where the event is also of those before it (tallied.take).
func (t *takes) due(s source, now time.Time, f *book.IntegrityFound) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	counted := t.sources[s]
	if _, changed := t.before[s]; !changed {
		t.before[s] = counted
	}
	due := counted.take(now)
	t.sources[s] = counted
	if due > 1 {
		f.Count = due
	}
	return due > 0
}

// over takes out what is left of hours that are over, or of all.
func (t *takes) over(now time.Time, all bool) map[source]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	left := map[source]uint64{}
	for s, counted := range t.sources {
		age := now.Sub(counted.since)
		if counted.silent == 0 || !all && 0 <= age && age < tallySpan {
			continue
		}
		if _, changed := t.before[s]; !changed {
			t.before[s] = counted
		}
		left[s] = counted.silent
		counted.silent = 0
		t.sources[s] = counted
	}
	return left
}

// undo forgets the try, for the ledger makes another, or failed.
func (t *takes) undo() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s, counted := range t.before {
		t.sources[s] = counted
	}
}

// tellCounted commits what was counted and not reported, of hours that are over or of all.
func (i *Intake) tellCounted(ctx context.Context, all bool) error {
	return i.commitCounting(ctx, func(tx *ledger.Tx, counts *takes) error {
		for s, n := range counts.over(tx.Now().Time, all) {
			f := book.IntegrityFound{Finding: s.finding, Relay: s.relay, Count: n, Detail: fmt.Sprintf("%d that were counted and not told one by one", n)}
			if _, err := tx.Append(book.Event{Actor: "vault", Origin: "timer", Merchant: s.merchant, Body: f}); err != nil {
				return err
			}
		}
		return nil
	})
}

// commitCounting commits what do does; what it counts stands only where the commit does. The ledger
// may call it twice.
func (i *Intake) commitCounting(ctx context.Context, do func(*ledger.Tx, *takes) error) error {
	var counts *takes
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

// stray names a message that is no bag by its place and bytes.
type stray [16]byte

func strayOf(m channel.Message) (s stray) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%s", m.Sequence, digestOf(m)))
	copy(s[:], sum[:])
	return s
}

// seenBefore reports whether a message that is no bag was found before, at this very place: who
// makes the vault read the channel again has nothing counted again, as far as memory reaches.
func (c *committer) seenBefore(b *bag) bool {
	key := strayOf(b.message)
	if c.strays[key] || c.Intake.strays.Contains(key) {
		return true
	}
	c.strays[key] = true
	return false
}
