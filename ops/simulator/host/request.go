package host

import (
	"strconv"
	"strings"

	"github.com/moov-io/iso8583"

	"nightdrop/shared/envelope"
)

// ownKey returns what a message calls itself, a repeat by the name of its first.
func ownKey(m *iso8583.Message, mti string) Key {
	if first := firstTypes[mti]; first != "" {
		mti = first
	}
	return Key{Type: mti, Terminal: trimmed(m, 41), STAN: text(m, 11), Sent: text(m, 7), RRN: text(m, 37)}
}

// readRequest reads what the book keeps of a 0100, 0200 or 0220, and the original that it names, if
// any; the number goes no further than its mask.
func readRequest(m *iso8583.Message, key Key) (t Transaction, of *reference, ok bool) {
	amount, ok := number(text(m, 4))
	t = Transaction{Key: key, Kind: kindOf(key.Type, text(m, 3)), Acceptor: trimmed(m, 42), Batch: text(m, 60), Amount: amount, Currency: text(m, 49)}
	ok = ok && amount > 0 && key.Terminal != "" && key.STAN != "" && key.Sent != "" && key.RRN != "" && t.Acceptor != "" && t.Currency != ""
	if t.Kind == KindHold {
		t.Batch = ""
	} else {
		ok = ok && len(t.Batch) == 6 && allDigits(t.Batch)
	}
	var carded bool
	t.Masked, carded = mask(text(m, 2))
	switch t.Kind {
	case KindSale, KindHold:
		return t, nil, ok && carded && len(text(m, 14)) == 4
	case KindCapture:
		of = readReference(m)
		return t, of, ok && of != nil && of.Type == "0100"
	case KindRefund:
		of = readReference(m)
		named := of != nil && (of.Type == "0100" || of.Type == "0200" || of.Type == "0220")
		return t, of, ok && (named || of == nil && carded && text(m, 90) == "")
	}
	return t, nil, false
}

// kindOf returns what a message type and a processing code ask for, "" where that is nothing.
// (field 3: 00 purchase, 20 credit)
func kindOf(mti, processing string) Kind {
	if len(processing) != 6 {
		return ""
	}
	switch mti + " " + processing[:2] {
	case "0100 00":
		return KindHold
	case "0200 00":
		return KindSale
	case "0200 20":
		return KindRefund
	case "0220 00":
		return KindCapture
	}
	return ""
}

// mask shows what may be shown of a number; false where it is none.
func mask(pan string) (string, bool) {
	if !allDigits(pan) || len(pan) < 12 {
		return "", false
	}
	return envelope.MaskCard([]byte(pan)), true
}

// readReference reads field 90: the type, the trace number and the time of an earlier message of
// the same terminal. It returns nil where the field is not there or not of its form.
func readReference(m *iso8583.Message) *reference {
	elements := text(m, 90)
	if len(elements) != 42 || !allDigits(elements) {
		return nil
	}
	return &reference{Terminal: trimmed(m, 41), Type: elements[:4], STAN: elements[4:10], Sent: elements[10:20]}
}

// readReversed reads which request a reversal is of: field 90, and field 37, which is the
// original's.
func readReversed(m *iso8583.Message) (Key, bool) {
	of := readReference(m)
	if of == nil {
		return Key{}, false
	}
	k := Key{Type: of.Type, Terminal: of.Terminal, STAN: of.STAN, Sent: of.Sent, RRN: text(m, 37)}
	known := k.Type == "0100" || k.Type == "0200" || k.Type == "0220"
	return k, known && k.Terminal != "" && k.RRN != ""
}

// readStanding reads debits and credits of a 0500, each less its reversals; the net amount must be
// the one that they make.
func readStanding(m *iso8583.Message) (debits, credits Count, ok bool) {
	var c [4]Count
	for i := range c {
		n, countOK := number(text(m, countFields[i]))
		sum, sumOK := number(text(m, sumFields[i]))
		if !countOK || !sumOK {
			return Count{}, Count{}, false
		}
		c[i] = Count{Number: int(n), Amount: sum}
	}
	credits = Count{Number: c[0].Number - c[1].Number, Amount: c[0].Amount - c[1].Amount}
	debits = Count{Number: c[2].Number - c[3].Number, Amount: c[2].Amount - c[3].Amount}
	return debits, credits, text(m, 97) == netAmount(debits, credits)
}

func trimmed(m *iso8583.Message, id int) string { return strings.TrimRight(text(m, id), " ") }

// number reads decimal digits and nothing else.
func number(s string) (int64, bool) {
	if !allDigits(s) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

func allDigits(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}
