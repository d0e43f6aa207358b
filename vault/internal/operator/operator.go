// Package operator names who acts on the vault, and reports the progress of his operation. It knows
// neither the socket on which operators ask nor what is done for them.
package operator

import "nightdrop/vault/internal/book"

// Actor is on whose behalf an operation is done; it stands in every event of it.
type Actor struct {
	Name    string // "user:NAME"
	Origin  string // "socket"
	Purpose string // what for, in a few words; may be empty

	Evidence string // hex SHA-256 of what proves a person's statement; may be empty
}

// Event is an event of this actor.
func (a Actor) Event(merchant string, body book.Body) book.Event {
	return book.Event{Actor: a.Name, Origin: a.Origin, Purpose: a.Purpose, Evidence: a.Evidence, Merchant: merchant, Body: body}
}

// Progress is called with how much of an operation is done, not concurrently; total may be zero
// while unknown.
type Progress func(done, total int)

// Report calls p, unless it is nil: nobody asked.
func (p Progress) Report(done, total int) {
	if p != nil {
		p(done, total)
	}
}
