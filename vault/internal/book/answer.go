package book

import (
	"strings"

	"nightdrop/shared/envelope"
)

// codeApproved is the code that approves a request, and says of an advice that it is done, in every
// log. What other codes mean is the word of the acquirer's dialect at the time, which the events
// keep.
var codeApproved = envelope.ISOCode("00")

// Retired returns why an event of this form is not written any more, though logs from before have
// it; nil of all others. The fold takes it for ever: what was told on its strength stays told.
func Retired(b Body) error {
	if answer, ok := b.(CaptureAnswered); ok && !answer.Stands && answer.Code != codeApproved {
		return misfit("an answer to capture %s cannot decline it: an advice is repeated, or a person decides",
			answer.ID)
	}
	return nil
}

// unknownCode is what a result says whose outcome is unknown: what the host answered, or that it
// did not.
func unknownCode(answer envelope.Code) (envelope.Code, error) {
	switch {
	case answer == "":
		return envelope.CodeNoAnswer, nil
	case !isAnswer(answer):
		return "", misfit("%s is no code of field 39", answer)
	}
	return answer, nil
}

// unsettled notes the answer to the newest of so many tries of p's advice; none where there was
// none.
func unsettled(p *Payment, tries int, answer envelope.Code) error {
	if answer != "" && !isAnswer(answer) {
		return misfit("%s is no code of field 39", answer)
	}
	if p.Answer = answer; p.Flow() == FlowCapture && !p.AtHost && tries == 1 && p.First == "" {
		p.First = answer
	}
	return nil
}

// isAnswer reports whether a code is one of ISO 8583 field 39.
func isAnswer(code envelope.Code) bool {
	return strings.HasPrefix(string(code), "iso-") && code.Valid()
}
