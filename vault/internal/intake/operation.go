package intake

import (
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/account"
	"nightdrop/vault/internal/book"
)

// bankCurrency is the currency of bank accounts, which are of the United States.
const bankCurrency = "USD"

// operation makes the checks of an order from `currency` of a bank account to `routing`
// (specification 7), sets in the verdict what the ledger keeps of the account, and seals what is to
// be stored. The caller clears the parts.
func (i *Intake) operation(st state, m merchant, v *verdict, o envelope.Order, parts opened) (envelope.Code, error) {
	if o.Operation == envelope.OpUpdate {
		return i.update(st, m, v, o, parts)
	}
	var acct *account.Account
	readable := true
	if parts.account != nil {
		var err error
		acct, err = account.Parse(parts.account)
		defer acct.Clear()
		readable = err == nil && accepts(o.Operation, acct, parts.code != nil)
	}
	bank := acct != nil && acct.Bank != nil
	switch {
	case bank && hasCurrency(o.Operation) && o.Currency != bankCurrency:
		return envelope.CodeCurrency, nil
	case !i.permits(m.Merchant, o), bank && !i.permitsBank(m.Merchant):
		return envelope.CodeNotPermitted, nil
	case !readable, !codeReadable(parts.code):
		return envelope.CodeBadAccount, nil
	}
	if acct != nil {
		if code, err := i.particulars(st, v, acct); err != nil || code != envelope.CodeOK {
			return code, err
		}
	}
	if o.Token != v.order.Token {
		// it could be an account number, so it was never made
		return envelope.CodeUnknownToken, nil
	}
	if o.Operation == envelope.OpStore {
		return envelope.CodeOK, i.seal(m, v, newToken(), acct)
	}
	return envelope.CodeOK, nil
}

// permits reports whether a merchant may use an operation.
func (i *Intake) permits(m book.Merchant, o envelope.Order) bool {
	switch o.Operation {
	case envelope.OpPayout:
		return i.Bank && m.Policy.Permits(o.Operation, o.Currency)
	case envelope.OpStore, envelope.OpUpdate, envelope.OpForget:
		return i.Accounts != nil && m.Policy.Permits(o.Operation, o.Currency)
	}
	return m.Policy.Permits(o.Operation, o.Currency)
}

// needsNoAccount reports whether a refund's account part is refused: the acquirer refunds cards by
// reference, which needs no number. A bank account may be needed, where the merchant may use them:
// the payment decides.
func (i *Intake) needsNoAccount(m book.Merchant, plain []byte) bool {
	if plain == nil || !i.RefundsByReference {
		return false
	}
	if !i.permitsBank(m) {
		return true
	}
	acct, err := account.Parse(plain)
	defer acct.Clear()
	return err == nil && acct.Card != nil
}

// permitsBank reports whether a merchant may use bank accounts: settlement files are written and
// can name it.
func (i *Intake) permitsBank(m book.Merchant) bool { return i.Bank && m.Policy.Company.ID != "" }

// accepts reports whether an operation accepts an account of this kind: authorize a card, payout a
// bank account, and a code needs a card.
func accepts(op envelope.Operation, acct *account.Account, code bool) bool {
	if acct.Bank != nil {
		return op != envelope.OpAuthorize && !code
	}
	return op != envelope.OpPayout
}

func codeReadable(plain []byte) bool {
	if plain == nil {
		return true
	}
	code, err := account.ParseCode(plain)
	code.Clear()
	return err == nil
}

// particulars checks an account and keeps its mask, also of a card whose check digit or date is
// wrong, for the storefront to show the shopper; and, of a valid account, its brand and
// fingerprint.
func (i *Intake) particulars(st state, v *verdict, acct *account.Account) (envelope.Code, error) {
	code := acct.Check(i.Now())
	if v.order.Operation == envelope.OpRefund {
		code = acct.CheckRefund(i.Now())
	}
	switch code {
	case envelope.CodeOK, envelope.CodeLuhn, envelope.CodeExpiredCard:
		v.account.masked = acct.Masked()
	}
	if code != envelope.CodeOK {
		return code, nil
	}
	v.account.method = book.MethodBank
	if acct.Card != nil {
		v.account.method, v.account.brand = book.MethodCard, string(acct.Card.Brand())
	}
	whole := acct.Whole()
	defer clear(whole)
	var err error
	v.account.print, err = st.fingerprint(v.envelope.Merchant, whole)
	return code, err
}
