package journal

import (
	"context"
	"errors"
)

// ErrDamaged is returned when a place holds what no torn write leaves: a whole message behind one
// that is not, or one that was written whole and is not sound. What it holds stays as it is; a
// Journal sends again what is missing, once that is decided.
var ErrDamaged = errors.New("the journal is damaged")

// Place is a second place, where messages become durable. Append and SetAside come from one
// goroutine at a time; the others may be called at any time. When it is full its oldest messages
// go: those that the last backup makes superfluous.
type Place interface {
	// Ready is nil while messages can be appended, as far as that is known without asking.
	Ready() error
	// Newest returns the message of a generation that was appended last, nil where there is none.
	// The caller judges what it is. With ErrDamaged it returns the last that can be read.
	Newest(ctx context.Context, generation uint64) ([]byte, error)
	// Oldest returns the oldest message of a generation that is kept, nil where there is none that
	// can be read.
	Oldest(ctx context.Context, generation uint64) ([]byte, error)
	// Page returns the messages of a generation from a cursor on, some hundred at a time, oldest
	// first, and the cursor behind them; nil at the end. The zero Cursor is the beginning. What
	// cannot be read as a message is passed over.
	Page(ctx context.Context, generation uint64, from Cursor) ([][]byte, *Cursor, error)
	// Append returns nil when the message is durable, and its order is that of the calls. After an
	// error it may be there or not, and may be appended again: readers know messages by what they
	// hold.
	Append(ctx context.Context, generation uint64, message []byte) error
	// SetAside takes what is damaged out of the way, as far as it was found, and destroys none of
	// it: what Append writes then is whole.
	SetAside(ctx context.Context, generation uint64) error
	// Room says how full the place is, and whether it lost something.
	Room(ctx context.Context) (Room, error)
	// Close releases the place.
	Close() error
}

// Cursor is a point in a place, between two messages; each place has its own use of it.
type Cursor struct{ Part, Offset uint64 }

// Room is how full a second place is.
type Room struct {
	Used, Limit int64 // bytes, of all generations
	Step        int64 // that go at once, at most, when it is full
	// since it was asked last it lost something that it did not drop because it was full, by what
	// it shows without reading
	Shrunk bool
}

// Scarce reports whether the place will soon lose its oldest messages, or does: a backup makes them
// superfluous.
func (r Room) Scarce() bool { return r.Limit > 0 && r.Used >= r.Limit/10*8 }

// Dropping reports whether the place is so full that it has dropped its oldest messages, as it
// should, or may have.
func (r Room) Dropping() bool { return r.Limit > 0 && r.Used+3*r.Step >= r.Limit }

// Percent is how full the place is.
func (r Room) Percent() int64 {
	if r.Limit <= 0 {
		return 0
	}
	return min(100, int64(float64(r.Used)/float64(r.Limit)*100))
}
