package book

import (
	"slices"

	"nightdrop/shared/envelope"
)

// ReversalIntended is committed before each 0420 or 0421 leaves.
type ReversalIntended struct {
	ID    string `json:"id"`
	Trace Trace  `json:"trace"`
	Try   int    `json:"try"` // from 1: 0420; above: 0421 with the same trace

	// iso-XX of the answer to the try before, after which it is to be sent again
	Code envelope.Code `json:"code,omitempty"`
}

// Kind implements Body.
func (ReversalIntended) Kind() string { return "reversal-intended" }

// ReversalAnswered is the host's 0430.
type ReversalAnswered struct {
	ID   string        `json:"id"`
	Code envelope.Code `json:"code"`
}

// Kind implements Body.
func (ReversalAnswered) Kind() string { return "reversal-answered" }

// ReversalAbandoned reports that no try was answered, or that none can help: a person decides.
type ReversalAbandoned struct {
	ID    string        `json:"id"`
	Tries int           `json:"tries"`
	Code  envelope.Code `json:"code,omitempty"` // iso-XX of the answer to the last try
}

// Kind implements Body.
func (ReversalAbandoned) Kind() string { return "reversal-abandoned" }

// OutcomeUnknown gives a capture or void its first result, unknown, while its message is on its
// way: due within an hour, and after a stop before any other result (specification 4).
type OutcomeUnknown struct {
	ID string `json:"id"`
	// iso-XX of the newest answer to it, where there was one
	Code envelope.Code `json:"code,omitempty"`
}

// Kind implements Body.
func (OutcomeUnknown) Kind() string { return "outcome-unknown" }

// PaymentResolved is a person's decision on a payment that no reversal or advice resolved.
type PaymentResolved struct {
	ID     string          `json:"id"`
	As     envelope.Status `json:"as"`     // see Resolutions
	Reason string          `json:"reason"` // 1 to 200 printable ASCII
	// Remembered reports that the payment keeps who decided and why, as older logs do not.
	Remembered bool `json:"remembered,omitempty"`
}

// Kind implements Body.
func (PaymentResolved) Kind() string { return "payment-resolved" }

func (f *fold) reversalIntended(b ReversalIntended) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	if err := f.again(&p.Messages, &p.Reversal, b.Trace, b.Try); err != nil {
		return err
	}
	if err := unsettled(&p, b.Try-1, b.Code); err != nil {
		return err
	}
	return f.put(p)
}

// again counts a try; the first uses its trace numbers up and the others repeat them.
func (f *fold) again(m *Messages, trace **Trace, t Trace, try int) error {
	if try != m.Tries+1 {
		return misfit("try %d after %d", try, m.Tries)
	}
	m.Tries = try
	if *trace == nil {
		*trace = &t
		return f.useTrace(t)
	}
	if **trace != t {
		return misfit("a message is repeated under another trace number")
	}
	return nil
}

// reversalAnswered takes an unknown payment back, or one that is being voided.
func (f *fold) reversalAnswered(b ReversalAnswered) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	if p.Reversal == nil {
		return misfit("reversal of %s was never sent", b.ID)
	}
	if p.Stage == StageVoiding {
		if err := f.inCardBatch(p, "", func(batch Batch) Batch { batch.Outstanding--; return batch }); err != nil {
			return err
		}
		return f.takenBack(p, b.Code)
	}
	if err := f.inCardBatch(p, "", func(batch Batch) Batch { batch.Unresolved--; return batch }); err != nil {
		return err
	}
	if p.Stage == StageCorrecting {
		return f.tookBack(p, b.Code)
	}
	return f.undone(p, b.Code)
}

// undone ends a payment of which nothing came.
func (f *fold) undone(p Payment, code envelope.Code) error {
	if err := f.moveTo(&p, StageReversed); err != nil {
		return err
	}
	p.Code = code
	if err := f.release(p); err != nil {
		return err
	}
	return f.issue(p, envelope.StatusReversed, code)
}

// takenBack ends a payment that was voided, and the void, which gets its result.
func (f *fold) takenBack(p Payment, code envelope.Code) error {
	if err := f.moveTo(&p, StageVoided); err != nil {
		return err
	}
	if err := f.put(p); err != nil {
		return err
	}
	return f.endVoid(p.Void, StageDone, envelope.StatusVoided, code)
}

// endVoid ends a void by what became of its payment.
func (f *fold) endVoid(id string, to Stage, status envelope.Status, code envelope.Code) error {
	void, err := f.known(id)
	if err != nil {
		return err
	}
	if err := f.move(&void, "reversal/"+f.event.Body.Kind(), to); err != nil {
		return err
	}
	void.Code = code
	return f.issue(void, status, code)
}

