package envelope

import "testing"

func TestFormatAmountFollowsTheCurrencysMinorUnits(t *testing.T) {
	for _, c := range []struct {
		amount   int64
		currency string
		want     string
	}{
		{1999, "EUR", "19.99 EUR"}, {5, "USD", "0.05 USD"}, {500, "JPY", "500 JPY"}, {1234567, "KWD", "1,234.567 KWD"},
		{-150, "GBP", "-1.50 GBP"}, {12, "ZZZ", "12 ZZZ"}, {0, "", ""},
	} {
		if got := FormatAmount(c.amount, c.currency); got != c.want {
			t.Errorf("%d %s is written %q, want %q", c.amount, c.currency, got, c.want)
		}
	}
}

func TestFormatSumIsOfAllTogether(t *testing.T) {
	if got := FormatSum(3, 4499, "USD"); got != "3 for 44.99 USD" {
		t.Errorf("got %q", got)
	}
}
