package control

import (
	"errors"
	"strings"
	"testing"
)

func TestPaymentNames(t *testing.T) {
	const id = "0190c8f2-7d1e-7b5a-9c3f-2a6d4e8b1c07"
	for _, c := range []struct {
		words string
		want  PaymentName
	}{
		{"shop-1/" + id, PaymentName{"shop-1", id}},
		{"shop-1 " + id, PaymentName{"shop-1", id}},
		{id, PaymentName{"", id}},
	} {
		got, err := ParsePaymentName(strings.Fields(c.words)...)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", c.words, got, err)
		}
		if again, err := ParsePaymentName(got.String()); err != nil || again != got {
			t.Errorf("%s is read as %+v, %v", got, again, err)
		}
	}
	for _, words := range []string{"", "shop-1/", "/" + id, "shop-1/" + id + "/", "a/b " + id, "a 4111111111111111 b"} {
		if got, err := ParsePaymentName(strings.Fields(words)...); !errors.Is(err, ErrPaymentName) || strings.Contains(err.Error(), "4111") {
			t.Errorf("%q: %+v, %v", words, got, err)
		}
	}
}
