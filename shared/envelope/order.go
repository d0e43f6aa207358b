package envelope

import (
	"time"

	"nightdrop/shared/strictjson"
)

// Operation is what an order asks for.
type Operation string

// The operations (specification 3).
const (
	OpSale      Operation = "sale"
	OpAuthorize Operation = "authorize"
	OpCapture   Operation = "capture"
	OpVoid      Operation = "void"
	OpRefund    Operation = "refund"
	OpPayout    Operation = "payout"
	OpStore     Operation = "store"
	OpUpdate    Operation = "update"
	OpForget    Operation = "forget"
)

// AuthorisationLife is how long an approved authorisation may be captured before it expires.
const AuthorisationLife = 6 * 24 * time.Hour

// MaxAmount is the largest amount of one operation, in minor units.
const MaxAmount = 99_999_999

// Order is the plaintext of an order part: what to do. A zero field is absent.
type Order struct {
	Operation  Operation
	Reference  string // the merchant's own, 1 to 64 printable ASCII; see CheckReference
	Amount     int64  // minor units, 1 to MaxAmount
	Currency   string // ISO 4217, see LookupCurrency
	Token      string // of a stored account
	Of         string // id of the payment that the operation is about
	Descriptor string // on the shopper's statement, 1 to 22 printable ASCII; see CheckDescriptor

	empty member // members with a value that stands for none: an amount of 0, a currency of no form
}

// member is a set of an instruction's members.
type member uint16

const (
	hasAmount member = 1 << iota
	hasCurrency
	hasToken
	hasOf
	hasDescriptor
	hasAccount
	hasCode
)

type orderText struct {
	Operation  Operation `json:"operation"`
	Reference  string    `json:"reference"`
	Amount     *int64    `json:"amount,omitempty"`
	Currency   *string   `json:"currency,omitempty"`
	Token      *string   `json:"token,omitempty"`
	Of         *string   `json:"of,omitempty"`
	Descriptor *string   `json:"descriptor,omitempty"`
}

// DecodeOrder reads an order after [Unpad]. Its errors, as those of CheckMembers, are bad-order of
// specification 7: JSON, members, types, an unknown operation, a malformed token or `of` (a number
// there must not be repeated in a result), a descriptor that CheckDescriptor refuses. Reference,
// amount and currency have their own codes: the caller checks them, in that order. A currency that
// is not three capital letters becomes "", which no list holds.
func DecodeOrder(plaintext []byte) (Order, error) {
	var t orderText
	if err := strictjson.Unmarshal(plaintext, &t); err != nil {
		return Order{}, class(err)
	}
	o := Order{Operation: t.Operation, Reference: t.Reference}
	if _, ok := o.Operation.needs(); !ok {
		return Order{}, malformed("operation is none that is known")
	}
	if t.Amount != nil {
		o.Amount = *t.Amount
		o.note(hasAmount, o.Amount == 0)
	}
	if t.Currency != nil {
		if currencyForm(*t.Currency) {
			o.Currency = *t.Currency
		}
		o.note(hasCurrency, o.Currency == "")
	}
	if t.Token != nil {
		if o.Token = *t.Token; !ValidToken(o.Token) {
			return Order{}, malformed("token is not tok_ and 26 base32 characters")
		}
	}
	if t.Of != nil {
		if o.Of = *t.Of; !ValidID(o.Of) {
			return Order{}, malformed("of is not an envelope's id")
		}
	}
	if t.Descriptor != nil {
		o.Descriptor = *t.Descriptor
		if err := CheckDescriptor(o.Descriptor); err != nil {
			return Order{}, err
		}
	}
	return o, nil
}

func (o *Order) note(m member, empty bool) {
	if empty {
		o.empty |= m
	}
}

