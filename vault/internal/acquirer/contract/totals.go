package contract

import (
	"errors"
	"strings"
	"testing"
	"time"

	"nightdrop/vault/internal/acquirer"
)

func reconciled(t *testing.T, l Line) {
	shop := newShop()
	for _, amount := range []int64{1000, 250, 900_051} {
		if _, err := l.Acquirer.Authorise(t.Context(), shop.sale(t, amount)); err != nil {
			t.Fatal(err)
		}
	}
	undone := shop.sale(t, 77)
	if _, err := l.Acquirer.Authorise(t.Context(), undone); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Acquirer.Reverse(t.Context(), shop.reversal(undone, 0)); err != nil {
		t.Fatal(err)
	}
	host := acquirer.Totals{Debits: acquirer.Count{Number: 3, Amount: 1327}, DebitReversals: acquirer.Count{Number: 1, Amount: 77}}
	for _, c := range []struct {
		name   string
		ours   acquirer.Totals
		agreed bool
	}{
		{"what stands", acquirer.Totals{Debits: acquirer.Count{Number: 2, Amount: 1250}}, true},
		{"all and what was reversed", host, true},
		{"one too few", acquirer.Totals{Debits: acquirer.Count{Number: 1, Amount: 1000}}, false},
		{"the same number, another sum", acquirer.Totals{Debits: acquirer.Count{Number: 2, Amount: 1251}}, false},
		{"the same sum, another number", acquirer.Totals{Debits: acquirer.Count{Number: 3, Amount: 1250}}, false},
		{"nothing", acquirer.Totals{}, false},
	} {
		ours := c.ours
		ours.Trace, ours.Batch, ours.Currency = shop.trace(), 7, "USD"
		got, err := l.Acquirer.Reconcile(t.Context(), ours)
		if err != nil || got.Agreed != c.agreed || got.Host.Debits != host.Debits || got.Host.DebitReversals != host.DebitReversals {
			t.Errorf("%s: %+v, error %v, want agreed %v", c.name, got, err, c.agreed)
		}
	}
	none := acquirer.Totals{Trace: shop.trace(), Batch: 8, Currency: "USD"}
	if got, err := l.Acquirer.Reconcile(t.Context(), none); err != nil || !got.Agreed {
		t.Errorf("a batch that neither side knows: %+v, error %v", got, err)
	}
}

// credited compares a batch with a sale, a capture and refunds, one of them reversed.
func credited(t *testing.T, l Line) {
	shop := newShop()
	sale := shop.sale(t, 1000)
	l.approve(t, sale)
	original := acquirer.Original{Trace: sale.Trace, Kind: acquirer.KindSale}
	hold := l.hold(t, shop, 500)
	if answer, err := l.Acquirer.Capture(t.Context(), shop.capture(hold, 300)); err != nil || answer.Outcome != acquirer.Stands {
		t.Fatalf("capture: %+v, %v", answer, err)
	}
	l.approve(t, l.refundOf(t, shop, original, 200))
	undone := l.refundOf(t, shop, original, 50)
	l.approve(t, undone)
	if answer, err := l.Acquirer.Reverse(t.Context(), shop.reversal(undone, 0)); err != nil || answer.Outcome != acquirer.Stands {
		t.Fatalf("reversal of a refund: %+v, %v", answer, err)
	}
	for _, c := range []struct {
		name            string
		debits, credits acquirer.Count
		agreed          bool
	}{
		{"what stands", acquirer.Count{Number: 2, Amount: 1300}, acquirer.Count{Number: 1, Amount: 200}, true},
		{"the same net amount", acquirer.Count{Number: 2, Amount: 1150}, acquirer.Count{Number: 1, Amount: 50}, false},
		{"the refund left out", acquirer.Count{Number: 2, Amount: 1300}, acquirer.Count{}, false},
		{"more credits than debits", acquirer.Count{}, acquirer.Count{Number: 1, Amount: 200}, false},
	} {
		ours := acquirer.Totals{Trace: shop.trace(), Batch: 7, Currency: "USD", Debits: c.debits, Credits: c.credits}
		got, err := l.Acquirer.Reconcile(t.Context(), ours)
		if err != nil || got.Agreed != c.agreed || got.Host.StandingCredits() != (acquirer.Count{Number: 1, Amount: 200}) {
			t.Errorf("%s: %+v, error %v, want agreed %v", c.name, got, err, c.agreed)
		}
	}
}

