package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"nightdrop/shared/channel"
)

// Channel is what the JOURNAL stream needs of *channel.Vault, with its contract.
type Channel interface {
	Connected() bool
	PublishJournal(generation uint64, msgID string, entries []byte) channel.Ack
	NewestJournal(ctx context.Context, generation uint64) (channel.Message, error)
	JournalFrom(ctx context.Context, generation, sequence uint64) (channel.Message, error)
	JournalRoom(ctx context.Context) (channel.Room, error)
}

// Stream is the JOURNAL stream of the channel. It lies on the relay's disk: whoever owns that can
// shorten it to any length.
type Stream struct {
	channel Channel

	mu   sync.Mutex
	seen *channel.Room // what the broker said last; nil: nothing yet
}

var _ Place = (*Stream)(nil)

// NewStream makes a place of the channel, which stays the caller's.
func NewStream(c Channel) *Stream { return &Stream{channel: c} }

// Ready implements Place.
func (s *Stream) Ready() error {
	if !s.channel.Connected() {
		return fmt.Errorf("%w: the channel is not connected; it is tried again and again", ErrUnavailable)
	}
	return nil
}

// Newest implements Place.
func (s *Stream) Newest(ctx context.Context, generation uint64) ([]byte, error) {
	m, err := s.channel.NewestJournal(ctx, generation)
	return found(m, err)
}

// Oldest implements Place.
func (s *Stream) Oldest(ctx context.Context, generation uint64) ([]byte, error) {
	m, err := s.channel.JournalFrom(ctx, generation, 1)
	return found(m, err)
}

// found makes a message that is not there nil.
func found(m channel.Message, err error) ([]byte, error) {
	if errors.Is(err, channel.ErrNotFound) {
		return nil, nil
	}
	return m.Data, err
}

// asked is how many messages are asked for at once.
const asked = 16

// Page implements Place. The cursor's part is a sequence. The vault alone writes, so the next
// sequences are most often those of the next messages: they are asked for together.
func (s *Stream) Page(ctx context.Context, generation uint64, from Cursor) ([][]byte, *Cursor, error) {
	last, err := s.channel.NewestJournal(ctx, generation)
	if errors.Is(err, channel.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	next := max(from.Part, 1)
	var all [asked]channel.Message
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
	behind := min(next+asked, last.Sequence+1)
	taken := uint64(0)
	for _, m := range all {
		if m.Sequence > taken {
			messages, taken = append(messages, m.Data), m.Sequence
		}
	}
	if behind = max(behind, taken+1); behind > last.Sequence {
		return messages, nil, nil
	}
	return messages, &Cursor{Part: behind}, nil
}

// Append implements Place. A message that was given up for lost and comes late is only an old one,
// as is one that comes twice.
func (s *Stream) Append(ctx context.Context, generation uint64, message []byte) error {
	select {
	case err := <-s.channel.PublishJournal(generation, "", message):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SetAside implements Place: what a broker cannot read is in nobody's way.
func (*Stream) SetAside(context.Context, uint64) error { return nil }

// Room implements Place, as the broker names it.
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

// Close implements Place. The channel is the caller's.
func (*Stream) Close() error { return nil }
