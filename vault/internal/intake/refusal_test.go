package intake

import (
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/vaulttest"
)

// ordered is an envelope of an order with these members and a reference, with an account and no
// code.
func ordered(op envelope.Operation, members, account string) func(*vaulttest.Draft) {
	return func(d *vaulttest.Draft) {
		d.Order, d.Account, d.Code = `{"operation":"`+string(op)+`","reference":"order 17"`+members+`}`, account, ""
	}
}

func withCode(change func(*vaulttest.Draft)) func(*vaulttest.Draft) {
	return func(d *vaulttest.Draft) {
		change(d)
		d.Code = `{"code":"123"}`
	}
}

const (
	dollars    = `,"amount":1999,"currency":"USD"`
	euros      = `,"amount":1999,"currency":"EUR"`
	amount     = `,"amount":1999`
	byToken    = `,"token":"` + token + `"`
	of         = `,"of":"` + earlier + `"`
	goodCard   = `{"card":{"number":"4242424242424242","expiry":"2031-12"}}`
	badDigit   = `{"card":{"number":"4242424242424241","expiry":"2031-12"}}`
	oldCard    = `{"card":{"number":"4242424242424242","expiry":"2026-10"}}`
	noSuchABA  = `{"bank":{"routing":"011000016","account":"12345678","type":"checking","name":"A. Payee"}}`
	noDistrict = `{"bank":{"routing":"990000000","account":"12345678","type":"checking","name":"A. Payee"}}`
	shortBank  = `{"bank":{"routing":"011000015","account":"123","type":"checking","name":"A. Payee"}}`
	nameless   = `{"bank":{"routing":"011000015","account":"12345678","type":"checking"}}`
)

// unpriced are the facts of a rejection of an order without amount and currency.
func unpriced(code envelope.Code) envelope.Facts {
	return envelope.Facts{Code: code, Reference: "order 17"}
}

// noCurrency are those of an order in the payment's currency.
func noCurrency(code envelope.Code) envelope.Facts { return withAmount(unpriced(code), 1999) }

func bankRefusals() []refusal {
	return []refusal{
		{"bank account in euros", ordered(envelope.OpSale, euros, payee), withCurrency(fresh(envelope.CodeCurrency), "EUR")},
		{"bank account with a code", withCode(ordered(envelope.OpSale, dollars, payee)), fresh(envelope.CodeBadAccount)},
		{"bank account without a name", ordered(envelope.OpSale, dollars, nameless), fresh(envelope.CodeBadAccount)},
		{"bank account of three digits", ordered(envelope.OpSale, dollars, shortBank), fresh(envelope.CodeBadAccount)},
		{"routing number with a wrong check digit", ordered(envelope.OpSale, dollars, noSuchABA), fresh(envelope.CodeRouting)},
		{"routing number of a district that is none", ordered(envelope.OpSale, dollars, noDistrict), fresh(envelope.CodeRouting)},
		{"authorize of a bank account", ordered(envelope.OpAuthorize, dollars, payee), fresh(envelope.CodeBadAccount)},
		{"authorize of a bank account in euros", ordered(envelope.OpAuthorize, euros, payee), withCurrency(fresh(envelope.CodeCurrency), "EUR")},
	}
}

