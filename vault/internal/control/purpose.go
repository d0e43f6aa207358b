package control

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"nightdrop/vault/internal/loggable"
)

// maxPurpose bounds a --reason in bytes: it is kept for ever in the log.
const maxPurpose = 200

// checkPurpose refuses a reason that the log must not hold: what could be a card number, however it
// is grouped, and what is no line of text.
func checkPurpose(reason string) error {
	switch {
	case len(reason) > maxPurpose:
		return &Error{CodeUsage, "the reason is longer than 200 bytes: say it in fewer words"}
	case !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl):
		return &Error{CodeUsage, "the reason holds a control character or is not UTF-8: say it in one line of plain text"}
	case loggable.HoldsNumber(reason):
		return &Error{CodeUsage, "the reason holds what may be a card number, and it would stand in the log for ever: name the payment by its id"}
	}
	return nil
}
