package bagger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/waittest"
)

// attempt is one call of PublishBag, whose ack the test decides.
type attempt struct {
	id  string
	msg []byte
	ack chan error
}

// faultyChannel stands for a channel whose faults the test chooses.
type faultyChannel struct {
	attempts chan attempt
}

func (c *faultyChannel) PublishBag(_, id string, msg []byte) channel.Ack {
	a := attempt{id, bytes.Clone(msg), make(chan error, 1)}
	c.attempts <- a
	return a.ack
}

// next returns the next attempt, which must come within seconds.
func (c *faultyChannel) next(t *testing.T) attempt {
	t.Helper()
	return waittest.Receive(t, "a bag to be published", c.attempts)
}

// quiet fails if a bag is published within a moment.
func (c *faultyChannel) quiet(t *testing.T) {
	t.Helper()
	select {
	case a := <-c.attempts:
		t.Fatalf("bag %s was published", a.id)
	case <-time.After(30 * time.Millisecond):
	}
}

type silentObserver struct{}

func (silentObserver) BagAcked(int, int, time.Duration) {}
func (silentObserver) BagFailed(error)                  {}

type fixture struct {
	*Bagger
	channel *faultyChannel
	relay   note.Verifier
	head    string
}

const relayName = "relay-1"

func open(t *testing.T, head string, change func(*Config)) *fixture {
	t.Helper()
	signer, err := note.GenerateSigner(relayName)
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	h, err := OpenHead(head, time.Now, logger)
	if err != nil {
		t.Fatal(err)
	}
	c := &faultyChannel{attempts: make(chan attempt, 4096)}
	config := Config{Relay: relayName, Signer: signer, Publisher: c, Head: h, Window: 4, QueueEnvelopes: 1000,
		QueueBytes: 8 << 20, Now: time.Now, Logger: logger, Observer: silentObserver{}}
	if change != nil {
		change(&config)
	}
	b, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = b.Close(ended)
		_ = h.Close()
	})
	return &fixture{b, c, signer.Verifier(), head}
}

func start(t *testing.T) *fixture {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "head"), nil)
}

// fresh is an envelope of text that was never posted before.
func fresh(text string) Envelope {
	return Envelope{Merchant: "shop-one", Digest: note.Digest([]byte(uuid.NewString())), Note: []byte(text)}
}

type answer struct {
	place Place
	err   error
}

func (f *fixture) submit(ctx context.Context, text string) <-chan answer {
	done := make(chan answer, 1)
	go func() {
		place, err := f.Submit(ctx, fresh(text))
		done <- answer{place, err}
	}()
	return done
}

// submitAll submits n envelopes one after the other, each waiting in the queue before the next.
func (f *fixture) submitAll(t *testing.T, n int) []<-chan answer {
	t.Helper()
	var all []<-chan answer
	for i := range n {
		before, _ := f.Waiting()
		all = append(all, f.submit(t.Context(), fmt.Sprintf("envelope %d", i)))
		waittest.For(t, "the bagger", func() bool { now, _ := f.Waiting(); return now > before })
	}
	return all
}

func wait(t *testing.T, done <-chan answer) answer {
	t.Helper()
	return waittest.Receive(t, "an answer to the submitter", done)
}

// read opens a published bag and checks that it follows previous, nil for the first.
func (f *fixture) read(t *testing.T, a attempt, previous *envelope.Signed[envelope.Bag]) (envelope.Signed[envelope.Bag], [][]byte) {
	t.Helper()
	bag, envelopes, err := envelope.OpenBag(a.msg, f.relay)
	if err != nil {
		t.Fatal(err)
	}
	number, digest := uint64(1), envelope.ZeroDigest
	if previous != nil {
		number, digest = previous.Value.Number+1, previous.Digest
	}
	if bag.Value.Number != number || bag.Value.Previous != digest || bag.Value.Run != f.Run() || bag.Value.Relay != relayName {
		t.Errorf("bag %d of run %s after %s; want %d of %s after %s", bag.Value.Number, bag.Value.Run, bag.Value.Previous, number, f.Run(), digest)
	}
	return bag, envelopes
}

func TestALoneEnvelopeLeavesAtOnce(t *testing.T) {
	f := start(t)
	done := f.submit(t.Context(), "envelope")
	a := f.channel.next(t)
	bag, envelopes := f.read(t, a, nil)
	if len(envelopes) != 1 || string(envelopes[0]) != "envelope" || bag.Value.After != nil || bag.Value.Window != 4 {
		t.Errorf("bag %+v with %q", bag.Value, envelopes)
	}
	select {
	case <-done:
		t.Fatal("answered before the durable ack")
	case <-time.After(20 * time.Millisecond):
	}
	a.ack <- nil
	if got := wait(t, done); got.err != nil || got.place.Run != f.Run() || got.place.Number != 1 || got.place.Index != 0 {
		t.Errorf("answer %+v", got)
	}
}

