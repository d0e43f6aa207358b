package book

import (
	"testing"
	"time"

	"nightdrop/shared/envelope"
)

func usd(l Limit) Policy {
	l.Currency = "USD"
	return Policy{Limits: []Limit{l}, Storage: true, Company: Company{Name: "Shop", ID: "1234567890"}}
}

func TestLimits(t *testing.T) {
	now := envelope.At(began)
	tomorrow := envelope.At(began.Add(24 * time.Hour))
	nextMonth, afterNext := envelope.At(began.AddDate(0, 1, 0)), envelope.At(began.AddDate(0, 2, 0))
	for name, c := range map[string]struct {
		policy Policy
		used   func(Usage) Usage
		op     envelope.Operation
		amount int64
		at     envelope.Time
		want   Exceeded
	}{
		"no limit":           {Policy{}, nil, envelope.OpSale, envelope.MaxAmount, now, ""},
		"a payment's limit":  {usd(Limit{Payment: 100}), nil, envelope.OpSale, 100, now, ""},
		"above it":           {usd(Limit{Payment: 100}), nil, envelope.OpAuthorize, 101, now, ExceededPayment},
		"other currency's":   {Policy{Limits: []Limit{{Currency: "EUR", Payment: 1}}}, nil, envelope.OpSale, 100, now, ""},
		"the day's, reached": {usd(Limit{Day: 100}), func(u Usage) Usage { return u.used(envelope.OpSale, 60, "USD", now) }, envelope.OpSale, 40, now, ""},
		"the day's, passed":  {usd(Limit{Day: 100}), func(u Usage) Usage { return u.used(envelope.OpSale, 60, "USD", now) }, envelope.OpSale, 41, now, ExceededDay},
		"a new day":          {usd(Limit{Day: 100}), func(u Usage) Usage { return u.used(envelope.OpSale, 60, "USD", now) }, envelope.OpSale, 41, tomorrow, ""},
		"payouts, off":       {usd(Limit{}), nil, envelope.OpPayout, 1, now, ExceededPayouts},
		"payouts, the day's": {usd(Limit{PayoutDay: 50}), func(u Usage) Usage { return u.used(envelope.OpPayout, 50, "USD", now) }, envelope.OpPayout, 1, now, ExceededPayouts},
		"payouts, below it":  {usd(Limit{PayoutDay: 50}), func(u Usage) Usage { return u.used(envelope.OpSale, 50, "USD", now) }, envelope.OpPayout, 50, now, ""},
		"refunds, no sales":  {Policy{RefundPercent: 10}, nil, envelope.OpRefund, 1, now, ExceededRefunds},
		"refunds, in ratio":  {Policy{RefundPercent: 10}, func(u Usage) Usage { return u.sold(1000, "USD", now) }, envelope.OpRefund, 100, now, ""},
		"refunds, above it":  {Policy{RefundPercent: 10}, func(u Usage) Usage { return u.sold(1000, "USD", now).used(envelope.OpRefund, 1, "USD", now) }, envelope.OpRefund, 100, now, ExceededRefunds},
		"refunds, given back": {Policy{RefundPercent: 10}, func(u Usage) Usage {
			return u.sold(1000, "USD", now).used(envelope.OpRefund, 1, "USD", now).unrefunded(1, "USD", now, now)
		}, envelope.OpRefund, 100, now, ""},
		"refunds, given back next month": {Policy{RefundPercent: 10}, func(u Usage) Usage {
			return u.sold(1000, "USD", now).used(envelope.OpRefund, 100, "USD", now).unrefunded(100, "USD", now, nextMonth)
		}, envelope.OpRefund, 101, nextMonth, ExceededRefunds},
		"refunds, given back when they count no more": {Policy{RefundPercent: 10}, func(u Usage) Usage {
			return u.used(envelope.OpRefund, 100, "USD", now).sold(1000, "USD", afterNext).unrefunded(100, "USD", now, afterNext)
		}, envelope.OpRefund, 101, afterNext, ExceededRefunds},
		"updates, as stores":      {Policy{Storage: true, StoresPerDay: 1}, func(u Usage) Usage { return u.used(envelope.OpStore, 0, "", now) }, envelope.OpUpdate, 0, now, ExceededStores},
		"stores, after an update": {Policy{Storage: true, StoresPerDay: 1}, func(u Usage) Usage { return u.used(envelope.OpUpdate, 0, "", now) }, envelope.OpStore, 0, now, ExceededStores},
		"refunds, next month":     {Policy{RefundPercent: 10}, func(u Usage) Usage { return u.sold(1000, "USD", now) }, envelope.OpRefund, 100, envelope.At(began.AddDate(0, 1, 10)), ""},
		"refunds, the one after":  {Policy{RefundPercent: 10}, func(u Usage) Usage { return u.sold(1000, "USD", now) }, envelope.OpRefund, 100, envelope.At(began.AddDate(0, 2, 0)), ExceededRefunds},
		"stores, reached":         {Policy{Storage: true, StoresPerDay: 1}, func(u Usage) Usage { return u.used(envelope.OpStore, 0, "", now) }, envelope.OpStore, 0, now, ExceededStores},
		"stores, tomorrow":        {Policy{Storage: true, StoresPerDay: 1}, func(u Usage) Usage { return u.used(envelope.OpStore, 0, "", now) }, envelope.OpStore, 0, tomorrow, ""},
	} {
		m := Merchant{Policy: c.policy}
		if c.used != nil {
			m.Usage = c.used(m.Usage)
		}
		if got := m.Exceeds(c.op, c.amount, "USD", c.at); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestPermissions(t *testing.T) {
	all := usd(Limit{PayoutDay: 1})
	for _, c := range []struct {
		policy Policy
		op     envelope.Operation
		want   bool
	}{
		{Policy{}, envelope.OpSale, true}, {Policy{}, envelope.OpPayout, false}, {Policy{}, envelope.OpStore, false}, {Policy{}, envelope.OpUpdate, false},
		{Policy{}, envelope.OpForget, true}, // an account can always be forgotten
		{all, envelope.OpPayout, true}, {all, envelope.OpStore, true}, {all, envelope.OpUpdate, true},
		// no company to pay out in the name of
		{Policy{Limits: all.Limits}, envelope.OpPayout, false},
	} {
		if got := c.policy.Permits(c.op, "USD"); got != c.want {
			t.Errorf("%s under %+v: %v", c.op, c.policy, got)
		}
	}
}

func TestPoliciesThatAreNone(t *testing.T) {
	if err := usd(Limit{Payment: 1, Day: 2, PayoutDay: 3}).Check(); err != nil {
		t.Error(err)
	}
	// it stands in a log of when there was one
	if err := (Policy{Limits: []Limit{{Currency: "HRK", Day: 1}}}).Check(); err != nil {
		t.Error(err)
	}
	for name, p := range map[string]Policy{
		"no currency":        {Limits: []Limit{{Currency: "US1"}}},
		"not sorted":         {Limits: []Limit{{Currency: "USD"}, {Currency: "EUR"}}},
		"twice":              {Limits: []Limit{{Currency: "USD"}, {Currency: "USD"}}},
		"below 0":            {Limits: []Limit{{Currency: "USD", Day: -1}}},
		"percent":            {RefundPercent: 1001},
		"stores":             {StoresPerDay: -1},
		"payees":             {Payees: "friends"},
		"company's id":       {Company: Company{Name: "Shop", ID: "123"}},
		"company's name":     {Company: Company{Name: "A name that is too long", ID: "1234567890"}},
		"company of spaces":  {Company: Company{Name: "   ", ID: "1234567890"}},
		"company of zeros":   {Company: Company{Name: "Shop", ID: "0000000000"}},
		"company without id": {Company: Company{Name: "Shop"}},
	} {
		if p.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
		b := newBook(t)
		b.misfits(shop, MerchantPolicySet{Policy: p})
	}
}

// The fold itself refuses what a policy does not allow: no caller can forget to ask.
func TestTheFoldHoldsLimits(t *testing.T) {
	b := newBook(t)
	b.must(shop, MerchantPolicySet{Policy: usd(Limit{Payment: 100, Day: 150})})
	b.misfits(shop, order(1, envelope.OpSale, 101, 0))
	b.must(shop, order(1, envelope.OpSale, 100, 0))
	b.misfits(shop, order(2, envelope.OpSale, 51, 0))
	b.must(shop, order(2, envelope.OpSale, 50, 0))
	b.misfits(shop, bankOrder(3, envelope.OpPayout, 0))
}

func TestRefundsNeverExceedWhatWasCaptured(t *testing.T) {
	b := newBook(t)
	b.card(1, envelope.OpAuthorize, 0)
	b.misfits(shop, order(2, envelope.OpRefund, 1, 1)) // nothing is captured
	b.misfits(shop, order(2, envelope.OpCapture, 101, 1))
	b.must(shop, order(2, envelope.OpCapture, 60, 1))
	b.misfits(shop, order(3, envelope.OpCapture, 41, 1))
	b.misfits(shop, order(3, envelope.OpVoid, 0, 1))   // a capture is under way
	b.misfits(shop, order(3, envelope.OpRefund, 1, 1)) // it is not answered
	b.must(shop, b.captureOf(2))
	b.must(shop, CaptureAnswered{ID: id(2), Code: "iso-00"})
	b.must(shop, order(3, envelope.OpRefund, 40, 1))
	b.misfits(shop, order(4, envelope.OpRefund, 21, 1))
	wrong := order(4, envelope.OpRefund, 20, 1)
	wrong.Currency = "EUR"
	b.misfits(shop, wrong)
	b.misfits(shop, order(4, envelope.OpRefund, 20, 2)) // a capture is no payment of its own
	b.must(shop, order(4, envelope.OpRefund, 20, 1))
	b.must(shop, PaymentRefused{ID: id(3), Code: envelope.CodeLate})
	b.must(shop, order(5, envelope.OpRefund, 40, 1)) // what came to nothing holds nothing
	b.misfits(shop, order(6, envelope.OpRefund, 1, 1))
	if err := b.Verify(); err != nil {
		t.Error(err)
	}
}

func TestAnAccountThatCameBackIsBlocked(t *testing.T) {
	for reason, blocked := range map[string]bool{"R01": false, "R02": true, "R03": true, "R04": true, "R07": true, "R09": false, "R10": true, "R29": true} {
		b := newBook(t)
		b.must(shop, MerchantPolicySet{Policy: usd(Limit{})})
		b.try(bankOrder(1, envelope.OpSale, 0), BatchOpened{Batch: 1, Method: MethodBank}, EntryAccepted{ID: id(1), Batch: 1, Standard: "WEB"})
		b.closeAll()
		b.try(EntryIntended{ID: id(1), File: aFile, Trace: "123456780000001", Sequence: 1})
		b.fileOut()
		b.must(shop, PaymentSettled{ID: id(1), Batch: 1})
		issued := b.must(shop, PaymentReturned{ID: id(1), Code: envelope.ACHCode(reason)})
		if issued.Facts.Status != envelope.StatusReturned || issued.Facts.Code != envelope.ACHCode(reason) {
			t.Errorf("%s is told as %+v", reason, issued.Facts)
		}
		if _, ok, _ := b.Block(shop, "ff"); ok != blocked {
			t.Errorf("%s: blocked is %v", reason, ok)
		}
		if _, ok, _ := b.Block(other, "ff"); ok {
			t.Errorf("%s blocks at another merchant", reason)
		}
	}
}
