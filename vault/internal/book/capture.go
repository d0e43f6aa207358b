package book

import (
	"nightdrop/shared/envelope"
)

// CaptureIntended is committed before each 0220 or 0221 leaves.
type CaptureIntended struct {
	ID    string `json:"id"`
	Trace Trace  `json:"trace"`
	Batch uint32 `json:"batch"`
	Try   int    `json:"try"` // from 1: 0220; above: 0221 with the same trace

	// iso-XX of the answer to the try before, after which it is to be sent again
	Code envelope.Code `json:"code,omitempty"`
}

// Kind implements Body.
func (CaptureIntended) Kind() string { return "capture-intended" }

// CaptureAnswered is the host's 0230 that says that the capture is booked. In logs from before
// 2026-12 one without Stands and with another code declined the capture (see [Retired]).
type CaptureAnswered struct {
	ID       string        `json:"id"`
	Code     envelope.Code `json:"code"` // iso-XX
	Approval string        `json:"approval,omitempty"`
	// another code than iso-00 says that it is booked, as iso-94 of a repeat
	Stands bool `json:"stands,omitempty"`
}

// Kind implements Body.
func (CaptureAnswered) Kind() string { return "capture-answered" }

// CaptureAbandoned reports that no try was answered, or that none can help: a person decides.
type CaptureAbandoned struct {
	ID    string        `json:"id"`
	Tries int           `json:"tries"`
	Code  envelope.Code `json:"code,omitempty"` // iso-XX of the answer to the last try
}

// Kind implements Body.
func (CaptureAbandoned) Kind() string { return "capture-abandoned" }

func (f *fold) captureIntended(b CaptureIntended) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	if p.Stage == StageReceived {
		p.Batch = b.Batch
		if err := f.inCardBatch(p, BatchOpen, func(batch Batch) Batch { batch.Outstanding++; return batch }); err != nil {
			return err
		}
	}
	if p.Batch == 0 || p.Batch != b.Batch {
		return misfit("capture %s is of batch %d", p.ID, p.Batch)
	}
	if err := f.moveTo(&p, StageCapturing); err != nil {
		return err
	}
	if err := f.again(&p.Messages, &p.Trace, b.Trace, b.Try); err != nil {
		return err
	}
	if err := unsettled(&p, b.Try-1, b.Code); err != nil {
		return err
	}
	return f.put(p)
}

func (f *fold) captureAnswered(b CaptureAnswered) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	if !b.Code.Valid() {
		return misfit("the host's answer has no code of field 39")
	}
	if err := f.inCardBatch(p, "", func(batch Batch) Batch { batch.Outstanding--; return batch }); err != nil {
		return err
	}
	if !b.Stands && b.Code != codeApproved {
		return f.notCaptured(p, b.Code) // in a log from before: see Retired
	}
	p.Approval = b.Approval
	return f.captured(p, b.Code)
}

func (f *fold) captured(p Payment, code envelope.Code) error {
	if err := f.moveTo(&p, StageCaptured); err != nil {
		return err
	}
	p.Code = code
	if err := f.inCardBatch(p, "", func(batch Batch) Batch { batch.stand(p); return batch }); err != nil {
		return err
	}
	original, err := f.known(p.Of)
	if err != nil {
		return err
	}
	original.Captured += p.Amount
	to := original.Stage
	if original.Captured == original.Amount {
		to = StageCompleted
	}
	if err := f.move(&original, "capture/"+CaptureAnswered{}.Kind(), to); err != nil {
		return err
	}
	if err := f.put(original); err != nil {
		return err
	}
	return f.issue(p, envelope.StatusCaptured, code)
}

func (f *fold) notCaptured(p Payment, code envelope.Code) error {
	if err := f.moveTo(&p, StageDeclined); err != nil {
		return err
	}
	p.Code = code
	if err := f.release(p); err != nil {
		return err
	}
	return f.issue(p, envelope.StatusDeclined, code)
}
