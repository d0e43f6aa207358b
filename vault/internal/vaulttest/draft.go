package vaulttest

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/book"
)

// Draft is an envelope before it is sealed and signed: its plaintexts, of which "" is no part.
type Draft struct {
	ID                   string
	Created, Until       time.Time
	Order, Account, Code string
	Suite                envelope.Suite
	Signer               *note.Signer
	Sealed               func(*envelope.Envelope) // changes the envelope before it is signed
}

// Policy permits everything, in dollars.
func Policy() book.Policy {
	return book.Policy{Limits: []book.Limit{{Currency: "USD", PayoutDay: envelope.MaxAmount}}, Storage: true,
		Company: book.Company{Name: "THE SHOP", ID: "1234567890"}}
}

// Order is the plaintext of an order part for a sale.
func Order(amount int64, currency, reference string) string {
	return fmt.Sprintf(`{"operation":"sale","reference":%q,"amount":%d,"currency":%q}`, reference, amount, currency)
}

// Card is the plaintext of an account part.
func Card(number, expiry string) string {
	return fmt.Sprintf(`{"card":{"number":%q,"expiry":%q,"name":"A. Shopper"}}`, number, expiry)
}

// Bank is the plaintext of an account part: a checking account.
func Bank(routing, account string) string {
	return fmt.Sprintf(`{"bank":{"routing":%q,"account":%q,"type":"checking","name":"B. Shopper"}}`, routing, account)
}

// The accounts of drafts.
const (
	CardNumber  = "4242424242424242"
	CardExpiry  = "2031-12"
	Routing     = "011000015"
	BankAccount = "12345678"
)

// draft is an envelope with these members beside operation and reference, without account and code.
func (s *Storefront) draft(op envelope.Operation, members string, values ...any) Draft {
	now := s.vault.Clock.Now()
	order := fmt.Sprintf(`{"operation":%q,"reference":"order 17"`, op) + fmt.Sprintf(members, values...) + "}"
	return Draft{ID: uuid.NewString(), Created: now, Until: now.Add(time.Hour), Order: order, Suite: envelope.SuiteXWing, Signer: s.Signer}
}

const money = `,"amount":%d,"currency":"USD"`

// Sale is the draft of a sale by card, with a code, that has nothing wrong with it.
func (s *Storefront) Sale() Draft {
	d := s.draft(envelope.OpSale, money, 1999)
	d.Account, d.Code = Card(CardNumber, CardExpiry), `{"code":"123"}`
	return d
}

// Authorize is the draft of an authorisation by card.
func (s *Storefront) Authorize(amount int64) Draft {
	d := s.draft(envelope.OpAuthorize, money, amount)
	d.Account = Card(CardNumber, CardExpiry)
	return d
}

// Capture is the draft of a capture of an authorisation.
func (s *Storefront) Capture(of string, amount int64) Draft {
	return s.draft(envelope.OpCapture, `,"of":%q,"amount":%d`, of, amount)
}

// Void is the draft of a void.
func (s *Storefront) Void(of string) Draft { return s.draft(envelope.OpVoid, `,"of":%q`, of) }

// Refund is the draft of a refund by reference: without an account part.
func (s *Storefront) Refund(of string, amount int64) Draft {
	return s.draft(envelope.OpRefund, `,"of":%q,"amount":%d`, of, amount)
}

// BankSale is the draft of a sale from a bank account.
func (s *Storefront) BankSale(amount int64) Draft {
	d := s.draft(envelope.OpSale, money, amount)
	d.Account = Bank(Routing, BankAccount)
	return d
}

// Payout is the draft of a payout to a bank account.
func (s *Storefront) Payout(amount int64) Draft {
	d := s.draft(envelope.OpPayout, money, amount)
	d.Account = Bank(Routing, BankAccount)
	return d
}

// Store is the draft of a store of an account: see Card and Bank.
func (s *Storefront) Store(account string) Draft {
	d := s.draft(envelope.OpStore, "")
	d.Account = account
	return d
}

// Update is the draft of an update of a stored card.
func (s *Storefront) Update(token, expiry string) Draft {
	d := s.draft(envelope.OpUpdate, `,"token":%q`, token)
	d.Account = fmt.Sprintf(`{"card":{"expiry":%q}}`, expiry)
	return d
}

// Forget is the draft of a forget.
func (s *Storefront) Forget(token string) Draft {
	return s.draft(envelope.OpForget, `,"token":%q`, token)
}

// ByToken is the draft of a sale, authorisation or payout by a stored account.
func (s *Storefront) ByToken(op envelope.Operation, token string, amount int64) Draft {
	return s.draft(op, money+`,"token":%q`, amount, token)
}
