package contract

import (
	"errors"
	"testing"

	"nightdrop/vault/internal/acquirer"
)

// approve sends a request that must be approved.
func (l Line) approve(t *testing.T, r acquirer.Request) acquirer.Original {
	t.Helper()
	answer, err := l.Acquirer.Authorise(t.Context(), r)
	if err != nil || answer.Outcome != acquirer.Approves {
		t.Fatalf("%s: answer %+v, error %v, want approval", r.Kind, answer, err)
	}
	return acquirer.Original{Trace: r.Trace, Kind: r.Kind, Approval: answer.Approval}
}

func (l Line) hold(t *testing.T, shop *shop, amount int64) acquirer.Original {
	t.Helper()
	return l.approve(t, shop.authorisation(t, amount))
}

// refundOf makes a refund by reference where the host has those.
func (l Line) refundOf(t *testing.T, shop *shop, original acquirer.Original, amount int64) acquirer.Request {
	t.Helper()
	if l.Acquirer.RefundsByReference() {
		return shop.refund(t, &original, amount)
	}
	return shop.refund(t, nil, amount)
}

func captured(t *testing.T, l Line) {
	shop := newShop()
	hold := l.hold(t, shop, 1000)
	if booked, ok := l.Book(t, hold.RRN); !ok || booked.Kind != acquirer.KindAuthorisation || booked.Batch != "" || booked.Captured != 0 {
		t.Fatalf("booked %+v, %v: want a hold outside of any batch", booked, ok)
	}
	first := shop.capture(hold, 400)
	for _, step := range []struct {
		name    string
		capture acquirer.Capture
		repeat  int
		code    string
		outcome acquirer.Outcome
		total   int64
	}{
		{"a part", first, 0, "00", acquirer.Stands, 400},
		{"the same again", first, 1, "00", acquirer.Stands, 400},
		{"and again", first, 2, "00", acquirer.Stands, 400},
		{"more than is left", shop.capture(hold, 601), 0, "13", acquirer.Person, 400},
		{"the rest", shop.capture(hold, 600), 0, "00", acquirer.Stands, 1000},
		{"one too many", shop.capture(hold, 1), 0, "13", acquirer.Person, 1000},
	} {
		step.capture.Repeat = step.repeat
		answer, err := l.Acquirer.Capture(t.Context(), step.capture)
		if err != nil || answer.Code != step.code || answer.Outcome != step.outcome {
			t.Errorf("%s: answer %+v, error %v, want %s that %s", step.name, answer, err, step.code, step.outcome)
		}
		if booked, _ := l.Book(t, hold.RRN); booked.Captured != step.total {
			t.Errorf("%s: %d captured at the host, want %d", step.name, booked.Captured, step.total)
		}
	}
	booked, ok := l.Book(t, first.RRN)
	if !ok || booked.Kind != acquirer.KindCapture || booked.Amount != 400 || booked.Batch != "000007" || booked.Repeats != 2 {
		t.Errorf("booked %+v, %v, want one capture of 400 in batch 7, repeated twice", booked, ok)
	}
}

func capturedNothing(t *testing.T, l Line) {
	shop := newShop()
	sale := shop.sale(t, 1000)
	l.approve(t, sale)
	declined := shop.authorisation(t, 900_051)
	if answer, err := l.Acquirer.Authorise(t.Context(), declined); err != nil || answer.Code != "51" {
		t.Fatalf("answer %+v, error %v, want 51", answer, err)
	}
	for name, of := range map[string]acquirer.Trace{
		"never authorised": shop.trace(), "a sale": sale.Trace, "declined": declined.Trace,
	} {
		capture := shop.capture(acquirer.Original{Trace: of, Kind: acquirer.KindAuthorisation}, 100)
		if answer, err := l.Acquirer.Capture(t.Context(), capture); err != nil || answer.Code != "25" || answer.Outcome != acquirer.Person {
			t.Errorf("%s: answer %+v, error %v, want 25, and a person", name, answer, err)
		}
	}
}

// advisedBefore: the answer to an advice is lost, and the answer to its repeat says that the host
// has it.
func advisedBefore(t *testing.T, l Line) {
	shop := newShop()
	hold := l.hold(t, shop, 2_000_000)
	capture := shop.capture(hold, amountTwice)
	if _, err := l.Acquirer.Capture(t.Context(), capture); !errors.Is(err, acquirer.ErrNoAnswer) {
		t.Fatalf("error %v, want ErrNoAnswer", err)
	}
	want := acquirer.Answer{Code: "94", Outcome: acquirer.Stands}
	for capture.Repeat = 1; capture.Repeat < 3; capture.Repeat++ {
		if answer, err := l.Acquirer.Capture(t.Context(), capture); err != nil || answer.Code != want.Code || answer.Outcome != want.Outcome {
			t.Errorf("repeat %d: answer %+v, error %v, want %+v", capture.Repeat, answer, err, want)
		}
	}
	if booked, _ := l.Book(t, hold.RRN); booked.Captured != amountTwice {
		t.Errorf("%d captured at the host", booked.Captured)
	}
	reversal := shop.reversalOf(capture)
	if _, err := l.Acquirer.Reverse(t.Context(), reversal); !errors.Is(err, acquirer.ErrNoAnswer) {
		t.Fatalf("error %v, want ErrNoAnswer", err)
	}
	reversal.Repeat = 1
	if answer, err := l.Acquirer.Reverse(t.Context(), reversal); err != nil || answer != want {
		t.Errorf("reversal: answer %+v, error %v, want %+v", answer, err, want)
	}
	if booked, _ := l.Book(t, capture.RRN); !booked.Reversed {
		t.Errorf("booked %+v, want it reversed", booked)
	}
}

