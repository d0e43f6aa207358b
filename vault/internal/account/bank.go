package account

import "nightdrop/shared/envelope"

// Limits of a bank account's members. (INTERFACES 3; the ABA routing number has nine digits, the last a check digit)
const (
	routingDigits    = 9
	minAccountDigits = 4
	maxAccountDigits = 17
)

// BankKind tells a checking from a savings account; NACHA transaction codes differ by it.
type BankKind byte

// The kinds of bank account.
const (
	Checking BankKind = 1
	Savings  BankKind = 2
)

// Bank is an account with a bank of the United States.
type Bank struct {
	hidden
	routing   [routingDigits]byte
	account   [maxAccountDigits]byte
	digits    int
	kind      BankKind
	name      [maxNameBytes]byte
	nameBytes int
}

// Routing returns the nine ASCII digits of the ABA routing number: a slice of the account's own array, not to be kept.
func (b *Bank) Routing() []byte { return b.routing[:] }

// Account returns the account number as ASCII digits: a slice of the account's own array, not to be kept.
func (b *Bank) Account() []byte { return b.account[:b.digits] }

// Name returns the holder's name in UTF-8: a slice of the account's own array, not to be kept.
func (b *Bank) Name() []byte { return b.name[:b.nameBytes] }

// Kind returns Checking or Savings.
func (b *Bank) Kind() BankKind { return b.kind }

// check applies the ABA checksum: the digits weighted 3, 7, 1 in turn add up to a multiple of ten. Nine zeros pass the sum but
// name no bank.
func (b *Bank) check() envelope.Code {
	weights := [3]int{3, 7, 1}
	sum := 0
	for i, d := range b.routing {
		sum += weights[i%3] * int(d-'0')
	}
	if sum == 0 || sum%10 != 0 {
		return envelope.CodeRouting
	}
	return envelope.CodeOK
}
