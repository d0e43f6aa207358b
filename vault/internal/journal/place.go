package journal

import (
	"context"
	"errors"
	"fmt"

	"nightdrop/shared/channel"
)

// Place is the second place, where messages become durable. Append comes from one goroutine at a time; the others may be called at any
// time. When it is full its oldest messages go: those that the last backup makes superfluous.
type Place interface {
	// Ready is nil while messages can be appended, as far as that is known without asking.
	Ready() error
	// Newest returns the message of a generation that was appended last, nil where there is none. The caller judges what it is.
	Newest(ctx context.Context, generation uint64) ([]byte, error)
	// Append returns nil when the message is durable, and its order is that of the calls. After an error it may be there or not, and
	// may be appended again: readers know messages by what they hold.
	Append(ctx context.Context, generation uint64, message []byte) error
	// Room tells how many bytes are used, and how many there are before the oldest messages go.
	Room(ctx context.Context) (used, limit int64, err error)
	// Close lets go of the place.
	Close() error
}

// Channel is what the JOURNAL stream needs of *channel.Vault, with its contract.
type Channel interface {
	Connected() bool
	PublishJournal(generation uint64, msgID string, entries []byte) channel.Ack
	NewestJournal(ctx context.Context, generation uint64) (channel.Message, error)
	JournalRoom(ctx context.Context) (used, limit int64, err error)
}

// Stream is the JOURNAL stream of the channel.
type Stream struct{ channel Channel }

var _ Place = Stream{}

// NewStream makes a place of the channel, which stays the caller's.
func NewStream(c Channel) Stream { return Stream{channel: c} }

// Ready implements Place.
func (s Stream) Ready() error {
	if !s.channel.Connected() {
		return fmt.Errorf("%w: the channel is not connected; it is tried again and again", ErrUnavailable)
	}
	return nil
}

// Newest implements Place.
func (s Stream) Newest(ctx context.Context, generation uint64) ([]byte, error) {
	m, err := s.channel.NewestJournal(ctx, generation)
	if errors.Is(err, channel.ErrNotFound) {
		return nil, nil
	}
	return m.Data, err
}

// Append implements Place. A message that was given up for lost and comes late is only an old one, as is one that comes twice.
func (s Stream) Append(ctx context.Context, generation uint64, message []byte) error {
	select {
	case err := <-s.channel.PublishJournal(generation, "", message):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Room implements Place.
func (s Stream) Room(ctx context.Context) (used, limit int64, err error) {
	return s.channel.JournalRoom(ctx)
}

// Close implements Place. The channel is the caller's.
func (Stream) Close() error { return nil }