func refunded(t *testing.T, l Line) {
	if !l.Acquirer.RefundsByReference() {
		shop := newShop()
		original := l.approve(t, shop.sale(t, 1000))
		if _, err := l.Acquirer.Authorise(t.Context(), shop.refund(t, &original, 100)); !errors.Is(err, acquirer.ErrRequest) {
			t.Errorf("a refund without the card: error %v, want ErrRequest", err)
		}
		return
	}
	shop := newShop()
	sale := l.approve(t, shop.sale(t, 1000))
	capture := shop.capture(l.hold(t, shop, 1000), 700)
	if answer, err := l.Acquirer.Capture(t.Context(), capture); err != nil || answer.Outcome != acquirer.Stands {
		t.Fatalf("capture: %+v, %v", answer, err)
	}
	paid := acquirer.Original{Trace: capture.Trace, Kind: acquirer.KindCapture}
	never := acquirer.Original{Trace: shop.trace(), Kind: acquirer.KindSale}
	for _, step := range []struct {
		name     string
		original acquirer.Original
		amount   int64
		code     string
		total    int64 // refunded of the original when it has been answered
	}{
		{"a part of a sale", sale, 300, "00", 300},
		{"more than is left of it", sale, 701, "13", 300},
		{"its rest", sale, 700, "00", 1000},
		{"a part of a capture", paid, 200, "00", 200},
		{"more than was captured", paid, 501, "13", 200},
		{"what was never paid", never, 100, "25", 0},
	} {
		refund := shop.refund(t, &step.original, step.amount)
		answer, err := l.Acquirer.Authorise(t.Context(), refund)
		if err != nil || answer.Code != step.code {
			t.Errorf("%s: answer %+v, error %v, want %s", step.name, answer, err, step.code)
		}
		if booked, _ := l.Book(t, step.original.RRN); booked.Refunded != step.total {
			t.Errorf("%s: %d refunded at the host, want %d", step.name, booked.Refunded, step.total)
		}
		if booked, ok := l.Book(t, refund.RRN); !ok || booked.Kind != acquirer.KindRefund || booked.Batch != "000007" {
			t.Errorf("%s: booked %+v, %v, want a refund in batch 7", step.name, booked, ok)
		}
	}
}

func refundedByNumber(t *testing.T, l Line) {
	shop := newShop()
	refund := shop.refund(t, nil, 250)
	l.approve(t, refund)
	if booked, ok := l.Book(t, refund.RRN); !ok || booked.Kind != acquirer.KindRefund || booked.Masked != "424242******4242" {
		t.Errorf("booked %+v, %v, want a refund to the card", booked, ok)
	}
}

// reversedEach reverses an approved request of each kind, twice.
func reversedEach(t *testing.T, l Line) {
	shop := newShop()
	sale, hold := shop.sale(t, 100), shop.authorisation(t, 200)
	paid := l.approve(t, shop.sale(t, 1000))
	refund := l.refundOf(t, shop, paid, 300)
	capture := shop.capture(l.hold(t, shop, 500), 400)
	for _, r := range []acquirer.Request{sale, hold, refund} {
		l.approve(t, r)
	}
	if answer, err := l.Acquirer.Capture(t.Context(), capture); err != nil || answer.Outcome != acquirer.Stands {
		t.Fatalf("capture: %+v, %v", answer, err)
	}
	for name, reversal := range map[string]acquirer.Reversal{
		"sale": shop.reversal(sale, 0), "authorisation": shop.reversal(hold, 0), "refund": shop.reversal(refund, 0),
		"capture": shop.reversalOf(capture),
	} {
		for range 2 {
			if answer, err := l.Acquirer.Reverse(t.Context(), reversal); err != nil || answer.Outcome != acquirer.Stands {
				t.Errorf("%s: answer %+v, error %v, want undone", name, answer, err)
			}
			if booked, ok := l.Book(t, reversal.Original.RRN); !ok || !booked.Reversed {
				t.Errorf("%s: booked %+v, %v, want it reversed", name, booked, ok)
			}
			reversal.Repeat++
		}
	}
	if booked, _ := l.Book(t, paid.RRN); booked.Refunded != 0 {
		t.Errorf("%d refunded of a sale whose refund was taken back", booked.Refunded)
	}
	wrong := shop.reversal(sale, 0)
	wrong.Amount++
	if answer, err := l.Acquirer.Reverse(t.Context(), wrong); err != nil || answer.Outcome == acquirer.Stands {
		t.Errorf("a reversal of another amount: answer %+v, error %v, want it refused", answer, err)
	}
}

// captureUnknown: the reversal of a capture without an answer frees the authorisation again.
func captureUnknown(t *testing.T, l Line) {
	shop := newShop()
	hold := l.hold(t, shop, 1_000_000)
	capture := shop.capture(hold, amountSilent)
	if _, err := l.Acquirer.Capture(t.Context(), capture); !errors.Is(err, acquirer.ErrNoAnswer) || errors.Is(err, acquirer.ErrNotSent) {
		t.Fatalf("error %v, want ErrNoAnswer alone", err)
	}
	if answer, err := l.Acquirer.Reverse(t.Context(), shop.reversalOf(capture)); err != nil || answer.Outcome != acquirer.Stands {
		t.Fatalf("reversal: answer %+v, error %v", answer, err)
	}
	if answer, err := l.Acquirer.Capture(t.Context(), shop.capture(hold, 1_000_000)); err != nil || answer.Outcome != acquirer.Stands {
		t.Errorf("after the reversal: answer %+v, error %v, want the whole captured", answer, err)
	}
}
