package intake

import (
	"bytes"
	"cmp"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

// refusal is an envelope with one defect, and its result's facts.
type refusal struct {
	defect string
	change func(*vaulttest.Draft)
	want   envelope.Facts // but status, and payment where it is the envelope's own id
}

func order(text string) func(*vaulttest.Draft) {
	return func(d *vaulttest.Draft) { d.Order = text }
}

// operation is an order without account and code parts.
func operation(text string) func(*vaulttest.Draft) {
	return func(d *vaulttest.Draft) { d.Order, d.Account, d.Code = text, "", "" }
}

func acct(text string) func(*vaulttest.Draft) {
	return func(d *vaulttest.Draft) { d.Account = text }
}

func sealed(change func(*envelope.Envelope)) func(*vaulttest.Draft) {
	return func(d *vaulttest.Draft) { d.Sealed = change }
}

const (
	token   = "tok_abcdefghijklmnopqrstuvwxyz"
	earlier = "0192f0c1-2b3c-7d4e-8f50-a1b2c3d4e5f6"
	payee   = `{"bank":{"routing":"011000015","account":"12345678","type":"checking","name":"A. Payee"}}`
)

// fresh are the facts of a rejection whose order opened, with the sale's amount, currency and
// reference.
func fresh(code envelope.Code) envelope.Facts {
	return envelope.Facts{Code: code, Amount: 1999, Currency: "USD", Reference: "order 17"}
}

func withMask(f envelope.Facts, masked string) envelope.Facts {
	f.Masked = masked
	return f
}

func withReference(f envelope.Facts, reference string) envelope.Facts {
	f.Reference = reference
	return f
}

func withAmount(f envelope.Facts, amount int64) envelope.Facts {
	f.Amount = amount
	return f
}

func withCurrency(f envelope.Facts, currency string) envelope.Facts {
	f.Currency = currency
	return f
}

func withToken(f envelope.Facts) envelope.Facts {
	f.Token = token
	return f
}

func ofEarlier(f envelope.Facts) envelope.Facts {
	f.Payment = earlier
	return f
}

func blank(code envelope.Code) envelope.Facts { return envelope.Facts{Code: code} }

// refusals has every defect of an active merchant's envelope, in the order of specification 7.
func refusals() []refusal {
	list := []refusal{
		// its signer is set by the test
		{"another key of the merchant's name", nil, blank(envelope.CodeUnknownSigner)},
		{"until has passed", func(d *vaulttest.Draft) {
			d.Created, d.Until = d.Created.Add(-2*time.Hour), d.Created.Add(-time.Second)
		}, blank(envelope.CodeLate)},
		{"order sealed to a key that is not there", sealed(func(e *envelope.Envelope) { rename(&e.Order) }), blank(envelope.CodeKeyDead)},
		{"account sealed to a key that is not there", sealed(func(e *envelope.Envelope) { rename(e.Account) }), fresh(envelope.CodeKeyDead)},
		{"code sealed to a key that is not there, and the order altered", sealed(func(e *envelope.Envelope) { rename(e.Code); flip(e.Order) }), blank(envelope.CodeKeyDead)},
		{"order altered", sealed(func(e *envelope.Envelope) { flip(e.Order) }), blank(envelope.CodeCannotOpen)},
		{"account altered", sealed(func(e *envelope.Envelope) { flip(*e.Account) }), fresh(envelope.CodeCannotOpen)},
		{"code altered", sealed(func(e *envelope.Envelope) { flip(*e.Code) }), fresh(envelope.CodeCannotOpen)},
		{"account in the order's place", sealed(func(e *envelope.Envelope) { e.Order = *e.Account }), blank(envelope.CodeCannotOpen)},
		{"a part too short to be sealed", sealed(func(e *envelope.Envelope) { e.Code.Sealed = e.Code.Sealed[:40] }), fresh(envelope.CodeCannotOpen)},
	}
	return append(list, readable()...)
}

func orderRefusals() []refusal {
	const sale = `{"operation":"sale","reference":"order 17","amount":1999,"currency":"USD"`
	return []refusal{
		{"order that is no JSON", order("sale please"), blank(envelope.CodeBadOrder)},
		{"order with an unknown member", order(sale + `,"tip":1}`), blank(envelope.CodeBadOrder)},
		{"order with a member twice", order(sale + `,"amount":1999}`), blank(envelope.CodeBadOrder)},
		{"order with null", order(sale + `,"descriptor":null}`), blank(envelope.CodeBadOrder)},
		{"unknown operation", order(strings.Replace(sale, "sale", "gift", 1) + "}"), blank(envelope.CodeBadOrder)},
		{"sale without an amount", order(`{"operation":"sale","reference":"order 17","currency":"USD"}`), envelope.Facts{Code: envelope.CodeBadOrder, Currency: "USD", Reference: "order 17"}},
		{"sale without a currency", order(`{"operation":"sale","reference":"order 17","amount":1999}`), envelope.Facts{Code: envelope.CodeBadOrder, Amount: 1999, Reference: "order 17"}},
		{"sale of a payment", order(sale + `,"of":"` + earlier + `"}`), ofEarlier(fresh(envelope.CodeBadOrder))},
		{"sale with account and token", order(sale + `,"token":"` + token + `"}`), withToken(fresh(envelope.CodeBadOrder))},
		{"sale with neither account nor token", operation(sale + `}`), fresh(envelope.CodeBadOrder)},
		{"card number in a member that has no amount", order(`{"operation":"sale","reference":"4242424242424242","amount":1999}`), envelope.Facts{Code: envelope.CodeBadOrder, Amount: 1999}},
		{"reference that is empty", order(vaulttest.Order(1999, "USD", "")), withReference(fresh(envelope.CodeReference), "")},
		{"reference too long", order(vaulttest.Order(1999, "USD", strings.Repeat("x", 65))), withReference(fresh(envelope.CodeReference), "")},
		{"reference that is a card number", order(vaulttest.Order(1999, "USD", "4242424242424242")), withReference(fresh(envelope.CodeReference), "")},
		{"descriptor too long", order(sale + `,"descriptor":"12345678901234567890123"}`), blank(envelope.CodeBadOrder)},
		{"descriptor with a card number", order(sale + `,"descriptor":"x4242424242424242"}`), blank(envelope.CodeBadOrder)},
		{"amount of 0", order(vaulttest.Order(0, "USD", "order 17")), withAmount(fresh(envelope.CodeAmount), 0)},
		{"amount over the largest", order(vaulttest.Order(100_000_000, "USD", "order 17")), withAmount(fresh(envelope.CodeAmount), 100_000_000)},
		{"amount that is a card number", order(vaulttest.Order(4242424242424242, "USD", "order 17")), withAmount(fresh(envelope.CodeAmount), 0)},
		{"currency that is none", order(vaulttest.Order(1999, "QQQ", "order 17")), withCurrency(fresh(envelope.CodeCurrency), "QQQ")},
		{"currency in small letters", order(vaulttest.Order(1999, "usd", "order 17")), withCurrency(fresh(envelope.CodeCurrency), "")},
		{"currency that the merchant does not sell in", order(vaulttest.Order(1999, "JPY", "order 17")), withCurrency(fresh(envelope.CodeCurrency), "JPY")},
	}
}

func accountRefusals() []refusal {
	return []refusal{
		{"account that is no JSON", acct("4242424242424242"), fresh(envelope.CodeBadAccount)},
		{"card without an expiry", acct(`{"card":{"number":"4242424242424242"}}`), fresh(envelope.CodeBadAccount)},
		{"card and bank account", acct(`{"card":{"number":"4242424242424242","expiry":"2031-12"},` + payee[1:]), fresh(envelope.CodeBadAccount)},
		{"card number with spaces", acct(vaulttest.Card("4242 4242 4242 4242", "2031-12")), fresh(envelope.CodeBadAccount)},
		{"card of another scheme with a wrong check digit", acct(vaulttest.Card("9999999999999994", "2031-12")), withMask(fresh(envelope.CodeLuhn), "999999******9994")},
		{"card of a length that its brand has not", acct(vaulttest.Card("42424242424242", "2031-12")), fresh(envelope.CodeBadAccount)},
		{"code of two digits", func(d *vaulttest.Draft) { d.Code = `{"code":"12"}` }, fresh(envelope.CodeBadAccount)},
		{"code and something else", func(d *vaulttest.Draft) { d.Code = `{"code":"123","pin":"1234"}` }, fresh(envelope.CodeBadAccount)},
		{"wrong check digit", acct(vaulttest.Card("4242424242424241", "2031-12")), withMask(fresh(envelope.CodeLuhn), "424242******4241")},
		{"expired card", acct(vaulttest.Card("4242424242424242", "2026-10")), withMask(fresh(envelope.CodeExpiredCard), "424242******4242")},
		{"expired card with a wrong check digit", acct(vaulttest.Card("4242424242424241", "2026-10")), withMask(fresh(envelope.CodeLuhn), "424242******4241")},
	}
}

// rename seals a part, by its name, to a key that the vault never had.
func rename(p *envelope.Part) {
	p.Key = envelope.MakeKeyName(p.Key.Kind(), 1, p.Key.Suite())
	p.Sealed = append([]byte{1, 0, 0, 0, 1}, p.Sealed[5:]...)
}

func flip(p envelope.Part) { p.Sealed[len(p.Sealed)-1] ^= 1 }

func TestEveryDefectHasItsAnswer(t *testing.T) {
	d := newFixture(t)
	d.permit("shop-1")
	list := refusals()
	stranger := vaulttest.Signer(t, "shop-1")
	var msgs [][]byte
	ids := map[string]refusal{}
	for _, r := range list {
		sale := d.shop.Sale()
		if r.change == nil {
			sale.Signer = stranger
		} else {
			r.change(&sale)
		}
		ids[sale.ID] = r
		msgs = append(msgs, d.shop.Seal(sale))
	}
	good := d.shop.Sale()
	d.take(d.run.Bag(append(msgs, d.shop.Seal(good))...))

	if facts := d.facts(); len(facts) != len(list) {
		t.Errorf("%d results for %d bad envelopes", len(facts), len(list))
	}
	answers := d.answers()
	for id, r := range ids {
		want := r.want
		want.Payment, want.Status = cmp.Or(want.Payment, id), envelope.StatusRejected
		if got := answers[id]; got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", r.defect, got, want)
		}
	}
	if p := d.Payment("shop-1", good.ID); p.Stage != book.StageReceived {
		t.Errorf("the good envelope of the bag is %s", p.Stage)
	}
	d.expectFound(map[book.Finding]uint64{book.FindingForgedEnvelope: 1})
}

