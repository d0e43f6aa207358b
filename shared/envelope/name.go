package envelope

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind is what a sealing key is for.
type Kind string

// The kinds of sealing keys (specification 3).
const (
	KindDay   Kind = "day"   // order and account, one a day
	KindCode  Kind = "code"  // security codes, short-lived
	KindReply Kind = "reply" // a storefront's own, for results
)

// Suite is an HPKE suite: a KEM with HKDF-SHA256 and AES-256-GCM.
type Suite string

// The suites (specification 3).
const (
	SuiteXWing  Suite = "xwing"  // X-Wing (KEM 0x647a), the default
	SuiteX25519 Suite = "x25519" // DHKEM(X25519, HKDF-SHA256), for senders with an older Tink
)

// Valid reports whether s is one of the suites.
func (s Suite) Valid() bool { return s == SuiteXWing || s == SuiteX25519 }

// Overhead returns how many bytes a sealed part exceeds its padded plaintext by: Tink's prefix of
// 5, the encapsulation and AES-GCM's tag of 16. 0 for an unknown suite.
func (s Suite) Overhead() int {
	switch s {
	case SuiteXWing:
		return 5 + 1120 + 16
	case SuiteX25519:
		return 5 + 32 + 16
	}
	return 0
}

// PublicBytes returns the length of a raw public key, 0 for an unknown suite.
func (s Suite) PublicBytes() int {
	switch s {
	case SuiteXWing:
		return 1216
	case SuiteX25519:
		return 32
	}
	return 0
}

// KeyName names a sealing key: "<kind>-<key id as 8 hex>-<suite>", such as "day-0a1b2c3d-xwing".
type KeyName string

// MakeKeyName composes a name. id is the key id of Tink's prefix.
func MakeKeyName(kind Kind, id uint32, suite Suite) KeyName {
	return KeyName(fmt.Sprintf("%s-%08x-%s", kind, id, suite))
}

// ParseKeyName checks the form of a key name.
func ParseKeyName(text string) (KeyName, error) {
	kind, rest, _ := strings.Cut(text, "-")
	id, suite, _ := strings.Cut(rest, "-")
	switch Kind(kind) {
	case KindDay, KindCode, KindReply:
	default:
		return "", malformed("a key name begins with day, code or reply")
	}
	if !isHex(id, 8) || !Suite(suite).Valid() {
		return "", malformed("a key name is kind, key id of 8 hex digits and suite")
	}
	return KeyName(text), nil
}

// Kind returns the name's first field.
func (k KeyName) Kind() Kind {
	kind, _, _ := strings.Cut(string(k), "-")
	return Kind(kind)
}

// ID returns the key id, 0 where the name is not one.
func (k KeyName) ID() uint32 {
	fields := strings.Split(string(k), "-")
	if len(fields) != 3 {
		return 0
	}
	id, err := strconv.ParseUint(fields[1], 16, 32)
	if err != nil {
		return 0
	}
	return uint32(id)
}

// Suite returns the name's last field.
func (k KeyName) Suite() Suite {
	return Suite(k[strings.LastIndexByte(string(k), '-')+1:])
}

// Serves reports whether keys of the name's kind are for part.
func (k KeyName) Serves(part PartName) bool {
	switch part {
	case PartOrder, PartAccount:
		return k.Kind() == KindDay
	case PartCode:
		return k.Kind() == KindCode
	case PartResult:
		return k.Kind() == KindReply
	}
	return false
}

// ValidMerchant checks a name of a merchant, relay, courier or operator: 3 to 32 of a-z, 0-9 and
// '-', beginning with a letter and not ending with '-'.
func ValidMerchant(name string) bool {
	if len(name) < 3 || len(name) > 32 || name[0] < 'a' || name[0] > 'z' || name[len(name)-1] == '-' {
		return false
	}
	return only(name, func(c byte) bool { return lowerOrDigit(c) || c == '-' })
}

// ValidVault checks a vault's name: a DNS name in lower case without a final dot, at most 253
// bytes, whose last label is not all digits (that would be an address).
func ValidVault(name string) bool {
	if len(name) > 253 {
		return false
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			!only(label, func(c byte) bool { return lowerOrDigit(c) || c == '-' }) {
			return false
		}
	}
	return !only(labels[len(labels)-1], digit)
}

// ValidID reports whether id is a UUID (RFC 9562) of version 4 or 7 in lower-case canonical text.
func ValidID(id string) bool {
	if len(id) != 36 || (id[14] != '4' && id[14] != '7') || !strings.Contains("89ab", id[19:20]) {
		return false
	}
	for i := range len(id) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (id[i] == '-') || !dash && !hexDigit(id[i]) {
			return false
		}
	}
	return true
}

// ValidToken checks a stored account's token: "tok_" and 26 lower-case base32 characters (RFC
// 4648).
func ValidToken(token string) bool {
	rest, ok := strings.CutPrefix(token, "tok_")
	return ok && len(rest) == 26 && only(rest, func(c byte) bool { return 'a' <= c && c <= 'z' || '2' <= c && c <= '7' })
}

// validMasked checks a mask by specification 2, by the rule of 2026-11-30 and the one before it.
// New: a card of 15 to 19 digits as six, stars and four; of 12 to 14 as stars and four; a bank
// account as six stars and the last two to four. Old: a card of 12 to 19 as six, stars and four.
func validMasked(text string) bool {
	if last, bank := strings.CutPrefix(text, "******"); bank && only(last, digit) {
		return 2 <= len(last) && len(last) <= 4
	}
	if len(text) < 12 || len(text) > 19 || !only(text[len(text)-4:], digit) {
		return false
	}
	head := text[:len(text)-4]
	if strings.Trim(head, "*") == "" {
		return len(text) <= 14
	}
	return only(head[:6], digit) && strings.Trim(head[6:], "*") == ""
}

// MaskCard returns what may be shown and kept of a card number, 12 to 19 ASCII digits
// (specification 2; PCI DSS 3.4.1): from 15 on the first six and last four, else the last four, and
// a star for each digit hidden.
func MaskCard(digits []byte) string {
	var buffer [19]byte
	masked := buffer[:copy(buffer[:], digits)]
	first := 0
	if len(masked) >= 15 {
		first = 6
	}
	for i := first; i < len(masked)-4; i++ {
		masked[i] = '*'
	}
	return string(masked)
}

// MaskBank returns what may be shown and kept of a bank account's number: six stars and at most its
// last four digits, never more than half of it.
func MaskBank(digits []byte) string {
	shown := min(4, len(digits)/2)
	return "******" + string(digits[len(digits)-shown:])
}

func isHex(text string, length int) bool { return len(text) == length && only(text, hexDigit) }

func only(text string, accept func(byte) bool) bool {
	for i := range len(text) {
		if !accept(text[i]) {
			return false
		}
	}
	return true
}

func digit(c byte) bool        { return '0' <= c && c <= '9' }
func hexDigit(c byte) bool     { return digit(c) || 'a' <= c && c <= 'f' }
func lowerOrDigit(c byte) bool { return digit(c) || 'a' <= c && c <= 'z' }

func validDigest(text string) bool { return isHex(text, 64) }
