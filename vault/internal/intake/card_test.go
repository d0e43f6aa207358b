package intake

import (
	"slices"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/vaulttest"
)

var accountAndCode = []envelope.PartName{envelope.PartAccount, envelope.PartCode}

func TestAuthorizeIsReceived(t *testing.T) {
	d := newFixture(t)
	draft := d.shop.Authorize(5000)
	draft.Code = `{"code":"123"}`
	p := d.waits(draft)
	if p.Stage != book.StageReceived || p.Flow() != book.FlowAuthorise || p.Method != book.MethodCard || p.Amount != 5000 ||
		p.Currency != "USD" || p.Masked != "424242******4242" || p.Brand != "visa" || !p.WithCode || p.Fingerprint == "" {
		t.Errorf("authorisation %+v", p)
	}
	if kept := d.parts(draft.ID); !slices.Equal(kept, accountAndCode) {
		t.Errorf("parts %v are kept", kept)
	}
}

func TestCapture(t *testing.T) {
	d := newFixture(t)
	of := d.approved(d.shop.Authorize(5000))
	early := d.shop.Authorize(700)
	d.waits(early)
	d.refused(d.shop.Capture(early.ID, 700), envelope.CodeWrongState)
	d.refused(d.shop.Capture(of, 5001), envelope.CodeOverAuthorised)

	first := d.shop.Capture(of, 2000)
	p := d.waits(first)
	if p.Stage != book.StageReceived || p.Of != of || p.Amount != 2000 || p.Currency != "USD" || p.Method != book.MethodCard ||
		p.Masked != "424242******4242" || p.Brand != "visa" || p.Fingerprint != d.Payment("shop-1", of).Fingerprint {
		t.Errorf("capture %+v", p)
	}
	d.refused(d.shop.Capture(of, 3001), envelope.CodeOverAuthorised)
	d.captured(first.ID)
	f := d.refused(d.shop.Capture(of, 3001), envelope.CodeOverAuthorised)
	want := envelope.Facts{Payment: of, Status: envelope.StatusRejected, Code: envelope.CodeOverAuthorised, Amount: 3001, Currency: "USD",
		Reference: "order 17", Masked: "424242******4242"}
	if f != want {
		t.Errorf("refused by %+v", f)
	}
	d.refused(d.shop.Capture(first.ID, 1), envelope.CodeUnknownPayment)

	rest := d.shop.Capture(of, 3000)
	d.waits(rest)
	d.captured(rest.ID)
	d.refused(d.shop.Capture(of, 1), envelope.CodeWrongState)

	sale := d.approved(d.shop.Sale())
	d.refused(d.shop.Capture(sale, 1), envelope.CodeWrongState)
}

func TestCaptureOfAnAuthorisationThatRanOut(t *testing.T) {
	d := newFixture(t)
	of := d.approved(d.shop.Authorize(5000))
	for range int(book.AuthorisationLife/time.Hour) - 1 {
		d.Clock.Pass(time.Hour)
	}
	d.Tick()
	d.waits(d.shop.Capture(of, 1))
	d.Clock.Pass(time.Hour)
	d.refused(d.shop.Capture(of, 1), envelope.CodeWrongState)
}

func TestVoidOfACard(t *testing.T) {
	d := newFixture(t)
	sale := d.approved(d.shop.Sale())
	waiting := d.shop.Sale()
	d.waits(waiting)
	d.refused(d.shop.Void(waiting.ID), envelope.CodeWrongState)

	void := d.shop.Void(sale)
	p := d.waits(void)
	if p.Stage != book.StageWaiting || p.Of != sale || p.Amount != 0 || p.Currency != "" || p.Masked != "424242******4242" {
		t.Errorf("void %+v", p)
	}
	if p := d.Payment("shop-1", sale); p.Stage != book.StageVoiding || p.Void != void.ID {
		t.Errorf("sale %s, voided by %s", p.Stage, p.Void)
	}
	d.refused(d.shop.Void(sale), envelope.CodeWrongState)
	d.refused(d.shop.Void(void.ID), envelope.CodeUnknownPayment)

	held := d.approved(d.shop.Authorize(100))
	capture := d.shop.Capture(held, 40)
	d.waits(capture)
	d.refused(d.shop.Void(held), envelope.CodeWrongState)
	d.refused(d.shop.Void(capture.ID), envelope.CodeUnknownPayment)
	d.waits(d.shop.Void(d.approved(d.shop.Authorize(100))))

	closed := d.approved(d.shop.Sale())
	d.Append("shop-1", book.BatchClosing{Batch: d.merchant().OpenBatch})
	d.refused(d.shop.Void(closed), envelope.CodeWrongState)
}

