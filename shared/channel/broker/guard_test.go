package broker

import (
	"context"
	"errors"
	"testing"

	"nightdrop/shared/channel"
)

func TestGuardHasHysteresis(t *testing.T) {
	var free int64
	var health error
	g := &guard{minFree: 1000, free: func() (int64, error) { return free, nil }, healthy: func() error { return health },
		streams: func(context.Context) ([]channel.StreamState, error) { return nil, nil }, change: func(string, ...any) {}, wedged: make(chan struct{})}
	for i, step := range []struct {
		free int64
		full bool
	}{{1000, false}, {999, true}, {1000, true}, {1249, true}, {1250, false}, {1000, false}, {0, true}, {5000, false}} {
		free = step.free
		g.look(t.Context())
		if got := errors.Is(g.verdict(), channel.ErrFull); got != step.full {
			t.Errorf("step %d: %d free: full %t, want %t", i, step.free, got, step.full)
		}
		if errors.Is(g.reserve(), channel.ErrFull) != step.full {
			t.Errorf("step %d: the reserve tells otherwise", i)
		}
	}
	health = channel.ErrUnavailable
	g.look(t.Context())
	if !errors.Is(g.verdict(), channel.ErrUnavailable) || g.reserve() != nil {
		t.Errorf("sick broker: %v, %v", g.verdict(), g.reserve())
	}
	g.free = func() (int64, error) { return 0, errors.New("statfs failed") }
	g.look(t.Context())
	if !errors.Is(g.reserve(), channel.ErrUnavailable) {
		t.Errorf("no figure for the volume: %v", g.reserve())
	}
}

func TestGuardTellsOfABrokerThatWillNotGetWell(t *testing.T) {
	var free int64 = 2000
	var health error
	g := &guard{minFree: 1000, free: func() (int64, error) { return free, nil }, healthy: func() error { return health },
		streams: func(context.Context) ([]channel.StreamState, error) { return nil, nil }, change: func(string, ...any) {}, wedged: make(chan struct{})}
	wedged := func(looks int) bool {
		for range looks {
			g.look(t.Context())
		}
		select {
		case <-g.wedged:
			return true
		default:
			return false
		}
	}
	health = channel.ErrUnavailable
	if wedged(sickLooks - 1) {
		t.Error("given up too early")
	}
	health = nil
	if wedged(1); g.sick != 0 {
		t.Error("a healthy look does not count")
	}
	health, free = channel.ErrUnavailable, 0
	if wedged(3 * sickLooks) {
		t.Error("given up while the disk is full: a restart would not help")
	}
	free = 2000
	if !wedged(sickLooks) {
		t.Error("not given up")
	}
	wedged(sickLooks) // goes on looking until it is stopped
}
