package broker

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/volume"
)

const (
	// guardEvery is how often the broker's health and room are looked at.
	guardEvery = time.Second
	// sickLooks is after how many looks in a row at a broker that is sick, on a volume that has
	// room, it will not get well by itself.
	sickLooks = 5
)

// guard keeps an eye on what the broker stands on. A full disk would wedge the broker until a
// restart, so bags are refused while there is still a reserve.
type guard struct {
	minFree int64
	free    func() (int64, error) // bytes free on the store's volume
	healthy func() error          // nil, or what the broker says is wrong
	streams func(ctx context.Context) ([]channel.StreamState, error)
	state   atomic.Pointer[guardState] // nil before the first look
	low     volume.Reserve
	// looks in a row at a sick broker on a volume that has room
	sick   int
	wedged chan struct{}                       // closed when sick reaches sickLooks
	change func(message string, fields ...any) // reports each change
}

// guardState is the outcome of one look.
type guardState struct {
	reserve error // the volume's: bags are not even sent
	verdict error // the first of all that is wrong
	streams []channel.StreamState
}

// look renews the state. It is called by one goroutine at a time.
func (g *guard) look(ctx context.Context) {
	s := &guardState{reserve: g.checkFree()}
	s.verdict = s.reserve
	if s.verdict == nil {
		s.verdict = g.healthy()
		g.count(s.verdict != nil)
	}
	if s.verdict == nil {
		if s.streams, s.verdict = g.streams(ctx); s.verdict == nil {
			s.verdict = channel.EnvelopesFull(s.streams)
		}
	}
	if old := g.state.Swap(s); old == nil || (old.verdict == nil) != (s.verdict == nil) {
		g.change("channel state changed", "reason", s.verdict)
	}
}

// count closes wedged when the broker has been sick for too long: a write that failed (a disk that
// filled faster than we look, an I/O error) latches in JetStream until a restart.
func (g *guard) count(sick bool) {
	if !sick {
		g.sick = 0
		return
	}
	if g.sick++; g.sick == sickLooks {
		close(g.wedged)
	}
}

// checkFree reports whether the reserve is whole.
func (g *guard) checkFree() error {
	free, err := g.free()
	if err != nil {
		return fmt.Errorf("%w: free space: %w", channel.ErrUnavailable, err)
	}
	if need := g.low.Needs(g.minFree); g.low.Touched(free, g.minFree) {
		return fmt.Errorf("%w: %d bytes free on the channel's volume, %d needed: free space or enlarge it", channel.ErrFull, free, need)
	}
	return nil
}

func (g *guard) verdict() error { return g.state.Load().verdict }
func (g *guard) reserve() error { return g.state.Load().reserve }

// full says how full the streams were at the last look; nothing where it could not look.
func (g *guard) full() []channel.StreamState { return g.state.Load().streams }

// run looks until ctx ends.
func (g *guard) run(ctx context.Context) {
	ticker := time.NewTicker(guardEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			g.look(ctx)
		}
	}
}
