package account

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"nightdrop/shared/strictjson"
)

// Parse reads the plaintext of an opened account part, after [envelope.Unpad]; the caller clears
// plaintext. It checks form only; [Account.Check] applies the rules. Every failure is [ErrForm].
func Parse(plaintext []byte) (*Account, error) {
	both := &Account{Card: new(Card), Bank: new(Bank)}
	p := parser{card: both.Card, bank: both.Bank}
	if err := strictjson.Walk(plaintext, p.member); err != nil {
		both.Clear()
		return nil, ErrForm
	}
	switch {
	case p.seen&^seenCardName == wholeCard:
		both.Bank = nil
	case p.seen == wholeBank:
		both.Card = nil
	default:
		both.Clear()
		return nil, ErrForm
	}
	return both, nil
}

// ParseCode reads the plaintext of an opened code part, after [envelope.Unpad]; the caller clears
// plaintext. Every failure is [ErrForm].
func ParseCode(plaintext []byte) (*Code, error) {
	code, seen := new(Code), false
	err := strictjson.Walk(plaintext, func(path []string, kind strictjson.Kind, value []byte) error {
		if len(path) != 1 || path[0] != "code" || kind != strictjson.String {
			return ErrForm
		}
		if seen = copyDigits(code.code[:], &code.digits, value, minCodeDigits); !seen {
			return ErrForm
		}
		return nil
	})
	if err != nil || !seen {
		code.Clear()
		return nil, ErrForm
	}
	return code, nil
}

// Bits of what a parser has seen. [strictjson.Walk] refuses a name given twice.
const (
	seenCardNumber = 1 << iota
	seenCardExpiry
	seenCardName
	seenBankRouting
	seenBankAccount
	seenBankType
	seenBankName
	wholeCard = seenCardNumber | seenCardExpiry
	wholeBank = seenBankRouting | seenBankAccount | seenBankType | seenBankName
)

// parser fills a card or a bank account from the scalars of a part's JSON, one call a member.
type parser struct {
	card *Card
	bank *Bank
	seen int
}

// member reads one scalar; value is only valid during the call and is cleared by the walk.
func (p *parser) member(path []string, kind strictjson.Kind, value []byte) error {
	if len(path) != 2 || kind != strictjson.String {
		return ErrForm
	}
	ok, bit := false, 0
	switch path[0] {
	case "card":
		bit, ok = p.cardMember(path[1], value)
	case "bank":
		bit, ok = p.bankMember(path[1], value)
	}
	if !ok {
		return ErrForm
	}
	p.seen |= bit
	return nil
}

func (p *parser) cardMember(name string, value []byte) (bit int, ok bool) {
	switch name {
	case "number":
		return seenCardNumber, copyDigits(p.card.number[:], &p.card.digits, value, minCardDigits)
	case "expiry":
		return seenCardExpiry, p.card.expiry.set(value)
	case "name":
		return seenCardName, copyName(&p.card.name, &p.card.nameBytes, value)
	}
	return 0, false
}

func (p *parser) bankMember(name string, value []byte) (bit int, ok bool) {
	switch name {
	case "routing":
		n := 0
		return seenBankRouting, copyDigits(p.bank.routing[:], &n, value, routingDigits)
	case "account":
		return seenBankAccount, copyDigits(p.bank.account[:], &p.bank.digits, value, minAccountDigits)
	case "type":
		p.bank.kind = bankKind(value)
		return seenBankType, p.bank.kind != 0
	case "name":
		return seenBankName, copyName(&p.bank.name, &p.bank.nameBytes, value)
	}
	return 0, false
}

// copyDigits copies value to dst and its length to n where it is atLeast to len(dst) ASCII digits.
func copyDigits(dst []byte, n *int, value []byte, atLeast int) bool {
	if len(value) < atLeast || len(value) > len(dst) || !allDigits(value) {
		return false
	}
	*n = copy(dst, value)
	return true
}

// copyName copies a name of 1 to 64 characters without controls (Unicode category Cc).
func copyName(dst *[maxNameBytes]byte, n *int, value []byte) bool {
	runes := utf8.RuneCount(value)
	if runes < 1 || runes > maxNameRunes || bytes.ContainsFunc(value, unicode.IsControl) {
		return false
	}
	*n = copy(dst[:], value)
	return true
}

func bankKind(value []byte) BankKind {
	switch {
	case bytes.Equal(value, []byte("checking")):
		return Checking
	case bytes.Equal(value, []byte("savings")):
		return Savings
	}
	return 0
}

func allDigits(value []byte) bool {
	for _, b := range value {
		if b < '0' || b > '9' {
			return false
		}
	}
	return true
}