func TestWhatArrivesMeanwhileRidesTogether(t *testing.T) {
	f := start(t)
	first := f.submit(t.Context(), "first")
	a := f.channel.next(t)
	one, _ := f.read(t, a, nil)
	rest := f.submitAll(t, crowd-1)
	f.channel.quiet(t)
	a.ack <- nil
	wait(t, first)
	b := f.channel.next(t)
	_, envelopes := f.read(t, b, &one)
	if len(envelopes) != len(rest) {
		t.Fatalf("the second bag holds %d envelopes, want %d", len(envelopes), len(rest))
	}
	b.ack <- nil
	for i, done := range rest {
		got := wait(t, done)
		if got.err != nil || got.place.Number != 2 || got.place.Index != i || string(envelopes[i]) != fmt.Sprintf("envelope %d", i) {
			t.Errorf("envelope %d: %+v", i, got)
		}
	}
}

func TestACrowdFillsTheWindowAndNoMore(t *testing.T) {
	f := start(t)
	f.submit(t.Context(), "first")
	f.channel.next(t)
	for bags := 1; bags < 4; bags++ {
		for range crowd * bags {
			f.submit(t.Context(), "envelope")
		}
		f.channel.next(t)
		waittest.For(t, "the bagger", func() bool { waiting, _ := f.Waiting(); return waiting == 0 })
	}
	for range 2 * crowd * 4 {
		f.submit(t.Context(), "envelope")
	}
	f.channel.quiet(t)
	if _, bags := f.Waiting(); bags != 4 {
		t.Errorf("%d bags in flight, want the window of 4", bags)
	}
}

func TestBagsKeepTheirLimits(t *testing.T) {
	tests := []struct {
		name            string
		count, size     int
		envelopes, bags int // the most in one bag, and bags needed after the first
	}{
		{"by count", 300, 10, envelope.MaxBagEnvelopes, 2},
		{"by bytes", 70, envelope.MaxEnvelopeBytes, 30, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := open(t, filepath.Join(t.TempDir(), "head"), func(c *Config) { c.Window = 1 })
			f.submit(t.Context(), "first")
			a := f.channel.next(t)
			previous, _ := f.read(t, a, nil)
			for range test.count {
				f.submit(t.Context(), strings.Repeat("x", test.size))
			}
			waittest.For(t, "the bagger", func() bool { waiting, _ := f.Waiting(); return waiting == test.count })
			left := test.count
			for bags := range test.bags {
				a.ack <- nil
				a = f.channel.next(t)
				var envelopes [][]byte
				previous, envelopes = f.read(t, a, &previous)
				if want := min(left, test.envelopes); len(envelopes) != want || len(a.msg) > envelope.MaxBagBytes {
					t.Fatalf("bag %d: %d envelopes, %d bytes; want %d envelopes", bags, len(envelopes), len(a.msg), want)
				}
				left -= len(envelopes)
			}
			if left != 0 {
				t.Errorf("%d envelopes were left behind", left)
			}
		})
	}
}

func TestABagOfUnknownOutcomeIsPublishedAgainAsItWas(t *testing.T) {
	for _, fault := range []error{channel.ErrUnknown, channel.ErrUnavailable} {
		t.Run(fault.Error(), func(t *testing.T) {
			f := start(t)
			first := f.submit(t.Context(), "first")
			a := f.channel.next(t)
			waiting := f.submitAll(t, 1)
			a.ack <- fault
			again := f.channel.next(t)
			if again.id != a.id || !bytes.Equal(again.msg, a.msg) {
				t.Fatal("the second attempt is not the same bag under the same id")
			}
			if _, err := f.Submit(t.Context(), fresh("more")); !errors.Is(err, ErrUnavailable) || !errors.Is(f.Trouble(), ErrUnavailable) {
				t.Errorf("while a bag fails: %v and %v, want ErrUnavailable", err, f.Trouble())
			}
			f.channel.quiet(t) // no other bag leaves meanwhile
			again.ack <- nil
			if got := wait(t, first); got.err != nil || got.place.Number != 1 {
				t.Errorf("answer %+v", got)
			}
			one, _ := f.read(t, a, nil)
			b := f.channel.next(t)
			f.read(t, b, &one)
			b.ack <- nil
			if got := wait(t, waiting[0]); got.err != nil || f.Trouble() != nil {
				t.Errorf("after recovery: %+v, %v", got, f.Trouble())
			}
		})
	}
}

