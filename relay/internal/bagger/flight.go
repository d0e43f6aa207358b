package bagger

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
)

// flight is a published bag that is not acked yet. Its bytes and its message id, the digest, never
// change: a second attempt can only make the same bag durable.
type flight struct {
	number   uint64
	digest   string
	msg      []byte
	riders   []*submission
	made     time.Time
	failed   bool // the last attempt failed
	acked    bool // durable, but an earlier bag is not yet
	answered bool // its riders have their outcome
}

func (b *Bagger) pack() {
	defer close(b.finished)
	for {
		f, ack := b.depart()
		if f == nil {
			return
		}
		if ack != nil {
			go b.follow(f, ack)
		}
	}
}

// depart waits until a bag may leave, then makes and publishes it. It returns nil when all is done.
func (b *Bagger) depart() (*flight, channel.Ack) {
	b.mu.Lock()
	for !b.due() {
		if b.closing && (len(b.queue) == 0 && len(b.flights) == 0 || b.stop.Err() != nil) {
			b.abandon()
			b.mu.Unlock()
			return nil, nil
		}
		b.changed.Wait()
	}
	riders := b.board()
	f := &flight{number: b.next, riders: riders, made: b.config.Now()}
	if len(riders) == 0 {
		b.mu.Unlock()
		return f, nil
	}
	previous := b.previous
	b.flights = append(b.flights, f)
	b.mu.Unlock()

	// Only the packer makes bags, so this needs no lock while envelopes go on arriving.
	err := b.make(f, previous)
	b.mu.Lock()
	if err != nil {
		b.flights = slices.DeleteFunc(b.flights, func(other *flight) bool { return other == f })
		b.answer(f, fmt.Errorf("%w: %w", ErrUnavailable, err))
		for _, s := range f.riders {
			b.drop(s)
		}
		b.mu.Unlock()
		b.lines.Error("unmade", "a bag could not be made", "run", b.run, "number", f.number, "error", err)
		return f, nil
	}
	b.next, b.previous = f.number+1, f.digest
	b.chargeBag(f)
	b.mu.Unlock()
	b.config.Head.Allow(f.number, b.config.Window)
	return f, b.config.Publisher.PublishBag(b.config.Relay, f.digest, f.msg)
}

// due reports whether a bag may leave now: envelopes wait, nothing is wrong, and nothing is in
// flight or enough wait to be worth a bag of their own.
func (b *Bagger) due() bool {
	if len(b.queue) == 0 || b.failing > 0 || len(b.flights) >= b.config.Window || b.stop.Err() != nil {
		return false
	}
	return len(b.queue) >= crowd*len(b.flights) || b.queued >= b.room/2
}

// board removes from the queue what fits into one bag, passing over those whose submitters left.
func (b *Bagger) board() []*submission {
	riders := make([]*submission, 0, min(len(b.queue), envelope.MaxBagEnvelopes))
	room, taken := b.room, 0
	for _, s := range b.queue {
		need := b.frame + len(s.Note)
		if s.waiting > 0 && (len(riders) == envelope.MaxBagEnvelopes || need > room) {
			break
		}
		taken++
		b.queued -= len(s.Note)
		if s.waiting == 0 {
			b.drop(s)
			continue
		}
		riders, room = append(riders, s), room-need
	}
	b.queue = slices.Delete(b.queue, 0, taken)
	return riders
}

func (b *Bagger) make(f *flight, previous string) (err error) {
	bag := envelope.Bag{Relay: b.config.Relay, Run: b.run, Number: f.number, Previous: previous, Window: b.config.Window}
	if f.number == 1 {
		bag.After = b.config.Head.Last()
	}
	notes := make([][]byte, len(f.riders))
	for i, s := range f.riders {
		notes[i] = s.Note
	}
	f.msg, f.digest, err = envelope.PackBag(bag, notes, b.config.Signer)
	return err
}

// follow waits for the ack, publishing the same bytes again while the outcome is uncertain.
func (b *Bagger) follow(f *flight, ack channel.Ack) {
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		err := b.await(ack)
		if err == nil {
			b.arrive(f)
			return
		}
		if b.stop.Err() == nil {
			b.config.Observer.BagFailed(err)
			b.stumble(f, err)
		}
		if !b.pause(f, wait) {
			return // given up: the packer has answered the riders
		}
		ack = b.config.Publisher.PublishBag(b.config.Relay, f.digest, f.msg)
	}
}

