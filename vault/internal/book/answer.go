package book

import (
	"strings"

	"nightdrop/shared/envelope"
)

// codeApproved approves a request, or says that an advice is done, in every log. Other codes mean
// what the acquirer's dialect said at the time, which the events keep.
var codeApproved = envelope.ISOCode("00")

// Retired returns why an event of this form is not written any more, though older logs have it; nil
// of all others. The fold always accepts it: results that rest on it stay as they are.
func Retired(b Body) error {
	if answer, ok := b.(CaptureAnswered); ok && !answer.Stands && answer.Code != codeApproved {
		return misfit("an answer to capture %s cannot decline it: an advice is repeated, or a person decides",
			answer.ID)
	}
	return nil
}

// unknownCode is the code of a result with an unknown outcome: the host's answer, or none.
func unknownCode(answer envelope.Code) (envelope.Code, error) {
	switch {
	case answer == "":
		return envelope.CodeNoAnswer, nil
	case !isAnswer(answer):
		return "", misfit("%s is not a code of field 39", answer)
	}
	return answer, nil
}

// unsettled notes the answer, if any, to the newest of so many tries of p's advice.
func unsettled(p *Payment, tries int, answer envelope.Code) error {
	if answer != "" && !isAnswer(answer) {
		return misfit("%s is not a code of field 39", answer)
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
