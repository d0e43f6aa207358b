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
	// guardEvery is how often the broker's health and room are checked.
	guardEvery = time.Second
	// sickLooks: after so many checks in a row a sick broker with room on its volume will not
	// recover.
	sickLooks = 5
)

// guard watches the broker. A full disk would wedge it until a restart, so bags are refused while
// there is still a reserve.
type guard struct {
	minFree int64
	free    func() (int64, error) // bytes free on the store's volume
	healthy func() error          // nil, or what the broker says is wrong
	streams func(ctx context.Context) ([]channel.StreamState, error)
	state   atomic.Pointer[guardState] // nil before the first look
	low     volume.Reserve
	// checks in a row of a sick broker on a volume that has room
	sick   int
	wedged chan struct{}                       // closed when sick reaches sickLooks
	change func(message string, fields ...any) // reports each change
}

type guardState struct {
	reserve error // the volume's: bags are not even sent
	verdict error // the first of all that is wrong
	streams []channel.StreamState
}

// look renews the state. One goroutine at a time may call it.
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

// count closes wedged when the broker has been sick too long: after a failed write (a full disk, an
// I/O error) JetStream stores nothing until a restart.
func (g *guard) count(sick bool) {
	if !sick {
		g.sick = 0
		return
	}
	if g.sick++; g.sick == sickLooks {
		close(g.wedged)
	}
}

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

// full returns how full the streams were at the last look; nil if it failed.
func (g *guard) full() []channel.StreamState { return g.state.Load().streams }

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