func TestRefundOfACard(t *testing.T) {
	d := newFixture(t)
	d.intake.RefundsByReference = true
	sale := d.approved(d.shop.Sale())
	// it is voided while its batch is open
	d.refused(d.shop.Refund(sale, 5), envelope.CodeWrongState)
	d.settleCards()

	first := d.shop.Refund(sale, 1000)
	p := d.waits(first)
	if p.Stage != book.StageReceived || p.Of != sale || p.Amount != 1000 || p.Currency != "USD" || p.Method != book.MethodCard ||
		p.Token != "" || p.Masked != "424242******4242" || p.Fingerprint != d.Payment("shop-1", sale).Fingerprint {
		t.Errorf("refund %+v", p)
	}
	d.refused(d.shop.Refund(sale, 1000), envelope.CodeOverCaptured)
	d.waits(d.shop.Refund(sale, 999))
	d.refused(d.shop.Refund(sale, 1), envelope.CodeOverCaptured)
	d.refused(d.shop.Refund(first.ID, 1), envelope.CodeUnknownPayment)

	held := d.approved(d.shop.Authorize(100))
	d.refused(d.shop.Refund(held, 1), envelope.CodeOverCaptured)
	capture := d.shop.Capture(held, 60)
	d.waits(capture)
	d.refused(d.shop.Refund(held, 1), envelope.CodeOverCaptured) // asked for is not captured
	d.captured(capture.ID)
	d.refused(d.shop.Refund(held, 61), envelope.CodeOverCaptured)
	d.waits(d.shop.Refund(held, 60))
	d.refused(d.shop.Refund(capture.ID, 1), envelope.CodeUnknownPayment)
}

// A thief of a storefront's key cannot have sales refunded to another card.
func TestRefundGoesToTheCardThatPaid(t *testing.T) {
	d := newFixture(t)
	d.permit("shop-1")
	sale := d.approved(d.shop.Sale())
	d.settleCards()
	d.refused(d.shop.Refund(sale, 5), envelope.CodeAccountGone) // no number, and none by reference

	to := func(account string) vaulttest.Draft {
		draft := d.shop.Refund(sale, 5)
		draft.Account = account
		return draft
	}
	for _, other := range []string{vaulttest.Card("5555555555554444", "2031-12"), vaulttest.Card("4000056655665556", vaulttest.CardExpiry), payee} {
		d.refused(to(other), envelope.CodeBadAccount)
	}
	d.intake.RefundsByReference = true
	for _, needless := range []string{goodCard, vaulttest.Card("5555555555554444", "2031-12"), payee} {
		// the right one too, so as not to reveal it
		d.refused(to(needless), envelope.CodeBadOrder)
	}
	d.intake.RefundsByReference = false
	// no more than three are compared a payment
	d.Clock.Pass(24 * time.Hour)
	sale = d.approved(d.shop.Sale())
	d.settleCards()

	// the same number on a new card
	newer := to(vaulttest.Card(vaulttest.CardNumber, "2030-01"))
	d.waits(newer)
	if kept := d.parts(newer.ID); !slices.Equal(kept, []envelope.PartName{envelope.PartAccount}) {
		t.Errorf("parts %v of the refund are kept", kept)
	}
}

func TestPaymentsOfAnotherMerchant(t *testing.T) {
	d := newFixture(t)
	d.intake.RefundsByReference = true
	sale, held := d.approved(d.shop.Sale()), d.approved(d.shop.Authorize(100))
	d.settleCards()
	other := d.Enrol("shop-2")
	for _, draft := range []vaulttest.Draft{other.Capture(held, 1), other.Void(held), other.Refund(sale, 1)} {
		d.take(d.run.Bag(other.Seal(draft)))
		if f := d.answers()[draft.ID]; f.Code != envelope.CodeUnknownPayment || f.Masked != "" || f.Currency != "" {
			t.Errorf("%s answered %+v", draft.Order, f)
		}
	}
}

// Envelopes of what was rejected or stored are not payments.
func TestOfWhatIsNoPayment(t *testing.T) {
	d := newFixture(t)
	d.permit("shop-1")
	d.intake.RefundsByReference = true
	store := d.shop.Store(goodCard)
	d.expect(store, envelope.StatusStored, envelope.CodeOK)
	unread := d.shop.Sale()
	unread.Order = "sale please"
	d.refused(unread, envelope.CodeBadOrder)
	for _, id := range []string{store.ID, unread.ID} {
		d.refused(d.shop.Capture(id, 1), envelope.CodeUnknownPayment)
		d.refused(d.shop.Void(id), envelope.CodeUnknownPayment)
		d.refused(d.shop.Refund(id, 1), envelope.CodeUnknownPayment)
	}
	declined := d.shop.Sale()
	declined.Account = badDigit
	d.refused(declined, envelope.CodeLuhn)
	d.refused(d.shop.Refund(declined.ID, 1), envelope.CodeWrongState)
}

// race is envelopes of one bag that conflict.
type race struct {
	name  string
	posts func(d *fixture) []vaulttest.Draft
	want  []envelope.Code // of each; ok is no answer yet
}

