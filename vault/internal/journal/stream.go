package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"nightdrop/shared/channel"
)

// Channel is the part of [channel.Vault] that a [Stream] uses.
type Channel interface {
	Connected() bool
	PublishJournal(generation uint64, msgID string, entries []byte) channel.Ack
	NewestJournal(ctx context.Context, generation uint64) (channel.Message, error)
	JournalFrom(ctx context.Context, generation, sequence uint64) (channel.Message, error)
	JournalRoom(ctx context.Context) (channel.Room, error)
}

// Stream is the JOURNAL stream of the channel. It is on the relay's disk, whose owner can shorten
// it to any length.
type Stream struct {
	channel Channel

	mu   sync.Mutex
	seen *channel.Room // the broker's last answer; nil: none yet
}

var _ Place = (*Stream)(nil)

// NewStream makes a place of the channel, which the caller closes.
func NewStream(c Channel) *Stream { return &Stream{channel: c} }

// Ready implements [Place].
func (s *Stream) Ready() error {
	if !s.channel.Connected() {
		return fmt.Errorf("%w: the channel is not connected; the vault keeps trying", ErrUnavailable)
	}
	return nil
}

// Newest implements [Place].
func (s *Stream) Newest(ctx context.Context, generation uint64) ([]byte, error) {
	m, err := s.channel.NewestJournal(ctx, generation)
	return orNil(m, err)
}

// Oldest implements [Place].
func (s *Stream) Oldest(ctx context.Context, generation uint64) ([]byte, error) {
	m, err := s.channel.JournalFrom(ctx, generation, 1)
	return orNil(m, err)
}

func orNil(m channel.Message, err error) ([]byte, error) {
	if errors.Is(err, channel.ErrNotFound) {
		return nil, nil
	}
	return m.Data, err
}

// pageRequests is how many messages are requested at once.
const pageRequests = 16

// Page implements [Place]. The cursor's part is a sequence. As the vault alone writes, the next
// sequences are mostly the next messages': they are requested together.
func (s *Stream) Page(ctx context.Context, generation uint64, from Cursor) ([][]byte, *Cursor, error) {
	last, err := s.channel.NewestJournal(ctx, generation)
	if errors.Is(err, channel.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	next := max(from.Part, 1)
	var all [pageRequests]channel.Message
	group, groupCtx := errgroup.WithContext(ctx)
	for i := range all {
		if next+uint64(i) > last.Sequence {
			break
		}
		group.Go(func() (err error) {
			all[i], err = s.channel.JournalFrom(groupCtx, generation, next+uint64(i))
			if errors.Is(err, channel.ErrNotFound) { // the broker cannot read it
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	var messages [][]byte
	after := min(next+pageRequests, last.Sequence+1)
	read := uint64(0)
	for _, m := range all {
		if m.Sequence > read {
			messages, read = append(messages, m.Data), m.Sequence
		}
	}
	if after = max(after, read+1); after > last.Sequence {
		return messages, nil, nil
	}
	return messages, &Cursor{Part: after}, nil
}

// Append implements [Place]. A message that comes late or twice does no harm.
func (s *Stream) Append(ctx context.Context, generation uint64, message []byte) error {
	select {
	case err := <-s.channel.PublishJournal(generation, "", message):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SetAside implements [Place]: there is nothing to move.
func (*Stream) SetAside(context.Context, uint64) error { return nil }

// Room implements [Place], by the broker's answer.
func (s *Stream) Room(ctx context.Context) (Room, error) {
	now, err := s.channel.JournalRoom(ctx)
	if err != nil {
		return Room{}, err
	}
	s.mu.Lock()
	before := s.seen
	s.seen = &now
	s.mu.Unlock()
	room := Room{Used: now.Bytes, Limit: now.MaxBytes, Step: MaxBytes}
	if before == nil {
		return room, nil
	}
	dropped := now.First - min(before.First, now.First)
	room.Shrunk = before.Messages > now.Messages+dropped || dropped > 0 && !room.Dropping()
	return room, nil
}

// Close implements [Place]; the caller closes the channel.
func (*Stream) Close() error { return nil }
