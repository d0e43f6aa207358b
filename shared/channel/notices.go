package channel

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// noticesEvery is how often the newest notices are read unasked, for hints may be lost.
const noticesEvery = 10 * time.Second

// Notices calls fn with the newest note of each kind, then with new ones, until ctx ends (its
// error). One goroutine at a time calls fn, which owns the bytes. A note that is soon replaced may
// be left out.
func (r *Relay) Notices(ctx context.Context, fn func(Notice, []byte)) error {
	wake := make(chan struct{}, 1)
	hints, err := r.reads.subscribe(storedPrefix+"notice.*", func(*nats.Msg) { ring(wake) })
	if err != nil {
		return fmt.Errorf("%w: watch notices: %w", ErrUnavailable, err)
	}
	defer func() { _ = hints.Unsubscribe() }()
	defer r.reads.watch(&watcher{connected: func() { ring(wake) }})()
	ticker := time.NewTicker(noticesEvery)
	defer ticker.Stop()
	seen := make(map[Notice]Message)
	for {
		for _, kind := range notices() {
			r.newestNotice(ctx, kind, seen, fn)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		case <-ticker.C:
		}
	}
}

// newestNotice delivers a kind's newest note unless it was the last delivered. After an error the
// next round delivers it.
func (r *Relay) newestNotice(ctx context.Context, kind Notice, seen map[Notice]Message, fn func(Notice, []byte)) {
	found, err := r.reads.get(ctx, streamNotices, getRequest{Last: "notice." + string(kind)})
	if err != nil || len(found) == 0 {
		return
	}
	last := seen[kind]
	if found[0].Sequence == last.Sequence && found[0].Stored.Equal(last.Stored) {
		return
	}
	seen[kind] = Message{Sequence: found[0].Sequence, Stored: found[0].Stored}
	fn(kind, found[0].Data)
}
