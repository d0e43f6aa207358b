package journal

import (
	"context"
	"errors"
)

// ErrDamaged is returned when a place holds what no torn write leaves: a complete message after one
// that is not, or one that was altered. Nothing is changed; a [Journal] sends again what is
// missing, once that is decided.
var ErrDamaged = errors.New("the journal is damaged")

// Place is a second place, where messages become durable. Append and SetAside are called by one
// goroutine at a time; the others at any time. When full it drops its oldest messages, which the
// last backup makes superfluous.
type Place interface {
	// Ready returns nil while messages can be appended, as far as is known without asking.
	Ready() error
	// Newest returns the message of a generation that was appended last, or nil, unverified. With
	// [ErrDamaged] it returns the last that can be read.
	Newest(ctx context.Context, generation uint64) ([]byte, error)
	// Oldest returns the oldest readable message of a generation, or nil.
	Oldest(ctx context.Context, generation uint64) ([]byte, error)
	// Page returns the messages of a generation from a cursor on, some hundred at a time, oldest
	// first, and the cursor after them; nil at the end. The zero Cursor is the beginning. It skips
	// what is not a message.
	Page(ctx context.Context, generation uint64, from Cursor) ([][]byte, *Cursor, error)
	// Append returns nil when the message is durable, in the order of calls. After an error it may
	// be there or not, and may be appended again: readers recognise messages by their content.
	Append(ctx context.Context, generation uint64, message []byte) error
	// SetAside moves away what was found damaged, without destroying it: later messages are
	// readable.
	SetAside(ctx context.Context, generation uint64) error
	// Room returns how full the place is, and whether it lost something.
	Room(ctx context.Context) (Room, error)
	// Close releases the place.
	Close() error
}

// Cursor is a point in a place, between two messages; each place uses it in its own way.
type Cursor struct{ Part, Offset uint64 }

// Room is how full a second place is.
type Room struct {
	Used, Limit int64 // bytes, of all generations
	Step        int64 // dropped at once, at most, when it is full
	// since the last call it lost something other than by being full, as far as it shows unread
	Shrunk bool
}

// Scarce reports whether the place will soon drop its oldest messages, or does.
func (r Room) Scarce() bool { return r.Limit > 0 && r.Used >= r.Limit/10*8 }

// Dropping reports whether the place is so full that it may have dropped its oldest messages.
func (r Room) Dropping() bool { return r.Limit > 0 && r.Used+3*r.Step >= r.Limit }

// Percent returns how full the place is.
func (r Room) Percent() int64 {
	if r.Limit <= 0 {
		return 0
	}
	return min(100, int64(float64(r.Used)/float64(r.Limit)*100))
}
