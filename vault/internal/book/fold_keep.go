package book

import "nightdrop/shared/envelope"

func (f *fold) accountUpdated(b AccountUpdated) error {
	return f.changed(b.ID, envelope.OpUpdate, envelope.StatusUpdated, func(p Payment, t *Token) bool { return !b.Whole || t.replace(p, b.Uncompared) })
}

func (f *fold) accountForgotten(b AccountForgotten) error {
	return f.changed(b.ID, envelope.OpForget, envelope.StatusForgotten, func(_ Payment, t *Token) bool { t.Forgotten = true; return true })
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
	err = Tokens.Put(f.State, Token{Merchant: p.Merchant, Token: b.Token, Payment: p.ID, Method: p.Way(), Masked: p.Masked, Brand: p.Brand,
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
func (f *fold) changed(id string, op envelope.Operation, status envelope.Status, change func(Payment, *Token) bool) error {
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
	if !change(p, &t) {
		return misfit("%s brings no account for the stored one", p.ID)
	}
	t.Changed = f.event.Time
	if err := Tokens.Put(f.State, t); err != nil {
		return err
	}
	if err := f.moveTo(&p, StageDone); err != nil {
		return err
	}
	p.Code = envelope.CodeOK
	return f.issue(p, status, envelope.CodeOK)
}

// replace puts the account of an update in the place of a stored one, and reports whether both are of a bank. What was noted of the old is over.
func (t *Token) replace(update Payment, uncompared bool) bool {
	if t.Method != MethodBank || update.Way() != MethodBank || update.Fingerprint == "" {
		return false
	}
	t.Masked, t.Fingerprint, t.Notice, t.Uncompared, t.Replaced = update.Masked, update.Fingerprint, "", uncompared, true
	return true
}
