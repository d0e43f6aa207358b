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
// groups of digits with one space or hyphen between them. (the rule of envelope.CheckReference, for longer texts)
func mayStand(text string) bool {
	var whole, piece []byte // the digits since anything else; since anything but a digit
	couldBe := func(digits []byte) bool { return 12 <= len(digits) && len(digits) <= 19 && envelope.Luhn(digits) }
	for i := range len(text) {
		c := text[i]
		switch {
		case c < ' ' || c > '~':
			return false
		case '0' <= c && c <= '9':
			whole, piece = append(whole, c), append(piece, c)
			continue
		case couldBe(piece):
			return false
		}
		piece = nil
		grouped := (c == ' ' || c == '-') && i > 0 && isDigit(text[i-1]) && i+1 < len(text) && isDigit(text[i+1])
		if grouped {
			continue
		}
		if couldBe(whole) {
			return false
		}
		whole = nil
	}
	return !couldBe(piece) && !couldBe(whole)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
