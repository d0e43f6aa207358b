package channel

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// bagsBatch and bagsBytes bound one group; the bag that crosses the latter is included.
	bagsBatch = 512
	bagsBytes = 4 << 20
	// bagsEvery is how often an idle reader looks unasked, for hints may be lost, and checks the
	// stream.
	bagsEvery = 3 * time.Second
	bagsRetry = 250 * time.Millisecond
	// bagsPace and bagsPause delay the next read of a reader that reached the end of the stream: so
	// long per byte that it read, and how long at most. The broker keeps a block of 8 MB in memory
	// for ten seconds if it is read while it is written; so above 2 MB a second, three hundred
	// envelopes, the vault gets them every few seconds instead of at once.
	bagsPace  = 500 * time.Nanosecond
	bagsPause = 4 * time.Second
)

// Bags calls fn with the bags from sequence from on (0 or 1: the oldest), in stream order, in
// groups of at most 512 bags and about 4 MiB. It goes on until ctx ends (its error), fn fails (its
// error), or the stream proves to be another ([ErrRewound]). It outlasts lost connections and
// restarts of the broker. Nothing is acknowledged to the broker: the reader's own database knows
// what was read.
//
// fn is called by one goroutine and owns the messages. Gaps in the sequences (purged or lost) are
// regular.
func (v *Vault) Bags(ctx context.Context, from uint64, fn func([]Message) error) error {
	wake := make(chan struct{}, 1)
	hints, err := v.reads.subscribe(storedPrefix+"bag.*", func(*nats.Msg) { ring(wake) })
	if err != nil {
		return fmt.Errorf("%w: watch bags: %w", ErrUnavailable, err)
	}
	defer func() { _ = hints.Unsubscribe() }()
	defer v.reads.watch(&watcher{connected: func() { ring(wake) }})()
	c := &cursor{vault: v, next: max(from, 1)}
	// bytes read since the reader last began to read to the end
	began, read := time.Now(), 0
	for {
		group, err := c.fetch(ctx)
		switch {
		case errors.Is(err, ErrRewound):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case len(group) > 0:
			size := bytesOf(group)
			if err := fn(group); err != nil {
				return err
			}
			if read += size; size >= bagsBytes || len(group) == bagsBatch {
				continue // the end is further on
			}
			if err := rest(ctx, time.Until(began.Add(min(time.Duration(read)*bagsPace, bagsPause)))); err != nil {
				return err
			}
			began, read = time.Now(), 0
			continue
		}
		pause := bagsEvery
		if err != nil {
			v.reads.logger.Debug("bags cannot be read now", "error", err)
			pause = bagsRetry
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		case <-time.After(pause):
			c.idle = true
		}
		began = time.Now()
	}
}

func bytesOf(group []Message) (size int) {
	for _, m := range group {
		size += len(m.Data)
	}
	return size
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// cursor is a position in ENVELOPES, and what proves that the stream is still the same.
type cursor struct {
	vault   *Vault
	next    uint64 // the sequence to read from
	created time.Time
	last    uint64 // the last bag read, 0 = none yet
	digest  [sha256.Size]byte
	// 1 + the connection's epoch in which the stream was found unchanged; 0 = not yet
	checked uint64
	idle    bool // nothing came for a while
}

// fetch reads the next group. A group that ended early is good as far as it goes.
func (c *cursor) fetch(ctx context.Context) ([]Message, error) {
	epoch := c.vault.reads.epoch.Load() + 1
	if c.checked != epoch || c.idle {
		if err := c.check(ctx, c.checked != epoch); err != nil {
			return nil, err
		}
		c.checked, c.idle = epoch, false
	}
	group, err := c.vault.reads.get(ctx, streamEnvelopes, getRequest{Sequence: c.next, Batch: bagsBatch, MaxBytes: bagsBytes})
	if c.vault.reads.epoch.Load()+1 != epoch {
		return nil, fmt.Errorf("%w: the connection changed during a read", ErrUnavailable)
	}
	if len(group) == 0 {
		return nil, err
	}
	end := group[len(group)-1]
	c.next, c.last, c.digest = end.Sequence+1, end.Sequence, sha256.Sum256(end.Data)
	return group, nil
}

// check compares the stream's creation time, its end, and on a new connection the last bag, with
// what was read before.
func (c *cursor) check(ctx context.Context, bagToo bool) error {
	info, err := c.vault.reads.info(ctx, streamEnvelopes)
	if err != nil {
		return err
	}
	if c.created.IsZero() {
		c.created = info.Created
	}
	if !info.Created.Equal(c.created) {
		return fmt.Errorf("%w: the stream was recreated", ErrRewound)
	}
	if info.State.Last+1 < c.next {
		return fmt.Errorf("%w: it ends at %d, read from %d", ErrRewound, info.State.Last, c.next)
	}
	if !bagToo || c.last < info.State.First || c.last == 0 {
		return nil
	}
	bag, err := c.vault.BagAt(ctx, c.last)
	switch {
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("%w: bag %d is gone", ErrRewound, c.last)
	case err != nil:
		return err
	case sha256.Sum256(bag.Data) != c.digest:
		return fmt.Errorf("%w: bag %d has changed", ErrRewound, c.last)
	}
	return nil
}
