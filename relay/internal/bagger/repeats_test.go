package bagger

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/note"
	"nightdrop/shared/waittest"
)

// clocked starts a bagger with a clock that the test turns.
func clocked(t *testing.T, change func(*Config)) (f *fixture, turn func(time.Duration)) {
	t.Helper()
	var ahead atomic.Int64
	f = open(t, filepath.Join(t.TempDir(), "head"), func(c *Config) {
		c.Repeats = 100
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		if change != nil {
			change(c)
		}
	})
	return f, func(d time.Duration) { ahead.Add(int64(d)) }
}

func (f *fixture) again(ctx context.Context, e Envelope) <-chan answer {
	done := make(chan answer, 1)
	go func() {
		place, err := f.Submit(ctx, e)
		done <- answer{place, err}
	}()
	return done
}

func (f *fixture) callers(e Envelope) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.moving[e.Digest]; s != nil {
		return s.waiting
	}
	return 0
}

func TestWhatIsPostedAgainWithinAMinuteOfItsAckHasItsPlace(t *testing.T) {
	f, turn := clocked(t, nil)
	e := fresh("sale")
	first := f.again(t.Context(), e)
	a := f.channel.next(t)
	turn(50 * time.Second) // the minute begins with the ack
	a.ack <- nil
	want := wait(t, first)
	for range 3 {
		turn(19 * time.Second)
		got := wait(t, f.again(t.Context(), e))
		if got.err != nil || got.place.Number != want.place.Number || got.place.Index != 0 || got.place.Run != f.Run() ||
			!got.place.Received.Equal(want.place.Received) {
			t.Errorf("posted again: %+v, want %+v", got, want)
		}
	}
	f.channel.quiet(t)
	turn(4 * time.Second)
	later := f.again(t.Context(), e)
	f.channel.next(t).ack <- nil
	if got := wait(t, later); got.place.Number != 2 {
		t.Errorf("after a minute: bag %d, want another", got.place.Number)
	}
}

func TestAllWhoPostTheSameMeanwhileShareOneBag(t *testing.T) {
	f, _ := clocked(t, nil)
	e, other := fresh("sale"), fresh("another")
	f.again(t.Context(), other)
	a := f.channel.next(t)
	var all []<-chan answer
	for range 5 { // in the queue
		all = append(all, f.again(t.Context(), e))
	}
	waittest.For(t, "all to wait", func() bool { return f.callers(e) == 5 })
	a.ack <- nil
	b := f.channel.next(t)
	for range 5 { // in flight
		all = append(all, f.again(t.Context(), e))
	}
	waittest.For(t, "all to wait", func() bool { return f.callers(e) == 10 })
	b.ack <- nil
	for _, done := range all {
		if got := wait(t, done); got.err != nil || got.place.Number != 2 || got.place.Index != 0 {
			t.Errorf("answer %+v, want bag 2, index 0", got)
		}
	}
	one, _ := f.read(t, a, nil)
	if _, envelopes := f.read(t, b, &one); len(envelopes) != 1 {
		t.Errorf("the bag holds %d envelopes, want 1", len(envelopes))
	}
	f.channel.quiet(t)
}

func TestWhoeverStillWaitsKeepsAnEnvelopeInTheQueue(t *testing.T) {
	f, _ := clocked(t, nil)
	f.again(t.Context(), fresh("another"))
	a := f.channel.next(t)
	e, left := fresh("sale"), fresh("left by all")
	gone, leave := context.WithCancel(t.Context())
	first, alone := f.again(gone, e), f.again(gone, left)
	waittest.For(t, "both to wait", func() bool { return f.callers(e) == 1 && f.callers(left) == 1 })
	leave()
	for _, done := range []<-chan answer{first, alone} {
		if got := wait(t, done); !errors.Is(got.err, ErrUnknown) {
			t.Errorf("who left got %+v", got)
		}
	}
	second := f.again(t.Context(), e) // takes it up again
	waittest.For(t, "the second", func() bool { return f.callers(e) == 1 })
	a.ack <- nil
	b := f.channel.next(t)
	one, _ := f.read(t, a, nil)
	if _, envelopes := f.read(t, b, &one); len(envelopes) != 1 || string(envelopes[0]) != "sale" {
		t.Errorf("the bag holds %q, want the sale", envelopes)
	}
	b.ack <- nil
	if got := wait(t, second); got.err != nil {
		t.Errorf("who stayed got %+v", got)
	}
	// What was in a bag when all had left is remembered all the same.
	e = fresh("boarded")
	gone, leave = context.WithCancel(t.Context())
	boarded := f.again(gone, e)
	c := f.channel.next(t)
	leave()
	wait(t, boarded)
	c.ack <- nil
	waittest.For(t, "its ack", func() bool { _, bags := f.Waiting(); return bags == 0 })
	if got := wait(t, f.again(t.Context(), e)); got.err != nil || got.place.Number != 3 {
		t.Errorf("posted again: %+v, want bag 3", got)
	}
	f.channel.quiet(t)
}

func TestWhatWasToldFullAndStoredAfterAllHasItsPlace(t *testing.T) {
	f, _ := clocked(t, nil)
	e := fresh("sale")
	first := f.again(t.Context(), e)
	f.channel.next(t).ack <- channel.ErrFull
	if got := wait(t, first); !errors.Is(got.err, ErrFull) {
		t.Errorf("answer %+v", got)
	}
	if got := wait(t, f.again(t.Context(), e)); !errors.Is(got.err, ErrFull) {
		t.Errorf("while it is full: %+v", got)
	}
	f.channel.next(t).ack <- nil
	waittest.For(t, "room", func() bool { return f.Trouble() == nil })
	if got := wait(t, f.again(t.Context(), e)); got.err != nil || got.place.Number != 1 {
		t.Errorf("posted again: %+v, want bag 1", got)
	}
}

func TestNobodyIsMadeToForgetByAnother(t *testing.T) {
	now := time.Now()
	r := newRepeats(100)
	of := func(merchant string, n int) Envelope {
		return Envelope{Merchant: merchant, Digest: note.Digest(fmt.Appendf(nil, "%s %d", merchant, n))}
	}
	for n := range 10 {
		r.add(of("small", n), Place{Number: uint64(n + 1)}, now)
	}
	for n := range 100_000 {
		r.add(of("loud", n), Place{Number: 1}, now)
		if n%1000 == 0 {
			r.add(of("third", n), Place{Number: 1}, now)
		}
	}
	for n := range 10 {
		if p, ok := r.lookUp(of("small", n), now); !ok || p.Number != uint64(n+1) {
			t.Errorf("%d of the small merchant was forgotten", n)
		}
	}
	if _, ok := r.lookUp(of("loud", 99_999), now); !ok {
		t.Error("the loud merchant's newest was forgotten")
	}
	if _, ok := r.lookUp(of("loud", 1), now); ok || r.kept > 200 {
		t.Errorf("%d are remembered, the oldest among them: %t; want at most 200, not", r.kept, ok)
	}
	if _, ok := r.lookUp(of("other", 1), now); ok {
		t.Error("one that never was has a place")
	}
	r.add(of("late", 1), Place{Number: 1}, now.Add(2*time.Minute))
	if len(r.merchants) != 1 || r.kept != 1 {
		t.Errorf("after two minutes %d merchants and %d envelopes are remembered, want one", len(r.merchants), r.kept)
	}
}
