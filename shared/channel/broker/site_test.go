package broker_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"nightdrop/shared/channel"
)

// largeBag is a bag of the most bytes that one may have.
func largeBag(i int) []byte {
	bag := bytes.Repeat([]byte{byte(i)}, channel.MaxMessage)
	copy(bag, fmt.Sprintf("bag %d", i))
	return bag
}

// collectBags reads bags, from the oldest, until the test ends.
func collectBags(t *testing.T, v *channel.Vault) <-chan channel.Message {
	t.Helper()
	bags := make(chan channel.Message, 10_000)
	go func() {
		_ = v.Bags(t.Context(), 0, func(group []channel.Message) error {
			for _, m := range group {
				bags <- m
			}
			return nil
		})
	}()
	return bags
}

// waitFor polls a condition for up to ten seconds.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("timed out waiting for %s", what)
}

// receive waits for one value.
func receive[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("timed out waiting for %s", what)
	}
	return v
}

// mustAck fails the test unless the message became durable.
func mustAck(t *testing.T, ack channel.Ack) {
	t.Helper()
	if err := receive(t, "an ack", ack); err != nil {
		t.Fatalf("publish: %v", err)
	}
}