func cardOperationRefusals() []refusal {
	return []refusal{
		{"sale by an unknown token", ordered(envelope.OpSale, dollars+byToken, ""), withToken(fresh(envelope.CodeUnknownToken))},
		{"sale by a token with a code of two digits", func(d *vaulttest.Draft) {
			ordered(envelope.OpSale, dollars+byToken, "")(d)
			d.Code = `{"code":"12"}`
		}, withToken(fresh(envelope.CodeBadAccount))},
		{"sale by a token that could be a card number", ordered(envelope.OpSale, dollars+`,"token":"tok_4242424242424242aaaaaaaaaa"`, ""), fresh(envelope.CodeUnknownToken)},
		{"authorize by an unknown token", ordered(envelope.OpAuthorize, dollars+byToken, ""), withToken(fresh(envelope.CodeUnknownToken))},
		{"authorize with an expired card", ordered(envelope.OpAuthorize, dollars, oldCard), withMask(fresh(envelope.CodeExpiredCard), "424242******4242")},
		{"authorize of nothing", ordered(envelope.OpAuthorize, `,"amount":0,"currency":"USD"`, goodCard), withAmount(fresh(envelope.CodeAmount), 0)},
		{"capture of an unknown payment", ordered(envelope.OpCapture, of+amount, ""), ofEarlier(noCurrency(envelope.CodeUnknownPayment))},
		{"capture of nothing", ordered(envelope.OpCapture, of+`,"amount":0`, ""), ofEarlier(unpriced(envelope.CodeAmount))},
		{"capture without a payment", ordered(envelope.OpCapture, amount, ""), noCurrency(envelope.CodeBadOrder)},
		{"capture with an account", ordered(envelope.OpCapture, of+amount, goodCard), ofEarlier(noCurrency(envelope.CodeBadOrder))},
		{"capture in a currency", ordered(envelope.OpCapture, of+dollars, ""), ofEarlier(fresh(envelope.CodeBadOrder))},
		{"void of an unknown payment", ordered(envelope.OpVoid, of, ""), ofEarlier(unpriced(envelope.CodeUnknownPayment))},
		{"void of an amount", ordered(envelope.OpVoid, of+amount, ""), ofEarlier(noCurrency(envelope.CodeBadOrder))},
		{"refund of an unknown payment", ordered(envelope.OpRefund, of+amount, ""), ofEarlier(noCurrency(envelope.CodeUnknownPayment))},
		{"refund of too much for any", ordered(envelope.OpRefund, of+`,"amount":100000000`, ""), ofEarlier(withAmount(unpriced(envelope.CodeAmount), 100_000_000))},
		{"refund with a code", withCode(ordered(envelope.OpRefund, of+amount, goodCard)), ofEarlier(noCurrency(envelope.CodeBadOrder))},
		{"refund to a card with a wrong check digit", ordered(envelope.OpRefund, of+amount, badDigit), ofEarlier(withMask(noCurrency(envelope.CodeLuhn), "424242******4241"))},
		{"refund to an expired card", ordered(envelope.OpRefund, of+amount, oldCard), ofEarlier(withMask(noCurrency(envelope.CodeExpiredCard), "424242******4242"))},
		{"refund to no account", ordered(envelope.OpRefund, of+amount, `{}`), ofEarlier(noCurrency(envelope.CodeBadAccount))},
		{"refund to a bank that is none", ordered(envelope.OpRefund, of+amount, noSuchABA), ofEarlier(noCurrency(envelope.CodeRouting))},
	}
}

func payoutRefusals() []refusal {
	return []refusal{
		{"payout to a card", ordered(envelope.OpPayout, dollars, goodCard), fresh(envelope.CodeBadAccount)},
		{"payout in euros", ordered(envelope.OpPayout, euros, payee), withCurrency(fresh(envelope.CodeCurrency), "EUR")},
		{"payout to a bank that is none", ordered(envelope.OpPayout, dollars, noSuchABA), fresh(envelope.CodeRouting)},
		{"payout with a code", withCode(ordered(envelope.OpPayout, dollars, payee)), fresh(envelope.CodeBadOrder)},
		{"payout of a payment", ordered(envelope.OpPayout, dollars+of, payee), ofEarlier(fresh(envelope.CodeBadOrder))},
		{"payout to an unknown token", ordered(envelope.OpPayout, dollars+byToken, ""), withToken(fresh(envelope.CodeUnknownToken))},
	}
}