// EncodeOrder writes an order without padding, if [DecodeOrder] would accept it.
func EncodeOrder(o Order) ([]byte, error) {
	have := o.members()
	t := orderText{Operation: o.Operation, Reference: o.Reference}
	if have&hasAmount != 0 {
		t.Amount = &o.Amount
	}
	if have&hasCurrency != 0 {
		t.Currency = &o.Currency
	}
	if have&hasToken != 0 {
		t.Token = &o.Token
	}
	if have&hasOf != 0 {
		t.Of = &o.Of
	}
	if have&hasDescriptor != 0 {
		t.Descriptor = &o.Descriptor
	}
	text, err := strictjson.Marshal(t)
	if err != nil {
		return nil, err
	}
	if _, err := DecodeOrder(text); err != nil {
		return nil, err
	}
	return text, nil
}

func (o Order) members() member {
	have := o.empty
	for _, m := range []struct {
		bit   member
		there bool
	}{
		{hasAmount, o.Amount != 0}, {hasCurrency, o.Currency != ""}, {hasToken, o.Token != ""},
		{hasOf, o.Of != ""}, {hasDescriptor, o.Descriptor != ""},
	} {
		if m.there {
			have |= m.bit
		}
	}
	return have
}

type needs struct {
	always member // all of these
	either member // exactly one of these
	may    member // any of these
}

func (op Operation) needs() (needs, bool) {
	const by = hasAccount | hasToken
	switch op {
	case OpSale, OpAuthorize:
		return needs{hasAmount | hasCurrency, by, hasDescriptor | hasCode}, true
	case OpCapture:
		return needs{always: hasOf | hasAmount}, true
	case OpVoid:
		return needs{always: hasOf}, true
	case OpRefund:
		return needs{always: hasOf | hasAmount, may: hasAccount}, true
	case OpPayout:
		return needs{always: hasAmount | hasCurrency, either: by}, true
	case OpStore:
		return needs{always: hasAccount}, true
	case OpUpdate:
		return needs{always: hasToken | hasAccount}, true
	case OpForget:
		return needs{always: hasToken}, true
	}
	return needs{}, false
}

// CheckMembers checks that the order has exactly what its operation needs, given whether there are
// account and code parts. It cannot see the kind of account: authorize and a code need a card,
// payout a bank account.
func (o Order) CheckMembers(account, code bool) error {
	n, ok := o.Operation.needs()
	if !ok {
		return malformed("operation is none that is known")
	}
	have := o.members()
	if account {
		have |= hasAccount
	}
	if code {
		have |= hasCode
	}
	if have&n.always != n.always {
		return malformed("the operation needs a member that is not there")
	}
	if one := have & n.either; n.either != 0 && (one == 0 || one == n.either) {
		return malformed("the operation needs an account or a token, not both")
	}
	if have&^(n.always|n.either|n.may) != 0 {
		return malformed("a member that the operation does not take")
	}
	return nil
}

// CheckReference checks for 1 to 64 printable ASCII characters that cannot be an account number.
func CheckReference(text string) error { return checkFree("reference", text, 64) }

// CheckDescriptor checks for 1 to 22 printable ASCII characters that cannot be an account number.
func CheckDescriptor(text string) error { return checkFree("descriptor", text, 22) }

func checkFree(what, text string, longest int) error {
	if len(text) < 1 || len(text) > longest {
		return malformed(what + " is empty or too long")
	}
	if !only(text, printable) {
		return malformed(what + " is not printable ASCII")
	}
	for start := 0; start < len(text); {
		if !digit(text[start]) {
			start++
			continue
		}
		end := start
		for end < len(text) && digit(text[end]) {
			end++
		}
		if n := end - start; 12 <= n && n <= 19 && Luhn([]byte(text[start:end])) {
			return malformed(what + " holds what may be a card number: use your own order number")
		}
		start = end
	}
	return nil
}

// Luhn reports whether ASCII digits, at least one, pass the check of ISO/IEC 7812-1 annex B.
func Luhn(digits []byte) bool {
	sum := 0
	for i := range digits {
		c := digits[len(digits)-1-i]
		if !digit(c) {
			return false
		}
		d := int(c - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return len(digits) > 0 && sum%10 == 0
}
