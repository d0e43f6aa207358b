// Package loggable decides which texts from outside may stand in the log, where they stay for ever:
// none in which an account number could stand, even a mistyped one. Times, common in names of
// files, are distinguished from numbers.
package loggable

import (
	"regexp"

	"nightdrop/shared/envelope"
)

// maxFileName bounds the name of a file in the log, in bytes.
const maxFileName = 100

// FileName reports whether a file's name from outside may stand in the log: 1 to 100 bytes of
// [Text].
func FileName(name string) bool { return 1 <= len(name) && len(name) <= maxFileName && Text(name) }

// Text reports whether a text may stand in the log: printable ASCII that holds no number.
func Text(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return !HoldsNumber(text)
}

// HoldsNumber reports whether 12 to 19 digits of a text could be an account number (they pass Luhn,
// ISO/IEC 7812-1), in one piece or in groups with one or two spaces, hyphens or dots between them,
// whatever other groups stand beside it. A group that begins a date or a time of this century, as
// 20261129-175406, begins no number: no issuer's numbers begin with 20. Its other groups may.
func HoldsNumber(text string) bool {
	for i := 0; i < len(text); {
		switch {
		case !digit(text[i]):
			i++
		case mayBeNumber(text[i:]) && !isMoment(text[i:]):
			return true
		default:
			for i < len(text) && digit(text[i]) {
				i++
			}
		}
	}
	return false
}

// mayBeNumber reports whether groups of digits at the beginning of a text could be an account
// number.
func mayBeNumber(text string) bool {
	const shortest, longest, between = 12, 19, 2
	var digits []byte
	gap := 0
	for i := range len(text) {
		c := text[i]
		switch {
		case digit(c):
			digits, gap = append(digits, c), 0
			whole := i+1 == len(text) || !digit(text[i+1])
			if whole && shortest <= len(digits) && len(digits) <= longest && envelope.Luhn(digits) {
				return true
			}
		case gap == between, c != ' ' && c != '-' && c != '.', len(digits) > longest:
			return false
		default:
			gap++
		}
	}
	return false
}

// times are a day, or that and hour and minute, or seconds too.
var times = regexp.MustCompile(`^20\d\d[-.]?(0[1-9]|1[0-2])[-.]?(0[1-9]|[12]\d|3[01])([-. ]?([01]\d|2[0-3])[-.]?[0-5]\d([-.]?[0-5]\d)?)?`)

// isMoment reports whether a text begins with a time.
func isMoment(text string) bool {
	n := len(times.FindString(text))
	return n > 0 && (n == len(text) || !digit(text[n]))
}

func digit(c byte) bool { return '0' <= c && c <= '9' }