func (b *Bagger) await(ack channel.Ack) error {
	select {
	case err := <-ack:
		return err
	case <-b.stop.Done():
		return ErrUnknown
	}
}

// stumble notes a failed attempt. While a flight fails no bag leaves and no envelope is accepted. A
// full channel is reported to the riders at once, since it does not pass in seconds; the bag is
// still tried, because a hole in the chain would be worse than an envelope stored twice.
func (b *Bagger) stumble(f *flight, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !f.failed {
		f.failed = true
		b.failing++
		b.lines.Warn("unacked", "a bag was not acked; it will be published again", "run", b.run, "number", f.number, "error", err)
	}
	b.trouble = fmt.Errorf("%w: %w", ErrUnavailable, err)
	if errors.Is(err, channel.ErrFull) {
		b.trouble = fmt.Errorf("%w: %w", ErrFull, err)
		b.answer(f, b.trouble)
		b.turnAway(b.trouble)
	}
	b.changed.Broadcast()
}

// pause waits until the flight is the oldest, so that bags reach the stream in order, before
// another attempt. It returns false if the flight was given up.
func (b *Bagger) pause(f *flight, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.stop.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.stop.Err() == nil && len(b.flights) > 0 && b.flights[0] != f {
		b.changed.Wait()
	}
	return b.stop.Err() == nil
}

// arrive handles a durable ack: riders get their places, and the head moves to the last bag before
// which none is missing.
func (b *Bagger) arrive(f *flight) {
	took := b.config.Now().Sub(f.made)
	b.mu.Lock()
	defer b.mu.Unlock()
	if f.failed {
		f.failed = false
		b.failing--
		b.lines.Info("acked", "the bag was acked", "run", b.run, "number", f.number)
	}
	f.acked = true
	b.answer(f, nil)
	b.remember(f)
	var last *flight
	for len(b.flights) > 0 && b.flights[0].acked {
		last = b.flights[0]
		b.flights = slices.Delete(b.flights, 0, 1)
	}
	if last != nil {
		// A crash before this leaves the head at an earlier bag. The next run then names that one
		// in `after`, and the vault accepts up to window bags beyond it as regular.
		b.config.Head.Advance(envelope.BagRef{Run: b.run, Number: last.number, Digest: last.digest})
	}
	b.changed.Broadcast()
	b.config.Observer.BagAcked(len(f.riders), len(f.msg), took)
}

// answer gives the riders their outcome, once. b.mu is held.
func (b *Bagger) answer(f *flight, err error) {
	if f.answered {
		return
	}
	f.answered = true
	for i, s := range f.riders {
		s.finish(b.place(f, i), err)
	}
}

func (b *Bagger) place(f *flight, index int) Place {
	return Place{Run: b.run, Number: f.number, Index: index, Received: f.made}
}

// remember notes where the riders of a durable bag are, for repeated posts, and counts them against
// their merchants' shares until the vault has committed them. b.mu is held.
func (b *Bagger) remember(f *flight) {
	now := b.config.Now()
	for i, s := range f.riders {
		delete(b.moving, s.Digest)
		b.repeats.add(s.Envelope, b.place(f, i), now)
	}
	b.shares.store(f.number, f.riders, now)
}

// chargeBag divides a bag's overhead among its riders, so that small bags cost what they are. b.mu
// is held.
func (b *Bagger) chargeBag(f *flight) {
	rest := int64(len(f.msg))
	for _, s := range f.riders {
		rest -= s.bytes
	}
	for i, s := range f.riders {
		part := rest / int64(len(f.riders)-i)
		b.charge(s, part)
		rest -= part
	}
}

func (b *Bagger) turnAway(err error) {
	for _, s := range b.queue {
		b.drop(s)
		s.finish(Place{}, err)
	}
	b.queue, b.queued = nil, 0
}

// abandon answers all who wait that the outcome is unknown. b.mu is held.
func (b *Bagger) abandon() {
	b.giveUp()
	for _, f := range b.flights {
		b.answer(f, ErrUnknown)
	}
	b.turnAway(ErrUnknown)
}
