package vaulttest

import (
	"context"
	"errors"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"nightdrop/shared/channel"
	"nightdrop/vault/internal/ledger"
)

// SealAll calls seal for 0 to n-1, on all cores, and returns what it made.
func SealAll(n int, seal func(int) []byte) [][]byte {
	sealed := make([][]byte, n)
	var tasks errgroup.Group
	tasks.SetLimit(runtime.GOMAXPROCS(0))
	for k := range sealed {
		tasks.Go(func() error {
			sealed[k] = seal(k)
			return nil
		})
	}
	_ = tasks.Wait() // no task fails
	return sealed
}

// Bags packs envelopes, so many a bag, as they stand in a channel that holds nothing else: for a
// run's first bags.
func (r *Run) Bags(perBag int, envelopes [][]byte) []channel.Message {
	r.Relay.tb.Helper()
	var messages []channel.Message
	for part := range slices.Chunk(envelopes, perBag) {
		m := r.Bag(part...)
		m.Sequence = r.Number
		messages = append(messages, m)
	}
	return messages
}

// ErrDrained is returned by Backlog.Bags, and so by intake's Run, when all bags are committed.
var ErrDrained = errors.New("all bags are committed")

// Backlog is a channel that holds some bags, with sequences from 1.
type Backlog struct {
	Messages []channel.Message
	Ledger   *ledger.Ledger // that they are committed to
}

// Bags gives the messages from a sequence on at once, waits until they are committed, and ends with
// ErrDrained.
func (s Backlog) Bags(ctx context.Context, from uint64, fn func([]channel.Message) error) error {
	if err := fn(s.Messages[from-1:]); err != nil {
		return err
	}
	for {
		committed := s.Ledger.Committed()
		var hint ledger.Hint
		err := s.Ledger.View(func(tx *ledger.Tx) (err error) {
			hint, err = tx.BagHint()
			return err
		})
		if err != nil {
			return err
		}
		if hint.Sequence == uint64(len(s.Messages)) {
			return ErrDrained
		}
		select {
		case <-committed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// BagAt returns the message of a sequence.
func (s Backlog) BagAt(_ context.Context, sequence uint64) (channel.Message, error) {
	if sequence == 0 || sequence > uint64(len(s.Messages)) {
		return channel.Message{}, channel.ErrNotFound
	}
	return s.Messages[sequence-1], nil
}

// EnvelopesRoom always has room.
func (Backlog) EnvelopesRoom(context.Context) (channel.Room, error) {
	return channel.Room{MaxBytes: 1 << 30}, nil
}

// PurgeBags deletes nothing.
func (Backlog) PurgeBags(context.Context, uint64) error { return nil }
