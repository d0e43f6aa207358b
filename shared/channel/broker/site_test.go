package broker_test

import (
	"bytes"
	"fmt"
	"testing"

	"nightdrop/shared/channel"
	"nightdrop/shared/waittest"
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

// mustAck fails the test unless the message became durable.
func mustAck(t *testing.T, ack channel.Ack) {
	t.Helper()
	if err := waittest.Receive(t, "an ack", ack); err != nil {
		t.Fatalf("publish: %v", err)
	}
}
