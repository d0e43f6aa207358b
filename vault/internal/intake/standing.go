package intake

import (
	"cmp"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// standing makes the checks that only the transaction can make, as earlier envelopes of the same
// group count: token, payment, state, account-gone, limit, and last those that compare accounts. It
// sets the event's particulars of the account. The fold uses the same functions: it accepts what is
// ok here.
func (c *committer) standing(v *verdict) (envelope.Code, error) {
	m, _, err := c.tx.Merchant(v.envelope.Merchant)
	if err != nil {
		return "", err
	}
	code := envelope.CodeOK
	if v.order.Token != "" {
		code, err = c.byToken(m, v)
	}
	if err == nil && code == envelope.CodeOK && v.order.Of != "" {
		code, err = c.ofPayment(m, v)
	}
	if err != nil || code != envelope.CodeOK {
		return code, err
	}
	if op := v.order.Operation; (op == envelope.OpStore || op == envelope.OpUpdate) && v.stored == nil {
		// the limit was reached when it was judged
		return v.exceeds(cmp.Or(m.Exceeds(op, 0, "", c.tx.Now()), v.noKey)), nil
	}
	if code, err := c.batchFor(m, v); err != nil || code != envelope.CodeOK {
		return code, err
	}
	if over := m.Exceeds(v.order.Operation, v.order.Amount, v.order.Currency, c.tx.Now()); over != "" {
		return v.exceeds(over), nil
	}
	return c.compared(m, v)
}

// batchFor checks that there is a batch for what needs one, or a number for a new one: else limit.
// A card's batch may have closed when its message is sent, so the engine checks again.
func (c *committer) batchFor(m book.Merchant, v *verdict) (envelope.Code, error) {
	switch v.order.Operation {
	case envelope.OpSale, envelope.OpCapture, envelope.OpRefund, envelope.OpPayout:
	default:
		return envelope.CodeOK, nil
	}
	joins, err := book.Joins(c.tx, m, v.joining())
	if err != nil || joins.Batch != 0 {
		return envelope.CodeOK, err
	}
	c.exhausted = true
	return v.exceeds(book.ExceededBatches), nil
}

// exceeds records the exceeded limit.
func (v *verdict) exceeds(limit book.Exceeded) envelope.Code {
	v.limit = limit
	return envelope.CodeLimit
}

// joining returns the payment as far as it decides which batch it joins.
func (v verdict) joining() book.Payment {
	return book.Payment{Operation: v.order.Operation, Currency: v.order.Currency, Amount: v.order.Amount,
		Method: v.account.method}
}

// byToken sets the particulars of the order's stored account, and makes the checks that an account
// part has passed by now.
func (c *committer) byToken(m book.Merchant, v *verdict) (envelope.Code, error) {
	t, there, err := c.tx.Token(m.ID, v.order.Token)
	if err != nil {
		return "", err
	}
	if !there || t.Forgotten {
		return envelope.CodeUnknownToken, nil
	}
	op, bank := v.order.Operation, t.Method == book.MethodBank
	if op == envelope.OpUpdate && v.account.print != "" {
		return envelope.CodeOK, nil // a whole account, which replaces the stored one
	}
	v.account = particulars{t.Method, t.Masked, t.Brand, t.Fingerprint}
	if !hasCurrency(op) {
		return envelope.CodeOK, nil // update and forget
	}
	switch {
	case bank && v.order.Currency != bankCurrency:
		return envelope.CodeCurrency, nil
	case bank && !c.permitsBank(m):
		return envelope.CodeNotPermitted, nil
	case bank && (op == envelope.OpAuthorize || v.envelope.Code != nil), !bank && op == envelope.OpPayout:
		return envelope.CodeBadAccount, nil
	case t.Notice != "":
		// a notice of change: the shop must update the account first
		return envelope.CodeBlockedAccount, nil
	}
	return envelope.CodeOK, nil
}

// ofPayment checks a capture, void or refund against its payment.
func (c *committer) ofPayment(m book.Merchant, v *verdict) (envelope.Code, error) {
	original, there, err := c.tx.Payment(m.ID, v.order.Of)
	if err != nil {
		return "", err
	}
	if !there || !ownPayment(original) {
		return envelope.CodeUnknownPayment, nil
	}
	batch, _, err := c.tx.Batch(original.Batch)
	if err != nil {
		return "", err
	}
	v.given = v.account
	v.account = particulars{original.Way(), original.Masked, original.Brand, original.Fingerprint}
	switch v.order.Operation {
	case envelope.OpCapture:
		v.order.Currency = original.Currency
		return original.MayCapture(v.order.Amount, c.tx.Now()), nil
	case envelope.OpVoid:
		return original.MayVoid(batch), nil
	}
	v.order.Currency = original.Currency
	return c.refund(m, v, original, batch)
}

// ownPayment reports whether other envelopes may refer to p: a sale, an authorisation or a payout.
func ownPayment(p book.Payment) bool {
	return p.Operation == envelope.OpSale || p.Operation == envelope.OpAuthorize || p.Operation == envelope.OpPayout
}

// refund goes to the account that paid, and to no other (compared): a thief of a storefront's key
// could pay out to another card.
func (c *committer) refund(m book.Merchant, v *verdict, original book.Payment, batch book.Batch) (envelope.Code, error) {
	given := v.envelope.Account != nil
	byReference := original.Way() == book.MethodCard && c.RefundsByReference
	switch {
	case given && byReference:
		return envelope.CodeBadOrder, nil
	case original.Way() == book.MethodBank && !c.permitsBank(m):
		return envelope.CodeNotPermitted, nil
	}
	if code := original.MayRefund(v.order.Amount, batch); code != envelope.CodeOK {
		return code, nil
	}
	if given || byReference {
		return envelope.CodeOK, nil
	}
	return c.accountOf(v, original)
}

// accountOf finds the account that paid: the token's, while it is stored, or a bank entry's, while
// its part is kept.
func (c *committer) accountOf(v *verdict, original book.Payment) (envelope.Code, error) {
	if original.Token != "" {
		t, there, err := c.tx.Token(original.Merchant, original.Token)
		if err != nil {
			return "", err
		}
		if there && t.Notice != "" {
			return envelope.CodeBlockedAccount, nil
		}
		if there && !t.Forgotten {
			v.order.Token = t.Token
			if t.Replaced { // perhaps by another account: compared last
				v.given = particulars{t.Method, t.Masked, t.Brand, t.Fingerprint}
			}
			return envelope.CodeOK, nil
		}
	}
	if original.Way() == book.MethodBank {
		_, kept, err := c.tx.Part(original.Merchant, original.ID, envelope.PartAccount)
		if err != nil || kept {
			return envelope.CodeOK, err
		}
	}
	return envelope.CodeAccountGone, nil
}
