package control

import (
	"errors"
	"strings"
	"testing"

	"nightdrop/vault/internal/book"
)

func TestPaymentNames(t *testing.T) {
	want := book.Key{Merchant: "shop-1", ID: "0190c8f2-7d1e-7b5a-9c3f-2a6d4e8b1c07"}
	if got, err := ParsePaymentName(want.String()); err != nil || got != want {
		t.Errorf("%s is read as %+v, %v", want, got, err)
	}
	for _, text := range []string{"", "/", want.ID, "shop-1/", "/" + want.ID, want.String() + "/", "shop-1 " + want.ID, "a/4111111111111111/b"} {
		if got, err := ParsePaymentName(text); !errors.Is(err, ErrPaymentName) || strings.Contains(err.Error(), "4111") {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}