func TestAFullChannelIsToldAtOnceAndLeavesNoHole(t *testing.T) {
	f := start(t)
	first := f.submit(t.Context(), "first")
	a := f.channel.next(t)
	waiting := f.submitAll(t, 3)
	a.ack <- channel.ErrFull
	for _, done := range append(waiting, first) {
		if got := wait(t, done); !errors.Is(got.err, ErrFull) {
			t.Errorf("answer %+v, want ErrFull", got)
		}
	}
	if _, err := f.Submit(t.Context(), fresh("more")); !errors.Is(err, ErrFull) {
		t.Errorf("while full: %v", err)
	}
	again := f.channel.next(t)
	again.ack <- nil
	waittest.For(t, "the bagger", func() bool { return f.Trouble() == nil })
	one, _ := f.read(t, again, nil)
	f.submit(t.Context(), "later")
	f.read(t, f.channel.next(t), &one)
}

func TestPatienceEndsWithTheContext(t *testing.T) {
	f := start(t)
	f.submit(t.Context(), "first")
	a := f.channel.next(t)
	ctx, cancel := context.WithCancel(t.Context())
	left := f.submit(ctx, "left")
	waittest.For(t, "the bagger", func() bool { waiting, _ := f.Waiting(); return waiting == 1 })
	cancel()
	if got := wait(t, left); !errors.Is(got.err, ErrUnknown) {
		t.Errorf("answer %+v, want ErrUnknown", got)
	}
	stayed := f.submit(t.Context(), "stayed")
	waittest.For(t, "the bagger", func() bool { waiting, _ := f.Waiting(); return waiting == 2 })
	a.ack <- nil
	one, _ := f.read(t, a, nil)
	b := f.channel.next(t)
	if _, envelopes := f.read(t, b, &one); len(envelopes) != 1 || string(envelopes[0]) != "stayed" {
		t.Errorf("the second bag holds %q", envelopes)
	}
	b.ack <- nil
	if got := wait(t, stayed); got.err != nil || got.place.Index != 0 {
		t.Errorf("answer %+v", got)
	}
}

func TestWhatWaitsIsBounded(t *testing.T) {
	f := open(t, filepath.Join(t.TempDir(), "head"), func(c *Config) { c.QueueEnvelopes = 5; c.QueueBytes = 60 })
	f.submit(t.Context(), "first")
	f.channel.next(t)
	f.submitAll(t, 5)
	if _, err := f.Submit(t.Context(), fresh("one more")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("the sixth: %v", err)
	}
	g := open(t, filepath.Join(t.TempDir(), "head"), func(c *Config) { c.QueueBytes = 60 })
	g.submit(t.Context(), "first")
	g.channel.next(t)
	g.submitAll(t, 5)
	if _, err := g.Submit(t.Context(), fresh(strings.Repeat("x", 50))); !errors.Is(err, ErrUnavailable) {
		t.Errorf("61 bytes: %v", err)
	}
}

func TestTheHeadNamesTheLastBagBeforeWhichNoneIsMissing(t *testing.T) {
	f := start(t)
	first := f.submit(t.Context(), "first")
	a := f.channel.next(t)
	for range crowd {
		f.submit(t.Context(), "envelope")
	}
	b := f.channel.next(t)
	b.ack <- nil
	waittest.For(t, "the bagger", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.flights[1].acked })
	if f.config.Head.written != 0 {
		t.Errorf("the head is at %d while bag 1 is not acked", f.config.Head.written)
	}
	a.ack <- nil
	wait(t, first)
	one, _ := f.read(t, a, nil)
	two, _ := f.read(t, b, &one)
	if err := errors.Join(f.Close(t.Context()), f.config.Head.Close()); err != nil {
		t.Fatal(err)
	}
	// The next run begins after bag 2.
	g := open(t, f.head, nil)
	g.submit(t.Context(), "next run")
	bag, _ := g.read(t, g.channel.next(t), nil)
	want := envelope.BagRef{Run: f.Run(), Number: 2, Digest: two.Digest}
	if bag.Value.After == nil || *bag.Value.After != want {
		t.Errorf("the next run begins after %+v, want %+v", bag.Value.After, want)
	}
}

func TestCloseAnswersAllThatWasAccepted(t *testing.T) {
	f := start(t)
	all := []<-chan answer{f.submit(t.Context(), "first")}
	a := f.channel.next(t)
	all = append(all, f.submitAll(t, 10)...)
	closed := make(chan error, 1)
	go func() { closed <- f.Close(t.Context()) }()
	waittest.For(t, "the bagger", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.closing })
	if _, err := f.Submit(t.Context(), fresh("late")); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
	a.ack <- nil
	f.channel.next(t).ack <- nil
	for _, done := range all {
		if got := wait(t, done); got.err != nil {
			t.Errorf("answer %+v", got)
		}
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	f := start(t)
	first := f.submit(t.Context(), "first")
	f.channel.next(t)
	second := f.submitAll(t, 1)[0]
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := f.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
	for _, done := range []<-chan answer{first, second} {
		if got := wait(t, done); !errors.Is(got.err, ErrUnknown) {
			t.Errorf("answer %+v, want ErrUnknown", got)
		}
	}
}
