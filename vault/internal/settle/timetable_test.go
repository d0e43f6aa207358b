package settle

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// waits has an advice be handled at noon, and wait until it is due.
func (t *timetable) waits(number uint64, since, due time.Time) {
	t.begin(number, true, noon)
	t.again(number, since, due, lastTry{})
	t.end(number)
}

// TestProbesTakeTurns from the oldest on; what is held or under way is left out, and without any
// advice there is no probe.
func TestProbesTakeTurns(t *testing.T) {
	table := newTimetable()
	if table.probe(noon) {
		t.Error("a probe of nothing")
	}
	table.begin(9, false, noon) // a request
	if table.probe(noon) {
		t.Error("a request that is under way is taken for an advice")
	}
	for number, age := range map[uint64]time.Duration{1: time.Hour, 2: 3 * time.Hour, 3: 2 * time.Hour} {
		table.waits(number, noon.Add(-age), noon.Add(time.Hour))
	}
	due := func(number uint64) bool { skips, _ := table.skips(number, noon); return !skips }
	for _, want := range []uint64{2, 3, 1, 2} {
		if !table.probe(noon) || !due(want) {
			t.Fatalf("the probe is not %d", want)
		}
		table.waits(want, noon.Add(-time.Duration(map[uint64]int{1: 1, 2: 3, 3: 2}[want])*time.Hour), noon.Add(time.Hour))
	}
	_, release := table.hold(3)
	if !table.probe(noon) || due(3) || !due(1) {
		t.Error("what a person holds is a probe")
	}
	release()
}

// TestHeldIsNotBegun: what a person holds is handled by nobody, and who holds it learns when nobody
// does.
func TestHeldIsNotBegun(t *testing.T) {
	table := newTimetable()
	if !table.begin(1, true, noon) || table.begin(1, true, noon) {
		t.Error("it is not handled once")
	}
	idle, release := table.hold(1)
	select {
	case <-idle:
		t.Error("it is idle while it is handled")
	default:
	}
	table.again(1, noon, noon, lastTry{})
	table.end(1)
	<-idle
	if table.begin(1, true, noon) {
		t.Error("what is held is begun")
	}
	release()
	if !table.begin(1, true, noon) {
		t.Error("what was released is not begun")
	}
	table.end(1)
	if len(table.rows) != 0 {
		t.Errorf("%d rows are left", len(table.rows))
	}
}

// TestWokenOnceInAnInterval: what waits is due when the host is heard, once before its time, and
// also what was under way then.
func TestWokenOnceInAnInterval(t *testing.T) {
	table := newTimetable()
	table.waits(1, noon, noon.Add(time.Hour))
	table.begin(2, true, noon)
	table.wake(noon.Add(time.Minute))
	table.again(2, noon, noon.Add(time.Hour), lastTry{})
	table.end(2)
	for number := uint64(1); number <= 2; number++ {
		now := noon.Add(time.Minute)
		if !table.begin(number, true, now) {
			t.Fatalf("%d is not due", number)
		}
		table.again(number, noon, now.Add(time.Hour), lastTry{})
		table.end(number)
		table.wake(now.Add(time.Minute))
		if table.begin(number, true, now.Add(2*time.Minute)) {
			t.Errorf("%d is due before its time twice", number)
		}
		if !table.begin(number, true, now.Add(time.Hour)) {
			t.Fatalf("%d is not due in its time", number)
		}
		table.again(number, noon, now.Add(2*time.Hour), lastTry{})
		table.end(number)
		table.wake(now.Add(61 * time.Minute))
		if skips, _ := table.skips(number, now.Add(61*time.Minute)); skips {
			t.Errorf("after a regular turn %d is not due when the host is heard", number)
		}
	}
}

// TestOfALineThatBreaksOneMessageCounts: sixty messages that a line takes along are one silence,
// and a host that hangs up each time is silent.
func TestOfALineThatBreaksOneMessageCounts(t *testing.T) {
	b := newBreaker(3, time.Second, time.Hour)
	for range 60 {
		if b.silent(noon, noon.Add(time.Second), noon, true) {
			t.Fatal("a line that broke once opens the breaker")
		}
	}
	if _, silences := b.state(); silences != 1 {
		t.Errorf("%d silences", silences)
	}
	if b.silent(noon.Add(2*time.Second), noon.Add(3*time.Second), noon, true) || !b.silent(noon.Add(4*time.Second), noon.Add(5*time.Second), noon, true) {
		t.Error("a host that hangs up three times does not open the breaker")
	}
	if after, closes := b.answered(noon); !after || !closes {
		t.Error("an answer does not close it")
	}
}
