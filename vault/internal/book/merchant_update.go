package book

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"nightdrop/shared/envelope"
)

// MerchantUpdated changes what a merchant was enrolled with, for what arrives afterwards; what is
// absent stays as it is.
type MerchantUpdated struct {
	Name       string   `json:"name,omitempty"`
	Currencies []string `json:"currencies,omitempty"` // all that it sells in from now on
	Acceptor   string   `json:"acceptor,omitempty"`

	// vkeys and reply keys as in MerchantAdded, whole lines; of those added the last is the newest
	AddedVerifiers   []string `json:"addedVerifiers,omitempty"`
	RetiredVerifiers []string `json:"retiredVerifiers,omitempty"`
	AddedReplyKeys   []string `json:"addedReplyKeys,omitempty"`
	RetiredReplyKeys []string `json:"retiredReplyKeys,omitempty"`
}

// Kind implements Body.
func (MerchantUpdated) Kind() string { return "merchant-updated" }

// Changes reports whether the update changes anything.
func (b MerchantUpdated) Changes() bool {
	return b.Name != "" || b.Acceptor != "" || len(b.Currencies)+len(b.AddedVerifiers)+len(b.RetiredVerifiers)+
		len(b.AddedReplyKeys)+len(b.RetiredReplyKeys) > 0
}

// MerchantKey is when a key of a merchant was added and retired. A key of its enrolment has none
// until it is retired.
type MerchantKey struct {
	Name    string        `json:"name"` // NAME+HASH of a vkey, reply-ID-SUITE of a reply key
	Added   envelope.Time `json:"added"`
	Retired envelope.Time `json:"retired,omitzero"`
}

// maxKeysEver bounds the keys that a merchant ever has, of both kinds: retired ones stay in a
// record that every result writes anew.
const maxKeysEver = 256

// ErrUnknownKey is returned when a key is to be retired that the merchant never had.
var ErrUnknownKey = errors.New("the merchant has no such key")

// The uses of a merchant's key.
const (
	UseVerifier KeyUse = "verifier" // of its envelopes' signatures
	UseReply    KeyUse = "reply"    // results are sealed to it
)

// KeyUse is what a merchant's key is for.
type KeyUse string

// Use is what the key is for: a name of a verifier key has a +, of a reply key none.
func (k MerchantKey) Use() KeyUse {
	if strings.Contains(k.Name, "+") {
		return UseVerifier
	}
	return UseReply
}

// short is NAME+HASH of a vkey, reply-ID-SUITE of a reply key. Both follow from the public key, so
// a retired one cannot come back under another.
func (u KeyUse) short(line string) string {
	name, rest, _ := strings.Cut(line, "+")
	if u == UseReply {
		return name
	}
	hash, _, _ := strings.Cut(rest, "+")
	return name + "+" + hash
}

// KeyTimes returns when a key, given by its line, was added, and retired where it was.
func (m Merchant) KeyTimes(use KeyUse, line string) MerchantKey {
	short := use.short(line)
	if n := m.keyAt(short); n >= 0 {
		return m.Keys[n]
	}
	return MerchantKey{Name: short, Added: m.Added}
}

func (m Merchant) keyAt(short string) int {
	return slices.IndexFunc(m.Keys, func(k MerchantKey) bool { return k.Name == short })
}

func (m Merchant) retired(short string) bool {
	n := m.keyAt(short)
	return n >= 0 && !m.Keys[n].Retired.IsZero()
}

// Needed leaves out of an update what is so already: a lost answer may have it asked for again.
func (b MerchantUpdated) Needed(m Merchant) MerchantUpdated {
	if b.Name == m.Name {
		b.Name = ""
	}
	if b.Acceptor == m.Acceptor {
		b.Acceptor = ""
	}
	if slices.Equal(b.Currencies, m.Currencies) {
		b.Currencies = nil
	}
	without := func(lines []string, so func(line string) bool) []string {
		return slices.DeleteFunc(slices.Clone(lines), so)
	}
	b.AddedVerifiers = without(b.AddedVerifiers, func(line string) bool { return slices.Contains(m.Verifiers, line) })
	b.AddedReplyKeys = without(b.AddedReplyKeys, func(line string) bool { return slices.Contains(m.ReplyKeys, line) })
	b.RetiredVerifiers = without(b.RetiredVerifiers, func(line string) bool { return m.retired(UseVerifier.short(line)) })
	b.RetiredReplyKeys = without(b.RetiredReplyKeys, func(line string) bool { return m.retired(UseReply.short(line)) })
	return b
}

