package keyring

import (
	"sync"
	"time"
)

// maxJump is how far the wall clock may differ from the monotonic clock, or the last recorded time,
// before it is doubted: over any normal correction by a time service, under any key's lifetime.
const maxJump = time.Hour

// Clock is how far the wall clock is trusted.
type Clock string

// The states of the clock.
const (
	ClockSteady Clock = "steady" // the wall clock is trusted
	// it went forward by over an hour: no key is destroyed until ConfirmClock
	ClockJumped Clock = "jumped"
	// it went back by over an hour: keys live on by the monotonic clock until ConfirmClock or the
	// wall clock catches up
	ClockBehind Clock = "behind"
)

// ClockStatus is the clock's state, for operators.
type ClockStatus struct {
	Clock   Clock
	Wall    time.Time     // what the host says
	Trusted time.Time     // by which keys live
	Jump    time.Duration // Wall minus Trusted where Clock is not steady, else 0
}

// trustedClock follows the wall clock while that agrees, within maxJump, with the monotonic clock
// since the anchor (the unlock or the last confirmation). Only confirm sets it back. Safe for
// concurrent use.
type trustedClock struct {
	elapsed func() time.Duration // monotonic

	mu       sync.Mutex
	state    Clock
	anchor   time.Time     // wall time at anchorAt
	anchorAt time.Duration // by elapsed
	trusted  time.Time     // at seenAt
	seenAt   time.Duration
}

// start begins at mark, the last recorded time. Where no key lives nothing can be destroyed by
// mistake, and a clock that went forward is accepted.
func (c *trustedClock) start(mark, wall time.Time, keys bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	mark, wall = mark.Round(0), wall.Round(0)
	c.state, c.anchor, c.trusted = ClockSteady, mark, mark
	c.anchorAt = c.elapsed()
	c.seenAt = c.anchorAt
	ahead := wall.Sub(mark)
	if ahead >= -maxJump && ahead <= maxJump || ahead > 0 && !keys {
		c.anchor = wall
	}
}

// observe reads the wall clock and reports whether the state changed.
func (c *trustedClock) observe(wall time.Time) (s ClockStatus, changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall = wall.Round(0) // Sub shall compare wall clocks
	before := c.state
	at := c.elapsed()
	expected := c.anchor.Add(at - c.anchorAt)
	next := wall
	switch jump := wall.Sub(expected); {
	case c.state == ClockJumped || jump > maxJump:
		c.state, next = ClockJumped, expected
	case jump < -maxJump:
		c.state, next = ClockBehind, expected
	default:
		c.state = ClockSteady
	}
	if next.After(c.trusted) {
		c.trusted = next
	}
	c.seenAt = at
	return c.status(wall), c.state != before
}

// last returns the status as of the last observe, with wall as its Wall.
func (c *trustedClock) last(wall time.Time) ClockStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status(wall.Round(0))
}

// read returns the trusted time, not looking at the wall clock.
func (c *trustedClock) read() time.Time {
	at := c.elapsed()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trusted.Add(max(0, at-c.seenAt))
}

// confirm accepts the wall clock, forward or back.
func (c *trustedClock) confirm(wall time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.anchorAt = c.elapsed()
	c.state, c.anchor, c.trusted, c.seenAt = ClockSteady, wall.Round(0), wall.Round(0), c.anchorAt
}

// status is called with mu held.
func (c *trustedClock) status(wall time.Time) ClockStatus {
	s := ClockStatus{Clock: c.state, Wall: wall.UTC(), Trusted: c.trusted.UTC()}
	if c.state != ClockSteady {
		s.Jump = wall.Sub(c.trusted)
	}
	return s
}