func storageRefusals() []refusal {
	const soon = `{"card":{"expiry":"2031-01"}}`
	return []refusal{
		{"store of nothing", ordered(envelope.OpStore, "", ""), unpriced(envelope.CodeBadOrder)},
		{"store with a code", withCode(ordered(envelope.OpStore, "", goodCard)), unpriced(envelope.CodeBadOrder)},
		{"store of an amount", ordered(envelope.OpStore, amount, goodCard), noCurrency(envelope.CodeBadOrder)},
		{"store of a card with a wrong check digit", ordered(envelope.OpStore, "", badDigit), withMask(unpriced(envelope.CodeLuhn), "424242******4241")},
		{"store of an expired card", ordered(envelope.OpStore, "", oldCard), withMask(unpriced(envelope.CodeExpiredCard), "424242******4242")},
		{"store of a bank that is none", ordered(envelope.OpStore, "", noSuchABA), unpriced(envelope.CodeRouting)},
		{"update of an unknown token", ordered(envelope.OpUpdate, byToken, soon), withToken(unpriced(envelope.CodeUnknownToken))},
		{"update without an expiry", ordered(envelope.OpUpdate, byToken, ""), withToken(unpriced(envelope.CodeBadOrder))},
		{"update of a number", ordered(envelope.OpUpdate, byToken, goodCard), withToken(unpriced(envelope.CodeBadAccount))},
		{"update to an expiry that has passed", ordered(envelope.OpUpdate, byToken, `{"card":{"expiry":"2026-10"}}`), withToken(unpriced(envelope.CodeExpiredCard))},
		{"update of an unknown token by a bank account", ordered(envelope.OpUpdate, byToken, payee), withMask(withToken(unpriced(envelope.CodeUnknownToken)), "******5678")},
		{"update to a bank that is none", ordered(envelope.OpUpdate, byToken, noSuchABA), withToken(unpriced(envelope.CodeRouting))},
		{"update to a bank of a district that is none", ordered(envelope.OpUpdate, byToken, noDistrict), withToken(unpriced(envelope.CodeRouting))},
		{"update to a bank account without a name", ordered(envelope.OpUpdate, byToken, nameless), withToken(unpriced(envelope.CodeBadAccount))},
		{"forget of an unknown token", ordered(envelope.OpForget, byToken, ""), withToken(unpriced(envelope.CodeUnknownToken))},
		{"forget of an account", ordered(envelope.OpForget, byToken, goodCard), withToken(unpriced(envelope.CodeBadOrder))},
	}
}

// What is not permitted is refused before the account is checked.
func TestNotPermitted(t *testing.T) {
	d := newFixture(t)
	card, unreadable := d.shop.Store(badDigit), d.shop.Store(`{}`)
	update := d.shop.Update(token, "2026-10")
	refund := d.shop.Refund(earlier, 5)
	refund.Account = noSuchABA
	payout := d.shop.Payout(5)
	payout.Account = noSuchABA
	sale := d.shop.BankSale(5)
	sale.Account = noSuchABA
	refused := func(what string, drafts ...vaulttest.Draft) {
		t.Helper()
		for _, draft := range drafts {
			d.take(d.run.Bag(d.shop.Seal(draft)))
			if f := d.answers()[draft.ID]; f.Code != envelope.CodeNotPermitted || f.Masked != "" {
				t.Errorf("%s: %s answered %+v", what, draft.Order, f)
			}
		}
	}
	refused("a new merchant", card, unreadable, update, refund, payout, sale)

	policy := vaulttest.Policy()
	policy.Limits = nil
	d.Append("shop-1", book.MerchantPolicySet{Policy: policy})
	refused("a merchant without a payout limit", d.shop.Payout(5))

	d.permit("shop-1")
	d.intake.Bank = false
	refused("a vault without a bank", d.shop.BankSale(5), d.shop.Payout(5), d.shop.Store(payee))
	d.intake.Accounts = nil
	refused("a vault that stores nothing", d.shop.Store(goodCard), d.shop.Update(token, "2031-01"), d.shop.Forget(token))
}