// Updated returns the merchant after an update, or why its keys cannot change so. [CheckMerchant]
// checks the forms.
func (m Merchant) Updated(b MerchantUpdated, at envelope.Time) (Merchant, error) {
	m.Keys = slices.Clone(m.Keys)
	var err error
	if m.Verifiers, err = m.changeKeys(UseVerifier, m.Verifiers, b.AddedVerifiers, b.RetiredVerifiers, at); err != nil {
		return m, err
	}
	if m.ReplyKeys, err = m.changeKeys(UseReply, m.ReplyKeys, b.AddedReplyKeys, b.RetiredReplyKeys, at); err != nil {
		return m, err
	}
	gone := 0
	for _, k := range m.Keys {
		if !k.Retired.IsZero() {
			gone++
		}
	}
	if gone+len(m.Verifiers)+len(m.ReplyKeys) > maxKeysEver {
		return m, fmt.Errorf("merchant %s would have had %d keys, and may ever have %d: enrol it under another id",
			m.ID, gone+len(m.Verifiers)+len(m.ReplyKeys), maxKeysEver)
	}
	if b.Name != "" {
		m.Name = b.Name
	}
	if b.Acceptor != "" {
		m.Acceptor = b.Acceptor
	}
	if len(b.Currencies) > 0 {
		m.Currencies = b.Currencies
	}
	m.Version++
	return m, nil
}

// changeKeys returns the keys in use of one kind after a change, and notes it in m.Keys.
func (m *Merchant) changeKeys(use KeyUse, keys, add, retire []string, at envelope.Time) ([]string, error) {
	keys = slices.Clone(keys)
	for _, line := range add {
		short := use.short(line)
		if m.retired(short) {
			return nil, fmt.Errorf("key %s was retired and never comes back: make a new one", short)
		}
		if slices.ContainsFunc(keys, func(k string) bool { return use.short(k) == short }) {
			return nil, fmt.Errorf("key %s is in use already, or stands twice", short)
		}
		keys = append(keys, line)
		m.Keys = append(m.Keys, MerchantKey{Name: short, Added: at})
	}
	for _, line := range retire {
		n := slices.Index(keys, line)
		switch {
		case slices.Contains(add, line):
			return nil, fmt.Errorf("key %s cannot be added and retired at once", use.short(line))
		case n < 0:
			return nil, fmt.Errorf("key %s: %w", use.short(line), ErrUnknownKey)
		case len(keys) == 1:
			return nil, fmt.Errorf("key %s is the last of its kind: add one in the same call", use.short(line))
		}
		keys = slices.Delete(keys, n, n+1)
		gone := m.KeyTimes(use, line)
		gone.Retired = at
		if known := m.keyAt(gone.Name); known >= 0 {
			m.Keys[known] = gone
		} else {
			m.Keys = append(m.Keys, gone)
		}
	}
	return keys, nil
}

// CheckAcceptorFree refuses another acceptor while a card batch of the merchant is unsettled: its
// totals are agreed under the old one.
func CheckAcceptorFree(s *State, m Merchant) error {
	var first Batch
	err := Batches.Each(s, func(b Batch) error {
		if b.Merchant == m.ID && b.Method == MethodCard && b.Stage != BatchDone && (first.Number == 0 || b.Number < first.Number) {
			first = b
		}
		return nil
	})
	if err == nil && first.Number != 0 {
		err = misfit("batch %s of %s is under acceptor %s and not settled: settle it first", first.ID(), m.ID, m.Acceptor)
	}
	return err
}

func (f *fold) updated(b MerchantUpdated) error {
	return f.changeMerchant(func(m *Merchant) error {
		if !b.Changes() {
			return misfit("an update of %s changes nothing", m.ID)
		}
		after, err := m.Updated(b, f.event.Time)
		if err == nil {
			err = CheckMerchant(after, replyKeyForm, envelope.ValidCurrency)
		}
		if err != nil {
			return misfit("merchant %s: %v", m.ID, err)
		}
		if after.Acceptor != m.Acceptor {
			if err := checkEnrolled(f.State, after); err != nil {
				return err
			}
			if err := CheckAcceptorFree(f.State, *m); err != nil {
				return err
			}
		}
		*m = after
		return nil
	})
}
