package control

import (
	"errors"
	"strings"

	"nightdrop/vault/internal/book"
)

// ErrPaymentName is returned for what names no payment.
var ErrPaymentName = errors.New("name a payment as MERCHANT/ID, as `vault payment list` shows it")

// ParsePaymentName reads MERCHANT/ID, the one form in which commands take a payment. It looks at
// the form only: whether there is such a payment the daemon knows. It fails with [ErrPaymentName]
// and repeats nothing of what was given: it may be an account number.
func ParsePaymentName(text string) (book.Key, error) {
	merchant, id, _ := strings.Cut(text, "/")
	if merchant == "" || id == "" || strings.Contains(id, "/") {
		return book.Key{}, ErrPaymentName
	}
	return book.Key{Merchant: merchant, ID: id}, nil
}
