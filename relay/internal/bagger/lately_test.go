package bagger

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"nightdrop/shared/channel"
)

// TestWhoCrowdsTheStreamIsRefusedThere: one merchant's bags are committed as soon as they are
// stored, but something keeps them from being purged. It takes no more than its part, and the
// others go on; when there is room again it does too.
func TestWhoCrowdsTheStreamIsRefusedThere(t *testing.T) {
	const stream = 4 << 20
	var crowded atomic.Bool
	f := open(t, filepath.Join(t.TempDir(), "head"), func(config *Config) {
		config.Sizing = Sizing{Stream: stream}
		config.Crowded = crowded.Load
	})
	go func() {
		for a := range f.channel.attempts {
			a.ack <- nil
		}
	}()
	if err := f.Share(4); err == nil {
		t.Error("a stream of 4 MiB is said to do for four merchants")
	}
	post := func(merchant string, i int) error {
		note := make([]byte, 30_000)
		copy(note, fmt.Sprint(merchant, i))
		place, err := f.Submit(t.Context(), Envelope{Merchant: merchant, Digest: fmt.Sprintf("%s-%d", merchant, i), Note: note})
		if err == nil {
			f.Committed(place.Number)
		}
		return err
	}
	for i := range 40 { // 1.2 MB: more than a quarter of three quarters
		if err := post("loud", i); err != nil {
			t.Fatalf("envelope %d, while there is room: %v", i, err)
		}
	}
	crowded.Store(true)
	if err := post("loud", 40); !errors.Is(err, ErrShare) {
		t.Errorf("the merchant that crowds the stream: %v", err)
	}
	if err := post("quiet", 0); err != nil {
		t.Errorf("another merchant: %v", err)
	}
	crowded.Store(false)
	if err := post("loud", 41); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}

func TestLatelyForgetsAfterAWeek(t *testing.T) {
	var l lately
	day := time.Date(2026, 11, 30, 23, 59, 0, 0, time.UTC)
	for i := range 20 {
		l.add("shop", 100, day.AddDate(0, 0, i))
		if got, want := l.of("shop", day.AddDate(0, 0, i)), int64(100*min(i+1, keptDays)); got != want {
			t.Errorf("after %d days %d bytes, want %d", i, got, want)
		}
	}
	if got := l.of("shop", day.AddDate(0, 0, 19+keptDays)); got != 0 {
		t.Errorf("%d bytes more than a week later", got)
	}
	l.add("shop", 7, day.AddDate(0, 0, -3)) // a clock that was set back
	if got := l.of("shop", day.AddDate(0, 0, 19+keptDays)); got != 7 {
		t.Errorf("%d bytes after a step back, want 7", got)
	}
}

func TestEnvelopesCrowded(t *testing.T) {
	for bytes, want := range map[int64]bool{0: false, 749: false, 874: false, 875: true, 1000: true} {
		if got := channel.EnvelopesCrowded([]channel.StreamState{{Name: "RESULTS", Bytes: 1000, Limit: 1000}, {Name: "ENVELOPES", Bytes: bytes, Limit: 1000}}); got != want {
			t.Errorf("%d of 1000 bytes: %v", bytes, got)
		}
	}
	if channel.EnvelopesCrowded(nil) {
		t.Error("a stream that is not seen is said to be crowded")
	}
}
