package report

import (
	"errors"
	"time"

	"nightdrop/vault/internal/book"
)

// maxPeriod bounds a period: its charts have a bar a day.
const maxPeriod = 366 * 24 * time.Hour

// ErrPeriod is returned for a period that is none.
var ErrPeriod = errors.New("a period is two dates, YYYY-MM-DD, the first not after the last, of at most 366 days")

// Span is which batches a report is about: those closed on the UTC days From to To, YYYY-MM-DD,
// both included. The zero Span is every batch, open ones too.
type Span struct {
	From, To string
	Merchant string // only this one's; "" is all
}

// Check returns [ErrPeriod] where there is half a period or a wrong one.
func (s Span) Check() error {
	if s.From == "" && s.To == "" {
		return nil
	}
	from, err := time.Parse(time.DateOnly, s.From)
	to, err2 := time.Parse(time.DateOnly, s.To)
	if err != nil || err2 != nil || to.Before(from) || to.Sub(from) >= maxPeriod {
		return ErrPeriod
	}
	return nil
}

// Holds reports whether the span has the batch.
func (s Span) Holds(b book.Batch) bool {
	if s.Merchant != "" && b.Merchant != s.Merchant {
		return false
	}
	day := b.Closed.Format(time.DateOnly)
	return s.From == "" || !b.Closed.IsZero() && s.From <= day && day <= s.To
}

// Subject names what the batches have in common.
func (s Span) Subject() string {
	if s.From == "" {
		return "All batches"
	}
	return "Batches closed from " + s.From + " to " + s.To
}
