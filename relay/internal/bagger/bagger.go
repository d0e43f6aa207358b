// Package bagger puts envelopes into signed, chained bags and publishes them: the relay's group
// commit.
//
// An envelope that arrives while nothing is in flight leaves at once in a bag of its own. Those
// that arrive while bags are being made durable wait and ride in the next. There is no timer: the
// acks are the clock.
package bagger

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/shared/folded"
	"nightdrop/shared/note"
)

// Errors of [Bagger.Submit]. After any of them but ErrClosed the envelope may still be stored: post
// it again.
var (
	// ErrFull is returned when the channel has no room.
	ErrFull = errors.New("the channel is full")
	// ErrUnavailable is returned when the channel cannot be reached, or too much is waiting.
	ErrUnavailable = errors.New("the channel is unavailable")
	// ErrUnknown is returned when ctx ended, or the relay stopped, before the durable ack.
	ErrUnknown = errors.New("no durable ack came in time")
	// ErrClosed is returned after Close: the envelope was not accepted.
	ErrClosed = errors.New("the relay is stopping")
)

const (
	// crowd is how many envelopes must wait, for each bag already in flight, before another bag is
	// sent beside it. A bag costs one fsync of the channel and one signature, so nearly empty bags
	// slow all.
	crowd = 16

	// The bounds of the wait before a bag whose outcome is unknown is published again.
	retryFirst = 50 * time.Millisecond
	retryMost  = 2 * time.Second
)

// Publisher is what the bagger needs of [channel.Relay]. Calls are made one after the other, in the
// order of the stream. The ack is nil only when the bag is durable.
type Publisher interface {
	PublishBag(relay, msgID string, msg []byte) channel.Ack
}

// Observer gets figures for metrics. Calls come from several goroutines and must return at once.
type Observer interface {
	BagAcked(envelopes, bytes int, took time.Duration)
	BagFailed(err error)
}

// Config configures a [Bagger]. Every field is required but Crowded.
type Config struct {
	Relay     string       // the relay's name, which is the signer's
	Signer    *note.Signer // signs bags
	Publisher Publisher
	Head      *Head // the relay's memory of its last acked bag
	Window    int   // bags in flight, 1 to 8

	QueueEnvelopes int // bounds of what waits for a bag; more is refused with ErrUnavailable
	QueueBytes     int

	Repeats int    // acked envelopes that are remembered for a minute; 0 = none
	Sizing  Sizing // how merchants share the channel

	// Crowded reports, at once, whether ENVELOPES is so full that the vault's purging does not keep
	// up. Then merchants are refused that stored more than an equal part in the last week. Nil:
	// never.
	Crowded func() bool

	Now      func() time.Time
	Logger   *slog.Logger
	Observer Observer
}

// Envelope is a note whose merchant's signature has verified.
type Envelope struct {
	Merchant string
	Digest   string // of the note's text, 64 hex digits
	Note     []byte // exactly as posted
}

// Place is an envelope's position, as its receipt names it.
type Place struct {
	Run      string    // of this process, 32 hex digits
	Number   uint64    // of the bag, from 1
	Index    int       // of the envelope in the bag, from 0
	Received time.Time // when the bag was made
}

// Bagger makes bags of one run. It is safe for concurrent use.
type Bagger struct {
	config Config
	lines  *folded.Lines // of config.Logger: what the broker can cause
	run    string
	room   int // bytes of a bag that envelopes and their frames may take
	frame  int // bytes that an envelope takes beside its own

	mu       sync.Mutex
	changed  *sync.Cond // the queue, the flights or closing changed
	queue    []*submission
	queued   int // bytes in queue
	flights  []*flight
	next     uint64                 // number of the next bag
	previous string                 // digest of the bag before it
	failing  int                    // flights whose last attempt failed
	trouble  error                  // why the last of them failed
	moving   map[string]*submission // by digest: waiting, or in a bag that is not acked yet
	repeats  *repeats
	shares   *shares
	closing  bool
	stop     context.Context // ends when what is in flight is given up
	giveUp   context.CancelFunc
	finished chan struct{} // closed when the packer has ended
}

// submission is an envelope under way. All who post it wait for one outcome, there when done
// closes.
type submission struct {
	Envelope
	waiting int   // how many wait; with none left it is not worth a place in a bag
	bytes   int64 // of the merchant's share
	done    chan struct{}
	place   Place
	err     error
}

func (s *submission) finish(place Place, err error) {
	s.place, s.err = place, err
	close(s.done)
}

// Open starts a run: a random name, numbers from 1, after the last bag that the head file names.
func Open(config Config) (*Bagger, error) {
	if config.Window < 1 || config.Window > envelope.MaxBagWindow {
		return nil, fmt.Errorf("bags in flight must be 1 to %d, not %d", envelope.MaxBagWindow, config.Window)
	}
	run := make([]byte, 16)
	_, _ = rand.Read(run) // crypto/rand.Read does not fail
	b := &Bagger{
		config:   config,
		lines:    folded.New(config.Logger),
		run:      hex.EncodeToString(run),
		room:     envelope.MaxBagBytes - envelope.BagOverhead(envelope.MaxBagNoteBytes(config.Relay), 0),
		frame:    envelope.BagOverhead(0, 1) - envelope.BagOverhead(0, 0),
		next:     1,
		previous: envelope.ZeroDigest,
		moving:   make(map[string]*submission),
		repeats:  newRepeats(config.Repeats),
		shares:   newShares(config.Sizing),
		finished: make(chan struct{}),
	}
	b.changed = sync.NewCond(&b.mu)
	b.stop, b.giveUp = context.WithCancel(context.Background())
	go b.pack()
	return b, nil
}

