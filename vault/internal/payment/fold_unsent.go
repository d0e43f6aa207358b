package payment

import "nightdrop/shared/envelope"

// RequestUnsent ends a request or a capture whose trace numbers were committed and that certainly never left: the
// host knows nothing of it, so there is nothing to reverse and nothing unknown.
type RequestUnsent struct {
	ID string `json:"id"`
	// Code is late; no-answer, when there was no line for too long; or currency or not-permitted, when it cannot be
	// said to the host.
	Code envelope.Code `json:"code"`
}

// Kind implements Body.
func (RequestUnsent) Kind() string { return "request-unsent" }

// unsent ends a payment that nothing was sent of. It is of no batch any more.
func (f *fold) unsent(b RequestUnsent) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	if p.Tries > 1 {
		return misfit("capture %s may have been sent", p.ID)
	}
	if err := f.inCardBatch(p, "", func(batch Batch) Batch { batch.Outstanding--; return batch }); err != nil {
		return err
	}
	if err := f.moveTo(&p, StageRejected); err != nil {
		return err
	}
	if err := f.release(p); err != nil {
		return err
	}
	p.Batch, p.Code = 0, b.Code
	return f.issue(p, envelope.StatusRejected, b.Code)
}
