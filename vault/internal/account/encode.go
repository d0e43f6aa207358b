package account

// maxEncodedBytes holds the longest account: with a name of 64 characters.
const maxEncodedBytes = 512

// Encode returns the account as the JSON that [Parse] reads (specification 3), nil of an empty one.
// It is one slice that never grew, so that clearing it leaves no copy; the caller clears it.
func (a *Account) Encode() []byte {
	switch {
	case a.Card != nil:
		return a.Card.encode(make([]byte, 0, maxEncodedBytes))
	case a.Bank != nil:
		return a.Bank.encode(make([]byte, 0, maxEncodedBytes))
	}
	return nil
}

func (c *Card) encode(b []byte) []byte {
	yyyymm := c.expiry.digits()
	b = append(append(b, `{"card":{"number":"`...), c.Digits()...)
	b = append(append(b, `","expiry":"`...), yyyymm[:4]...)
	b = append(append(b, '-'), yyyymm[4:]...)
	if c.nameBytes > 0 {
		b = appendText(append(b, `","name":"`...), c.Name())
	}
	return append(b, `"}}`...)
}

func (b *Bank) encode(to []byte) []byte {
	to = append(append(to, `{"bank":{"routing":"`...), b.Routing()...)
	to = append(append(to, `","account":"`...), b.Account()...)
	to = append(to, `","type":"`...)
	if b.kind == Savings {
		to = append(to, "savings"...)
	} else {
		to = append(to, "checking"...)
	}
	to = appendText(append(to, `","name":"`...), b.Name())
	return append(to, `"}}`...)
}

// appendText appends a name, UTF-8 without controls, as the inside of a JSON string.
func appendText(b, text []byte) []byte {
	for _, c := range text {
		if c == '"' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, c)
	}
	return b
}