func TestRefusedEnvelopeKeepsNoParts(t *testing.T) {
	d := newFixture(t)
	sale := d.shop.Sale()
	sale.Account = vaulttest.Card("4242424242424241", "2031-12")
	d.take(d.run.Bag(d.shop.Seal(sale)))
	d.View(func(tx *ledger.Tx) error {
		for _, name := range []envelope.PartName{envelope.PartAccount, envelope.PartCode} {
			if _, ok, err := tx.Part("shop-1", sale.ID, name); ok || err != nil {
				t.Errorf("part %s of a refused envelope is kept, or %v", name, err)
			}
		}
		return nil
	})
}

func TestSuspendedMerchant(t *testing.T) {
	d := newFixture(t)
	before := d.shop.Sale()
	before.Account = vaulttest.Card("4242424242424242", "2026-10")
	msg := d.shop.Seal(before)
	d.take(d.run.Bag(msg))
	d.Append("shop-1", book.MerchantSuspended{})
	late := d.shop.Sale()
	late.Created, late.Until = late.Created.Add(-2*time.Hour), late.Created.Add(-time.Hour)
	d.take(d.run.Bag(d.shop.Seal(late), msg))
	facts := d.facts()
	if len(facts) != 2 || facts[1].Code != envelope.CodeMerchantSuspended || facts[1].Reference != "" {
		t.Errorf("facts %+v", facts)
	}
	d.Append("shop-1", book.MerchantResumed{})
	after := d.shop.Sale()
	d.take(d.run.Bag(d.shop.Seal(after)))
	if p := d.Payment("shop-1", after.ID); p.Stage != book.StageReceived {
		t.Errorf("after resuming: %s", p.Stage)
	}
	if p := d.Payment("shop-1", late.ID); p.Code != envelope.CodeMerchantSuspended {
		t.Errorf("an envelope of the suspension is %s", p.Code)
	}
}

