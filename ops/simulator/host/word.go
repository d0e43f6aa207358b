package host

import (
	"hash/fnv"
	"slices"
)

// Mishaps of an answer's code. What the host did is booked as ever; what it says of it is another
// code of ISO 8583:1987 field 39.
const (
	Inoperative Mishap = "inoperative" // answered 91 and not taken
	// answered 96: an advice is taken all the same, a request is not
	Malfunction Mishap = "malfunction"
	// an advice that was taken before is answered 94, others as they should be
	AlreadyThere Mishap = "already-there"
	// an approved request is answered with another code that approves
	OtherApproval Mishap = "other-approval"
	// an approved request is answered with a code that neither approves nor declines
	Unlisted Mishap = "unlisted"
)

// CodeRates is how often an adversary that also minces its codes does so; to be added to the rates
// of other mishaps.
func CodeRates() map[Mishap]float64 {
	return map[Mishap]float64{Inoperative: 0.03, Malfunction: 0.03, AlreadyThere: 0.1, OtherApproval: 0.04,
		Unlisted: 0.02}
}

// approvals are the codes that approve: as asked, with identification, for a part, a very important
// person, an update of track 3, and no reason to decline. (ISO 8583:1987 field 39)
var approvals = [...]string{codeApproved, "08", codePart, "11", "16", "85"}

// doubts are codes that neither approve nor decline: in progress, an invalid answer, and an answer
// that came too late.
var doubts = [...]string{"09", "20", "68"}

// approves reports whether a code is one of an approval.
func approves(code string) bool { return slices.Contains(approvals[:], code) }

// isAdvice reports whether a message says what has happened, rather than asking for it. Type is
// that of its first.
func (k Key) isAdvice() bool { return k.Type == "0220" || k.Type == "0420" }

// untaken reports whether a mishap is that a message is answered and not taken, and with which
// code.
func untaken(how Mishap, key Key) (code string, is bool) {
	switch {
	case how == Inoperative:
		return codeInoperative, true
	case how == Malfunction && !key.isAdvice():
		return codeMalfunction, true
	}
	return "", false
}

// said is the code that an answer has: booked is the one in the book, again reports that the
// message was taken before.
func said(how Mishap, key Key, amount int64, again bool, booked string) string {
	switch {
	case !approves(booked):
	case key.isAdvice() && again && (how == AlreadyThere || amount == amountTwice):
		return codeDuplicate
	case key.isAdvice() && how == Malfunction:
		return codeMalfunction
	case !key.isAdvice() && how == OtherApproval:
		return oneOf(approvals[1:], key)
	case !key.isAdvice() && how == Unlisted:
		return oneOf(doubts[:], key)
	}
	return booked
}

// oneOf draws a code by the message that it answers.
func oneOf(codes []string, key Key) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key.STAN + key.RRN))
	return codes[int(h.Sum32()%uint32(len(codes)))]
}

// manner is how an answer goes out: as the amount has it, else as the adversary does. The first try
// of an advice of amountTwice is not answered.
func manner(ruled, how Mishap, key Key, amount int64, again bool) Mishap {
	switch {
	case key.isAdvice() && amount == amountTwice && !again:
		return DropAnswer
	case ruled != "":
		return ruled
	}
	return how
}
