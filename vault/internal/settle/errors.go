package settle

import (
	"errors"

	"nightdrop/vault/internal/payment"
)

// Errors of closing and settling.
var (
	// ErrNotFound is returned when there is no such merchant or batch.
	ErrNotFound = errors.New("not found")
	// ErrConflict is returned when the state does not allow it yet: payments are in flight, the batch is open, or another close
	// or settlement is under way.
	ErrConflict = errors.New("not now")
	// ErrTotalsDiffer is returned when the acquirer's totals of a batch are not ours. Nothing of that batch is settled.
	ErrTotalsDiffer = errors.New("the acquirer's totals are not ours")
	// ErrUnavailable is returned when the acquirer could not be asked. Run it again later.
	ErrUnavailable = errors.New("the acquirer cannot be reached")
)

// Actor is on whose behalf an operation is done; it stands in every event of it.
type Actor struct {
	Name    string // "user:NAME"
	Origin  string // "socket"
	Purpose string // what for, in a few words; may be empty
}

// Event is an event of this actor.
func (a Actor) Event(merchant string, body payment.Body) payment.Event {
	return payment.Event{Actor: a.Name, Origin: a.Origin, Purpose: a.Purpose, Merchant: merchant, Body: body}
}

// Progress is told how much of an operation is done; total may be zero while it is not known. It is not called concurrently.
type Progress func(done, total int)

func (p Progress) report(done, total int) {
	if p != nil {
		p(done, total)
	}
}
