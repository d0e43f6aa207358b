package envelope

import (
	"fmt"

	"nightdrop/shared/text"
)

// FormatAmount writes minor units for people: 123456 EUR is "1,234.56 EUR", 500 JPY is "500 JPY";
// "" without a currency, and the minor units as they are in an unknown one.
func FormatAmount(amount int64, currency string) string {
	if currency == "" {
		return ""
	}
	if major, known := MajorUnits(amount, currency); known {
		return text.Grouped(major) + " " + currency
	}
	return text.Thousands(amount) + " " + currency
}

// MajorUnits writes minor units in the currency's own unit: 1999 EUR is "19.99", 500 JPY is "500".
// It returns false for an unknown currency.
func MajorUnits(amount int64, currency string) (string, bool) {
	known, ok := KnownCurrency(currency)
	if !ok {
		return "", false
	}
	if known.Exponent == 0 {
		return fmt.Sprint(amount), true
	}
	unit := int64(1)
	for range known.Exponent {
		unit *= 10
	}
	sign := ""
	if amount < 0 {
		sign, amount = "-", -amount
	}
	return fmt.Sprintf("%s%d.%0*d", sign, amount/unit, known.Exponent, amount%unit), true
}

// FormatSum writes a count and its total for people: "3 for 44.99 USD".
func FormatSum(count, amount int64, currency string) string {
	return fmt.Sprintf("%s for %s", text.Thousands(count), FormatAmount(amount, currency))
}
