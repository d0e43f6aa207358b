package book

import (
	"nightdrop/shared/envelope"
)

// Trace names one message to an acquirer host for ever.
type Trace struct {
	// ISO 8583 field 11, 1 to 999999, unique per terminal and business day
	STAN     uint32        `json:"stan"`
	RRN      string        `json:"rrn"`      // field 37, 12 characters
	Terminal string        `json:"terminal"` // field 41, 8 characters
	Acceptor string        `json:"acceptor"` // field 42, 1 to 15 characters
	Sent     envelope.Time `json:"sent"`     // fields 7, 12 and 13
}

// AuthorisationIntended is committed, with its trace numbers, before the request leaves.
type AuthorisationIntended struct {
	ID    string `json:"id"`
	Trace Trace  `json:"trace"`
	Batch uint32 `json:"batch,omitempty"` // none of an authorisation
}

// Kind implements Body.
func (AuthorisationIntended) Kind() string { return "authorisation-intended" }

// AuthorisationAnswered is the host's answer to a sale, authorisation or refund: field 39 and, when
// approved, field 38.
type AuthorisationAnswered struct {
	ID       string        `json:"id"`
	Code     envelope.Code `json:"code"` // iso-XX
	Approval string        `json:"approval,omitempty"`
	// another code than iso-00 approved; without it only that one does
	Approved bool `json:"approved,omitempty"`
}

// Kind implements Body.
func (AuthorisationAnswered) Kind() string { return "authorisation-answered" }

// AuthorisationUnanswered reports that the outcome is unknown: no answer, a broken connection, a
// crash in between, or an answer whose code may be an approval and was not taken as one.
type AuthorisationUnanswered struct {
	ID   string        `json:"id"`
	Code envelope.Code `json:"code,omitempty"` // iso-XX of such an answer
}

// Kind implements Body.
func (AuthorisationUnanswered) Kind() string { return "authorisation-unanswered" }

// AuthorisationExpired ends an authorisation after Authorised + AuthorisationLife.
type AuthorisationExpired struct {
	ID string `json:"id"`
}

// Kind implements Body.
func (AuthorisationExpired) Kind() string { return "authorisation-expired" }

func (f *fold) intended(b AuthorisationIntended) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	if err := f.useTrace(b.Trace); err != nil {
		return err
	}
	if err := f.moveTo(&p, StageAuthorising); err != nil {
		return err
	}
	p.Trace, p.Batch = &b.Trace, b.Batch
	if (b.Batch == 0) != (p.Flow() == FlowAuthorise) {
		return misfit("an authorisation is of no batch, everything else of one")
	}
	if err := f.inCardBatch(p, BatchOpen, func(batch Batch) Batch { batch.Outstanding++; return batch }); err != nil {
		return err
	}
	return f.put(p)
}

func (f *fold) answered(b AuthorisationAnswered) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	if !b.Code.Valid() {
		return misfit("the host's answer has no code of field 39")
	}
	p.Code, p.Approval = b.Code, b.Approval
	if !b.Approved && b.Code != codeApproved {
		if err := f.moveTo(&p, StageDeclined); err != nil {
			return err
		}
		if err := f.inCardBatch(p, "", func(batch Batch) Batch { batch.Outstanding--; return batch }); err != nil {
			return err
		}
		if err := f.release(p); err != nil {
			return err
		}
		return f.issue(p, envelope.StatusDeclined, b.Code)
	}
	if err := f.inCardBatch(p, "", func(batch Batch) Batch { batch.Outstanding--; return batch }); err != nil {
		return err
	}
	return f.stands(p, envelope.StatusApproved)
}

// stands ends a sale, authorisation or refund that the host, or a person, says is approved.
func (f *fold) stands(p Payment, status envelope.Status) error {
	to := StageApproved
	if p.Flow() == FlowAuthorise {
		// also where a person says so days later: the issuer holds the money since then
		to, p.Authorised = StageAuthorised, p.Trace.Sent
	}
	if err := f.moveTo(&p, to); err != nil {
		return err
	}
	if err := f.inCardBatch(p, "", func(batch Batch) Batch { batch.stand(p); return batch }); err != nil {
		return err
	}
	if p.Flow() == FlowRefund {
		status = envelope.StatusRefunded
	}
	return f.issue(p, status, p.Code)
}

func (f *fold) unanswered(b AuthorisationUnanswered) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	if err := f.moveTo(&p, StageUnknown); err != nil {
		return err
	}
	if p.Code, err = unknownCode(b.Code); err != nil {
		return err
	}
	err = f.inCardBatch(p, "", func(batch Batch) Batch { batch.Outstanding--; batch.Unresolved++; return batch })
	if err != nil {
		return err
	}
	return f.issue(p, envelope.StatusUnknown, p.Code)
}

func (f *fold) expired(b AuthorisationExpired) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	if !p.MayExpire(f.event.Time) {
		return misfit("authorisation %s has a capture under way, or time left", p.ID)
	}
	if err := f.moveTo(&p, StageExpired); err != nil {
		return err
	}
	return f.issue(p, envelope.StatusExpired, envelope.CodeOK)
}

// inCardBatch changes p's batch, where it has one.
func (f *fold) inCardBatch(p Payment, stage BatchStage, change func(Batch) Batch) error {
	if p.Batch == 0 {
		return nil
	}
	var method Method
	if err := f.inBatch(p.Batch, stage, func(b Batch) Batch { method = b.Method; return change(b) }); err != nil {
		return err
	}
	if method != MethodCard {
		return misfit("batch %d is not of cards", p.Batch)
	}
	return nil
}

// useTrace moves the terminal's counter on, and refuses a trace number that was used before.
func (f *fold) useTrace(t Trace) error {
	v, err := f.Vault()
	if err != nil {
		return err
	}
	if v.Terminals, err = v.traced(t); err != nil {
		return err
	}
	return TheVault.Put(f.State, v)
}
