package book

import "nightdrop/shared/envelope"

// PaymentResent is a person's order to send the reversal or capture of a manual payment again, as
// if its first try were now.
type PaymentResent struct {
	ID     string `json:"id"`
	Reason string `json:"reason"` // 1 to 200 printable ASCII
}

// Kind implements Body.
func (PaymentResent) Kind() string { return "payment-resent" }

// Resent is when a person last had a reversal or capture sent again, and the tries before that.
type Resent struct {
	At    envelope.Time `json:"at"`
	Tries int           `json:"tries"`
}

// Messages are those to the acquirer's host about a payment: its request or capture, and its
// reversal, repeated under their traces.
type Messages struct {
	Trace    *Trace  `json:"trace,omitempty"`
	Reversal *Trace  `json:"reversal,omitempty"`
	Tries    int     `json:"tries,omitempty"`  // reversals sent, or of a capture: captures
	Resent   *Resent `json:"resent,omitempty"` // a person had that sent again
	// of what is being reversed or captured: the newest answer, where it settled nothing
	Answer envelope.Code `json:"answer,omitempty"`
	// of a capture: the answer to its first try, where it settled nothing
	First envelope.Code `json:"first,omitempty"`
}

// endReversal has the next reversal begin anew, under another trace.
func (m *Messages) endReversal() { m.Reversal, m.Tries, m.Resent, m.Answer = nil, 0, nil, "" }

// Repeated returns since when p's reversal or capture is being repeated (from its first try, or
// since a person had it sent again) and the tries since. The time is zero before the first.
func (p Payment) Repeated() (since envelope.Time, tries int) {
	first := p.Reversal
	if p.Flow() == FlowCapture && !p.AtHost {
		first = p.Trace
	}
	switch {
	case p.Resent != nil:
		return p.Resent.At, p.Tries - p.Resent.Tries
	case first != nil:
		return first.Sent, p.Tries
	}
	return envelope.Time{}, 0
}

// sentAgain has the message of a manual payment repeated again.
func (f *fold) sentAgain(b PaymentResent) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	to := StageUnknown
	switch {
	case p.AtHost:
		to = StageCorrecting
	case p.Flow() == FlowCapture:
		to = StageCapturing
	case p.Void != "":
		to = StageVoiding
	}
	if to != StageUnknown && to != StageCorrecting {
		if err := f.inCardBatch(p, "", func(batch Batch) Batch { batch.Unresolved--; batch.Outstanding++; return batch }); err != nil {
			return err
		}
	}
	if err := f.moveTo(&p, to); err != nil {
		return err
	}
	p.Resent = &Resent{At: f.event.Time, Tries: p.Tries}
	return f.put(p)
}
