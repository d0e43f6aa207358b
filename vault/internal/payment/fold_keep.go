package payment

import "nightdrop/shared/envelope"

// keep applies an event about a stored account.
func (f *fold) keep(body Body) error {
	switch b := body.(type) {
	case AccountStored:
		return f.stored(b)
	case AccountUpdated:
		return f.changed(b.ID, envelope.OpUpdate, envelope.StatusUpdated, func(t *Token) {})
	case AccountForgotten:
		return f.changed(b.ID, envelope.OpForget, envelope.StatusForgotten, func(t *Token) { t.Forgotten = true })
	}
	return ErrUnknownKind
}

func (f *fold) stored(b AccountStored) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	_, there, err := f.Token(p.Merchant, b.Token)
	if err != nil {
		return err
	}
	if there || p.Operation != envelope.OpStore || !envelope.ValidToken(b.Token) {
		return misfit("account %s is stored, or has no token", p.ID)
	}
	now := f.event.Time
	err = f.PutToken(Token{Merchant: p.Merchant, Token: b.Token, Payment: p.ID, Method: p.Way(), Masked: p.Masked, Brand: p.Brand,
		Fingerprint: p.Fingerprint, Stored: now, Changed: now, Uncompared: b.Uncompared})
	if err != nil {
		return err
	}
	if err := f.moveTo(&p, StageDone); err != nil {
		return err
	}
	p.Token, p.Code = b.Token, envelope.CodeOK
	return f.issue(p, envelope.StatusStored, envelope.CodeOK)
}

// changed ends an update or forget of a stored account.
func (f *fold) changed(id string, op envelope.Operation, status envelope.Status, change func(*Token)) error {
	p, err := f.step(id)
	if err != nil {
		return err
	}
	t, there, err := f.Token(p.Merchant, p.Token)
	if err != nil {
		return err
	}
	if !there || t.Forgotten || p.Operation != op {
		return misfit("account of %s is not stored", p.ID)
	}
	change(&t)
	t.Changed = f.event.Time
	if err := f.PutToken(t); err != nil {
		return err
	}
	if err := f.moveTo(&p, StageDone); err != nil {
		return err
	}
	p.Code = envelope.CodeOK
	return f.issue(p, status, envelope.CodeOK)
}