func limits(t *testing.T, l Line) {
	shop := newShop()
	for name, change := range map[string]func(*acquirer.Request){
		"amount 0":             func(s *acquirer.Request) { s.Amount = 0 },
		"amount negative":      func(s *acquirer.Request) { s.Amount = -1 },
		"amount too large":     func(s *acquirer.Request) { s.Amount = 100_000_000 },
		"currency unknown":     func(s *acquirer.Request) { s.Currency = "XXQ" },
		"trace number 0":       func(s *acquirer.Request) { s.STAN = 0 },
		"trace number large":   func(s *acquirer.Request) { s.STAN = 1_000_000 },
		"batch 0":              func(s *acquirer.Request) { s.Batch = 0 },
		"batch large":          func(s *acquirer.Request) { s.Batch = 1_000_000 },
		"reference short":      func(s *acquirer.Request) { s.RRN = "12345678901" },
		"reference lower case": func(s *acquirer.Request) { s.RRN = "abcdefghijkl" },
		"terminal long":        func(s *acquirer.Request) { s.Terminal = "TERMINAL1" },
		"terminal empty":       func(s *acquirer.Request) { s.Terminal = "" },
		"acceptor long":        func(s *acquirer.Request) { s.Acceptor = strings.Repeat("A", 16) },
		"descriptor long":      func(s *acquirer.Request) { s.Descriptor = strings.Repeat("A", 23) },
		"descriptor not ASCII": func(s *acquirer.Request) { s.Descriptor = "CAFÉ" },
		"time absent":          func(s *acquirer.Request) { s.Sent = time.Time{} },
		"card absent":          func(s *acquirer.Request) { s.Card = nil },
		"card cleared":         func(s *acquirer.Request) { clearCard(t, s) },
		"kind absent":          func(s *acquirer.Request) { s.Kind = "" },
		"kind of an advice":    func(s *acquirer.Request) { s.Kind = acquirer.KindCapture },
		"a sale of an original": func(s *acquirer.Request) {
			s.Original = &acquirer.Original{Trace: shop.trace(), Kind: acquirer.KindSale}
		},
		"a refund of nothing": func(s *acquirer.Request) { s.Kind, s.Card = acquirer.KindRefund, nil },
	} {
		sale := shop.sale(t, 1099)
		change(&sale)
		_, err := l.Acquirer.Authorise(t.Context(), sale)
		if !errors.Is(err, acquirer.ErrRequest) || !errors.Is(err, acquirer.ErrNotSent) {
			t.Errorf("%s: error %v, want ErrRequest", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "4242") {
			t.Errorf("%s: the error shows the card", name)
		}
	}
	sale := shop.sale(t, 1099)
	adviceLimits(t, l, shop, sale)
}

func adviceLimits(t *testing.T, l Line, shop *shop, sale acquirer.Request) {
	t.Helper()
	for name, change := range map[string]func(*acquirer.Reversal){
		"terminal another":     func(r *acquirer.Reversal) { r.Terminal = "OTHER" },
		"acceptor another":     func(r *acquirer.Reversal) { r.Acceptor = "OTHER" },
		"original's kind none": func(r *acquirer.Reversal) { r.Original.Kind = "" },
		"original's trace 0":   func(r *acquirer.Reversal) { r.Original.STAN = 0 },
		"batch 0 of a sale":    func(r *acquirer.Reversal) { r.Batch = 0 },
	} {
		reversal := shop.reversal(sale, 0)
		change(&reversal)
		if _, err := l.Acquirer.Reverse(t.Context(), reversal); !errors.Is(err, acquirer.ErrRequest) {
			t.Errorf("a reversal, %s: error %v, want ErrRequest", name, err)
		}
	}
	for name, change := range map[string]func(*acquirer.Capture){
		"terminal another":      func(c *acquirer.Capture) { c.Terminal = "OTHER" },
		"of a sale":             func(c *acquirer.Capture) { c.Original.Kind = acquirer.KindSale },
		"approval with a space": func(c *acquirer.Capture) { c.Original.Approval = "A 1" },
		"approval long":         func(c *acquirer.Capture) { c.Original.Approval = "A123456" },
		"amount 0":              func(c *acquirer.Capture) { c.Amount = 0 },
		"batch 0":               func(c *acquirer.Capture) { c.Batch = 0 },
	} {
		capture := shop.capture(acquirer.Original{Trace: sale.Trace, Kind: acquirer.KindAuthorisation}, 1099)
		change(&capture)
		if _, err := l.Acquirer.Capture(t.Context(), capture); !errors.Is(err, acquirer.ErrRequest) {
			t.Errorf("a capture, %s: error %v, want ErrRequest", name, err)
		}
	}
}

func closed(t *testing.T, l Line) {
	for range 2 {
		if err := l.Acquirer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if l.Acquirer.Ready() == nil {
		t.Error("a closed line is ready")
	}
	start := time.Now()
	if _, err := l.Acquirer.Authorise(t.Context(), newShop().sale(t, 1099)); !errors.Is(err, acquirer.ErrNotSent) {
		t.Errorf("error %v, want ErrNotSent", err)
	}
	if time.Since(start) > time.Second {
		t.Error("waited for a line that will not come")
	}
}
