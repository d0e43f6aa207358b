package book

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/strictjson"
)

// Limits of a merchant's record.
const (
	maxMerchantName = 64 // characters
	maxMerchantKeys = 16 // verifiers, and as many reply keys
	maxAcceptor     = 15 // ISO 8583 field 42
)

// AcceptorOf makes a card acceptor id of a merchant's id: capitals and digits, at most 15.
func AcceptorOf(id string) string {
	acceptor := strings.ToUpper(strings.ReplaceAll(id, "-", ""))
	return acceptor[:min(len(acceptor), maxAcceptor)]
}

// CheckAcceptor refuses an acceptor id of another merchant: their money would meet at the acquirer.
func CheckAcceptor(acceptor string, other Merchant) error {
	if other.Acceptor == acceptor {
		return fmt.Errorf("acceptor %s is merchant %s's; give the one that the acquirer gave with --acceptor", acceptor, other.ID)
	}
	return nil
}

// CheckMerchant returns what is wrong with a new merchant's record, but for its company
// ([CheckCompany]). replyKey parses a reply key's line, and currency reports whether a code can be
// sold in: the fold has no such tables, which change.
func CheckMerchant(m Merchant, replyKey func(line string) error, currency func(code string) bool) error {
	if !envelope.ValidMerchant(m.ID) {
		return errors.New("a merchant's id is 3 to 32 of a-z0-9-, beginning with a letter and not ending with -")
	}
	if n := len([]rune(m.Name)); n < 1 || n > maxMerchantName || strings.ContainsFunc(m.Name, unicode.IsControl) {
		return errors.New("--name is 1 to 64 characters without controls")
	}
	if err := checkKeys(m, replyKey); err != nil {
		return err
	}
	if len(m.Currencies) == 0 {
		return errors.New("--currency is needed: what it sells in, such as USD,EUR")
	}
	for i, code := range m.Currencies {
		if !currency(code) || slices.Contains(m.Currencies[:i], code) {
			return fmt.Errorf("--currency: %q is not an ISO 4217 code that can be sold in, or stands twice", code)
		}
	}
	other := func(c rune) bool { return (c < '0' || c > '9') && (c < 'A' || c > 'Z') }
	if len(m.Acceptor) < 1 || len(m.Acceptor) > maxAcceptor || strings.ContainsFunc(m.Acceptor, other) {
		return errors.New("--acceptor is 1 to 15 of A-Z0-9")
	}
	return nil
}

func checkKeys(m Merchant, replyKey func(line string) error) error {
	if len(m.Verifiers) < 1 || len(m.Verifiers) > maxMerchantKeys || len(m.ReplyKeys) < 1 || len(m.ReplyKeys) > maxMerchantKeys {
		return errors.New("--verifier and --reply-key are needed, each at most 16 times")
	}
	for _, line := range m.Verifiers {
		v, err := note.ParseVerifier(line)
		if err != nil {
			return fmt.Errorf("--verifier: %w", err)
		}
		if v.Name() != m.ID {
			return fmt.Errorf("--verifier: the key's name is %s, not %s: make it with that name", v.Name(), m.ID)
		}
	}
	for _, line := range m.ReplyKeys {
		if err := replyKey(line); err != nil {
			return fmt.Errorf("--reply-key: %w", err)
		}
	}
	return nil
}

// checkEnrolled refuses a merchant's record that breaks a permanent rule: the forms, and that no
// other merchant has its acceptor. Currencies and reply keys were checked when the event was
// written.
func checkEnrolled(s *State, m Merchant) error {
	if err := CheckMerchant(m, replyKeyForm, envelope.ValidCurrency); err != nil {
		return misfit("merchant %s: %v", m.ID, err)
	}
	return Merchants.Each(s, func(other Merchant) error {
		if other.ID == m.ID {
			return nil
		}
		if err := CheckAcceptor(m.Acceptor, other); err != nil {
			return misfit("merchant %s: %v", m.ID, err)
		}
		return nil
	})
}

// replyKeyForm checks that a line is KEYNAME+BASE64 of a reply key, as long as its suite's keys.
func replyKeyForm(line string) error {
	name, encoded, _ := strings.Cut(line, "+")
	key, err := envelope.ParseKeyName(name)
	if err != nil || key.Kind() != envelope.KindReply {
		return errors.New("a reply key is one line, reply-ID-SUITE+BASE64")
	}
	public, err := strictjson.Base64([]byte(encoded))
	if err != nil || len(public) != key.Suite().PublicBytes() {
		return errors.New("a reply key's base64 is canonical and of its suite's length")
	}
	return nil
}

// Breach returns, as an error that is [ErrTransition], which rule of a merchant an event breaks
// that was written before the fold enforced them; nil otherwise. s is the state before the event.
func Breach(s *State, e Event) error {
	switch b := e.Body.(type) {
	case MerchantAdded:
		if !b.Checked {
			return checkEnrolled(s, b.merchant(e.Merchant))
		}
	case MerchantPolicySet:
		m, _, err := s.Merchant(e.Merchant)
		if err != nil || b.Checked {
			return err
		}
		if err := CheckCompany(m.Policy.Company, b.Policy.Company); err != nil {
			return misfit("policy of %s: %v", e.Merchant, err)
		}
	}
	return nil
}

// CheckCompany refuses half a company, and the removal of one: entries in its name are to be filed.
func CheckCompany(before, after Company) error {
	switch {
	case after == before:
		return nil
	case after.ID == "" || after.Name == "":
		return errors.New("--company-id and --company-name belong together, and cannot be taken away")
	}
	return Policy{Company: after}.Check()
}
