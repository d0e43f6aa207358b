package settle

import (
	"sync"
	"time"
)

// timetable holds which payments are being handled, and when captures and reversals without an
// answer are due again. It is in memory alone: a start finds the payments by their stages and tries
// each at once. Its methods may be called concurrently.
type timetable struct {
	mu    sync.Mutex
	rows  map[uint64]*row // by the payment's number
	moved chan struct{}   // closed and replaced when something is due sooner than it was
	woke  time.Time       // when wake was last called
}

// row is a payment that is being handled, waits for its turn, or is held by a person.
type row struct {
	number uint64
	since  time.Time // its first try
	waits  bool      // it is to be sent again at due
	due    time.Time // by the process's clock
	last   lastTry
	busy   chan struct{} // closed when it is not handled any more; nil: it is not
	began  time.Time     // when it was last handled
	missed bool          // a lane that has work with it passed it over, because it was handled
	held   int           // persons who hold it
	sooner bool          // it is due before its time
	early  bool          // since its last regular turn it was sent before its time
	advice bool          // it is no request
	probed bool          // in this round of probes
}

func newTimetable() *timetable {
	return &timetable{rows: map[uint64]*row{}, moved: make(chan struct{})}
}

// row returns a payment's row, which is made where there is none.
func (t *timetable) row(number uint64) *row {
	r := t.rows[number]
	if r == nil {
		r = &row{number: number}
		t.rows[number] = r
	}
	return r
}

// tidy removes a row that says nothing.
func (t *timetable) tidy(r *row) {
	if !r.waits && r.busy == nil && r.held == 0 {
		delete(t.rows, r.number)
	}
}

// skips reports whether a payment must not be handled now, and when it is due, zero if unknown.
func (t *timetable) skips(number uint64, now time.Time) (skips bool, due time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.rows[number]
	switch {
	case r == nil:
		return false, time.Time{}
	case r.busy != nil || r.held > 0:
		return true, time.Time{}
	}
	return now.Before(r.due), r.due
}

// miss notes that a lane passed a payment over which is handled by another.
func (t *timetable) miss(number uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.rows[number]; r != nil && r.busy != nil {
		r.missed = true
	}
}

// begin marks a payment as being handled, and reports whether it may be: nobody else does, no
// person holds it, and it is due.
func (t *timetable) begin(number uint64, advice bool, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.row(number)
	if r.busy != nil || r.held > 0 || now.Before(r.due) {
		return false
	}
	r.busy, r.began, r.waits, r.advice = make(chan struct{}), now, false, advice
	r.early, r.sooner = r.sooner, false
	return true
}

// end marks it as not being handled any more. Unless again was called meanwhile, nothing of it
// waits.
func (t *timetable) end(number uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.row(number)
	close(r.busy)
	r.busy = nil
	t.tidy(r)
	if r.waits || r.missed { // nobody knows yet when it is due, or that it is handled no more
		t.move()
	}
	r.missed = false
}

// again makes a payment that is being handled due again, at once where the host was heard since it
// was begun (as in wake).
func (t *timetable) again(number uint64, since, due time.Time, last lastTry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.row(number)
	r.since, r.due, r.waits, r.last = since, due, true, last
	if r.began.Before(t.woke) {
		r.hurry(t.woke)
	}
}

// last is the outcome of the payment's last try by this process.
func (t *timetable) last(number uint64) lastTry {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.rows[number]; r != nil {
		return r.last
	}
	return lastTry{}
}

// hurry makes a payment due now, once between two regular turns: a message that a host never
// answers is not repeated all the time.
func (r *row) hurry(now time.Time) (hurried bool) {
	if !r.waits || r.early || r.sooner || !now.Before(r.due) {
		return false
	}
	r.due, r.sooner = now, true
	return true
}

// wake has whatever waits be due now: the host was heard after a silence.
func (t *timetable) wake(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.woke = now
	for _, r := range t.rows {
		r.hurry(now)
	}
	t.move()
}

// probe makes one of the waiting captures and reversals due now: each in turn, from the oldest. It
// returns false when there are none, nor any under way.
func (t *timetable) probe(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	there := false
	var oldest, again *row // of those that were no probe in this round, and of all
	for _, r := range t.rows {
		if !r.advice {
			continue
		}
		there = true
		if r.busy != nil || r.held > 0 {
			continue
		}
		if again == nil || r.older(again) {
			again = r
		}
		if !r.probed && (oldest == nil || r.older(oldest)) {
			oldest = r
		}
	}
	if again == nil {
		return there
	}
	if oldest == nil {
		for _, r := range t.rows {
			r.probed = false
		}
		oldest = again
	}
	oldest.probed = true
	if now.Before(oldest.due) {
		oldest.due = now
		t.move()
	}
	return true
}

func (r *row) older(other *row) bool {
	return r.since.Before(other.since) || r.since.Equal(other.since) && r.number < other.number
}

// hold keeps a payment from being handled until release is called. idle is closed when nobody
// handles it any more.
func (t *timetable) hold(number uint64) (idle <-chan struct{}, release func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.row(number)
	r.held++
	done := r.busy
	if done == nil {
		done = make(chan struct{})
		close(done)
	}
	return done, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		r.held--
		t.tidy(r)
		t.move()
	}
}

// drop ends the waiting of a payment that a person holds: it is not sent, not even as a probe.
func (t *timetable) drop(number uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.rows[number]; r != nil {
		r.waits, r.advice, r.due, r.last = false, false, time.Time{}, lastTry{}
	}
}

// move reports that something is due sooner.
func (t *timetable) move() {
	close(t.moved)
	t.moved = make(chan struct{})
}

// sooner is closed when something becomes due sooner than it was.
func (t *timetable) sooner() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.moved
}
