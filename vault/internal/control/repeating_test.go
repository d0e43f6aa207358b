package control

import (
	"context"
	"strings"
	"testing"

	"nightdrop/vault/internal/operator"
)

// resender is a vault that only sends again.
type resender struct {
	Vault
	asked []Resend
	actor operator.Actor
}

func (r *resender) Resend(_ context.Context, actor operator.Actor, asked Resend) (PaymentsResent, error) {
	r.asked, r.actor = append(r.asked, asked), actor
	return PaymentsResent{Resent: 3}, nil
}

// TestResendNamesOneOrAll: what names neither a payment nor all, or both, does not come as far as
// the vault.
func TestResendNamesOneOrAll(t *testing.T) {
	v := &resender{}
	client := NewClient(serve(t, v), "the host is up")
	for _, r := range []Resend{{ID: "one", Merchant: "shop-1"}, {All: true}, {All: true, Merchant: "shop-1"}} {
		if done, err := client.Resend(t.Context(), r); err != nil || done.Resent != 3 || v.asked[len(v.asked)-1] != r || !strings.Contains(v.actor.Purpose, "host is up") {
			t.Errorf("%+v: %+v, %v; the vault heard %+v of %+v", r, done, err, v.asked, v.actor)
		}
	}
	for _, r := range []Resend{{}, {Merchant: "shop-1"}, {ID: "one", All: true}} {
		if _, err := client.Resend(t.Context(), r); codeOf(err) != CodeUsage {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if len(v.asked) != 3 {
		t.Errorf("the vault heard %+v", v.asked)
	}
}
