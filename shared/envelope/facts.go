package envelope

import (
	"strconv"
	"strings"

	"nightdrop/shared/strictjson"
)

// Status is what has become of an operation.
type Status string

// The statuses (specification 7).
const (
	StatusRejected  Status = "rejected"
	StatusDeclined  Status = "declined"
	StatusApproved  Status = "approved"
	StatusAccepted  Status = "accepted" // waits for a file
	StatusUnknown   Status = "unknown"
	StatusReversed  Status = "reversed"
	StatusCaptured  Status = "captured"
	StatusSettled   Status = "settled"
	StatusRefunded  Status = "refunded"
	StatusPaidOut   Status = "paid-out"
	StatusVoided    Status = "voided"
	StatusExpired   Status = "expired"
	StatusReturned  Status = "returned"
	StatusStored    Status = "stored"
	StatusUpdated   Status = "updated"
	StatusForgotten Status = "forgotten"

	// a bank's notice of change: the stored account must be updated
	StatusNoted       Status = "noted"
	StatusDisputed    Status = "disputed"     // the money is claimed back
	StatusDisputeWon  Status = "dispute-won"  // and stays
	StatusDisputeLost Status = "dispute-lost" // and went
	StatusShared      Status = "shared"       // a stored account, by another merchant
)

// Valid reports whether s is one of the statuses.
func (s Status) Valid() bool {
	switch s {
	case StatusRejected, StatusDeclined, StatusApproved, StatusAccepted, StatusUnknown, StatusReversed, StatusCaptured, StatusSettled,
		StatusRefunded, StatusPaidOut, StatusVoided, StatusExpired, StatusReturned, StatusStored, StatusUpdated, StatusForgotten,
		StatusNoted, StatusDisputed, StatusDisputeWon, StatusDisputeLost, StatusShared:
		return true
	}
	return false
}

// Code is why: "ok", "iso-XX" (ISO 8583 field 39), "gw-N" of a gateway, "ach-RNN" or "ach-CNN"
// (NACHA), or the vault's own.
type Code string

// The vault's own codes (specification 7), in the order of checking if there is one.
const (
	CodeOK                   Code = "ok"
	CodeIDConflict           Code = "id-conflict"
	CodeUnknownSigner        Code = "unknown-signer"
	CodeMerchantSuspended    Code = "merchant-suspended"
	CodeLate                 Code = "late"
	CodeKeyDead              Code = "key-dead"
	CodeCannotOpen           Code = "cannot-open" // a part's seal does not open
	CodeBadOrder             Code = "bad-order"   // it opened, but is not as specification 3 says
	CodeReference            Code = "reference"
	CodeAmount               Code = "amount"
	CodeCurrency             Code = "currency"
	CodeNotPermitted         Code = "not-permitted"
	CodeBadAccount           Code = "bad-account"
	CodeLuhn                 Code = "luhn"
	CodeExpiredCard          Code = "expired-card"
	CodeRouting              Code = "routing"
	CodeUnknownToken         Code = "unknown-token"
	CodeUnknownPayment       Code = "unknown-payment"
	CodeWrongState           Code = "wrong-state"
	CodeOverCaptured         Code = "over-captured"
	CodeOverAuthorised       Code = "over-authorised"
	CodeLimit                Code = "limit"
	CodeAccountGone          Code = "account-gone"
	CodeBlockedAccount       Code = "blocked-account"
	CodeNoAnswer             Code = "no-answer"
	CodeOperationUnavailable Code = "operation-unavailable"
)

// ISOCode returns the code for ISO 8583 field 39: two of 0-9A-Z, or three. "00" is approval.
func ISOCode(two string) Code { return Code("iso-" + two) }

// ACHCode returns the code for a NACHA return reason ("R01") or notice of change ("C05").
func ACHCode(reason string) Code { return Code("ach-" + reason) }

// Valid reports whether c is a code that a result may have.
func (c Code) Valid() bool {
	if two, ok := strings.CutPrefix(string(c), "iso-"); ok {
		return (len(two) == 2 || len(two) == 3) && only(two, upperOrDigit)
	}
	if reason, ok := strings.CutPrefix(string(c), "ach-"); ok {
		return len(reason) == 3 && (reason[0] == 'R' || reason[0] == 'C') && only(reason[1:], digit)
	}
	if number, ok := strings.CutPrefix(string(c), "gw-"); ok {
		return 1 <= len(number) && len(number) <= 6 && only(number, digit)
	}
	switch c {
	case CodeOK, CodeIDConflict, CodeUnknownSigner, CodeMerchantSuspended, CodeLate, CodeKeyDead, CodeCannotOpen, CodeBadOrder, CodeReference,
		CodeAmount, CodeCurrency, CodeNotPermitted, CodeBadAccount, CodeLuhn, CodeExpiredCard, CodeRouting, CodeUnknownToken, CodeUnknownPayment,
		CodeWrongState, CodeOverCaptured, CodeOverAuthorised, CodeLimit, CodeAccountGone, CodeBlockedAccount, CodeNoAnswer, CodeOperationUnavailable:
		return true
	}
	return false
}

