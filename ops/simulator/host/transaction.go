package host

import "cmp"

// Kind is what a transaction is.
type Kind string

// The kinds of transaction.
const (
	KindSale    Kind = "sale"    // 0200, processing 00: charged when approved
	KindHold    Kind = "hold"    // 0100: money held, charged only as it is captured
	KindCapture Kind = "capture" // 0220 or 0221: all or part of a hold is charged
	KindRefund  Kind = "refund"  // 0200, processing 20: credited when approved
)

// Key names a request as its terminal does, for ever.
type Key struct {
	// message type, of a repeat its first one's: 0100, 0200, 0220, 0420
	Type     string `json:"type"`
	Terminal string `json:"terminal"`
	STAN     string `json:"stan"`
	Sent     string `json:"sent"` // field 7, MMDDhhmmss
	RRN      string `json:"rrn"`
}

// Transaction is one request in the book.
type Transaction struct {
	Key
	Kind     Kind   `json:"kind"`
	Acceptor string `json:"acceptor"`
	Batch    string `json:"batch"` // six digits; empty of a hold
	// minor units: what is charged, held or credited where it stands
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"` // ISO 4217 number
	// a capture's and a refund's is the original's; empty where the original is unknown
	Masked   string `json:"masked"`
	Answer   string `json:"answer"`
	Approval string `json:"approval,omitempty"`
	Asked    int64  `json:"asked,omitempty"` // what was asked for, where only Amount was approved
	// of a capture its hold, of a refund its sale, capture or hold
	Original *Key  `json:"original,omitempty"`
	Captured int64 `json:"captured"` // of a hold: what captures that stand have taken of it
	Refunded int64 `json:"refunded"` // what refunds that stand and name it have given back of it
	Reversed bool  `json:"reversed"`
	Repeats  int   `json:"repeats"` // how often the same request came again
}

// standing reports whether the transaction was approved and not reversed.
func (t *Transaction) standing() bool { return approves(t.Answer) && !t.Reversed }

// asked returns the amount that the request named.
func (t *Transaction) asked() int64 { return cmp.Or(t.Asked, t.Amount) }

// charged reports whether the cardholder pays for the transaction.
func (t *Transaction) charged() bool {
	return t.standing() && (t.Kind == KindSale || t.Kind == KindCapture)
}

// credited reports whether the cardholder is paid by the transaction.
func (t *Transaction) credited() bool { return t.standing() && t.Kind == KindRefund }

// left returns how much more a later request of that kind may take of the transaction: a capture of
// what is held, a refund of what was charged, which of a hold is what was captured.
func (t *Transaction) left(kind Kind) int64 {
	switch {
	case kind == KindCapture:
		return t.Amount - t.Captured
	case t.Kind == KindHold:
		return t.Captured - t.Refunded
	}
	return t.Amount - t.Refunded
}

// sameAs reports whether two requests under one key are one.
func (t *Transaction) sameAs(other *Transaction) bool {
	return t.Kind == other.Kind && t.Acceptor == other.Acceptor && t.Batch == other.Batch && t.asked() == other.asked() && t.Currency == other.Currency
}

// Count is a number of transactions and the sum of their amounts.
type Count struct {
	Number int   `json:"number"`
	Amount int64 `json:"amount"`
}

func (c *Count) add(amount int64) {
	c.Number++
	c.Amount += amount
}

// Total is one acceptor's batch in one currency. Debits are all approved sales and captures,
// Reversed those of them that were undone, Standing the difference; Credits, CreditsReversed and
// CreditsStanding are the same of refunds. What will be paid out is Standing less CreditsStanding.
type Total struct {
	Acceptor        string `json:"acceptor"`
	Batch           string `json:"batch"`
	Currency        string `json:"currency"`
	Debits          Count  `json:"debits"`
	Reversed        Count  `json:"reversed"`
	Standing        Count  `json:"standing"`
	Credits         Count  `json:"credits"`
	CreditsReversed Count  `json:"credits_reversed"`
	CreditsStanding Count  `json:"credits_standing"`
}

// take adds a transaction that is not a hold.
func (total *Total) take(t *Transaction) {
	all, reversed, standing := &total.Debits, &total.Reversed, &total.Standing
	if t.Kind == KindRefund {
		all, reversed, standing = &total.Credits, &total.CreditsReversed, &total.CreditsStanding
	}
	if !approves(t.Answer) {
		return
	}
	all.add(t.Amount)
	if t.Reversed {
		reversed.add(t.Amount)
	} else {
		standing.add(t.Amount)
	}
}
