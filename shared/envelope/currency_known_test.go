package envelope

import (
	"slices"
	"strings"
	"testing"

	"github.com/moov-io/iso4217"
)

// A code that leaves list one keeps its number: what was paid in it is still captured, refunded and
// settled.
func TestKnownCurrenciesHoldAllThatWereListed(t *testing.T) {
	rows := strings.Split(knownCurrencies, ";")[1:]
	if len(knownCurrencies)%8 != 0 || !slices.IsSorted(rows) || len(rows) < 165 {
		t.Errorf("%d rows in %d bytes, in order: %v", len(rows), len(knownCurrencies), slices.IsSorted(rows))
	}
	for row := range strings.SplitSeq(currencies[1:], ";") {
		if !slices.Contains(rows, row) {
			t.Errorf("list one has %s, the known currencies have not: add it there, where it stays", row)
		}
	}
	for i, row := range rows[1:] {
		if row[:3] == rows[i][:3] {
			t.Errorf("%s is known twice", row[:3])
		}
	}
}

func TestWithdrawnCurrencies(t *testing.T) {
	for _, want := range []Currency{{"HRK", "191", 2}, {"BGN", "975", 2}, {"BYR", "974", 0}, {"ISK", "352", 0}, {"USD", "840", 2}} {
		if got, ok := KnownCurrency(want.Code); !ok || got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	for _, code := range []string{"HRK", "BGN", "ANG", "BYR"} {
		if _, ok := LookupCurrency(code); ok {
			t.Errorf("%s can be sold in", code)
		}
	}
	for _, code := range []string{"", "XXX", "usd", "840", "HR", "RK1"} {
		if _, ok := KnownCurrency(code); ok {
			t.Errorf("%q is known", code)
		}
	}
	if got := FormatAmount(1999, "HRK"); got != "19.99 HRK" {
		t.Errorf("an amount of a withdrawn currency is told as %q", got)
	}
	compared := 0
	for row := range strings.SplitSeq(knownCurrencies[1:], ";") {
		if theirs, there := iso4217.Lookup(row[:3]); there {
			compared++
			if theirs.NumericCode != row[3:6] || int(theirs.DecimalPlaces) != int(row[6]-'0') {
				t.Errorf("%s: the other table has %s and %d", row, theirs.NumericCode, theirs.DecimalPlaces)
			}
		}
	}
	if compared < 145 {
		t.Errorf("only %d currencies were compared", compared)
	}
}
