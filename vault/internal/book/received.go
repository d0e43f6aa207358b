package book

import (
	"slices"

	"nightdrop/shared/envelope"
)

// EnvelopeReceived accepts a storefront's instruction: (merchant, id) is this digest from now on.
type EnvelopeReceived struct {
	ID         string             `json:"id"`
	Digest     string             `json:"digest"`
	Until      envelope.Time      `json:"until"`
	Operation  envelope.Operation `json:"operation"`
	Amount     int64              `json:"amount"`
	Currency   string             `json:"currency"` // of a capture or refund: the payment's
	Reference  string             `json:"reference"`
	Descriptor string             `json:"descriptor,omitempty"`
	Masked     string             `json:"masked"`
	Brand      string             `json:"brand,omitempty"`
	// keyed, hex: useless without the merchant's key
	Fingerprint string `json:"fingerprint,omitempty"`
	WithCode    bool   `json:"withCode,omitempty"`
	Method      Method `json:"method,omitempty"`
	Of          string `json:"of,omitempty"`
	Token       string `json:"token,omitempty"`
	// a bank account was compared with the block list
	Compared bool `json:"compared,omitempty"`
}

// Kind implements Body.
func (EnvelopeReceived) Kind() string { return "envelope-received" }

// EnvelopeRejected answers an envelope that was not accepted. Remembered reports whether (merchant,
// id) is this digest for ever: not of a stranger's signature, nor of a second digest of an id.
type EnvelopeRejected struct {
	ID         string             `json:"id"`
	Digest     string             `json:"digest"`
	Code       envelope.Code      `json:"code"`
	Remembered bool               `json:"remembered"`
	Operation  envelope.Operation `json:"operation,omitempty"`
	Amount     int64              `json:"amount,omitempty"`
	Currency   string             `json:"currency,omitempty"`
	Reference  string             `json:"reference,omitempty"`
	Masked     string             `json:"masked,omitempty"`
	Of         string             `json:"of,omitempty"`
	Token      string             `json:"token,omitempty"`
	// a refund's account, or the one that replaced its payment's, is not the one that paid
	Mismatch bool `json:"mismatch,omitempty"`
	Compared bool `json:"compared,omitempty"` // as in EnvelopeReceived
	// of the code limit: which; absent in logs of before 2026-12
	Limit Exceeded `json:"limit,omitempty"`
}

// Kind implements Body.
func (EnvelopeRejected) Kind() string { return "envelope-rejected" }

// PaymentRefused ends a payment before anything was sent: it was late, its key was destroyed, or
// its request, whose trace numbers were committed, certainly never left.
type PaymentRefused struct {
	ID    string        `json:"id"`
	Code  envelope.Code `json:"code"`
	Limit Exceeded      `json:"limit,omitempty"` // as in EnvelopeRejected
}

// Kind implements Body.
func (PaymentRefused) Kind() string { return "payment-refused" }

// Replies are the results of a payment.
type Replies struct {
	Results    []uint64   `json:"results,omitempty"` // serials, oldest first
	Conflicts  []Conflict `json:"conflicts,omitempty"`
	Mismatches int        `json:"mismatches,omitempty"` // refunds of it that named another account
}

// Conflict is another digest of a payment's id, and the result that refused it.
type Conflict struct {
	Digest string `json:"digest"`
	Serial uint64 `json:"serial"`
}

// MaxConflicts bounds the id-conflict results of one id: enough for a sender with a bug to learn of
// it, too few for a relay that repeats old envelopes to flood a merchant's chain. The last, the
// ninth (specification 7), goes with a finding; later ones are only counted in their bag. Logs of
// before 2026-12 have eight at most.
const MaxConflicts = 9

// Refused returns the serial of the result that refused digest under the id before.
func (r Replies) Refused(digest string) (serial uint64, ok bool) {
	for _, c := range r.Conflicts {
		if c.Digest == digest {
			return c.Serial, true
		}
	}
	return 0, false
}

// MayRefuse reports whether digest may get an id-conflict result: it is not p's, was not refused
// before, and there is room to remember it.
func (p Payment) MayRefuse(digest string) bool {
	_, refused := p.Refused(digest)
	return digest != p.Digest && !refused && len(p.Conflicts) < MaxConflicts
}

// received accepts an instruction, and holds what it needs of the payment that it is about.
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
		return misfit("%s is not an operation", p.Operation)
	}
	if m.Policy.Permits(p.Operation, p.Currency) && m.Exceeds(p.Operation, p.Amount, p.Currency, f.event.Time) == "" {
		m.Usage = m.Usage.used(p.Operation, p.Amount, p.Currency, f.event.Time)
	} else {
		return misfit("merchant %s may not do this, or not so much", m.ID)
	}
	if b.Compared {
		if m.Compared, err = m.Compared.withBlock(f.event.Time); err != nil {
			return err
		}
	}
	if err := Merchants.Put(f.State, m); err != nil {
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

// number makes p the vault's next payment.
func (f *fold) number(p *Payment) error {
	if _, known, err := f.Payment(p.Merchant, p.ID); err != nil {
		return err
	} else if known {
		return misfit("payment %s exists", p.Name())
	}
	v, err := f.Vault()
	if err != nil {
		return err
	}
	v.Payments++
	p.Number, p.Received = v.Payments, f.event.Time
	return TheVault.Put(f.State, v)
}

func (f *fold) rejected(b EnvelopeRejected) error {
	p := Payment{Merchant: f.event.Merchant, ID: b.ID, Digest: b.Digest, Stage: StageRejected, Operation: b.Operation,
		Amount: b.Amount, Currency: b.Currency, Reference: b.Reference, Masked: b.Masked, Code: b.Code, Limit: b.Limit, Of: b.Of, Token: b.Token}
	transient := b.Code == envelope.CodeUnknownSigner || b.Code == envelope.CodeIDConflict
	if b.Remembered == transient {
		return misfit("%s is remembered or not against its code %s", b.ID, b.Code)
	}
	switch b.Code {
	case envelope.CodeUnknownSigner:
		if err := f.countRefusal(p.Merchant); err != nil {
			return err
		}
		_, err := f.answer(p, envelope.StatusRejected, b.Code)
		return err
	case envelope.CodeIDConflict:
		return f.conflict(p)
	}
	if err := f.compared(b); err != nil {
		return err
	}
	if err := f.number(&p); err != nil {
		return err
	}
	return f.issue(p, envelope.StatusRejected, b.Code)
}

// conflict answers another digest of a known id, once each.
func (f *fold) conflict(refused Payment) error {
	p, known, err := f.Payment(refused.Merchant, refused.ID)
	if err != nil {
		return err
	}
	if !known || !p.MayRefuse(refused.Digest) {
		return misfit("payment %s has no conflict to be answered", refused.Name())
	}
	serial, err := f.answer(refused, envelope.StatusRejected, envelope.CodeIDConflict)
	if err != nil {
		return err
	}
	p.Conflicts = append(slices.Clip(p.Conflicts), Conflict{Digest: refused.Digest, Serial: serial})
	return f.put(p)
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
	p.Code, p.Limit = b.Code, b.Limit
	return f.issue(p, envelope.StatusRejected, b.Code)
}
