package control

import (
	"errors"
	"slices"
	"strings"
)

// PaymentName names a payment among those of all merchants.
type PaymentName struct {
	Merchant string // "" where only the id was given, which two merchants may have
	ID       string
}

// ErrPaymentName is returned for what names no payment.
var ErrPaymentName = errors.New("name a payment as MERCHANT/ID, as `vault payment list` shows merchants and ids")

// ParsePaymentName reads MERCHANT/ID, or MERCHANT and ID as two words, or an ID alone. It looks at
// the form only: whether there is such a payment the daemon knows. It fails with [ErrPaymentName]
// and repeats nothing of what was given: it may be an account number.
func ParsePaymentName(words ...string) (PaymentName, error) {
	parts := strings.Split(strings.Join(words, "/"), "/")
	if len(parts) > 2 || slices.Contains(parts, "") {
		return PaymentName{}, ErrPaymentName
	}
	if len(parts) == 1 {
		return PaymentName{ID: parts[0]}, nil
	}
	return PaymentName{Merchant: parts[0], ID: parts[1]}, nil
}

// String is MERCHANT/ID, as ParsePaymentName reads it.
func (n PaymentName) String() string {
	if n.Merchant == "" {
		return n.ID
	}
	return n.Merchant + "/" + n.ID
}
