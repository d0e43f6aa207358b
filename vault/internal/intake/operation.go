package intake

import (
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/account"
)

// check makes the checks that only one operation knows, from `not-permitted` on (INTERFACES 7), and fills in the verdict
// what the ledger keeps of the account. The parts belong to the caller, who clears them.
type check func(st state, v *verdict, o envelope.Order, parts opened) (envelope.Code, error)

// operation returns an operation's checks. It is the table of what this build can do: an operation that is not in it is
// answered operation-unavailable.
func (i *Intake) operation(op envelope.Operation) (check, bool) {
	switch op {
	case envelope.OpSale:
		return i.sale, true
	default:
		return nil, false
	}
}

// sale takes a card, and no token and no bank account yet.
func (i *Intake) sale(st state, v *verdict, o envelope.Order, parts opened) (envelope.Code, error) {
	if o.Token != "" {
		return envelope.CodeOperationUnavailable, nil
	}
	acct, err := account.Parse(parts.account)
	if err != nil {
		return envelope.CodeBadAccount, nil
	}
	defer acct.Clear()
	if parts.code != nil {
		code, err := account.ParseCode(parts.code)
		if err != nil {
			return envelope.CodeBadAccount, nil
		}
		code.Clear()
	}
	if acct.Card == nil {
		return envelope.CodeOperationUnavailable, nil
	}
	return i.card(st, v, acct)
}

// card checks a card and keeps its mask, also of one that failed by its check digit or date, for the storefront to tell the shopper; and,
// of a good one, its brand and fingerprint.
func (i *Intake) card(st state, v *verdict, acct *account.Account) (envelope.Code, error) {
	code := acct.Check(i.Now())
	switch code {
	case envelope.CodeOK, envelope.CodeLuhn, envelope.CodeExpiredCard:
		v.masked = acct.Masked()
	}
	if code != envelope.CodeOK {
		return code, nil
	}
	whole := acct.Whole()
	defer clear(whole)
	v.brand = acct.Card.Brand()
	var err error
	v.print, err = st.fingerprint(v.envelope.Merchant, whole)
	return code, err
}
