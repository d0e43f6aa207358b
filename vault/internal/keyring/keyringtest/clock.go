package keyringtest

import (
	"sync"
	"time"
)

// Clock is set by hand, and may follow another. It is safe for concurrent use.
type Clock struct {
	mu     sync.Mutex
	now    time.Time
	source func() time.Time // nil: it stands still
	since  time.Time        // what source said when the clock was at now
}

// ClockAt returns a clock that stays at now.
func ClockAt(now time.Time) *Clock { return &Clock{now: now} }

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.source == nil {
		return c.now
	}
	return c.now.Add(c.source().Sub(c.since))
}

// Pass moves the clock on, or back where d is below 0.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Follow lets the clock go on with source, such as time.Now of a testing/synctest bubble.
func (c *Clock) Follow(source func() time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.source != nil {
		c.now = c.now.Add(c.source().Sub(c.since))
	}
	c.source, c.since = source, source()
}
