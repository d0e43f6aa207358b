package calls

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

// withdrawn is a currency that no table has any more: it was enrolled when one had it.
const withdrawn = "XXQ"

// shops are a vault with the merchant that is updated, which sold in a currency that is withdrawn,
// and another.
func shops(t *testing.T) (v *vaulttest.Vault, m book.MerchantAdded) {
	t.Helper()
	v = vaulttest.New(t)
	enrol := func(id, acceptor string) book.MerchantAdded {
		keys := v.Stranger(id)
		b := book.MerchantAdded{Name: "Shop", Verifiers: []string{keys.Signer.Verifier().String()}, ReplyKeys: []string{keys.ReplyLine()},
			Acceptor: acceptor, Currencies: []string{"USD", withdrawn}}
		v.Append(id, b)
		return b
	}
	m = enrol("shop-1", "SHOP1")
	enrol("shop-2", "SHOP2")
	return v, m
}

// checkedUpdate is what checkUpdate says of an update of shop-1 as the ledger stands.
func checkedUpdate(v *vaulttest.Vault, u book.MerchantUpdated) (err error) {
	v.TB.Helper()
	v.View(func(tx *ledger.Tx) error {
		m, read := readMerchant(tx, "shop-1")
		err = checkUpdate(tx, m, u)
		return read
	})
	return err
}

// TestWhatAnUpdateMayNotChange: each refusal has its kind, which is an exit code, and says what it
// is about.
func TestWhatAnUpdateMayNotChange(t *testing.T) {
	v, m := shops(t)
	fresh := v.Stranger("shop-1")
	newKey := fresh.Signer.Verifier().String()
	name, _, _ := strings.Cut(fresh.ReplyLine(), "+")
	// of the right form, and not the key of that name
	unusable := name + "+" + strings.Repeat("A", 43) + "="
	for name, c := range map[string]struct {
		update book.MerchantUpdated
		kind   control.Code // none: it is allowed
		says   string
	}{
		"a new key in the place of the old":    {book.MerchantUpdated{AddedVerifiers: []string{newKey}, RetiredVerifiers: m.Verifiers}, "", ""},
		"a new reply key":                      {book.MerchantUpdated{AddedReplyKeys: []string{fresh.ReplyLine()}, RetiredReplyKeys: m.ReplyKeys}, "", ""},
		"another name":                         {book.MerchantUpdated{Name: "Shop and sons"}, "", ""},
		"a currency more":                      {book.MerchantUpdated{Currencies: []string{"USD", "EUR"}}, "", ""},
		"a withdrawn currency that it sold in": {book.MerchantUpdated{Currencies: []string{withdrawn, "EUR"}}, "", ""},
		"a free acceptor":                      {book.MerchantUpdated{Acceptor: "SHOP9"}, "", ""},

		"a currency of no table":      {book.MerchantUpdated{Currencies: []string{"XXZ"}}, control.CodeUsage, "XXZ"},
		"a name that is too long":     {book.MerchantUpdated{Name: strings.Repeat("n", 65)}, control.CodeUsage, "--name"},
		"a reply key of no use":       {book.MerchantUpdated{AddedReplyKeys: []string{unusable}}, control.CodeUsage, "--reply-key"},
		"a key that it never had":     {book.MerchantUpdated{RetiredVerifiers: []string{newKey}}, control.CodeNotFound, "see vault merchant show shop-1"},
		"the last key":                {book.MerchantUpdated{RetiredVerifiers: m.Verifiers}, control.CodeConflict, "add one in the same call"},
		"the last reply key":          {book.MerchantUpdated{RetiredReplyKeys: m.ReplyKeys}, control.CodeConflict, "add one in the same call"},
		"another merchant's acceptor": {book.MerchantUpdated{Acceptor: "SHOP2"}, control.CodeConflict, "shop-2"},
	} {
		err := checkedUpdate(v, c.update)
		if (err == nil) != (c.kind == "") || err != nil && (KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v (%s), want %q", name, err, KindOf(err), c.kind)
		}
	}
	v.Append("shop-1", book.MerchantUpdated{AddedVerifiers: []string{newKey}, RetiredVerifiers: m.Verifiers})
	if err := checkedUpdate(v, book.MerchantUpdated{AddedVerifiers: m.Verifiers}); KindOf(err) != control.CodeConflict || !strings.Contains(err.Error(), "never comes back") {
		t.Errorf("a retired key: %v", err)
	}
}

// TestAcceptorWaitsForTheAcquirer: it changes while nothing stands at the acquirer under the old
// one, and nothing else waits for that.
func TestAcceptorWaitsForTheAcquirer(t *testing.T) {
	v, _ := shops(t)
	id := uuid.NewString()
	acceptor := func(when string, want string) {
		t.Helper()
		err := checkedUpdate(v, book.MerchantUpdated{Acceptor: "SHOP9"})
		if (err == nil) != (want == "") || err != nil && (KindOf(err) != control.CodeConflict || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", when, err)
		}
		if err := checkedUpdate(v, book.MerchantUpdated{Name: "Shop and sons"}); err != nil {
			t.Errorf("%s, another name: %v", when, err)
		}
	}
	now := envelope.At(v.Clock.Now())
	trace := book.Trace{STAN: 1, RRN: "632800000001", Terminal: "ND000001", Acceptor: "SHOP1", Sent: now}
	v.Append("shop-1", book.EnvelopeReceived{ID: id, Digest: envelope.ZeroDigest, Until: envelope.At(now.Add(time.Hour)),
		Operation: envelope.OpAuthorize, Amount: 1999, Currency: "USD", Reference: "order 17"})
	acceptor("received and not sent", "")
	v.Append("shop-1", book.AuthorisationIntended{ID: id, Trace: trace})
	acceptor("under way", "payment shop-1/"+id+" is authorising under acceptor SHOP1")
	v.Append("shop-1", book.AuthorisationAnswered{ID: id, Code: envelope.ISOCode("00"), Approval: "A1B2C3", Approved: true})
	acceptor("authorised", "payment shop-1/"+id+" is authorised under acceptor SHOP1")

	v.Append("shop-1", book.BatchOpened{Batch: 1, Method: book.MethodCard})
	acceptor("with an open batch", "card-000001 of shop-1 is under acceptor SHOP1 and not settled")
}
