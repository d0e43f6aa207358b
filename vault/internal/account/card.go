package account

import (
	"time"

	"nightdrop/shared/envelope"
)

// Brand is a card scheme, recognised by the first digits of a number (ISO/IEC 7812 issuer ranges as
// the schemes publish them).
type Brand string

// The known brands. Numbers of others are passed to the acquirer, who knows which schemes it
// accepts.
const (
	BrandVisa       Brand = "visa"
	BrandMastercard Brand = "mastercard"
	BrandAmex       Brand = "amex"
	BrandDiscover   Brand = "discover"
	BrandDiners     Brand = "diners"
	BrandJCB        Brand = "jcb"
	BrandUnionPay   Brand = "unionpay"
	BrandMaestro    Brand = "maestro"
	BrandOther      Brand = "other"
)

// issuerRange: numbers whose first prefix digits are from low to high belong to brand and have min
// to max digits, in steps of step.
type issuerRange struct {
	brand          Brand
	prefix         int
	low, high      int
	min, max, step int
}

// issuerRanges returns the ranges; no two overlap. Numbers from 622126 to 622925, which are
// UnionPay's and carried by Discover's network in the United States, count as UnionPay's.
func issuerRanges() [19]issuerRange {
	return [...]issuerRange{
		{BrandVisa, 1, 4, 4, 13, 19, 3},
		{BrandMastercard, 2, 51, 55, 16, 16, 1},
		{BrandMastercard, 4, 2221, 2720, 16, 16, 1},
		{BrandAmex, 2, 34, 34, 15, 15, 1},
		{BrandAmex, 2, 37, 37, 15, 15, 1},
		{BrandDiscover, 4, 6011, 6011, 16, 19, 1},
		{BrandDiscover, 3, 644, 649, 16, 19, 1},
		{BrandDiscover, 2, 65, 65, 16, 19, 1},
		{BrandDiners, 3, 300, 305, 14, 19, 1},
		{BrandDiners, 4, 3095, 3095, 14, 19, 1},
		{BrandDiners, 2, 36, 36, 14, 19, 1},
		{BrandDiners, 2, 38, 39, 14, 19, 1},
		{BrandJCB, 4, 3528, 3589, 16, 19, 1},
		{BrandUnionPay, 2, 62, 62, 16, 19, 1},
		{BrandUnionPay, 4, 8100, 8171, 16, 19, 1},
		{BrandMaestro, 2, 50, 50, 12, 19, 1},
		{BrandMaestro, 2, 56, 58, 12, 19, 1},
		{BrandMaestro, 2, 63, 63, 12, 19, 1},
		{BrandMaestro, 2, 67, 67, 12, 19, 1},
	}
}

// Limits of a card's members. (ISO/IEC 7812-1, specification 3)
const (
	minCardDigits = 12
	maxCardDigits = 19
	minCodeDigits = 3
	maxCodeDigits = 4
	maxNameRunes  = 64
	maxNameBytes  = maxNameRunes * 4 // a character of UTF-8 takes at most four bytes
)

// Card is a payment card.
type Card struct {
	hidden
	number    [maxCardDigits]byte
	digits    int
	expiry    Expiry
	name      [maxNameBytes]byte
	nameBytes int
}

// Digits returns the number as ASCII digits: a slice of c's array, not to be kept.
func (c *Card) Digits() []byte { return c.number[:c.digits] }

// Name returns the cardholder's name in UTF-8, which may be empty: a slice of c's array, not to be
// kept.
func (c *Card) Name() []byte { return c.name[:c.nameBytes] }

// ExpiryYYMM returns the last month of validity as in ISO 8583 field 14. The caller clears it.
func (c *Card) ExpiryYYMM() [4]byte {
	yyyymm := c.expiry.digits()
	return [4]byte(yyyymm[2:])
}

// Brand returns the scheme of the number, [BrandOther] where it is unknown.
func (c *Card) Brand() Brand { return c.issuer().brand }

// issuer returns the number's range.
func (c *Card) issuer() issuerRange {
	for _, r := range issuerRanges() {
		prefix := 0
		for _, d := range c.number[:r.prefix] {
			prefix = prefix*10 + int(d-'0')
		}
		if c.digits >= r.prefix && r.low <= prefix && prefix <= r.high {
			return r
		}
	}
	return issuerRange{brand: BrandOther, min: minCardDigits, max: maxCardDigits, step: 1}
}

func (c *Card) check(now time.Time) envelope.Code {
	r := c.issuer()
	switch {
	case c.digits < r.min, c.digits > r.max, (c.digits-r.min)%r.step != 0:
		return envelope.CodeBadAccount
	case !envelope.Luhn(c.Digits()):
		return envelope.CodeLuhn
	}
	return c.expiry.Check(now)
}

// CheckExpiry is [Expiry.Check] of the card's month: the only check of a card that was accepted
// before, since the tables of schemes change.
func (c *Card) CheckExpiry(now time.Time) envelope.Code { return c.expiry.Check(now) }
