// Package contract is the suite of tests that every implementation of [acquirer.Acquirer] passes,
// against a host that behaves as specification 10 says and shows its book.
package contract

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"nightdrop/vault/internal/acquirer"
)

// Amounts of specification 10.
const (
	amountSilent = 900_100
	amountLate   = 900_101
	amountDrop   = 900_102
	amountPart   = 900_300
	amountTwice  = 900_094 // of an advice
)

// Booked is a request in the host's book.
type Booked struct {
	Kind     acquirer.Kind
	Answer   string
	Approval string
	Amount   int64
	Batch    string
	Acceptor string
	Masked   string
	Reversed bool
	Repeats  int   // the same request again
	Captured int64 // of an authorisation
	Refunded int64 // of a sale or a capture
}

// Line is an implementation under test, connected to the host.
type Line struct {
	Acquirer acquirer.Acquirer
	// Book returns what the host has booked under a retrieval reference number.
	Book func(t *testing.T, rrn string) (Booked, bool)
	// AnswerTimeout is how long the implementation waits; LateAfter, which is longer, when the host
	// answers late.
	AnswerTimeout, LateAfter time.Duration
}

// Run runs the suite. open is called once a test and closes its line in the test's cleanup.
func Run(t *testing.T, open func(t *testing.T) Line) {
	for name, test := range map[string]func(*testing.T, Line){
		"an approved sale is booked":                     approved,
		"declines are answers":                           declined,
		"other approvals are doubtful":                   doubtful,
		"an advice that the host has stands":             advisedBefore,
		"silence is no answer, and a reversal undoes it": silent,
		"a late answer is dropped":                       late,
		"a dropped line is no answer and comes back":     dropped,
		"a reversal may come before the sale":            reversalFirst,
		"a reversal may be repeated":                     reversalRepeated,
		"the same request twice is one charge":           repeated,
		"a thousand wait at once":                        outstanding,
		"trace numbers are a terminal's own":             terminals,
		"a context that ends":                            contexts,
		"totals agree or differ":                         reconciled,
		"totals have credits":                            credited,
		"an authorisation is captured in parts":          captured,
		"a capture without its authorisation":            capturedNothing,
		"a refund by reference":                          refunded,
		"a refund with the number":                       refundedByNumber,
		"every kind is reversed":                         reversedEach,
		"an unknown capture is undone":                   captureUnknown,
		"a request beyond its limits is not sent":        limits,
		"a closed line sends nothing":                    closed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line := open(t)
			for deadline := time.Now().Add(10 * time.Second); line.Acquirer.Ready() != nil; {
				if time.Now().After(deadline) {
					t.Fatal(line.Acquirer.Ready())
				}
				time.Sleep(5 * time.Millisecond)
			}
			test(t, line)
		})
	}
}

func approved(t *testing.T, l Line) {
	shop := newShop()
	sale := shop.sale(t, 1099)
	answer, err := l.Acquirer.Authorise(t.Context(), sale)
	if err != nil || answer.Outcome != acquirer.Approves || answer.Approval == "" {
		t.Fatalf("answer %+v, error %v", answer, err)
	}
	booked, ok := l.Book(t, sale.RRN)
	want := Booked{Kind: acquirer.KindSale, Answer: "00", Approval: answer.Approval, Amount: 1099, Batch: "000007", Acceptor: shop.acceptor, Masked: "424242******4242"}
	if !ok || booked != want {
		t.Errorf("booked %+v, want %+v", booked, want)
	}
	withoutCode := shop.sale(t, 1)
	withoutCode.Code = nil
	if answer, err := l.Acquirer.Authorise(t.Context(), withoutCode); err != nil || answer.Outcome != acquirer.Approves {
		t.Errorf("a sale without a code: answer %+v, error %v", answer, err)
	}
}

