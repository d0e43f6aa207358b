package channel

import (
	"errors"
	"testing"

	"nightdrop/shared/waittest"
)

// TestARelaySeesHowFullItsStreamsAre asks an external broker, of which a relay may see two streams.
func TestARelaySeesHowFullItsStreamsAre(t *testing.T) {
	s := newSite(t)
	s.sizes.Results = 4 << 20
	s.config.RelayInProcess = false
	s.start(t)
	r, err := DialRelay(t.Context(), s.options("relay"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	v := s.vault(t)
	find := func(name string) StreamState {
		t.Helper()
		for _, state := range r.Streams() {
			if state.Name == name {
				return state
			}
		}
		return StreamState{}
	}
	waittest.For(t, "a look at the streams", func() bool { return find(streamResults).Limit == 4<<20 && find(streamNotices).Rolls })
	if got := len(r.Streams()); got != 2 || find(streamResults).Nearly() || ResultsFull(r.Streams()) != nil {
		t.Errorf("streams %+v", r.Streams())
	}
	for serial := uint64(1); <-v.PublishResult("shop", serial, "id", largeBag(1)) == nil; serial++ {
		continue
	}
	waittest.For(t, "a look at a stream that is nearly full", func() bool { return find(streamResults).Nearly() })
}

func TestFullStreams(t *testing.T) {
	of := func(name string, bytes int64, rolls bool) []StreamState {
		return []StreamState{{Name: "OTHER", Bytes: 9, Limit: 9}, {Name: name, Bytes: bytes, Limit: 10_000_000, Rolls: rolls}}
	}
	tests := []struct {
		streams            []StreamState
		envelopes, results bool
		nearly             bool
	}{
		{of(streamEnvelopes, 7_499_999, false), false, false, false},
		{of(streamEnvelopes, 7_500_000, false), false, false, true},
		{of(streamEnvelopes, 10_000_000-maxStored, false), false, false, true},
		{of(streamEnvelopes, 10_000_001-maxStored, false), true, false, true},
		{of(streamResults, 10_000_000-maxResult, false), false, false, true},
		{of(streamResults, 10_000_001-maxResult, false), false, true, true},
		{of(streamNotices, 10_000_000, true), false, false, false},
		{nil, false, false, false},
	}
	for i, test := range tests {
		if got := errors.Is(EnvelopesFull(test.streams), ErrFull); got != test.envelopes {
			t.Errorf("case %d: ENVELOPES full %t, want %t", i, got, test.envelopes)
		}
		if got := errors.Is(ResultsFull(test.streams), ErrFull); got != test.results {
			t.Errorf("case %d: RESULTS full %t, want %t", i, got, test.results)
		}
		if len(test.streams) > 0 && test.streams[1].Nearly() != test.nearly {
			t.Errorf("case %d: nearly full %t, want %t", i, test.streams[1].Nearly(), test.nearly)
		}
	}
}
