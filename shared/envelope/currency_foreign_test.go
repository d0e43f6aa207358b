package envelope_test

import (
	"testing"

	"github.com/moov-io/iso4217"

	"nightdrop/shared/envelope"
)

// TestCurrenciesAreOthersToo holds the table against another one of the same standard: numeric
// codes go into ISO 8583 field 49, and a wrong exponent charges a hundred times too much.
func TestCurrenciesAreOthersToo(t *testing.T) {
	// of amendments that the other table may not have
	newer := map[string]bool{"XCG": true, "ZWG": true, "SLE": true, "VED": true}
	compared := 0
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			for c := 'A'; c <= 'Z'; c++ {
				code := string([]rune{a, b, c})
				ours, listed := envelope.LookupCurrency(code)
				if !listed {
					continue
				}
				theirs, there := iso4217.Lookup(code)
				if !there {
					if !newer[code] {
						t.Errorf("%s is in our table only", code)
					}
					continue
				}
				compared++
				if ours.Code != code || ours.Numeric != theirs.NumericCode || ours.Exponent != int(theirs.DecimalPlaces) {
					t.Errorf("%+v, the other table has %s and %d", ours, theirs.NumericCode, theirs.DecimalPlaces)
				}
			}
		}
	}
	if compared < 145 {
		t.Errorf("only %d currencies were compared", compared)
	}
}
