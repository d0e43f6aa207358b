package host

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
)

// Amounts, in minor units, that make the host misbehave, whatever is asked for. (specification 10)
const (
	amountOfCode = 900_000 // to 900,099: answered with the code that the last two digits are
	amountSilent = 900_100 // taken and never answered
	amountLate   = 900_101 // taken and answered after the asker has given up
	amountDrop   = 900_102 // taken, and then the connection is closed
	amountPart   = 900_300 // a sale or a hold is approved for half of it
	// of an advice: taken, not answered, and its repeat is answered with code 94
	amountTwice = 900_094
)

// Answer codes of ISO 8583:1987 field 39 that the host itself gives.
const (
	codeApproved = "00"
	codePart     = "10" // approved for less than was asked for
	// a request that was reversed before it came; another currency than the original's; a reversal
	// of what was refunded
	codeInvalid = "12"
	// a reversal of another amount than the original's; more than is left of a hold, or than still
	// stands of a sale
	codeAmount = "13"
	// the original of a capture or refund is not in the book, or does not stand
	codeUnknown     = "25"
	codeFormat      = "30"
	codeInoperative = "91"
	// another request under a trace that was taken; the repeat of an advice that is in the book, by
	// its amount or an adversary
	codeDuplicate    = "94"
	codeMalfunction  = "96"
	codeOutOfBalance = "95"
	codeSecurityCode = "N7"
)

// wrongCode is the card security code that is always declined.
const wrongCode = "999"

// rule returns what the host says to a request or an advice and how. Whatever the manner, what is
// approved is taken: only a reversal undoes it.
func rule(key Key, amount int64, securityCode string) (code string, how Mishap) {
	code = codeApproved
	switch {
	case amount == amountTwice && key.isAdvice():
	case amount >= amountOfCode && amount < amountOfCode+100:
		code = fmt.Sprintf("%02d", amount-amountOfCode)
	case amount == amountSilent:
		how = DropAnswer
	case amount == amountLate:
		how = Late
	case amount == amountDrop:
		how = HangUp
	}
	if securityCode == wrongCode {
		code = codeSecurityCode
	}
	return code, how
}

// approval returns the approval code of a request: the same whenever, and after whatever else, it
// comes. (field 38)
func approval(k Key) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{k.Type, k.Terminal, k.STAN, k.Sent, k.RRN}, "\n")))
	return fmt.Sprintf("%06d", binary.BigEndian.Uint64(sum[:8])%1_000_000)
}
