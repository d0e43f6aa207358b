package settle

import (
	"context"
	"fmt"
	"sync"
	"time"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// maxProbe bounds the wait between two probes of a silent host.
const maxProbe = time.Minute

// breaker stops new requests while the host takes messages and answers none, though it may answer
// echo tests. It opens after a bound of messages in a row without an answer. While it is open,
// captures and reversals go on being repeated; the oldest are sent early, one at a time, as probes.
// Where there are none, and now and then also where there are, one request is the probe: a host
// that never answers what it is asked would seem silent for ever. The first answer closes the
// breaker. Both stand in the log as findings, so that a start goes on where a stop was. Its methods
// may be called concurrently.
type breaker struct {
	bound int           // silences in a row that open it
	first time.Duration // wait before the second probe, doubled after each up to maxProbe
	every time.Duration // after so long a request probes beside captures and reversals

	mu       sync.Mutex
	silences int
	opened   time.Time // by the vault's clock; zero: it is closed
	lost     time.Time // when a line that broke last counted as a silence
	probe    time.Time // when the next probe is due, by the process's clock
	step     time.Duration
	asked    time.Time // when a request was last let through, or the breaker opened
	asks     bool      // a request may be sent as the probe
	passes   uint64    // the number of the payment whose request that is
	untold   []book.IntegrityFound
	turn     chan struct{} // closed and replaced when more requests are admitted than were
}

func newBreaker(bound int, first, every time.Duration) *breaker {
	return &breaker{bound: bound, first: first, every: every, turn: make(chan struct{})}
}

// turned is closed when more requests are admitted than were.
func (b *breaker) turned() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.turn
}

func (b *breaker) notify() {
	close(b.turn)
	b.turn = make(chan struct{})
}

func (b *breaker) again() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notify()
}

// silent counts a message without an answer, that was sent at a time. broken says that its line
// broke: of those that a line takes along one counts. It reports whether the breaker opens.
func (b *breaker) silent(sent, now, clock time.Time, broken bool) (opens bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if broken && !sent.After(b.lost) {
		return false
	}
	if broken {
		b.lost = now
	}
	if b.silences++; !b.opened.IsZero() || b.silences < b.bound {
		return false
	}
	b.open(now, clock)
	b.untold = append(b.untold, book.IntegrityFound{Finding: book.FindingHostSilent,
		Detail: fmt.Sprintf("%d messages in a row were not answered: no new request is sent until the host answers one", b.silences)})
	return true
}

func (b *breaker) open(now, clock time.Time) {
	b.opened, b.probe, b.step, b.asked, b.asks, b.passes = clock, now, min(b.first, maxProbe), now, false, 0
}

// answered ends a silence, and reports whether there was one and whether it closes the breaker.
func (b *breaker) answered(clock time.Time) (after, closes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	after, b.silences = b.silences > 0, 0
	if b.opened.IsZero() {
		return after, false
	}
	b.untold = append(b.untold, book.IntegrityFound{Finding: book.FindingHostAnswers,
		Detail: fmt.Sprintf("the host answers again, after %s: requests are sent again", clock.Sub(b.opened).Round(time.Second))})
	b.opened = time.Time{}
	b.notify()
	return true, true
}

// admits reports whether the request of the payment of this number may be sent: the breaker is
// closed, or it is the probe. Without a free slot (place) it does not become the probe.
func (b *breaker) admits(number uint64, place bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asks && place && !b.opened.IsZero() {
		b.asks, b.passes = false, number
	}
	return b.opened.IsZero() || b.passes == number
}

// state is since when the breaker is open, by the vault's clock, zero where it is closed, and how
// many messages in a row were not answered.
func (b *breaker) state() (opened time.Time, silences int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opened, b.silences
}

// due reports whether a probe is to be sent now, and moves the next one on.
func (b *breaker) due(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opened.IsZero() || now.Before(b.probe) {
		return false
	}
	b.probe, b.step = now.Add(b.step), min(2*b.step, maxProbe)
	return true
}

// postpone has the next probe wait: the line is up, and whatever is repeated is sent on it now.
func (b *breaker) postpone(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probe = now.Add(max(b.step, linePoll))
}

// ask lets one request be sent as the probe, where nothing else can be or it is time for one.
func (b *breaker) ask(now time.Time, others bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if others && now.Before(b.asked.Add(b.every)) {
		return
	}
	b.asked, b.asks, b.passes = now, true, 0
	b.notify()
}

// drain returns what is not in the log yet.
func (b *breaker) drain() []book.IntegrityFound {
	b.mu.Lock()
	defer b.mu.Unlock()
	untold := b.untold
	b.untold = nil
	return untold
}

// logSilence commits that the host was silent, or answers again, where that is not in the log yet.
// After a crash before it the next start has the breaker as the log has it.
func (e *Engine) logSilence(ctx context.Context) error {
	untold := e.breaker.drain()
	if len(untold) == 0 {
		return nil
	}
	return e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		for _, found := range untold {
			if err := appendEvent(tx, "vault", "host", "", found); err != nil {
				return err
			}
		}
		return nil
	})
}

// watchHost logs what the breaker began and ended, and has a silent host probed.
func (e *Engine) watchHost(ctx context.Context) error {
	if err := e.logSilence(ctx); err != nil {
		return err
	}
	now, up := time.Now(), e.cfg.Acquirer.Ready() == nil
	if up && e.down {
		e.advices.wake(now)
		e.breaker.postpone(now)
	}
	if e.down = !up; up && e.breaker.due(now) {
		e.breaker.ask(now, e.advices.probe(now))
	}
	return nil
}

// resumeBreaker opens the breaker where the log says that the host was silent when the vault
// stopped.
func (e *Engine) resumeBreaker() error {
	return e.cfg.Ledger.View(func(tx *ledger.Tx) error {
		v, err := tx.Vault()
		if err == nil && v.Findings[book.FindingHostSilent] > v.Findings[book.FindingHostAnswers] {
			e.breaker.mu.Lock()
			defer e.breaker.mu.Unlock()
			e.breaker.open(time.Now(), e.cfg.Now())
			e.cfg.Logger.Warn("the acquirer's host was silent when the vault stopped: new requests wait until it answers")
		}
		return err
	})
}

// Silent returns since when the host has answered no message, so that new requests wait, and how
// many in a row it did not answer. The time is zero where requests are sent.
func (e *Engine) Silent() (since time.Time, messages int) { return e.breaker.state() }
