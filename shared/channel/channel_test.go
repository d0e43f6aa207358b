package channel

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"nightdrop/shared/waittest"
)

// collectBags reads bags from a position into a channel until the test ends.
func collectBags(t *testing.T, v *Vault, from uint64) (<-chan Message, <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	bags, ended := make(chan Message, 10_000), make(chan error, 1)
	go func() {
		ended <- v.Bags(ctx, from, func(group []Message) error {
			for _, m := range group {
				bags <- m
			}
			return nil
		})
	}()
	t.Cleanup(cancel)
	return bags, ended
}

func TestBrokerInProcess(t *testing.T) {
	s := startSite(t)
	r := s.relay(t)
	t.Run("bags", func(t *testing.T) { checkBags(t, r, s.vault(t)) })
	t.Run("results and notices", func(t *testing.T) { checkBackChannel(t, r, s.vault(t)) })
}

// checkBags is the contract of the way in; every kind of broker must hold it. The stream must be
// empty.
func checkBags(t *testing.T, r *Relay, v *Vault) {
	t.Helper()
	if err := r.Ready(); err != nil {
		t.Fatalf("ready: %v", err)
	}
	bags, _ := collectBags(t, v, 0)
	var acks []Ack
	for i := range 100 {
		acks = append(acks, r.PublishBag("relay-a", string(textf("bag-%d", i)), textf("bag %d", i)))
	}
	for _, ack := range acks {
		mustAck(t, ack)
	}
	for i := range 100 {
		m := waittest.Receive(t, "a bag", bags)
		if want := textf("bag %d", i); !bytes.Equal(m.Data, want) || m.Sequence != uint64(i+1) || m.Subject != "bag.relay-a" {
			t.Fatalf("bag %d came as %d on %s: %q", i+1, m.Sequence, m.Subject, m.Data)
		}
	}
	m, err := v.BagAt(t.Context(), 7)
	if err != nil || string(m.Data) != "bag 6" || m.Stored.IsZero() {
		t.Fatalf("bag at 7: %q, %v", m.Data, err)
	}
	if _, err := v.BagAt(t.Context(), 101); !errors.Is(err, ErrNotFound) {
		t.Fatalf("bag at 101: %v, want not found", err)
	}
}

// checkBackChannel is the contract of the way back.
func checkBackChannel(t *testing.T, r *Relay, v *Vault) {
	t.Helper()
	got := make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := v.PublishNotice(ctx, NoticeDirectory, []byte("d0")); err != nil {
		t.Fatal(err)
	}
	if err := v.PublishNotice(ctx, NoticeDirectory, []byte("d1")); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- r.Notices(ctx, func(n Notice, note []byte) { got <- string(n) + "=" + string(note) })
	}()
	if n := waittest.Receive(t, "the newest directory", got); n != "directory=d1" {
		t.Fatalf("first notice %s", n)
	}
	if err := v.PublishNotice(ctx, NoticePosition, []byte("p1")); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if n := waittest.Receive(t, "the position", got); n != "position=p1" {
		t.Fatalf("second notice %s", n)
	}
	if waited := time.Since(start); waited > noticesEvery/2 {
		t.Fatalf("a new notice took %s", waited)
	}
	cancel()
	if err := waittest.Receive(t, "Notices to end", ended); !errors.Is(err, context.Canceled) {
		t.Fatalf("Notices ended with %v", err)
	}

	arrived, stop := r.ResultArrived("shop-a")
	defer stop()
	mustAck(t, v.PublishResult("shop-a", 1, "id-1", []byte("r1")))
	waittest.Receive(t, "the wake", arrived)
	found, err := r.Results(t.Context(), "shop-a", 0, 100)
	if err != nil || len(found) != 1 || string(found[0]) != "r1" {
		t.Fatalf("results: %q, %v", found, err)
	}
}
