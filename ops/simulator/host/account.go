package host

import (
	"encoding/json"
	"errors"
)

// Kinds of a book's lines.
const (
	lineTransaction = "transaction" // a 0100, 0200 or 0220 taken
	lineRepeat      = "repeat"      // the same request again: answered as before, booked nothing
	// another request under a trace that was taken: declined, booked nothing
	lineConflict = "conflict"
	lineReversal = "reversal" // a 0420 or 0421 taken
	lineTotals   = "totals"   // a 0500 compared
	// a message that the adversary lost: it counts as come, and as nothing else
	lineLost = "lost"
)

// line is one line of the book. It never holds a whole account number, an expiry or a security
// code.
type line struct {
	Kind        string       `json:"kind"`
	At          string       `json:"at"` // RFC 3339, UTC
	Transaction *Transaction `json:"transaction,omitempty"`
	// the message itself, where it is not a new transaction
	Asked    *Key   `json:"asked,omitempty"`
	Original *Key   `json:"original,omitempty"` // of a reversal
	Undone   bool   `json:"undone,omitempty"`   // the reversal undid an approved transaction
	Totals   *Total `json:"totals,omitempty"`
	Agreed   bool   `json:"agreed,omitempty"`
}

// asked returns the key of the message that the line reports.
func (l line) asked() Key {
	switch {
	case l.Transaction != nil:
		return l.Transaction.Key
	case l.Asked != nil:
		return *l.Asked
	}
	return Key{}
}

// errLine is returned when a line lacks what its kind needs, or its kind is none.
var errLine = errors.New("its kind or its members are unknown")

// account is the fold of a book's lines.
type account struct {
	taken     map[Key]*Transaction
	byTrace   map[reference]*Transaction
	order     []*Transaction
	cancelled map[Key]bool // reversed before, or without, the request
	advised   map[Key]bool // reversals that were taken
	reversals int
	repeats   int
	conflicts int
}

// reference is how a later message names an earlier one: its terminal, and of field 90 the type,
// the trace number and the time.
type reference struct{ Terminal, Type, STAN, Sent string }

func (k Key) reference() reference {
	return reference{Terminal: k.Terminal, Type: k.Type, STAN: k.STAN, Sent: k.Sent}
}

func newAccount() *account {
	return &account{taken: map[Key]*Transaction{}, byTrace: map[reference]*Transaction{}, cancelled: map[Key]bool{}, advised: map[Key]bool{}}
}

// read applies a line as it stands in a book, and passes it to saw.
func (a *account) read(text []byte, saw func(line)) error {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	saw(l)
	return a.apply(l)
}

// apply adds one line to the fold.
func (a *account) apply(l line) error {
	switch {
	case l.Kind == lineTransaction && l.Transaction != nil:
		a.take(*l.Transaction)
	case l.Kind == lineRepeat && l.Asked != nil:
		a.repeats++
		if t := a.taken[*l.Asked]; t != nil {
			t.Repeats++
		}
	case l.Kind == lineConflict && l.Asked != nil:
		a.conflicts++
	case l.Kind == lineReversal && l.Original != nil:
		a.reversals++
		a.advised[l.asked()] = true
		if t := a.taken[*l.Original]; t == nil {
			a.cancelled[*l.Original] = true
		} else if l.Undone {
			t.Reversed = true
			a.move(t, -t.Amount)
		}
	case l.Kind == lineTotals, l.Kind == lineLost:
	default:
		return errLine
	}
	return nil
}

func (a *account) take(t Transaction) {
	booked := &t
	a.taken[t.Key] = booked
	if a.byTrace[t.reference()] == nil {
		a.byTrace[t.reference()] = booked
	}
	a.order = append(a.order, booked)
	if t.standing() {
		a.move(booked, t.Amount)
	}
}

// move adds amount to what is captured or refunded of the original of t.
func (a *account) move(t *Transaction, amount int64) {
	if t.Original == nil {
		return
	}
	switch original := a.taken[*t.Original]; {
	case original == nil:
	case t.Kind == KindCapture:
		original.Captured += amount
	case t.Kind == KindRefund:
		original.Refunded += amount
	}
}

// judge returns the answer to a new request: asked names its original by reference, ruled is what
// the amount's rule says of it. The original, where there is one, is written into asked.
func (a *account) judge(asked *Transaction, of *reference, ruled string) string {
	if a.cancelled[asked.Key] {
		return codeInvalid
	}
	if of == nil {
		return ruled
	}
	original := a.byTrace[*of]
	if original == nil || original.Acceptor != asked.Acceptor || !original.standing() || original.Kind == KindRefund {
		return codeUnknown
	}
	asked.Original, asked.Masked = &original.Key, original.Masked
	switch {
	case original.Currency != asked.Currency:
		return codeInvalid
	case asked.Amount > original.left(asked.Kind):
		return codeAmount
	}
	return ruled
}

// reverse returns the answer to a reversal of original and whether it undoes it.
func (a *account) reverse(original Key, amount int64) (code string, undone bool) {
	switch t := a.taken[original]; {
	case t == nil:
		return codeApproved, false
	case t.asked() != amount:
		return codeAmount, false
	case t.Refunded > 0:
		return codeInvalid, false
	default:
		return codeApproved, t.standing()
	}
}
