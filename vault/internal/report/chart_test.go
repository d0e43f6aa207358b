package report

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// parsed is what a coordinate says.
func parsed(t *testing.T, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestNoTextOfAChartIsCut: in a font as wide as any, names of amounts and days lie within the
// drawing.
func TestNoTextOfAChartIsCut(t *testing.T) {
	for _, amount := range []int64{1, 99, 12_345, 99_999_999_999, 999_999_999_999_999} {
		for _, currency := range []string{"USD", "JPY", "KWD"} {
			for _, last := range []string{"2026-01-01", "2026-01-02", "2026-03-01", "2027-01-01"} {
				total := []book.Total{{Currency: currency, Count: 1, Amount: amount}}
				chart := volumeCharts([]Day{{"2026-01-01", total}, {last, total}})[0]
				for _, line := range chart.Grid {
					if parsed(t, coordinate(chart.Left-textGap/2))-letterWidth*float64(len(line.Text)) < 0 {
						t.Errorf("%d %s: %q is wider than its room of %.1f", amount, currency, line.Text, chart.Left)
					}
					if y := parsed(t, line.Y); y < letterWidth || y > chart.Bottom {
						t.Errorf("%d %s: %q is at %.1f", amount, currency, line.Text, y)
					}
				}
				for _, l := range chart.Labels {
					if x := parsed(t, l.X); x+letterWidth*float64(len(l.Text))/2 > chart.Width {
						t.Errorf("%d %s to %s: day %s at %.1f is cut", amount, currency, last, l.Text, x)
					}
				}
				if one := last == "2026-01-01"; one != (chart.Height == oneBarHeight) {
					t.Errorf("to %s: the chart is %.0f high", last, chart.Height)
				}
			}
		}
	}
	names := []string{"settled", strings.Repeat("w", 30)}
	bars, left := lyingBars(names, []int64{123_456_789, 1})
	for i, b := range bars {
		if left < letterWidth*float64(len(names[i])) || parsed(t, b.End)+letterWidth*float64(len(b.Text)) > chartWidth+0.1 {
			t.Errorf("%s, %s is cut: from %.1f, its text at %s", names[i], b.Text, left, b.End)
		}
	}
}

func TestAmountsBesideAnAxis(t *testing.T) {
	for _, test := range []struct {
		amount, step int64
		currency     string
		want         string
	}{
		{0, 100_000, "USD", "0"}, {100_000_000, 50_000_000, "USD", "1,000,000"}, {150, 50, "USD", "1.50"}, {1_250_000, 250_000, "JPY", "1,250,000"},
		{1250, 250, "KWD", "1.250"}, {7, 7, "???", "7"}, {99_900, 300, "USD", "999"},
	} {
		if got := onAxis(test.amount, test.step, test.currency); got != test.want {
			t.Errorf("%d %s by %d is %q, want %q", test.amount, test.currency, test.step, got, test.want)
		}
	}
}

// TestNet: what is left after refunds, returns, what a file lacks and what an acquirer has
// otherwise.
func TestNet(t *testing.T) {
	b := NewBuilder(Report{})
	b.Batch(book.Batch{Number: 1, Merchant: "shop-1", Method: book.MethodBank, Stage: book.BatchDone,
		Totals: []book.Total{{Currency: "USD", Count: 4, Amount: 10_000, Credits: 2, CreditAmount: 1_000}, {Currency: "EUR", Count: 1, Amount: 5}},
		Failed: []book.Total{{Currency: "USD", Count: 1, Amount: 300}},
		Lines:  []book.Adjustment{{Total: book.Total{Currency: "USD", Count: -1, Amount: -20, Credits: -1, CreditAmount: -7}}}}, book.File{})
	for i, amount := range []int64{2_000, 40} {
		p := book.Payment{Number: uint64(i + 1), Merchant: "shop-1", Operation: envelope.OpSale, Method: book.MethodBank, Stage: book.StageReturned, Batch: 1, Amount: amount, Currency: "USD"}
		if i == 1 {
			p.Operation = envelope.OpPayout // a credit that came back
		}
		b.Payment(p)
	}
	got := fmt.Sprint(b.Report().Nets)
	if want := "[{EUR 5 0 0 0 0 5} {USD 10000 1000 1960 300 -13 6727}]"; got != want {
		t.Errorf("nets %s, want %s", got, want)
	}
}
