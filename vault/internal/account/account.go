// Package account holds account data in clear for as long as one payment needs it: a card or a bank
// account and a card security code, in byte arrays that are cleared after use.
//
// The package makes no Go string of a number, an expiry, a name or a code, because strings cannot
// be cleared; a test reads the sources. Everything here prints as "[redacted]". Nothing is safe for
// concurrent use.
package account

import (
	"errors"
	"time"

	"nightdrop/shared/envelope"
)

// ErrForm is returned when an opened account or code part is not of the form of specification 3
// (result code bad-account). It never quotes the part.
var ErrForm = errors.New("the opened part is not of the form that the interface describes; seal a card, a bank account or a code as documented")

// Account is what an opened account part holds: exactly one of Card and Bank is set.
type Account struct {
	hidden
	Card *Card
	Bank *Bank
}

// Check applies the rules of specification 7 in order and returns the first failure: bad-account (a
// length the brand does not have), luhn, expired-card, routing; or ok.
func (a *Account) Check(now time.Time) envelope.Code {
	switch {
	case a.Card != nil:
		return a.Card.check(now)
	case a.Bank != nil:
		return a.Bank.check()
	}
	return envelope.CodeBadAccount
}

// Masked returns what may be shown and kept of the number (specification 2), "" of an empty
// account.
func (a *Account) Masked() string {
	switch {
	case a.Card != nil:
		return envelope.MaskCard(a.Card.Digits())
	case a.Bank != nil:
		return envelope.MaskBank(a.Bank.Account())
	}
	return ""
}

// CheckRefund is [Account.Check] for an account that money goes back to: the tables of routing
// numbers and of schemes' lengths change, and an account that paid before must still get its money.
func (a *Account) CheckRefund(now time.Time) envelope.Code {
	switch {
	case a.Bank != nil && a.Bank.summed():
		return envelope.CodeOK
	case a.Card != nil && envelope.Luhn(a.Card.Digits()):
		return a.Card.CheckExpiry(now)
	case a.Card != nil:
		return envelope.CodeLuhn
	}
	return a.Check(now)
}

// Whole returns the digits that a fingerprint covers: the card's number, or the routing number and
// then the account number. The caller clears the slice.
func (a *Account) Whole() []byte {
	switch {
	case a.Card != nil:
		return append(make([]byte, 0, maxCardDigits), a.Card.Digits()...)
	case a.Bank != nil:
		whole := make([]byte, 0, routingDigits+maxAccountDigits)
		return append(append(whole, a.Bank.Routing()...), a.Bank.Account()...)
	}
	return nil
}

// Clear overwrites everything with zeros. Clearing nil or twice does nothing.
func (a *Account) Clear() {
	if a == nil {
		return
	}
	if a.Card != nil {
		*a.Card = Card{}
	}
	if a.Bank != nil {
		*a.Bank = Bank{}
	}
	a.Card, a.Bank = nil, nil
}

// Code is a card security code of three or four digits. It may not be kept once the authorisation
// has been answered, not even encrypted (PCI DSS 3.3.1).
type Code struct {
	hidden
	code   [maxCodeDigits]byte
	digits int
}

// Digits returns the code as ASCII digits: a slice of the code's own array, not to be kept.
func (c *Code) Digits() []byte { return c.code[:c.digits] }

// Clear overwrites the code with zeros. Clearing nil or twice does nothing.
func (c *Code) Clear() {
	if c != nil {
		*c = Code{}
	}
}
