package settle

import (
	"errors"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/account"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
)

// source is where a payment's account comes from: a stored account, or a part that is sealed to the
// vault. The zero source is none.
type source struct {
	merchant string
	id       string // of the payment whose part it is
	part     envelope.Part
	token    string
	stored   ledger.Stored
}

func (s source) none() bool { return s.id == "" && s.token == "" }

// sourceOf returns the account of a payment: its own part, its token, or those of the payment that
// it refunds; the zero source where none is left.
func sourceOf(tx *ledger.Tx, p book.Payment) (source, error) {
	own, err := sourceAt(tx, p)
	if err != nil || !own.none() || p.Operation != envelope.OpRefund {
		return own, err
	}
	original, found, err := tx.Payment(p.Merchant, p.Of)
	if err != nil || !found {
		return source{}, orMissing(err, "payment "+p.Merchant+"/"+p.Of)
	}
	return sourceAt(tx, original)
}

func sourceAt(tx *ledger.Tx, p book.Payment) (source, error) {
	part, found, err := tx.Part(p.Merchant, p.ID, envelope.PartAccount)
	if err != nil {
		return source{}, err
	}
	if found {
		return source{merchant: p.Merchant, id: p.ID, part: part}, nil
	}
	if p.Token == "" {
		return source{}, nil
	}
	stored, found, err := tx.Stored(p.Merchant, p.Token)
	if err != nil || !found {
		return source{}, err
	}
	return source{merchant: p.Merchant, token: p.Token, stored: stored}, nil
}

// openSource opens and parses an account, which the caller clears. A code other than ok is why
// there is none; an error means that the key ring is locked.
func (e *Engine) openSource(s source) (*account.Account, envelope.Code, error) {
	if s.none() {
		return nil, envelope.CodeAccountGone, nil
	}
	plain, code, err := e.openPlain(s)
	if err != nil || code != envelope.CodeOK {
		return nil, code, err
	}
	defer clear(plain)
	opened, err := account.Parse(plain)
	if err != nil {
		return nil, envelope.CodeBadAccount, nil
	}
	return opened, envelope.CodeOK, nil
}

func (e *Engine) openPlain(s source) ([]byte, envelope.Code, error) {
	if s.token == "" {
		return e.openPart(s.merchant, s.id, envelope.PartAccount, s.part)
	}
	plain, err := e.cfg.Accounts.OpenStored(s.merchant, s.token, s.stored.Slot, s.stored.Sealed)
	switch {
	case errors.Is(err, keyring.ErrForgotten):
		return nil, envelope.CodeAccountGone, nil
	case errors.Is(err, keyring.ErrCannotOpen):
		e.cfg.Logger.Error("a stored account does not open, though its key is there", "merchant", s.merchant, "token", s.token)
		return nil, envelope.CodeAccountGone, nil
	}
	return plain, envelope.CodeOK, err
}

func (e *Engine) openPart(merchant, id string, name envelope.PartName, part envelope.Part) ([]byte, envelope.Code, error) {
	plain, err := e.cfg.Opener.OpenPart(name, merchant, id, part)
	switch {
	case errors.Is(err, keyring.ErrKeyDead):
		return nil, envelope.CodeKeyDead, nil
	case errors.Is(err, keyring.ErrCannotOpen):
		return nil, envelope.CodeCannotOpen, nil
	}
	return plain, envelope.CodeOK, err // any other error says nothing about the part
}

// openCard opens and checks the card of a request, and the code where it has one. A refusal other
// than ok ends the payment; an error is the ledger's or the key ring's. A refund by reference has
// no card unless its envelope brought one.
func (e *Engine) openCard(p book.Payment) (card *account.Account, code *account.Code, refusal envelope.Code, err error) {
	for range maxChanges {
		var from source
		var sealed envelope.Part
		if from, sealed, err = e.sources(p); err != nil {
			return nil, nil, "", err
		}
		if p.Operation == envelope.OpRefund && from.id != p.ID && e.cfg.Acquirer.RefundsByReference() {
			return nil, nil, envelope.CodeOK, nil
		}
		card, refusal, err = e.openSource(from)
		if err != nil {
			return nil, nil, "", err
		}
		if refusal == envelope.CodeAccountGone && from.token != "" && e.changed(from) {
			continue // an update sealed it anew while it was being read
		}
		if refusal == envelope.CodeOK {
			code, refusal, err = e.check(p, card, sealed)
		}
		if err != nil || refusal != envelope.CodeOK {
			card.Clear()
			return nil, nil, refusal, err
		}
		return card, code, refusal, nil
	}
	return nil, nil, envelope.CodeAccountGone, nil
}

// maxChanges bounds how often a stored account is read again because it changed meanwhile.
const maxChanges = 3

// sources reads where a request's account and sealed code are; a code that is gone is the zero
// part.
func (e *Engine) sources(p book.Payment) (from source, code envelope.Part, err error) {
	err = e.cfg.Ledger.View(func(tx *ledger.Tx) error {
		if from, err = sourceOf(tx, p); err != nil || !p.WithCode {
			return err
		}
		code, _, err = tx.Part(p.Merchant, p.ID, envelope.PartCode)
		return err
	})
	return from, code, err
}

// changed reports whether a stored account stands elsewhere than it was read.
func (e *Engine) changed(s source) (changed bool) {
	err := e.cfg.Ledger.View(func(tx *ledger.Tx) error {
		stored, found, err := tx.Stored(s.merchant, s.token)
		changed = found && stored.Slot != s.stored.Slot
		return err
	})
	return err == nil && changed
}

// check checks that a card has not expired since intake, and opens its code. Nothing else is
// checked again: what intake took is sent.
func (e *Engine) check(p book.Payment, card *account.Account, sealed envelope.Part) (*account.Code, envelope.Code, error) {
	if card.Card == nil {
		return nil, envelope.CodeBadAccount, nil
	}
	if refusal := card.Card.CheckExpiry(e.cfg.Now()); refusal != envelope.CodeOK && p.Operation != envelope.OpRefund {
		return nil, refusal, nil // a refund is made to a card that has expired too
	}
	switch {
	case !p.WithCode:
		return nil, envelope.CodeOK, nil
	case sealed.Key == "":
		return nil, envelope.CodeAccountGone, nil
	}
	return e.openCode(p, sealed)
}

func (e *Engine) openCode(p book.Payment, sealed envelope.Part) (*account.Code, envelope.Code, error) {
	plain, refusal, err := e.openPart(p.Merchant, p.ID, envelope.PartCode, sealed)
	if err != nil || refusal != envelope.CodeOK {
		return nil, refusal, err
	}
	defer clear(plain)
	code, err := account.ParseCode(plain)
	if err != nil {
		return nil, envelope.CodeBadAccount, nil
	}
	return code, envelope.CodeOK, nil
}