// Run returns the id of this run.
func (b *Bagger) Run() string { return b.run }

// Submit puts an envelope into a bag and waits until that bag is durable or ctx ends. An envelope
// already under way is not put into another bag; one whose bag was acked within the last minute has
// its place at once. The note's bytes must not change afterwards, whatever Submit returns: their
// bag may still be under way.
func (b *Bagger) Submit(ctx context.Context, e Envelope) (Place, error) {
	s, place, err := b.enter(e)
	if s == nil {
		return place, err
	}
	select {
	case <-s.done:
		return s.place, s.err
	case <-ctx.Done():
		b.mu.Lock()
		s.waiting--
		b.mu.Unlock()
		return Place{}, fmt.Errorf("%w: %w", ErrUnknown, context.Cause(ctx))
	}
}

// Room returns [ErrShare] if Submit would: the merchant is over its share, and the envelope is
// neither under way nor acked within the last minute.
func (b *Bagger) Room(e Envelope) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.repeats.lookUp(e, b.config.Now()); known || b.moving[e.Digest] != nil {
		return nil
	}
	return b.checkShare(e)
}

// checkShare returns an error if the merchant has no room. b.mu is held.
func (b *Bagger) checkShare(e Envelope) error {
	bytes := int64(b.frame + len(e.Note))
	crowds := b.config.Crowded != nil && b.shares.crowds(e.Merchant, bytes, b.config.Now()) && b.config.Crowded()
	if !crowds && b.shares.allows(e.Merchant, bytes) {
		return nil
	}
	b.shares.refused[e.Merchant]++
	return ErrShare
}

// enter returns the submission to wait for, or the envelope's place, or why it is refused.
func (b *Bagger) enter(e Envelope) (*submission, Place, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if place, ok := b.repeats.lookUp(e, b.config.Now()); ok {
		place.Run = b.run
		return nil, place, nil
	}
	if b.failing > 0 && !b.closing {
		return nil, Place{}, b.trouble
	}
	if s := b.moving[e.Digest]; s != nil {
		s.waiting++
		return s, Place{}, nil
	}
	s, err := b.enqueue(e)
	return s, Place{}, err
}

func (b *Bagger) enqueue(e Envelope) (*submission, error) {
	switch {
	case b.closing:
		return nil, ErrClosed
	case len(b.queue) >= b.config.QueueEnvelopes || b.queued+len(e.Note) > b.config.QueueBytes:
		return nil, fmt.Errorf("%w: too many envelopes are waiting", ErrUnavailable)
	}
	if err := b.checkShare(e); err != nil {
		return nil, err
	}
	s := &submission{Envelope: e, waiting: 1, done: make(chan struct{})}
	b.charge(s, int64(b.frame+len(e.Note)))
	b.moving[e.Digest] = s
	b.queue = append(b.queue, s)
	b.queued += len(e.Note)
	if b.due() {
		// otherwise the packer would wake for every envelope, though none may leave yet
		b.changed.Broadcast()
	}
	return s, nil
}

// charge counts bytes against the merchant's share until the vault has committed them. b.mu is
// held.
func (b *Bagger) charge(s *submission, bytes int64) {
	s.bytes += bytes
	b.shares.add(s.Merchant, bytes)
}

// drop forgets an envelope that will be in no bag. b.mu is held.
func (b *Bagger) drop(s *submission) {
	delete(b.moving, s.Digest)
	b.charge(s, -s.bytes)
}

// Committed records that the vault has committed this run's bags up to number.
func (b *Bagger) Committed(number uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shares.commit(number)
}

// Share divides the channel among merchants. It returns an error if the channel is too small.
func (b *Bagger) Share(merchants int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shares.share(merchants)
	return b.config.Sizing.Check(merchants)
}

// Shares returns how merchants share the channel now.
func (b *Bagger) Shares() Shares {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shares.usage()
}

// Trouble returns why the bagger refuses envelopes now, or nil. It wraps [ErrFull] or
// [ErrUnavailable].
func (b *Bagger) Trouble() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failing > 0 {
		return b.trouble
	}
	return nil
}

// Waiting returns how many envelopes wait for a bag, and bags for their ack.
func (b *Bagger) Waiting() (envelopes, bags int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue), len(b.flights)
}

// Close refuses new envelopes, sends what waits, and waits for the acks. If ctx ends first, those
// still waiting get [ErrUnknown] and Close returns ctx's error. The head names the last bag acked
// in order.
func (b *Bagger) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closing = true
	b.changed.Broadcast()
	b.mu.Unlock()
	ended := context.AfterFunc(ctx, b.giveUp)
	defer ended()
	release := context.AfterFunc(b.stop, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.changed.Broadcast()
	})
	defer release()
	<-b.finished
	b.giveUp()
	return ctx.Err()
}
