package book

import (
	"slices"

	"nightdrop/shared/envelope"
)

// AuthorisationLife is how long an authorisation may be captured (specification 3).
const AuthorisationLife = envelope.AuthorisationLife

// Way is how the payment's money moves; what an older log does not say is a card's.
func (p Payment) Way() Method {
	if p.Method == MethodBank {
		return MethodBank
	}
	return MethodCard
}

// MayCapture tells whether a capture of p may be taken: ok, wrong-state or over-authorised.
func (p Payment) MayCapture(amount int64, now envelope.Time) envelope.Code {
	switch {
	case p.Stage != StageAuthorised, !now.Before(p.Authorised.Add(AuthorisationLife)):
		return envelope.CodeWrongState
	case p.Capturing+amount > p.Amount:
		return envelope.CodeOverAuthorised
	}
	return envelope.CodeOK
}

// MayRefund tells whether a refund of p may be taken: ok, wrong-state or over-captured. batch is p's own, the zero Batch of an
// authorisation: a sale whose batch is open is voided, not refunded.
func (p Payment) MayRefund(amount int64, batch Batch) envelope.Code {
	taken := p.Amount
	switch {
	case allowed(p.Flow(), p.Stage, "refund/envelope-received") == nil, p.Credit(),
		p.Stage == StageApproved && (batch.Stage == BatchOpen || batch.Stage == BatchCutover):
		return envelope.CodeWrongState
	case p.Flow() == FlowAuthorise:
		taken = p.Captured
	}
	if p.Refunded+amount > taken {
		return envelope.CodeOverCaptured
	}
	return envelope.CodeOK
}

// MayVoid tells whether p may be taken back: ok or wrong-state. batch is p's own, the zero Batch of an authorisation.
func (p Payment) MayVoid(batch Batch) envelope.Code {
	open := batch.Stage == BatchOpen
	switch {
	case p.Flow() == FlowSale && p.Stage == StageApproved && open,
		p.Flow() == FlowEntry && p.Stage == StageAccepted && open && p.Of == "",
		p.Flow() == FlowAuthorise && p.Stage == StageAuthorised && p.Capturing == 0:
		return envelope.CodeOK
	}
	return envelope.CodeWrongState
}

// step reads the event's payment, of which the event must be one that the machine allows now.
func (f *fold) step(id string) (Payment, error) {
	p, err := f.known(id)
	if err == nil && allowed(p.Flow(), p.Stage, f.event.Body.Kind()) == nil {
		err = misfit("payment %s is %s", id, p.Stage)
	}
	return p, err
}

func (f *fold) known(id string) (Payment, error) {
	p, ok, err := f.Payment(f.event.Merchant, id)
	if err == nil && !ok {
		err = misfit("no payment %s", id)
	}
	return p, err
}

// move takes p to a stage, as the machine allows under the label of an event.
func (f *fold) move(p *Payment, label string, to Stage) error {
	if !slices.Contains(allowed(p.Flow(), p.Stage, label), to) {
		return misfit("payment %s cannot go from %s to %s", p.ID, p.Stage, to)
	}
	p.Stage = to
	return nil
}

// moveTo is move under the event's own kind.
func (f *fold) moveTo(p *Payment, to Stage) error { return f.move(p, f.event.Body.Kind(), to) }

// received takes an instruction, and what it holds of the payment that it is about.
func (f *fold) received(b EnvelopeReceived) error {
	m, ok, err := f.Merchant(f.event.Merchant)
	if err != nil {
		return err
	}
	if !ok || m.Status != MerchantActive {
		return misfit("merchant %s is not there or not active", f.event.Merchant)
	}
	p := Payment{Merchant: m.ID, ID: b.ID, Digest: b.Digest, Stage: StageReceived, Until: b.Until, Operation: b.Operation,
		Amount: b.Amount, Currency: b.Currency, Reference: b.Reference, Descriptor: b.Descriptor, Masked: b.Masked,
		Brand: b.Brand, Fingerprint: b.Fingerprint, WithCode: b.WithCode, Method: b.Method, Of: b.Of, Token: b.Token}
	if p.Flow() == "" {
		return misfit("%s is no operation", p.Operation)
	}
	if m.Policy.Permits(p.Operation, p.Currency) && m.Allows(p.Operation, p.Amount, p.Currency, f.event.Time) == envelope.CodeOK {
		m.Usage = m.Usage.used(p.Operation, p.Amount, p.Currency, f.event.Time)
	} else {
		return misfit("merchant %s may not do this, or not so much", m.ID)
	}
	if b.Compared {
		if m.Compared, err = m.Compared.withBlock(f.event.Time); err != nil {
			return err
		}
	}
	if err := f.PutMerchant(m); err != nil {
		return err
	}
	if err := f.number(&p); err != nil {
		return err
	}
	if err := f.hold(&p); err != nil {
		return err
	}
	if p.Token != "" {
		if t, there, err := f.Token(m.ID, p.Token); err != nil {
			return err
		} else if !there || t.Forgotten {
			return misfit("account of %s is not stored", p.ID)
		}
	}
	return f.put(p)
}