// Facts are line 1 of a result's plaintext. Empty strings and an amount of 0 are absent, except
// Reference, which is empty if it was refused.
type Facts struct {
	Payment   string `json:"payment"` // id of the envelope that created the payment
	Status    Status `json:"status"`
	Code      Code   `json:"code"`
	Amount    int64  `json:"amount,omitempty"`   // minor units, the operation's own
	Currency  string `json:"currency,omitempty"` // ISO 4217
	Reference string `json:"reference"`
	Masked    string `json:"masked,omitempty"` // 424242******4242 or ******1234
	Token     string `json:"token,omitempty"`  // of a stored account
	// 1 to 6 printable ASCII characters, not beginning or ending with a space
	Approval string `json:"approval,omitempty"`
	Batch    string `json:"batch,omitempty"` // 1 to 32 of a-z0-9-

	Checks  *Checks `json:"checks,omitempty"`  // what the issuer said of address and security code
	Network string  `json:"network,omitempty"` // network transaction id: 1 to 64 of 0-9A-Za-z
	// minor units: the lower amount of a partial approval
	Approved int64  `json:"approved,omitempty"`
	By       string `json:"by,omitempty"`   // ByOperator where no envelope asked for it
	Of       string `json:"of,omitempty"`   // of an operator's refund: the payment's id
	From     string `json:"from,omitempty"` // of a shared account: the merchant that shared it
}

// ByOperator is Facts.By of what an operator ordered.
const ByOperator = "operator"

// Checks are the issuer's answers on address and security code: 0-9A-Z each, "" if none.
type Checks struct {
	Address string `json:"address,omitempty"`
	Code    string `json:"code,omitempty"`
}

// EncodeFacts checks f and returns line 1 of a result without newline, which the log's leaf hashes.
func EncodeFacts(f Facts) ([]byte, error) {
	return f.Append(make([]byte, 0, 256)) // most are shorter
}

// Append appends [EncodeFacts] to dst.
func (f Facts) Append(dst []byte) ([]byte, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	member := func(name, value string) {
		dst = append(append(append(dst, ',', '"'), name...), '"', ':')
		dst = appendASCII(dst, value)
	}
	optional := func(name, value string) {
		if value != "" {
			member(name, value)
		}
	}
	dst = appendASCII(append(dst, `{"payment":`...), f.Payment)
	member("status", string(f.Status))
	member("code", string(f.Code))
	if f.Amount != 0 {
		dst = strconv.AppendInt(append(dst, `,"amount":`...), f.Amount, 10)
	}
	optional("currency", f.Currency)
	member("reference", f.Reference)
	optional("masked", f.Masked)
	optional("token", f.Token)
	optional("approval", f.Approval)
	optional("batch", f.Batch)
	if f.Checks != nil {
		checks, err := strictjson.Marshal(f.Checks)
		if err != nil {
			return nil, err
		}
		dst = append(append(dst, `,"checks":`...), checks...)
	}
	optional("network", f.Network)
	if f.Approved != 0 {
		dst = strconv.AppendInt(append(dst, `,"approved":`...), f.Approved, 10)
	}
	optional("by", f.By)
	optional("of", f.Of)
	optional("from", f.From)
	return append(dst, '}'), nil
}

// appendASCII appends the JSON of a checked string of printable ASCII.
func appendASCII(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

// decodeFacts reads what EncodeFacts writes, in any order of members and with white space.
func decodeFacts(line []byte) (Facts, error) {
	var f Facts
	if err := strictjson.Unmarshal(line, &f); err != nil {
		return Facts{}, class(err)
	}
	if err := f.check(); err != nil {
		return Facts{}, err
	}
	return f, noneEmpty(line)
}

// noneEmpty refuses an empty member: it must be absent, except a reference that was refused.
func noneEmpty(line []byte) error {
	return strictjson.Walk(line, func(path []string, _ strictjson.Kind, value []byte) error {
		return require(len(value) > 0 || path[0] == "reference", "a fact is empty rather than absent")
	})
}

func (f Facts) check() error {
	if f.Reference != "" {
		if err := CheckReference(f.Reference); err != nil {
			return err
		}
	}
	return first(
		require(ValidID(f.Payment), "payment is not an envelope's id"),
		require(f.Status.Valid(), "status is none that is known"),
		require(f.Code.Valid(), "code is none that is known"),
		require(0 <= f.Amount && f.Amount <= strictjson.MaxInteger, "amount is out of range"),
		require(f.Currency == "" || currencyForm(f.Currency), "currency is not three capital letters"),
		require(f.Masked == "" || validMasked(f.Masked), "masked shows more or less than it may"),
		require(f.Token == "" || ValidToken(f.Token), "token is not tok_ and 26 base32 characters"),
		require(len(f.Approval) <= 6 && f.Approval == strings.TrimSpace(f.Approval) && only(f.Approval, printable), "approval is not 1 to 6 printable ASCII characters"),
		require(len(f.Batch) <= 32 && only(f.Batch, func(c byte) bool { return lowerOrDigit(c) || c == '-' }), "batch is not 1 to 32 of a-z0-9-"),
		f.checkLater(),
	)
}

func (f Facts) checkLater() error {
	one := func(text string) bool { return len(text) <= 1 && only(text, upperOrDigit) }
	return first(
		require(f.Checks == nil || *f.Checks != Checks{} && one(f.Checks.Address) && one(f.Checks.Code), "checks are not one of 0-9A-Z each"),
		require(len(f.Network) <= 64 && only(f.Network, letterOrDigit), "network is not 1 to 64 of 0-9A-Za-z"),
		require(0 <= f.Approved && f.Approved <= strictjson.MaxInteger, "approved is out of range"),
		require(f.By == "" || f.By == ByOperator, "by is none that is known"),
		require(f.Of == "" || ValidID(f.Of), "of is not an envelope's id"),
		require(f.From == "" || ValidMerchant(f.From), "from is not a merchant's id"),
	)
}

func printable(c byte) bool { return 0x20 <= c && c <= 0x7E }

func letterOrDigit(c byte) bool { return upperOrDigit(c) || 'a' <= c && c <= 'z' }

func upperOrDigit(c byte) bool { return digit(c) || 'A' <= c && c <= 'Z' }

func currencyForm(code string) bool {
	return len(code) == 3 && only(code, func(c byte) bool { return 'A' <= c && c <= 'Z' })
}