func declined(t *testing.T, l Line) {
	shop := newShop()
	for amount, want := range map[int64]acquirer.Answer{
		900_051: {Code: "51", Outcome: acquirer.Declines}, 900_005: {Code: "05", Outcome: acquirer.Declines}, 900_001: {Code: "01", Outcome: acquirer.Declines},
		900_091: {Code: "91", Outcome: acquirer.Declines},
	} {
		if answer, err := l.Acquirer.Authorise(t.Context(), shop.sale(t, amount)); err != nil || answer != want {
			t.Errorf("amount %d: answer %+v, error %v, want %+v", amount, answer, err, want)
		}
	}
	sale := shop.sale(t, 1099)
	sale.Code = code(t, "999")
	if answer, err := l.Acquirer.Authorise(t.Context(), sale); err != nil || answer.Code != "N7" {
		t.Errorf("wrong security code: answer %+v, error %v, want N7", answer, err)
	}
}

// doubtful: what may be an approval but does not count as one can be reversed.
func doubtful(t *testing.T, l Line) {
	shop := newShop()
	for amount, want := range map[int64]string{
		900_008: "08", 900_010: "10", 900_011: "11", 900_016: "16", 900_085: "85", amountPart: "10", 900_068: "68", 900_099: "99",
	} {
		sale := shop.sale(t, amount)
		answer, err := l.Acquirer.Authorise(t.Context(), sale)
		if err != nil || answer != (acquirer.Answer{Code: want, Outcome: acquirer.Doubtful}) {
			t.Errorf("amount %d: answer %+v, error %v, want %s, and that it is doubtful", amount, answer, err, want)
		}
		if answer, err := l.Acquirer.Reverse(t.Context(), shop.reversal(sale, 0)); err != nil || answer.Outcome != acquirer.Stands {
			t.Errorf("amount %d: reversal: answer %+v, error %v", amount, answer, err)
		}
		if booked, _ := l.Book(t, sale.RRN); !booked.Reversed && booked.Approval != "" {
			t.Errorf("amount %d: booked %+v, which was reversed", amount, booked)
		}
	}
}

func silent(t *testing.T, l Line) {
	shop := newShop()
	sale := shop.sale(t, amountSilent)
	start := time.Now()
	if _, err := l.Acquirer.Authorise(t.Context(), sale); !errors.Is(err, acquirer.ErrNoAnswer) || errors.Is(err, acquirer.ErrNotSent) {
		t.Fatalf("error %v, want ErrNoAnswer alone", err)
	}
	if waited := time.Since(start); waited < l.AnswerTimeout {
		t.Errorf("gave up after %v, want %v", waited, l.AnswerTimeout)
	}
	l.mustUndo(t, shop, sale)
}

// mustUndo reverses a sale that the host has approved and checks the book.
func (l Line) mustUndo(t *testing.T, shop *shop, sale acquirer.Request) {
	t.Helper()
	if booked, ok := l.Book(t, sale.RRN); !ok || booked.Answer != "00" || booked.Reversed {
		t.Fatalf("booked %+v, %v: want it taken and standing", booked, ok)
	}
	if answer, err := l.Acquirer.Reverse(t.Context(), shop.reversal(sale, 0)); err != nil || answer.Outcome != acquirer.Stands {
		t.Fatalf("reversal: answer %+v, error %v", answer, err)
	}
	if booked, _ := l.Book(t, sale.RRN); !booked.Reversed {
		t.Error("the reversal was answered and the sale still stands")
	}
}

func late(t *testing.T, l Line) {
	shop := newShop()
	sale := shop.sale(t, amountLate)
	if _, err := l.Acquirer.Authorise(t.Context(), sale); !errors.Is(err, acquirer.ErrNoAnswer) {
		t.Fatalf("error %v, want ErrNoAnswer", err)
	}
	l.mustUndo(t, shop, sale)
	time.Sleep(l.LateAfter - l.AnswerTimeout + 100*time.Millisecond)
	if answer, err := l.Acquirer.Authorise(t.Context(), shop.sale(t, 900_051)); err != nil || answer.Code != "51" {
		t.Errorf("after a late answer: answer %+v, error %v, want this request's own", answer, err)
	}
}

func dropped(t *testing.T, l Line) {
	shop := newShop()
	sale := shop.sale(t, amountDrop)
	start := time.Now()
	if _, err := l.Acquirer.Authorise(t.Context(), sale); !errors.Is(err, acquirer.ErrNoAnswer) {
		t.Fatalf("error %v, want ErrNoAnswer", err)
	}
	if waited := time.Since(start); waited >= l.AnswerTimeout {
		t.Errorf("waited %v for a line that was down", waited)
	}
	l.mustUndo(t, shop, sale) // on a new line
}

