package host

import "fmt"

// Amounts, in minor units, that make the host misbehave. (INTERFACES 10)
const (
	amountOfCode = 900_000 // to 900,099: answered with the code that the last two digits are
	amountSilent = 900_100 // taken and never answered
	amountLate   = 900_101 // taken and answered after the asker has given up
	amountDrop   = 900_102 // taken, and then the connection is closed
)

// Answer codes of ISO 8583:1987 field 39 that the host itself gives.
const (
	codeApproved     = "00"
	codeInvalid      = "12" // a sale that was reversed before it came
	codeAmount       = "13" // a reversal of another amount than the sale's
	codeFormat       = "30"
	codeOutOfBalance = "95"
	codeSecurityCode = "N7"
)

// wrongCode is the card security code that is always declined.
const wrongCode = "999"

// manner is how the host answers.
type manner int

const (
	atOnce manner = iota
	never
	late
	hangUp
)

// rule returns what the host says to a sale and how. Whatever the manner, what is approved is taken: only a reversal undoes it.
func rule(amount int64, securityCode string) (code string, how manner) {
	code = codeApproved
	switch {
	case amount >= amountOfCode && amount < amountOfCode+100:
		code = fmt.Sprintf("%02d", amount-amountOfCode)
	case amount == amountSilent:
		how = never
	case amount == amountLate:
		how = late
	case amount == amountDrop:
		how = hangUp
	}
	if securityCode == wrongCode {
		code = codeSecurityCode
	}
	return code, how
}
