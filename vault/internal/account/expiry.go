package account

import (
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/strictjson"
)

// Expiry is the last month in which a card is valid.
type Expiry struct {
	hidden
	year, month int
}

// ParseExpiry reads the plaintext of the opened account part of an update, `{"card": {"expiry"}}`
// and nothing else (specification 3), after [envelope.Unpad]; the caller clears plaintext. It
// checks form only. Every failure is [ErrForm].
func ParseExpiry(plaintext []byte) (*Expiry, error) {
	e, seen := new(Expiry), false
	err := strictjson.Walk(plaintext, func(path []string, kind strictjson.Kind, value []byte) error {
		if len(path) != 2 || path[0] != "card" || path[1] != "expiry" || kind != strictjson.String {
			return ErrForm
		}
		if seen = e.set(value); !seen {
			return ErrForm
		}
		return nil
	})
	if err != nil || !seen {
		e.Clear()
		return nil, ErrForm
	}
	return e, nil
}

// westernmost is how long after its end in UTC a month ends in the last time zone (UTC-12).
const westernmost = 12 * time.Hour

// Check returns expired-card once the month has ended everywhere, 12 hours after it ends in UTC; or
// ok.
func (e *Expiry) Check(now time.Time) envelope.Code {
	firstDayAfter := time.Date(e.year, time.Month(e.month)+1, 1, 0, 0, 0, 0, time.UTC)
	if now.Before(firstDayAfter.Add(westernmost)) {
		return envelope.CodeOK
	}
	return envelope.CodeExpiredCard
}

// Clear overwrites the month with zeros. Clearing nil or twice does nothing.
func (e *Expiry) Clear() {
	if e != nil {
		*e = Expiry{}
	}
}

// SetExpiry gives a card the month of e and reports whether a is a card; it leaves a bank account
// unchanged.
func (a *Account) SetExpiry(e *Expiry) bool {
	if a.Card == nil {
		return false
	}
	a.Card.expiry = *e
	return true
}

// set reads "YYYY-MM".
func (e *Expiry) set(value []byte) bool {
	if len(value) != len("YYYY-MM") || value[4] != '-' || !allDigits(value[:4]) || !allDigits(value[5:]) {
		return false
	}
	e.year = 0
	for _, d := range value[:4] {
		e.year = e.year*10 + int(d-'0')
	}
	e.month = 10*int(value[5]-'0') + int(value[6]-'0')
	return 1 <= e.month && e.month <= 12
}

// digits returns the month as YYYYMM.
func (e *Expiry) digits() [6]byte {
	digit := func(n int) byte { return '0' + byte(n%10) }
	return [6]byte{digit(e.year / 1000), digit(e.year / 100), digit(e.year / 10), digit(e.year), digit(e.month / 10), digit(e.month)}
}
