package book

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/envelope"
)

// out is a shop with a stored bank account and an entry by its token, number 1, that is at the
// bank.
func out(t *testing.T) *book {
	t.Helper()
	b := newBook(t)
	b.must(shop, MerchantPolicySet{Policy: usd(Limit{})})
	store := bankOrder(original, envelope.OpStore, 0)
	store.Amount, store.Currency, store.Masked = 0, "", "******1234"
	b.must(shop, store)
	b.must(shop, AccountStored{ID: id(original), Token: aToken})
	b.now = b.now.Add(time.Hour)
	sale := bankOrder(1, envelope.OpSale, 0)
	sale.Token, sale.Masked = aToken, "******1234"
	b.must(shop, sale)
	b.must(shop, BatchOpened{Batch: 1, Method: MethodBank})
	b.must(shop, EntryAccepted{ID: id(1), Batch: 1, Standard: "WEB"})
	b.closeAll()
	b.must(shop, EntryIntended{ID: id(1), File: aFile, Trace: "123456780000001", Sequence: 1, Company: "1234567890"})
	b.fileOut()
	b.must(shop, PaymentSettled{ID: id(1), Batch: 1})
	return b
}

func (b *book) stored() Token { return Tokens.In(b.State)[Key{shop, aToken}] }

// replacing updates the stored account by a whole one.
func (b *book) replacing(n int, print string) {
	b.t.Helper()
	b.now = b.now.Add(time.Hour)
	update := bankOrder(n, envelope.OpUpdate, 0)
	update.Amount, update.Currency, update.Token, update.Fingerprint, update.Masked = 0, "", aToken, print, "******99"
	b.must(shop, update)
	if issued := b.must(shop, AccountUpdated{ID: id(n), Whole: true}); issued.Facts.Status != envelope.StatusUpdated || issued.Facts.Masked != "******99" {
		b.t.Errorf("told %+v", issued.Facts)
	}
}

// TestNoticesOfOldLogsTellNobody: what was logged before notices were told folds to what it did
// then, byte for byte.
func TestNoticesOfOldLogsTellNobody(t *testing.T) {
	b := out(t)
	for _, code := range []string{"C01", "C02", "C01"} {
		if issued := b.must(shop, ChangeNotified{ID: id(1), Code: code}); issued != nil {
			t.Errorf("told %+v", issued.Facts)
		}
	}
	text, err := json.Marshal([]any{b.payment(1), b.stored()})
	if err != nil || strings.Contains(string(text), "notices") || strings.Count(string(text), `"notice":"C01"`) != 1 || strings.Contains(string(text), "decisions") {
		t.Errorf("%s, %v", text, err)
	}
}

// TestANoticeOfChangeIsTold once for each of its codes, and blocks the stored account until a whole
// one takes its place.
func TestANoticeOfChangeIsTold(t *testing.T) {
	b := out(t)
	issued := b.must(shop, ChangeNotified{ID: id(1), Code: "C01", Told: true})
	want := envelope.Facts{Payment: id(1), Status: envelope.StatusNoted, Code: "ach-C01", Amount: 100, Currency: "USD", Reference: "r", Masked: "******1234",
		Token: aToken, Batch: "bank-000001"}
	if issued == nil || issued.Facts != want || issued.ID != id(1) {
		t.Errorf("told %+v, want %+v", issued, want)
	}
	b.misfits(shop, ChangeNotified{ID: id(1), Code: "C01", Told: true})
	for _, code := range []string{"", "C", "R01", "C0A", "C012"} {
		b.misfits(shop, ChangeNotified{ID: id(1), Code: code, Told: true})
	}
	b.must(shop, PaymentReturned{ID: id(1), Code: "ach-R01"})
	if issued := b.must(shop, ChangeNotified{ID: id(1), Code: "C05", Told: true}); issued.Facts.Code != "ach-C05" {
		t.Errorf("told %+v", issued.Facts)
	}
	if p := b.payment(1); p.Notice != "C05" || len(p.Notices) != 2 || len(p.Results) != 5 || p.Code != "ach-R01" || p.Stage != StageReturned {
		t.Errorf("payment %+v", p)
	}
	if b.stored().Notice != "C05" {
		t.Errorf("stored %+v", b.stored())
	}
	b.replacing(3, "ee")
	if s := b.stored(); s.Notice != "" || s.Fingerprint != "ee" || s.Masked != "******99" {
		t.Errorf("stored %+v", s)
	}
	// of the account as it was when the entry went out
	b.must(shop, ChangeNotified{ID: id(1), Code: "C02", Told: true})
	if b.stored().Notice != "" {
		t.Errorf("stored %+v", b.stored())
	}
}

// TestAWholeAccountTakesThePlaceOfItsKindOnly: a card's expiry leaves the rest as it was.
func TestAWholeAccountTakesThePlaceOfItsKindOnly(t *testing.T) {
	b := out(t)
	card := order(3, envelope.OpUpdate, 0, 0)
	card.Token = aToken
	b.must(shop, card)
	b.misfits(shop, AccountUpdated{ID: id(3), Whole: true})
	nothing := bankOrder(4, envelope.OpUpdate, 0)
	nothing.Amount, nothing.Currency, nothing.Token, nothing.Fingerprint = 0, "", aToken, ""
	b.must(shop, nothing)
	b.misfits(shop, AccountUpdated{ID: id(4), Whole: true})
	before := b.stored()
	b.must(shop, AccountUpdated{ID: id(3)})
	if s := b.stored(); s.Fingerprint != before.Fingerprint || s.Masked != before.Masked {
		t.Errorf("stored %+v", s)
	}
}

// TestAReturnByHandNamesWhoSaidSo, and no second return follows it.
func TestAReturnByHandNamesWhoSaidSo(t *testing.T) {
	b := out(t)
	b.must(shop, PaymentReturned{ID: id(1), Code: "ach-R03", Reason: "the bank called"})
	want := Decision{Time: envelope.At(b.now), Actor: "vault", As: envelope.StatusReturned, Reason: "the bank called"}
	if d := b.payment(1).Decisions; len(d) != 1 || d[0] != want {
		t.Errorf("decided %+v", d)
	}
	b.misfits(shop, PaymentReturned{ID: id(1), Code: "ach-R03"})
}

// TestAnAnswerFileMayBeTakenAgain where something of it was left, and only then.
func TestAnAnswerFileMayBeTakenAgain(t *testing.T) {
	b := newBook(t)
	digest := strings.Repeat("a", 64)
	b.must("", AnswerTaken{Digest: digest, Items: 2, Left: []AnswerLeft{{Record: 3, Problem: "not ours"}}, LeftCount: 1})
	if f := Files.In(b.State)[digest]; f.Left != 1 {
		t.Errorf("file %+v", f)
	}
	b.must("", AnswerTaken{Digest: digest, Items: 3})
	b.misfits("", AnswerTaken{Digest: digest, Items: 3})
}