func races() []race {
	const ok = envelope.CodeOK
	list := func(drafts ...vaulttest.Draft) []vaulttest.Draft { return drafts }
	return []race{
		{"two captures that together exceed", func(d *fixture) []vaulttest.Draft {
			of := d.approved(d.shop.Authorize(100))
			return list(d.shop.Capture(of, 60), d.shop.Capture(of, 41), d.shop.Capture(of, 40))
		}, []envelope.Code{ok, envelope.CodeOverAuthorised, ok}},
		{"a refund twice", func(d *fixture) []vaulttest.Draft {
			of := d.approved(d.shop.Sale())
			d.settleCards()
			return list(d.shop.Refund(of, 1999), d.shop.Refund(of, 1999))
		}, []envelope.Code{ok, envelope.CodeOverCaptured}},
		{"void, then capture", func(d *fixture) []vaulttest.Draft {
			of := d.approved(d.shop.Authorize(100))
			return list(d.shop.Void(of), d.shop.Capture(of, 1))
		}, []envelope.Code{ok, envelope.CodeWrongState}},
		{"capture, then void", func(d *fixture) []vaulttest.Draft {
			of := d.approved(d.shop.Authorize(100))
			return list(d.shop.Capture(of, 1), d.shop.Void(of))
		}, []envelope.Code{ok, envelope.CodeWrongState}},
		{"a sale and its void", func(d *fixture) []vaulttest.Draft {
			sale := d.shop.Sale()
			return list(sale, d.shop.Void(sale.ID))
		}, []envelope.Code{ok, envelope.CodeWrongState}},
	}
}

func TestRacesInsideABag(t *testing.T) {
	for _, r := range races() {
		t.Run(r.name, func(t *testing.T) {
			d := newFixture(t)
			d.intake.RefundsByReference = true
			drafts := r.posts(d)
			d.post(drafts...)
			answers := d.answers()
			for n, draft := range drafts {
				got := answers[draft.ID].Code
				if got == "" {
					got = envelope.CodeOK
				}
				if got != r.want[n] {
					t.Errorf("%s answered %s, want %s", draft.Order, got, r.want[n])
				}
			}
		})
	}
}

func TestOneEnvelopeTwiceInABag(t *testing.T) {
	d := newFixture(t)
	of := d.approved(d.shop.Authorize(100))
	msg := d.shop.Seal(d.shop.Capture(of, 60))
	d.take(d.run.Bag(msg, msg), d.run.Bag(msg))
	if p := d.Payment("shop-1", of); p.Capturing != 60 {
		t.Errorf("%d are being captured", p.Capturing)
	}
}

func TestLimits(t *testing.T) {
	d := newFixture(t)
	d.intake.RefundsByReference = true
	sale := d.approved(d.shop.Sale())
	d.settleCards()
	policy := vaulttest.Policy()
	policy.Limits = []book.Limit{{Currency: "USD", Payment: 1000, Day: 1999 + 1500, PayoutDay: 1200}}
	policy.RefundPercent, policy.StoresPerDay = 50, 2
	d.Append("shop-1", book.MerchantPolicySet{Policy: policy})

	f := d.beyond(d.shop.Authorize(1001), book.ExceededPayment)
	if f.Amount != 1001 || f.Currency != "USD" || f.Masked != "424242******4242" {
		t.Errorf("refused by %+v", f)
	}
	d.waits(d.shop.Authorize(900))
	d.beyond(d.shop.BankSale(601), book.ExceededDay)
	d.expect(d.shop.BankSale(600), envelope.StatusAccepted, envelope.CodeOK)
	d.expect(d.shop.Payout(700), envelope.StatusAccepted, envelope.CodeOK)
	d.beyond(d.shop.Payout(501), book.ExceededPayouts)
	d.beyond(d.shop.Refund(sale, 1000), book.ExceededRefunds)
	d.waits(d.shop.Refund(sale, 999))
	d.expect(d.shop.Store(goodCard), envelope.StatusStored, envelope.CodeOK)
	first, second := d.shop.Store(goodCard), d.shop.Store(goodCard)
	d.post(first, second) // both are judged before either is stored
	if a := d.answers(); a[first.ID].Status != envelope.StatusStored || a[second.ID].Code != envelope.CodeLimit {
		t.Errorf("stores answered %+v and %+v", a[first.ID], a[second.ID])
	}
	d.beyond(d.shop.Store(goodCard), book.ExceededStores)
}

// The commit sees a policy that changed after judging.
func TestPolicyThatChangedIsSeenByTheCommit(t *testing.T) {
	d := newFixture(t)
	d.permit("shop-1")
	payout, store := d.shop.Payout(5), d.shop.Store(goodCard)
	later := d.shop.BankSale(6)
	g, err := d.intake.judgeAll([]channel.Message{d.run.Bag(d.shop.Seal(payout), d.shop.Seal(store), d.shop.Seal(later))})
	if err != nil {
		t.Fatal(err)
	}
	d.Append("shop-1", book.MerchantPolicySet{})
	if err := d.intake.commit(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	for id, f := range d.answers() {
		if f.Code != envelope.CodeNotPermitted {
			t.Errorf("%s answered %+v", id, f)
		}
	}
	if n := len(d.answers()); n != 3 {
		t.Errorf("%d answers", n)
	}
}
