package book

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
)

// enrolled is what the vault writes of a merchant whose rules the fold enforces.
func enrolled(t *testing.T, id, acceptor string) MerchantAdded {
	t.Helper()
	return MerchantAdded{Name: "Shop", Verifiers: []string{verifier(t, id)}, ReplyKeys: []string{replyKey(1)}, Acceptor: acceptor,
		Currencies: []string{"USD"}, Checked: true}
}

func verifier(t *testing.T, id string) string {
	t.Helper()
	s, err := note.GenerateSigner(id)
	if err != nil {
		t.Fatal(err)
	}
	return s.Verifier().String()
}

// replyKey has the form of one; nothing is sealed to it here.
func replyKey(n byte) string {
	return fmt.Sprintf("reply-%08x-x25519+%s", n, base64.StdEncoding.EncodeToString(append(make([]byte, 31), n)))
}

func TestTheFoldHoldsTheRulesOfAMerchant(t *testing.T) {
	for name, breach := range map[string]func(*MerchantAdded){
		"no name":               func(m *MerchantAdded) { m.Name = "" },
		"a name too long":       func(m *MerchantAdded) { m.Name = strings.Repeat("n", 65) },
		"no verifier":           func(m *MerchantAdded) { m.Verifiers = nil },
		"another's verifier":    func(m *MerchantAdded) { m.Verifiers = []string{verifier(t, "shop-8")} },
		"no reply key":          func(m *MerchantAdded) { m.ReplyKeys = nil },
		"a reply key of no key": func(m *MerchantAdded) { m.ReplyKeys = []string{"reply-00000001-x25519+AAAA"} },
		"no currency":           func(m *MerchantAdded) { m.Currencies = nil },
		"a currency's form":     func(m *MerchantAdded) { m.Currencies = []string{"usd"} },
		"a currency twice":      func(m *MerchantAdded) { m.Currencies = []string{"USD", "USD"} },
		"an acceptor's form":    func(m *MerchantAdded) { m.Acceptor = "lower" },
		"another's acceptor":    func(m *MerchantAdded) { m.Acceptor = "ACCEPTOR1" },
	} {
		b := newBook(t)
		added := enrolled(t, "shop-9", "ACCEPTOR9")
		breach(&added)
		b.misfits("shop-9", added)
		// A log from before the fold enforced it still folds, and an auditor hears of the breach.
		added.Checked = false
		event := Event{Time: envelope.At(b.now), Merchant: "shop-9", Body: added}
		if err := Breach(b.State, event); !errors.Is(err, ErrTransition) {
			t.Errorf("%s: %v", name, err)
		}
		b.must("shop-9", added)
	}
	b := newBook(t)
	added := enrolled(t, "shop-9", "ACCEPTOR9")
	// Whether a currency is in the tables of today is nothing that a log of then may depend on.
	added.Currencies = []string{"USD", "ZZZ"}
	b.must("shop-9", added)
	if err := Breach(b.State, Event{Merchant: "shop-9", Body: enrolled(t, "shop-9", "ACCEPTOR1")}); err != nil {
		t.Errorf("a breach of what the fold enforces itself: %v", err)
	}
}

func TestTheFoldHoldsTheRulesOfACompany(t *testing.T) {
	b := newBook(t)
	company := MerchantPolicySet{Policy: Policy{Company: Company{Name: "Shop", ID: "1234567890"}}, Checked: true}
	b.must(shop, company)
	b.must(shop, company)
	gone := MerchantPolicySet{Checked: true}
	b.misfits(shop, gone)
	gone.Checked = false
	if err := Breach(b.State, Event{Merchant: shop, Body: gone}); !errors.Is(err, ErrTransition) {
		t.Errorf("a company that was taken away: %v", err)
	}
	b.must(shop, gone)
}