// The commit sees what changed after judging.
func TestVerdictIsRenewedWhenTheMerchantChanged(t *testing.T) {
	d := newFixture(t)
	sale, forged := d.shop.Sale(), d.shop.Sale()
	forged.Signer = vaulttest.Signer(t, "shop-1")
	stranger := d.Stranger("shop-9")
	unknown := stranger.Sale()
	g, err := d.intake.judgeAll([]channel.Message{d.run.Bag(d.shop.Seal(sale), d.shop.Seal(forged), stranger.Seal(unknown))})
	if err != nil {
		t.Fatal(err)
	}
	d.Append("shop-1", book.MerchantSuspended{})
	if err := d.intake.commit(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if p := d.Payment("shop-1", sale.ID); p.Code != envelope.CodeMerchantSuspended {
		t.Errorf("a sale judged before the suspension is %s %s", p.Stage, p.Code)
	}
	d.expectFound(map[book.Finding]uint64{book.FindingForgedEnvelope: 1, book.FindingUnknownMerchant: 1})
}

func TestVerdictIsLateWhenTimePassedBeforeTheCommit(t *testing.T) {
	d := newFixture(t)
	sale := d.shop.Sale()
	g, err := d.intake.judgeAll([]channel.Message{d.run.Bag(d.shop.Seal(sale))})
	if err != nil {
		t.Fatal(err)
	}
	d.Clock.Pass(time.Hour + time.Second)
	if err := d.intake.commit(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if facts := d.facts(); len(facts) != 1 || facts[0].Code != envelope.CodeLate || facts[0].Reference != "" || facts[0].Masked != "" {
		t.Errorf("facts %+v", facts)
	}
}

func TestDeadKeyOfAnOldEnvelope(t *testing.T) {
	d := newFixture(t)
	sale := d.shop.Sale()
	sale.Until = sale.Created.Add(envelope.MaxLife)
	msg := d.shop.Seal(sale)
	for range 13 { // code keys die at most 12 hours after they were new
		d.Clock.Pass(time.Hour)
		d.Tick()
	}
	d.take(d.run.Bag(msg))
	if facts := d.facts(); len(facts) != 1 || facts[0].Code != envelope.CodeKeyDead || facts[0].Reference != "order 17" {
		t.Errorf("facts %+v", facts)
	}
}

// Envelopes of no merchant are findings only.
func TestEnvelopesOfNobody(t *testing.T) {
	d := newFixture(t)
	other := d.Enrol("shop-2")
	stranger := d.Stranger("shop-9")
	long := d.shop.Sale()
	long.Until = long.Created.Add(envelope.MaxLife + time.Second)
	backwards := d.shop.Sale()
	backwards.Until = backwards.Created
	text, err := note.Text(d.shop.Seal(d.shop.Sale()))
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := note.Sign(text, other.Signer)
	if err != nil {
		t.Fatal(err)
	}
	d.take(d.run.Bag([]byte("{}"), nil, bytes.Repeat([]byte("x"), 40<<10), d.shop.Seal(long), d.shop.Seal(backwards),
		stranger.Seal(stranger.Sale()), foreign))
	facts := d.facts()
	if len(facts) != 1 || facts[0].Code != envelope.CodeUnknownSigner {
		t.Errorf("facts %+v", facts)
	}
	d.expectFound(map[book.Finding]uint64{book.FindingBadEnvelope: 5, book.FindingUnknownMerchant: 1, book.FindingForgedEnvelope: 1})
}

func TestForgeriesAreBounded(t *testing.T) {
	d := newFixture(t)
	key := vaulttest.Signer(t, "shop-1")
	var forged [][]byte
	for range book.MaxRefusals + 20 {
		sale := d.shop.Sale()
		sale.Signer, sale.Suite = key, envelope.SuiteX25519
		forged = append(forged, d.shop.Seal(sale))
	}
	d.take(d.run.Bag(forged...), d.run.Bag(forged[0], forged[0]))
	if n := len(d.facts()); n != book.MaxRefusals {
		t.Errorf("%d forgeries were answered in a day", n)
	}
	// The first sixteen one by one, then two events for 16 and 32.
	d.expectFound(map[book.Finding]uint64{book.FindingForgedEnvelope: 4 * maxDetailed})
	d.Clock.Pass(24 * time.Hour)
	d.Tick()
	d.take(d.run.Bag(forged[book.MaxRefusals]))
	// The next one reports those that were counted.
	d.expectFound(map[book.Finding]uint64{book.FindingForgedEnvelope: book.MaxRefusals + 20 + 2 + 1})
	if n := len(d.facts()); n != book.MaxRefusals+1 {
		t.Errorf("%d forgeries were answered in two days", n)
	}
}