func (f *fold) reversalAbandoned(b ReversalAbandoned) error { return f.abandoned(b.ID, b.Code) }
func (f *fold) captureAbandoned(b CaptureAbandoned) error   { return f.abandoned(b.ID, b.Code) }

// abandoned leaves an unknown payment, a void or a capture to a person.
func (f *fold) abandoned(id string, code envelope.Code) error {
	p, err := f.step(id)
	if err != nil {
		return err
	}
	if p.Stage != StageUnknown && p.Stage != StageCorrecting {
		if err := f.inCardBatch(p, "", func(batch Batch) Batch { batch.Outstanding--; batch.Unresolved++; return batch }); err != nil {
			return err
		}
	}
	if err := f.moveTo(&p, StageManual); err != nil {
		return err
	}
	if err := unsettled(&p, p.Tries, code); err != nil {
		return err
	}
	return f.put(p)
}

// outcomeUnknown gives a capture or a void its first result.
func (f *fold) outcomeUnknown(b OutcomeUnknown) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	if len(p.Results) > 0 {
		return misfit("payment %s has a result", p.Name())
	}
	if p.Flow() == FlowVoid {
		original, err := f.known(p.Of)
		if err != nil {
			return err
		}
		if original.Void != p.ID {
			return misfit("void %s is not under way", p.ID)
		}
	}
	if p.Code, err = unknownCode(b.Code); err != nil {
		return err
	}
	return f.issue(p, envelope.StatusUnknown, p.Code)
}

// Resolutions lists what a person may say became of a payment that is repeated, or manual.
func (p Payment) Resolutions() []envelope.Status {
	if _, open := openAs[p.Stage]; !open {
		return nil
	}
	switch {
	case p.AtHost: // its merchant was told long ago, and is never told that it stands
		fell, _ := p.fellAs()
		return []envelope.Status{fell}
	case p.Flow() == FlowCapture:
		return []envelope.Status{envelope.StatusCaptured, envelope.StatusDeclined}
	case p.Void != "":
		return []envelope.Status{envelope.StatusVoided, envelope.StatusApproved}
	}
	return []envelope.Status{envelope.StatusReversed, envelope.StatusApproved}
}

// openAs are the stages in which a person may resolve a payment, and how that changes its batch's
// counts.
var openAs = map[Stage]func(Batch) Batch{
	StageCapturing: func(b Batch) Batch { b.Outstanding--; return b },
	StageVoiding:   func(b Batch) Batch { b.Outstanding--; return b },
	StageUnknown:   func(b Batch) Batch { b.Unresolved--; return b },
	StageManual:    func(b Batch) Batch { b.Unresolved--; return b },

	StageCorrecting: func(b Batch) Batch { b.Unresolved--; return b },
}

// resolved applies a person's decision.
func (f *fold) resolved(b PaymentResolved) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	if !slices.Contains(p.Resolutions(), b.As) {
		return misfit("payment %s cannot be %s", p.Name(), b.As)
	}
	if err := f.inCardBatch(p, "", openAs[p.Stage]); err != nil {
		return err
	}
	if b.Remembered {
		f.decide(&p, b.As, b.Reason, false)
	}
	if p.AtHost {
		return f.tookBack(p, envelope.CodeNoAnswer)
	}
	switch b.As {
	case envelope.StatusReversed:
		return f.undone(p, envelope.CodeNoAnswer)
	case envelope.StatusVoided:
		return f.takenBack(p, envelope.CodeNoAnswer)
	case envelope.StatusCaptured:
		return f.captured(p, envelope.CodeOK)
	case envelope.StatusDeclined:
		return f.notCaptured(p, envelope.CodeNoAnswer)
	}
	p.endReversal()
	if p.Void == "" {
		p.Code = envelope.CodeOK
		return f.stands(p, envelope.StatusApproved)
	}
	return f.notVoided(p)
}

// notVoided returns a payment whose void failed to its stage.
func (f *fold) notVoided(p Payment) error {
	void, to := p.Void, StageApproved
	if p.Flow() == FlowAuthorise {
		to = StageAuthorised
	}
	if err := f.moveTo(&p, to); err != nil {
		return err
	}
	p.Void = ""
	if err := f.inCardBatch(p, "", func(batch Batch) Batch { batch.stand(p); return batch }); err != nil {
		return err
	}
	if err := f.put(p); err != nil {
		return err
	}
	return f.endVoid(void, StageDeclined, envelope.StatusDeclined, envelope.CodeNoAnswer)
}
