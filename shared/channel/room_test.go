package channel

import (
	"errors"
	"fmt"
	"testing"

	"nightdrop/shared/waittest"
)

// fill publishes results from a serial on, and waits until they are durable.
func fill(t *testing.T, v *Vault, merchant string, from, count int) {
	t.Helper()
	acks := make([]Ack, count)
	for i := range acks {
		acks[i] = v.PublishResult(merchant, uint64(from+i), fmt.Sprintf("id-%d", from+i), textf("%s %d", merchant, from+i))
	}
	for _, ack := range acks {
		mustAck(t, ack)
	}
}

// TestPurgeOfOneMerchantsResults shows that the vault sees how full RESULTS is and destroys what
// one merchant has too many of, the oldest first, and nothing of another's.
func TestPurgeOfOneMerchantsResults(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	r, v := s.relay(t), s.vault(t)
	empty, err := v.ResultsRoom(t.Context())
	if err != nil || empty.Messages != 0 || empty.MaxBytes != s.sizes.Results {
		t.Fatalf("an empty stream: %+v, %v", empty, err)
	}
	fill(t, v, "shop", 1, 30)
	fill(t, v, "other", 1, 10)
	room, err := v.ResultsRoom(t.Context())
	if err != nil || room.Messages != 40 || room.Bytes < 40*8 || room.Full(1) {
		t.Fatalf("40 results: %+v, %v", room, err)
	}
	if purged, err := v.PurgeResults(t.Context(), "shop", 12); err != nil || purged != 18 {
		t.Fatalf("purged %d, %v", purged, err)
	}
	if purged, err := v.PurgeResults(t.Context(), "shop", 12); err != nil || purged != 0 {
		t.Fatalf("a second time: purged %d, %v", purged, err)
	}
	for merchant, want := range map[string][]string{"shop": {"shop 19", "shop 30"}, "other": {"other 1", "other 10"}} {
		found, err := r.Results(t.Context(), merchant, 0, 100)
		if err != nil || len(found) == 0 || string(found[0]) != want[0] || string(found[len(found)-1]) != want[1] {
			t.Errorf("%s: %q, %v", merchant, found, err)
		}
	}
	for _, wrong := range []string{"", "*", ">", "a.b"} {
		if _, err := v.PurgeResults(t.Context(), wrong, 1); !errors.Is(err, ErrSubject) {
			t.Errorf("merchant %q: %v", wrong, err)
		}
	}
	if _, err := v.PurgeResults(t.Context(), "shop", 0); !errors.Is(err, ErrSubject) {
		t.Errorf("keep none: %v", err)
	}
}

// TestReaderAfterARepublication reads on from every place after lower serials were published again
// last: what was published last tells nothing about how far the results go.
func TestReaderAfterARepublication(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	r, v := s.relay(t), s.vault(t)
	fill(t, v, "shop", 1, 700)
	if _, err := v.PurgeResults(t.Context(), "shop", 100); err != nil { // 601 to 700 are left
		t.Fatal(err)
	}
	first := func(after uint64) string {
		t.Helper()
		found, err := r.Results(t.Context(), "shop", after, 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			return "nothing"
		}
		return string(found[0])
	}
	if got := first(700); got != "nothing" {
		t.Fatalf("after the last: %s", got)
	}
	if got := first(40); got != "shop 601" {
		t.Fatalf("before the republication: %s", got)
	}
	arrived, cancel := r.ResultArrived("shop")
	defer cancel()
	fill(t, v, "shop", 12, 29) // 12 to 40
	waittest.For(t, "word of what came", func() bool {
		select {
		case <-arrived:
			return true
		default:
			return false
		}
	})
	for after, want := range map[uint64]string{0: "shop 12", 11: "shop 12", 40: "shop 601", 300: "shop 601", 650: "shop 651", 700: "nothing"} {
		if got := first(after); got != want {
			t.Errorf("after %d: %s, want %s", after, got, want)
		}
	}
	fill(t, v, "shop", 701, 1)
	if got := first(700); got != "shop 701" {
		t.Errorf("a new one: %s", got)
	}
}

// TestAHeightIsForgottenWhenSomethingComes keeps a reader from believing, for twenty polls, a
// height that was read between a republication and what came after it.
func TestAHeightIsForgottenWhenSomethingComes(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	r, v := s.relay(t), s.vault(t)
	fill(t, v, "shop", 1, 3)
	if found, err := r.Results(t.Context(), "shop", 3, 100); err != nil || len(found) != 0 {
		t.Fatalf("%q, %v", found, err)
	}
	if !r.heights.reached("shop", 3) {
		t.Fatal("the height is not remembered")
	}
	fill(t, v, "shop", 500, 1) // out of the window after 3
	waittest.For(t, "result 500 after a gap", func() bool {
		found, err := r.Results(t.Context(), "shop", 3, 100)
		return err == nil && len(found) == 1
	})
}
