// Package waittest lets tests wait for what other goroutines and programs do. There is one limit
// for all of them, far beyond what anything here takes, because machines that run tests may be
// busy: a test that fails at it reports something that does not happen, not of something slow.
package waittest

import (
	"testing"
	"time"
)

// limit is how long For and Receive wait.
const limit = 45 * time.Second

// poll is how often a condition is looked at.
const poll = 5 * time.Millisecond

// For fails the test at once when done does not become true within 45 seconds; what names what is
// waited for. done is called in the test's own goroutine and may fail the test itself.
func For(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	if !Within(limit, done) {
		tb.Fatalf("waited %s in vain for %s", limit, what)
	}
}

// Within reports whether done becomes true within most: for tests that go on either way, and those
// whose subject is the bound.
func Within(most time.Duration, done func() bool) bool {
	for deadline := time.Now().Add(most); !done(); time.Sleep(poll) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// Receive returns what comes first from a channel, the zero value when it is closed, and fails the
// test at once when nothing does within 45 seconds.
func Receive[T any](tb testing.TB, what string, c <-chan T) (v T) {
	tb.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case v = <-c:
	case <-timer.C:
		tb.Fatalf("waited %s in vain for %s", limit, what)
	}
	return v
}
