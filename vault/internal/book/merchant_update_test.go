package book

import (
	"fmt"
	"slices"
	"testing"
)

// twoKeys is a book with merchant shop-9, and its first verifier and reply key.
func twoKeys(t *testing.T) (b *book, v, r string) {
	t.Helper()
	b = newBook(t)
	added := enrolled(t, "shop-9", "ACCEPTOR9")
	b.must("shop-9", added)
	return b, added.Verifiers[0], added.ReplyKeys[0]
}

func (b *book) merchant(id string) Merchant {
	m, _, _ := b.Merchant(id) // in memory nothing fails
	return m
}

func TestAStolenKeyIsRetiredForEver(t *testing.T) {
	b, stolen, oldReply := twoKeys(t)
	fresh, newReply := verifier(t, "shop-9"), replyKey(2)
	before := b.merchant("shop-9")
	b.must("shop-9", MerchantUpdated{AddedVerifiers: []string{fresh}, RetiredVerifiers: []string{stolen},
		AddedReplyKeys: []string{newReply}, RetiredReplyKeys: []string{oldReply}})
	m := b.merchant("shop-9")
	if !slices.Equal(m.Verifiers, []string{fresh}) || !slices.Equal(m.ReplyKeys, []string{newReply}) || m.Version != before.Version+1 {
		t.Errorf("%+v", m)
	}
	if !slices.Equal(before.Verifiers, []string{stolen}) || len(before.Keys) != 0 {
		t.Errorf("the record of before was changed: %+v", before)
	}
	if k := m.KeyTimes(UseVerifier, stolen); k.Retired.IsZero() || k.Added != m.Added || k.Use() != UseVerifier {
		t.Errorf("the stolen key: %+v", k)
	}
	if k := m.KeyTimes(UseReply, newReply); !k.Retired.IsZero() || k.Added.IsZero() || k.Use() != UseReply {
		t.Errorf("the new reply key: %+v", k)
	}
	b.misfits("shop-9", MerchantUpdated{AddedVerifiers: []string{stolen}})
	b.misfits("shop-9", MerchantUpdated{AddedReplyKeys: []string{oldReply}})
	b.misfits("shop-9", MerchantUpdated{RetiredVerifiers: []string{stolen}})
	again := MerchantUpdated{AddedVerifiers: []string{fresh}, RetiredVerifiers: []string{stolen}, Name: m.Name}
	if again.Needed(m).Changes() {
		t.Errorf("asked for again: %+v", again.Needed(m))
	}
}

func TestKeysThatCannotChange(t *testing.T) {
	b, v, r := twoKeys(t)
	fresh := verifier(t, "shop-9")
	for name, u := range map[string]MerchantUpdated{
		"nothing":                     {},
		"the last verifier":           {RetiredVerifiers: []string{v}},
		"the last reply key":          {RetiredReplyKeys: []string{r}},
		"a verifier in use":           {AddedVerifiers: []string{v}},
		"one verifier twice":          {AddedVerifiers: []string{fresh, fresh}},
		"added and retired":           {AddedVerifiers: []string{fresh}, RetiredVerifiers: []string{fresh}},
		"a key that it never had":     {AddedVerifiers: []string{fresh}, RetiredVerifiers: []string{verifier(t, "shop-9")}},
		"another's verifier":          {AddedVerifiers: []string{verifier(t, "shop-8")}},
		"a reply key of no form":      {AddedReplyKeys: []string{"reply-00000002-x25519+AAAA"}},
		"a currency of no form":       {Currencies: []string{"usd"}},
		"an acceptor of no form":      {Acceptor: "lower"},
		"another merchant's acceptor": {Acceptor: "ACCEPTOR1"},
	} {
		if _, err := b.apply("shop-9", u); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	b.misfits("nobody", MerchantUpdated{Name: "x"})
	b.must("shop-9", MerchantUpdated{Name: "New", Currencies: []string{"EUR"}, Acceptor: "ACCEPTOR8"})
	if m := b.merchant("shop-9"); m.Name != "New" || m.Acceptor != "ACCEPTOR8" || !slices.Equal(m.Currencies, []string{"EUR"}) {
		t.Errorf("%+v", m)
	}
}

// With the newest reply key retired, the one before it is the newest.
func TestTheNewestReplyKeyIsRetired(t *testing.T) {
	b, _, first := twoKeys(t)
	b.must("shop-9", MerchantUpdated{AddedReplyKeys: []string{replyKey(2), replyKey(3)}})
	b.must("shop-9", MerchantUpdated{RetiredReplyKeys: []string{replyKey(3)}})
	if keys := b.merchant("shop-9").ReplyKeys; !slices.Equal(keys, []string{first, replyKey(2)}) {
		t.Errorf("%v", keys)
	}
}

func TestAMerchantsKeysAreBounded(t *testing.T) {
	b, _, _ := twoKeys(t)
	var many []string
	for n := byte(2); n <= maxMerchantKeys; n++ {
		many = append(many, replyKey(n))
	}
	b.must("shop-9", MerchantUpdated{AddedReplyKeys: many})
	b.misfits("shop-9", MerchantUpdated{AddedReplyKeys: []string{replyKey(17)}})
	key := func(n int) string {
		return fmt.Sprintf("reply-%08x-x25519+%s", 1000+n, replyKey(1)[len("reply-00000001-x25519+"):])
	}
	last := replyKey(1)
	for n := range maxKeysEver - maxMerchantKeys - 1 {
		b.must("shop-9", MerchantUpdated{AddedReplyKeys: []string{key(n)}, RetiredReplyKeys: []string{last}})
		last = key(n)
	}
	b.misfits("shop-9", MerchantUpdated{AddedReplyKeys: []string{key(999)}, RetiredReplyKeys: []string{last}})
}

func TestAnAcceptorWaitsForItsBatches(t *testing.T) {
	b, _, _ := twoKeys(t)
	b.must("shop-9", BatchOpened{Batch: 1, Method: MethodCard})
	b.misfits("shop-9", MerchantUpdated{Acceptor: "ACCEPTOR8"})
	b.must("shop-9", MerchantUpdated{Name: "New"})
	b.must("shop-9", BatchClosing{Batch: 1})
	b.must("shop-9", BatchClosed{Batch: 1, Totals: []Total{}})
	b.misfits("shop-9", MerchantUpdated{Acceptor: "ACCEPTOR8"})
	b.must("shop-9", BatchSettled{Batch: 1})
	b.must("shop-9", BatchOpened{Batch: 2, Method: MethodBank})
	b.must("shop-9", MerchantUpdated{Acceptor: "ACCEPTOR8"})
}