func reversalFirst(t *testing.T, l Line) {
	shop := newShop()
	sale := shop.sale(t, 1099)
	if answer, err := l.Acquirer.Reverse(t.Context(), shop.reversal(sale, 0)); err != nil || answer.Outcome != acquirer.Stands {
		t.Fatalf("answer %+v, error %v", answer, err)
	}
	answer, err := l.Acquirer.Authorise(t.Context(), sale)
	if err != nil || answer.Outcome == acquirer.Approves {
		t.Errorf("a sale that had been reversed: answer %+v, error %v, want a decline", answer, err)
	}
}

func reversalRepeated(t *testing.T, l Line) {
	shop := newShop()
	sale := shop.sale(t, 1099)
	if _, err := l.Acquirer.Authorise(t.Context(), sale); err != nil {
		t.Fatal(err)
	}
	for repeat := range 3 {
		if answer, err := l.Acquirer.Reverse(t.Context(), shop.reversal(sale, repeat)); err != nil || answer.Outcome != acquirer.Stands {
			t.Errorf("repeat %d: answer %+v, error %v", repeat, answer, err)
		}
	}
	if booked, _ := l.Book(t, sale.RRN); !booked.Reversed {
		t.Error("the sale still stands")
	}
}

func repeated(t *testing.T, l Line) {
	sale := newShop().sale(t, 1099)
	first, err := l.Acquirer.Authorise(t.Context(), sale)
	if err != nil {
		t.Fatal(err)
	}
	second, err := l.Acquirer.Authorise(t.Context(), sale)
	if err != nil || second != first {
		t.Errorf("second answer %+v, error %v, want the first: %+v", second, err, first)
	}
	if booked, _ := l.Book(t, sale.RRN); booked.Repeats != 1 {
		t.Errorf("booked %+v, want one repeat", booked)
	}
}

func outstanding(t *testing.T, l Line) {
	const many = 1000
	shop := newShop()
	var wg sync.WaitGroup
	for i := range many {
		amount, want := int64(1+i), "00"
		if i%4 == 0 {
			nn := i/4%99 + 1
			amount, want = 900_000+int64(nn), fmt.Sprintf("%02d", nn)
		}
		sale := shop.sale(t, amount)
		wg.Go(func() {
			answer, err := l.Acquirer.Authorise(t.Context(), sale)
			if err != nil || answer.Code != want {
				t.Errorf("amount %d: answer %+v, error %v, want %s", amount, answer, err, want)
			}
		})
	}
	wg.Wait()
}

func terminals(t *testing.T, l Line) {
	one, two := newShop(), newShop()
	var wg sync.WaitGroup
	for i := range 50 {
		for shop, amount := range map[*shop]int64{one: 900_051, two: int64(100 + i)} {
			sale := shop.sale(t, amount) // both shops count their trace numbers from 1
			wg.Go(func() {
				answer, err := l.Acquirer.Authorise(t.Context(), sale)
				if err != nil || (answer.Outcome == acquirer.Approves) != (amount != 900_051) {
					t.Errorf("amount %d got another terminal's answer: %+v, error %v", amount, answer, err)
				}
			})
		}
	}
	wg.Wait()
}

func contexts(t *testing.T, l Line) {
	shop := newShop()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sale := shop.sale(t, 1099)
	if _, err := l.Acquirer.Authorise(ctx, sale); !errors.Is(err, acquirer.ErrNotSent) {
		t.Errorf("a context that had ended: error %v, want ErrNotSent", err)
	}
	if _, ok := l.Book(t, sale.RRN); ok {
		t.Error("ErrNotSent, and the host has booked it")
	}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := l.Acquirer.Authorise(ctx, shop.sale(t, amountSilent)); !errors.Is(err, acquirer.ErrNoAnswer) {
		t.Errorf("a context that ends: error %v, want ErrNoAnswer", err)
	}
	if waited := time.Since(start); waited >= l.AnswerTimeout {
		t.Errorf("waited %v although the context had ended", waited)
	}
}
