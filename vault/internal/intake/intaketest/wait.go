package intaketest

import (
	"testing"
	"time"
)

// WaitFor fails the test when something does not come true within 20 seconds.
func WaitFor(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if done() {
			return
		}
	}
	tb.Fatalf("%s did not come", what)
}
