package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"nightdrop/vault/internal/control"
)

// TestPaymentsAreCompleted asks as a shell does; the other kinds are in
// testdata/script/complete.txtar.
func TestPaymentsAreCompleted(t *testing.T) {
	s := newSite(t)
	defer s.serve()()
	s.enrol()
	s.post(1234, 5678)
	var payments []control.Payment
	s.wait("the sales", func() bool {
		s.json(&payments, "payment", "list", "--status", "approved")
		return len(payments) == 2
	})
	complete := func(words ...string) string {
		var out bytes.Buffer
		run(t.Context(), append([]string{"__complete", "--dir", s.dir}, words...), console{in: strings.NewReader(""), out: &out, errOut: io.Discard, now: time.Now})
		return out.String()
	}
	if payments[0].Amount != 1234 {
		payments[0], payments[1] = payments[1], payments[0]
	}
	first := "shop-1/" + payments[0].ID
	if got, want := complete("payment", "show", "shop-1/"), first+"\tsale, approved, 12.34 USD\n"; !strings.Contains(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := complete("payment", "show", first); strings.Contains(got, payments[1].ID) || !strings.Contains(got, first) {
		t.Errorf("of one payment's name: %q", got)
	}
	if got := complete("payment", "resend", "shop-1/"); strings.Contains(got, "shop-1") {
		t.Errorf("nothing is manual: %q", got)
	}
	if got, want := complete("batch", "show", ""), "card-000001\tshop-1, open\n"; !strings.Contains(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := complete("payment", "list", "--batch", "ca"), "card-000001\tshop-1, open\n"; !strings.Contains(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
