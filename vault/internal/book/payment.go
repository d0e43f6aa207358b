package book

import (
	"slices"

	"nightdrop/shared/envelope"
)

// Payments are kept by merchant and id; the ledger has them in the order of arrival.
var Payments = &Table[Key, Payment]{Name: "payments", Line: "payment",
	Key: func(p Payment) Key { return Key{p.Merchant, p.ID} }, Bytes: Key.Bytes, Owner: Key.owner}

// Payment returns a payment.
func (s *State) Payment(merchant, id string) (Payment, bool, error) {
	return Payments.Get(s, Key{merchant, id})
}

// Payment is one instruction and what became of it. (Merchant, ID) is Digest for ever. The members
// of one flow are a struct beside the events that change it; in JSON all are the payment's.
type Payment struct {
	Merchant    string             `json:"merchant"`
	ID          string             `json:"id"`
	Number      uint64             `json:"number"` // in the vault, from 1, in the order of arrival
	Digest      string             `json:"digest"`
	Stage       Stage              `json:"stage"`
	Received    envelope.Time      `json:"received"`
	Changed     envelope.Time      `json:"changed"`
	Until       envelope.Time      `json:"until,omitzero"`
	Operation   envelope.Operation `json:"operation,omitempty"`
	Amount      int64              `json:"amount,omitempty"`
	Currency    string             `json:"currency,omitempty"`
	Reference   string             `json:"reference,omitempty"`
	Descriptor  string             `json:"descriptor,omitempty"`
	Masked      string             `json:"masked,omitempty"`
	Brand       string             `json:"brand,omitempty"`
	Fingerprint string             `json:"fingerprint,omitempty"`
	WithCode    bool               `json:"withCode,omitempty"`
	Method      Method             `json:"method,omitempty"`
	// id of the payment that a capture, refund or void is about
	Of    string `json:"of,omitempty"`
	Token string `json:"token,omitempty"` // of the stored account that it uses, made or changed
	Held
	BankEntry
	Code     envelope.Code `json:"code,omitempty"`
	Limit    Exceeded      `json:"limit,omitempty"` // of the code limit: which, if its log says so
	Approval string        `json:"approval,omitempty"`
	Batch    uint32        `json:"batch,omitempty"`
	Messages
	Replies
	Decided
}

// Name is MERCHANT/ID, by which commands and messages name the payment.
func (p Payment) Name() string { return Payments.Key(p).String() }

// Held is what the operations on a sale or authorisation hold of it; only they change it.
type Held struct {
	Authorised envelope.Time `json:"authorised,omitzero"` // of an authorisation: when it was
	// of an authorisation: captured, or about to be
	Capturing int64  `json:"capturing,omitempty"`
	Captured  int64  `json:"captured,omitempty"` // of an authorisation: captures that the host took
	Refunded  int64  `json:"refunded,omitempty"` // or about to be
	Void      string `json:"void,omitempty"`     // id of the void that takes it back
}

// MayExpire reports whether an authorisation's time is over and no capture of it is under way.
func (h Held) MayExpire(now envelope.Time) bool {
	return h.Capturing == h.Captured && !now.Before(h.Authorised.Add(AuthorisationLife))
}

// Method is how money moves.
type Method string

// The methods.
const (
	MethodCard Method = "card" // authorised by an acquirer host, settled by reconciliation with it
	MethodBank Method = "bank" // an entry of a NACHA file
)

// Methods are how money moves.
var Methods = [...]Method{MethodCard, MethodBank}

// Way is how the payment's money moves; older logs have cards only.
func (p Payment) Way() Method {
	if p.Method == MethodBank {
		return MethodBank
	}
	return MethodCard
}

// AuthorisationLife is how long an authorisation may be captured (specification 3).
const AuthorisationLife = envelope.AuthorisationLife

// MayCapture reports whether a capture of p may be taken: ok, wrong-state or over-authorised.
func (p Payment) MayCapture(amount int64, now envelope.Time) envelope.Code {
	switch {
	case p.Stage != StageAuthorised, !now.Before(p.Authorised.Add(AuthorisationLife)):
		return envelope.CodeWrongState
	case p.Capturing+amount > p.Amount:
		return envelope.CodeOverAuthorised
	}
	return envelope.CodeOK
}

// MayRefund reports whether a refund of p may be taken: ok, wrong-state or over-captured. batch is
// p's own, the zero Batch of an authorisation: a sale whose batch is open is voided, not refunded.
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

// MayVoid reports whether p may be voided: ok or wrong-state. batch is as in [Payment.MayRefund].
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

// PaymentSettled ends an approved sale.
type PaymentSettled struct {
	ID    string `json:"id"`
	Batch uint32 `json:"batch"`
}

// Kind implements Body.
func (PaymentSettled) Kind() string { return "payment-settled" }

// step reads the event's payment and checks that the machine allows the event now.
func (f *fold) step(id string) (Payment, error) {
	p, err := f.known(id)
	if err == nil && allowed(p.Flow(), p.Stage, f.event.Body.Kind()) == nil {
		err = misfit("payment %s is %s", p.Name(), p.Stage)
	}
	return p, err
}

func (f *fold) known(id string) (Payment, error) {
	p, ok, err := Payments.Get(f.State, Key{f.event.Merchant, id})
	if err == nil && !ok {
		err = misfit("no payment %s", Key{f.event.Merchant, id})
	}
	return p, err
}

// move takes p to a stage, as the machine allows under the label of an event.
func (f *fold) move(p *Payment, label string, to Stage) error {
	if !slices.Contains(allowed(p.Flow(), p.Stage, label), to) {
		return misfit("payment %s cannot go from %s to %s", p.Name(), p.Stage, to)
	}
	p.Stage = to
	return nil
}

// moveTo is move under the event's own kind.
func (f *fold) moveTo(p *Payment, to Stage) error { return f.move(p, f.event.Body.Kind(), to) }

func (f *fold) put(p Payment) error {
	p.Changed = f.event.Time
	return Payments.Put(f.State, p)
}

// settled ends a sale, capture or refund, or a bank entry, which the bank may still return.
func (f *fold) settled(b PaymentSettled) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	if p.Batch != b.Batch {
		return misfit("payment %s is of batch %d", p.Name(), p.Batch)
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

// hold reserves what a capture or refund takes of its payment, or begins to take back a void's.
func (f *fold) hold(p *Payment) error {
	if p.Of == "" {
		return nil
	}
	original, err := f.known(p.Of)
	if err != nil {
		return err
	}
	if original.Of != "" {
		return misfit("%s is not a payment of its own", original.ID)
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
		return misfit("payment %s does not allow this: %s", original.Name(), code)
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

// release gives back what a failed capture or refund held of its payment.
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
	return Merchants.Put(f.State, m)
}

// sold counts a settled sale or capture, or with sign -1 a returned one. What is not settled may
// still be voided: selling, refunding and then voiding would refund without sales.
func (f *fold) sold(p Payment, sign int64) error {
	if p.Credit() {
		return nil
	}
	return f.count(func(u Usage) Usage { return u.sold(sign*p.Amount, p.Currency, f.event.Time) })
}
