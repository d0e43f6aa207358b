package channel

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"nightdrop/shared/waittest"
)

// largeBag is a bag of exactly MaxMessage bytes.
func largeBag(i int) []byte {
	bag := bytes.Repeat([]byte{byte(i)}, MaxMessage)
	copy(bag, textf("bag %d", i))
	return bag
}

func TestBagsOfAMillionBytes(t *testing.T) {
	s := startSite(t)
	r, v := s.relay(t), s.vault(t)
	var acks []Ack
	for i := range 24 { // more than one read brings
		acks = append(acks, r.PublishBag("relay-a", string(textf("%064d", i)), largeBag(i)))
	}
	for _, ack := range acks {
		mustAck(t, ack)
	}
	if err := <-r.PublishBag("relay-a", "m", make([]byte, MaxMessage+1)); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("a byte more: %v, want too large", err)
	}
	var groups, largest int
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	found := 0
	err := v.Bags(ctx, 0, func(group []Message) error {
		size := 0
		for _, m := range group {
			size += len(m.Data)
			if !bytes.Equal(m.Data, largeBag(found)) {
				t.Errorf("bag %d is damaged", found)
			}
			found++
		}
		groups, largest = groups+1, max(largest, size)
		if found == 24 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if groups < 2 || largest > bagsBytes+MaxMessage {
		t.Fatalf("%d groups, the largest of %d bytes", groups, largest)
	}
	m, err := v.BagAt(t.Context(), 2) // through the JSON of the API
	if err != nil || !bytes.Equal(m.Data, largeBag(1)) {
		t.Fatalf("bag at 2: %d bytes, %v", len(m.Data), err)
	}
}

func TestTheSameBagTwiceIsStoredOnce(t *testing.T) {
	s := startSite(t)
	r, v := s.relay(t), s.vault(t)
	for range 3 {
		mustAck(t, r.PublishBag("relay-a", "digest-1", []byte("bag 1")))
	}
	mustAck(t, r.PublishBag("relay-a", "digest-2", []byte("bag 2")))
	bags, _ := collectBags(t, v, 0)
	for _, want := range []string{"bag 1", "bag 2"} {
		if m := waittest.Receive(t, want, bags); string(m.Data) != want {
			t.Fatalf("%q, want %q", m.Data, want)
		}
	}
}

func TestResultsMayBePublishedAgainWhenFull(t *testing.T) {
	s := newSite(t)
	s.sizes.Results = 4 << 20
	s.start(t)
	v := s.vault(t)
	var err error
	serial := uint64(0)
	for err == nil {
		serial++
		err = <-v.PublishResult("shop", serial, "id", largeBag(int(serial)))
	}
	if !errors.Is(err, ErrFull) {
		t.Fatalf("result %d: %v, want full", serial, err)
	}
	mustAck(t, v.PublishResult("shop", 1, "id", largeBag(1)))
}
