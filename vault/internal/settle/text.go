package settle

import "nightdrop/shared/envelope"

// maxText bounds what a person or the acquirer's host can say in one event of the log.
const maxText = 200

// quotable returns a text from outside for a person to read, cut to maxText; nothing of one that mayStand refuses.
func quotable(text string) string {
	text = text[:min(len(text), maxText)]
	if !mayStand(text) {
		return ""
	}
	return text
}

// mayStand tells whether a text may stand in the log: printable ASCII in which no account number could stand, in one piece or in
// groups of digits with a few spaces, hyphens or dots between them, whatever other groups stand beside it. (the rule of envelope.CheckReference,
// for longer texts)
func mayStand(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' || isDigit(text[i]) && (i == 0 || !isDigit(text[i-1])) && mayBeNumber(text[i:]) {
			return false
		}
	}
	return true
}

// mayBeNumber tells whether some of the groups of digits that a text begins with could be an account number.
func mayBeNumber(text string) bool {
	const longest, between = 19, 2
	var digits []byte
	gap := 0
	for i := range len(text) {
		c := text[i]
		switch {
		case isDigit(c):
			digits, gap = append(digits, c), 0
			whole := i+1 == len(text) || !isDigit(text[i+1])
			if whole && 12 <= len(digits) && len(digits) <= longest && envelope.Luhn(digits) {
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

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