// hold reserves what a capture or refund takes of its payment, and begins to take back what a void is of.
func (f *fold) hold(p *Payment) error {
	if p.Of == "" {
		return nil
	}
	original, err := f.known(p.Of)
	if err != nil {
		return err
	}
	if original.Of != "" {
		return misfit("%s is no payment of its own", original.ID)
	}
	batch, _, err := f.Batch(original.Batch)
	if err != nil {
		return err
	}
	var code envelope.Code
	to := original.Stage
	switch p.Operation {
	case envelope.OpCapture:
		code = original.MayCapture(p.Amount, f.event.Time)
		original.Capturing += p.Amount
	case envelope.OpRefund:
		code = original.MayRefund(p.Amount, batch)
		original.Refunded += p.Amount
	case envelope.OpVoid:
		code = original.MayVoid(batch)
		if original.Flow() != FlowEntry { // of which payment-voided follows
			original.Void, to = p.ID, StageVoiding
			p.Stage = StageWaiting
		}
	}
	if code != envelope.CodeOK || p.Amount != 0 && p.Currency != original.Currency {
		return misfit("payment %s does not allow this: %s", original.ID, code)
	}
	if err := f.move(&original, string(p.Operation)+"/"+EnvelopeReceived{}.Kind(), to); err != nil {
		return err
	}
	if to == StageVoiding && original.Batch != 0 {
		err := f.inBatch(original.Batch, BatchOpen, func(b Batch) Batch { b.fall(original); b.Outstanding++; return b })
		if err != nil {
			return err
		}
	}
	return f.put(original)
}

// release gives back what a capture or refund that came to nothing held of its payment.
func (f *fold) release(p Payment) error {
	if p.Operation != envelope.OpCapture && p.Operation != envelope.OpRefund {
		return nil
	}
	original, err := f.known(p.Of)
	if err != nil {
		return err
	}
	if p.Operation == envelope.OpCapture {
		original.Capturing -= p.Amount
		return f.put(original)
	}
	original.Refunded -= p.Amount
	if err := f.put(original); err != nil {
		return err
	}
	return f.count(func(u Usage) Usage { return u.unrefunded(p.Amount, p.Currency, p.Received, f.event.Time) })
}

// count changes the usage of the event's merchant.
func (f *fold) count(change func(Usage) Usage) error {
	m, ok, err := f.Merchant(f.event.Merchant)
	if err != nil {
		return err
	}
	if !ok {
		return misfit("no merchant %s", f.event.Merchant)
	}
	m.Usage = change(m.Usage)
	return f.PutMerchant(m)
}

// sold counts a sale or capture that is settled, or with sign -1 one that came back. What only stands may still be voided: whoever sells,
// refunds and then voids would refund without sales.
func (f *fold) sold(p Payment, sign int64) error {
	if p.Credit() {
		return nil
	}
	return f.count(func(u Usage) Usage { return u.sold(sign*p.Amount, p.Currency, f.event.Time) })
}

func (f *fold) refused(b PaymentRefused) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	switch {
	case p.Flow() == FlowEntry:
		if err := f.leaveFile(p); err != nil {
			return err
		}
	case p.Stage == StageCapturing && p.Tries > 1:
		return misfit("capture %s may have been sent", p.ID)
	case p.Stage == StageAuthorising, p.Stage == StageCapturing:
		if err := f.inCardBatch(p, "", func(batch Batch) Batch { batch.Outstanding--; return batch }); err != nil {
			return err
		}
		p.Batch = 0 // which it would have joined
	}
	if err := f.moveTo(&p, StageRejected); err != nil {
		return err
	}
	if err := f.release(p); err != nil {
		return err
	}
	p.Code = b.Code
	return f.issue(p, envelope.StatusRejected, b.Code)
}

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
	return f.PutVault(v)
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

// stands is a sale, authorisation or refund that the host approved, by its answer or by a person's word.
func (f *fold) stands(p Payment, status envelope.Status) error {
	to := StageApproved
	if p.Flow() == FlowAuthorise {
		to, p.Authorised = StageAuthorised, p.Trace.Sent // also where a person says so days later: the issuer holds the money since then
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
	if p.Capturing != p.Captured || f.event.Time.Before(p.Authorised.Add(AuthorisationLife)) {
		return misfit("authorisation %s has a capture under way, or time left", p.ID)
	}
	if err := f.moveTo(&p, StageExpired); err != nil {
		return err
	}
	return f.issue(p, envelope.StatusExpired, envelope.CodeOK)
}

// settled ends a sale, capture or refund, or puts a bank entry to where the bank may still return it.
func (f *fold) settled(b PaymentSettled) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	if p.Batch != b.Batch {
		return misfit("payment %s is of batch %d", b.ID, p.Batch)
	}
	var batch Batch
	if err := f.inBatch(b.Batch, BatchFixed, func(b Batch) Batch { b.Done++; batch = b; return b }); err != nil {
		return err
	}
	ready, err := f.ready(batch)
	if err != nil {
		return err
	}
	if !ready {
		return misfit("batch %d has not been answered for", b.Batch)
	}
	if err := f.moveTo(&p, StageSettled); err != nil {
		return err
	}
	if err := f.sold(p, 1); err != nil {
		return err
	}
	status := envelope.StatusSettled
	if p.Flow() == FlowEntry {
		p.Code = envelope.CodeOK
		switch p.Operation {
		case envelope.OpRefund:
			status = envelope.StatusRefunded
		case envelope.OpPayout:
			status = envelope.StatusPaidOut
		}
	}
	return f.issue(p, status, p.Code)
}
