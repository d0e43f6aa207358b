package intake

import (
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// receive accepts an instruction. A card's waits for the engine; a bank account's joins its batch;
// a stored account's is done.
func (c *committer) receive(v verdict) error {
	e, o, a := v.envelope, v.order, v.account
	if err := c.append(v, book.EnvelopeReceived{ID: e.ID, Digest: v.digest, Until: e.Until, Operation: o.Operation,
		Amount: o.Amount, Currency: o.Currency, Reference: o.Reference, Descriptor: o.Descriptor, Masked: a.masked, Brand: a.brand,
		Fingerprint: a.print, WithCode: e.Code != nil, Method: a.method, Of: o.Of, Token: o.Token,
		Compared: v.compared}); err != nil {
		return err
	}
	switch o.Operation {
	case envelope.OpStore:
		if err := c.append(v, book.AccountStored{ID: e.ID, Token: v.stored.token,
			Uncompared: a.method == book.MethodBank && !v.compared}); err != nil {
			return err
		}
		return c.putStored(e.Merchant, v.stored)
	case envelope.OpUpdate:
		if err := c.append(v, book.AccountUpdated{ID: e.ID, Whole: a.method == book.MethodBank,
			Uncompared: a.method == book.MethodBank && !v.compared}); err != nil {
			return err
		}
		return c.putStored(e.Merchant, v.stored)
	case envelope.OpForget:
		if err := c.append(v, book.AccountForgotten{ID: e.ID}); err != nil {
			return err
		}
		return c.deleteStored(e.Merchant, o.Token)
	case envelope.OpVoid:
		return c.void(v)
	}
	if err := c.keepParts(e); err != nil {
		return err
	}
	if a.method == book.MethodBank {
		return c.accept(v)
	}
	return nil
}

// keepParts keeps the sealed account and code parts for what moves the money. The event holds the
// order.
func (c *committer) keepParts(e envelope.Envelope) error {
	for name, part := range e.Parts {
		if name == envelope.PartOrder {
			continue
		}
		if err := c.tx.PutPart(e.Merchant, e.ID, name, part); err != nil {
			return err
		}
	}
	return nil
}

// accept puts a bank entry into its merchant's open batch, or begins one. A batch that would become
// too large for a settlement file is closed first.
func (c *committer) accept(v verdict) error {
	m, _, err := c.tx.Merchant(v.envelope.Merchant)
	if err != nil {
		return err
	}
	joins, err := book.Joins(c.tx, m, v.joining())
	if err != nil {
		return err
	}
	for _, body := range joins.Before() {
		if err := c.append(v, body); err != nil {
			return err
		}
	}
	return c.append(v, book.EntryAccepted{ID: v.envelope.ID, Batch: joins.Batch, Standard: standard(v.order.Operation, m.Policy.Payees)})
}

// standard returns an entry's NACHA class: a consumer's debit on line, a credit to a business, or
// one to a consumer.
func standard(op envelope.Operation, payees book.Payees) string {
	switch {
	case op == envelope.OpSale:
		return "WEB"
	case op == envelope.OpPayout && payees != book.PayeesConsumer:
		return "CCD"
	}
	return "PPD"
}

// void voids a bank entry at once, as it still waits for its file, and deletes its account part.
// The engine voids card payments.
func (c *committer) void(v verdict) error {
	if v.account.method != book.MethodBank {
		return nil
	}
	if err := c.append(v, book.PaymentVoided{ID: v.envelope.ID}); err != nil {
		return err
	}
	return c.tx.DeletePart(v.envelope.Merchant, v.order.Of, envelope.PartAccount)
}
