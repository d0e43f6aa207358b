package account_test

import (
	"testing"
	"time"

	"nightdrop/shared/envelope"
)

// Money goes back to a card whatever today's table of schemes says of its length.
func TestCheckOfARefundReadsNoTable(t *testing.T) {
	now := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	for number, want := range map[string]envelope.Code{
		"4242424242424242": envelope.CodeOK, "424242424242424": envelope.CodeOK, "2200000000000004": envelope.CodeOK, "4242424242424243": envelope.CodeLuhn,
	} {
		if got := parse(t, number, "2030-01").CheckRefund(now); got != want {
			t.Errorf("%s: %s, want %s", number, got, want)
		}
	}
	if got := parse(t, "4242424242424242", "2020-01").CheckRefund(now); got != envelope.CodeExpiredCard {
		t.Errorf("an expired card: %s; its holder has a newer one with the same number, or its shop refunds by reference", got)
	}
}
