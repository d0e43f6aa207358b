package account

import "nightdrop/shared/envelope"

// Limits of a bank account's members. (specification 3)
const (
	routingDigits    = 9
	minAccountDigits = 4
	maxAccountDigits = 17
)

// BankKind distinguishes checking from savings accounts; NACHA transaction codes differ by it.
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

// Routing returns the nine ASCII digits of the ABA routing number: a slice of b's array, not to be
// kept.
func (b *Bank) Routing() []byte { return b.routing[:] }

// Account returns the account number as ASCII digits: a slice of b's array, not to be kept.
func (b *Bank) Account() []byte { return b.account[:b.digits] }

// Name returns the holder's name in UTF-8: a slice of b's array, not to be kept.
func (b *Bank) Name() []byte { return b.name[:b.nameBytes] }

// Kind returns [Checking] or [Savings].
func (b *Bank) Kind() BankKind { return b.kind }

// routingDistricts are the first two digits of routing numbers, from and to: of the Federal
// Reserve's districts, of thrift institutions (20 more), of electronic transactions (60 more), and
// of traveller's cheques. (American Bankers Association, routing number policy)
func routingDistricts() [4][2]int {
	return [...][2]int{{0, 12}, {21, 32}, {61, 72}, {80, 80}}
}

// check applies the ABA checksum and refuses first digits that no bank has. Stored accounts are not
// checked again.
func (b *Bank) check() envelope.Code {
	if !b.summed() {
		return envelope.CodeRouting
	}
	district := int(b.routing[0]-'0')*10 + int(b.routing[1]-'0')
	for _, d := range routingDistricts() {
		if d[0] <= district && district <= d[1] {
			return envelope.CodeOK
		}
	}
	return envelope.CodeRouting
}

// summed reports whether the check digit is right: the digits weighted 3, 7, 1 in turn add up to a
// multiple of ten. Nine zeros pass the sum but name no bank.
func (b *Bank) summed() bool {
	weights := [3]int{3, 7, 1}
	sum := 0
	for i, d := range b.routing {
		sum += weights[i%3] * int(d-'0')
	}
	return sum != 0 && sum%10 == 0
}
