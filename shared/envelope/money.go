package envelope

import "fmt"

// FormatAmount writes minor units for people: 1999 EUR is "19.99 EUR", 500 JPY is "500 JPY". It is
// empty where there is no currency, and tells the minor units as they are where the currency is not
// known.
func FormatAmount(amount int64, currency string) string {
	if currency == "" {
		return ""
	}
	if major, known := MajorUnits(amount, currency); known {
		return major + " " + currency
	}
	return fmt.Sprintf("%d %s", amount, currency)
}

// MajorUnits writes minor units as a number of the currency's own unit, with all its digits and a
// dot: 1999 EUR is "19.99", 500 JPY is "500". It reports false where the currency is not known.
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

// FormatSum writes how many payments come to how much in all, for people: "3 for 44.99 USD".
func FormatSum(count, amount int64, currency string) string {
	return fmt.Sprintf("%d for %s", count, FormatAmount(amount, currency))
}
