package channel

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

const (
	// relayInFlight bounds a relay's bags under way: a window is at most 8 (specification 8).
	relayInFlight = 32
	// watchEvery is how old the state of Ready may be.
	watchEvery = 2 * time.Second
)

// Relay is the relay's side of the channel: it writes bags and reads results and notices. Safe for
// concurrent use; it goes on reconnecting until Close.
type Relay struct {
	writes *link
	// its own link: the broker answers a read before it looks at what the connection sends next
	reads     *link
	publisher *publisher
	arrivals  *arrivals
	heights   heights
	verdict   func() error // the channel's state beyond the connection, for Ready
	reserve   func() error // nil, or why a bag must not even be sent
	streams   func() []StreamState
	stop      context.CancelFunc
	done      sync.WaitGroup
}

// DialRelay connects to an external broker with the relay's key. It fails only on wrong files; an
// unreachable broker is tried again.
func DialRelay(ctx context.Context, options Options) (*Relay, error) {
	r := &Relay{reserve: func() error { return nil }}
	err := r.connect(options, nil, func() (nkeys.KeyPair, error) { return readSeed(options.Seed) })
	if err != nil {
		r.Close()
		return nil, err
	}
	// The relay may ask only for its own streams' state: a full ENVELOPES shows when a bag is
	// refused.
	type look struct {
		streams []StreamState
		err     error
	}
	var state atomic.Pointer[look]
	check := func(ctx context.Context) {
		streams, err := r.reads.state(ctx, streamResults, streamNotices)
		state.Store(&look{streams, err})
	}
	check(ctx)
	r.verdict = func() error { return state.Load().err }
	r.streams = func() []StreamState { return state.Load().streams }
	r.repeat(watchEvery, check)
	return r, nil
}

// InProcess is a broker in the relay's own process.
type InProcess struct {
	Server nats.InProcessConnProvider
	Seed   []byte // the relay's nkey seed, owned by the caller: it is read while connecting only
	// the broker's state, as Ready returns it: nil, ErrFull or ErrUnavailable; answers at once
	Verdict func() error
	// nil, or why a bag must not be sent: ErrFull or ErrUnavailable; answers at once
	Reserve func() error
	Streams func() []StreamState // how full the streams are; answers at once
}

// InProcessRelay connects to a broker in this process. It reads Name, AckTimeout and Logger of
// options.
func InProcessRelay(options Options, broker InProcess) (*Relay, error) {
	r := &Relay{verdict: broker.Verdict, reserve: broker.Reserve, streams: broker.Streams}
	if err := r.connect(options, broker.Server, func() (nkeys.KeyPair, error) { return nkeys.FromSeed(broker.Seed) }); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Relay) connect(options Options, provider nats.InProcessConnProvider, key func() (nkeys.KeyPair, error)) (err error) {
	if r.writes, err = dialWith(key, "relay", options, provider); err != nil {
		return err
	}
	if r.reads, err = dialWith(key, "relay", options, provider); err != nil {
		return err
	}
	if r.publisher, err = newPublisher(r.writes, options.AckTimeout, relayInFlight, r.hint); err != nil {
		return err
	}
	if r.heights, err = newHeights(); err != nil {
		return err
	}
	r.arrivals, err = newArrivals(r.reads, r.heights)
	return err
}

// hint wakes the vault, which without it looks within seconds.
func (r *Relay) hint(subject string, _ uint64) {
	_ = r.writes.nc.Publish(storedPrefix+subject, nil)
}

func dialWith(key func() (nkeys.KeyPair, error), role string, options Options, provider nats.InProcessConnProvider) (*link, error) {
	pair, err := key()
	if err != nil {
		return nil, err
	}
	l, err := dial(role, options, pair, provider)
	if err != nil {
		pair.Wipe()
	}
	return l, err
}

func (r *Relay) repeat(every time.Duration, do func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	r.done.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				do(ctx)
			}
		}
	})
}

// PublishBag sends a bag (at most [MaxMessage] bytes) of relay. Many may be in flight; the order of
// calls is the order of the stream, as far as they succeed. It blocks while 32 are in flight, never
// longer than the ack timeout. msgID keeps a repetition within two minutes from being stored twice:
// give the bag's digest, which nobody can know, and so use, before. msg must not change until the
// ack.
func (r *Relay) PublishBag(relay, msgID string, msg []byte) Ack {
	subject, err := bagSubject(relay)
	if err != nil {
		return finished(err)
	}
	if err := r.reserve(); err != nil {
		return finished(err)
	}
	return r.publisher.publish(streamEnvelopes, subject, msgID, msg)
}

// Ready returns nil when bags can be accepted: connected, the streams there and the broker healthy,
// and, if embedded, sync always on and room left in ENVELOPES and on the volume. Otherwise it is
// [ErrFull] or [ErrUnavailable] with the reason. It answers at once, from a state a few seconds
// old.
func (r *Relay) Ready() error {
	for _, l := range []*link{r.writes, r.reads} {
		if err := l.up(); err != nil {
			return err
		}
	}
	return r.verdict()
}

// Streams returns how full the streams are, of an external broker only RESULTS and NOTICES. It
// answers at once, from a state a few seconds old; nil while the broker does not answer.
func (r *Relay) Streams() []StreamState { return r.streams() }

// Close ends all in flight as [ErrUnknown] and closes the connections.
func (r *Relay) Close() {
	if r.stop != nil {
		r.stop()
	}
	r.done.Wait()
	if r.publisher != nil {
		r.publisher.close()
	}
	for _, l := range []*link{r.writes, r.reads} {
		if l != nil {
			l.close()
		}
	}
}
