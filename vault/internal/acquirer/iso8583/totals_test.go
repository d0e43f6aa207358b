package iso8583_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/acquirer/iso8583"
)

// goodTotals is a 0510 by hand, from the bytes of the 0500: bitmaps, fields 7, 11, 37, 39, 41, 42,
// 49, 60, 66, 74 to 77, 86 to 89 and 97. Other forms are cut from it.
type goodTotals struct{ sent, stan, rrn, terminal, acceptor, currency, batch string }

// readAsked parses a 0500: two bitmaps, then 7, 11, 12, 13, 37, 41, 42, 49, 60.
func readAsked(text string) goodTotals {
	f := text[4+32:]
	return goodTotals{sent: f[:10], stan: f[10:16], rrn: f[26:38], terminal: f[38:46], acceptor: f[46:61], currency: f[61:64], batch: f[64:73]}
}

const (
	// 74 to 77
	counts = "0000000000" + "0000000000" + "0000000003" + "0000000001"
	// 86 to 89
	sums = "0000000000000000" + "0000000000000000" + "0000000000001327" + "0000000000000077"
	// 97
	netSum    = "D0000000000001250"
	otherSums = "0000000000000000" + "0000000000000000" + "0000000000001328" + "0000000000000077" //
	otherNet  = "D0000000000001251"                                                               //
)

// TestFormsOfA0510 answers a 0500 in the forms that hosts use.
func TestFormsOfA0510(t *testing.T) {
	standing := acquirer.Count{Number: 2, Amount: 1250}
	head := func(a goodTotals, code string) string {
		return a.sent + a.stan + a.rrn + code + a.terminal + a.acceptor
	}
	for name, c := range map[string]struct {
		answer func(a goodTotals) string
		want   acquirer.Reconciliation
		host   acquirer.Count
		code   string // of a refusal
		bad    bool
	}{
		"whole, agreed": {answer: func(a goodTotals) string {
			return "0510" + "822000000AC08010" + "4078078080000000" + head(a, "00") + a.currency + a.batch + "1" + counts + sums + netSum
		}, want: acquirer.Reconciliation{Agreed: true}, host: standing},
		"whole, differing": {answer: func(a goodTotals) string {
			return "0510" + "822000000AC08010" + "4078078080000000" + head(a, "95") + a.currency + a.batch + "2" + counts + otherSums + otherNet
		}, host: acquirer.Count{Number: 2, Amount: 1251}},
		"66 alone, agreed": {answer: func(a goodTotals) string {
			return "0510" + "8220000008C08010" + "4000000000000000" + a.sent + a.stan + a.rrn + a.terminal + a.acceptor + a.currency + a.batch + "1"
		}, want: acquirer.Reconciliation{Agreed: true, Untold: true}, host: standing},
		"66 alone, differing": {answer: func(a goodTotals) string {
			return "0510" + "8220000008C08010" + "4000000000000000" + a.sent + a.stan + a.rrn + a.terminal + a.acceptor + a.currency + a.batch + "2"
		}, want: acquirer.Reconciliation{Untold: true}},
		"39 and 66": {answer: func(a goodTotals) string {
			return "0510" + "822000000AC08010" + "4000000000000000" + head(a, "00") + a.currency + a.batch + "1"
		}, want: acquirer.Reconciliation{Agreed: true, Untold: true}, host: standing},
		"95 without totals": {answer: func(a goodTotals) string { return "0510" + "022000000AC08010" + head(a, "95") + a.currency + a.batch },
			want: acquirer.Reconciliation{Untold: true}},
		"00 without totals": {answer: func(a goodTotals) string { return "0510" + "022000000AC08010" + head(a, "00") + a.currency + a.batch },
			want: acquirer.Reconciliation{Agreed: true, Untold: true}, host: standing},
		"no 60": {answer: func(a goodTotals) string {
			return "0510" + "822000000AC08000" + "4078078080000000" + head(a, "00") + a.currency + "1" + counts + sums + netSum
		}, want: acquirer.Reconciliation{Agreed: true}, host: standing},
		"50 in place of 49": {answer: func(a goodTotals) string {
			return "0510" + "822000000AC04010" + "4078078080000000" + head(a, "00") + a.currency + a.batch + "1" + counts + sums + netSum
		}, want: acquirer.Reconciliation{Agreed: true}, host: standing},
		"another 50 in place of 49": {answer: func(a goodTotals) string {
			return "0510" + "822000000AC04010" + "4078078080000000" + head(a, "00") + "978" + a.batch + "1" + counts + sums + netSum
		}, bad: true},
		"totals without 66": {answer: func(a goodTotals) string {
			return "0510" + "822000000AC08010" + "0078078080000000" + head(a, "00") + a.currency + a.batch + counts + otherSums + otherNet
		}, host: acquirer.Count{Number: 2, Amount: 1251}},
		// 77, 76 and 88, 89: credits of none are left out
		"debits alone": {answer: func(a goodTotals) string {
			return "0510" + "822000000AC08010" + "4018018000000000" + head(a, "00") + a.currency + a.batch + "1" + counts[20:] + sums[32:]
		}, want: acquirer.Reconciliation{Agreed: true}, host: standing},
		"another batch": {answer: func(a goodTotals) string {
			return "0510" + "022000000AC08010" + head(a, "00") + a.currency + "006000009"
		}, bad: true},
		"agreed with 95": {answer: func(a goodTotals) string {
			return "0510" + "822000000AC00000" + "4000000000000000" + head(a, "95") + "1"
		}, bad: true},
		"agreed over other counts": {answer: func(a goodTotals) string {
			return "0510" + "822000000AC08010" + "4078078080000000" + head(a, "00") + a.currency + a.batch + "1" + counts + otherSums + otherNet
		}, bad: true},
		"nothing said": {answer: func(a goodTotals) string {
			return "0510" + "0220000008C00000" + a.sent + a.stan + a.rrn + a.terminal + a.acceptor
		}, bad: true},
		"not supported":    {answer: func(a goodTotals) string { return "0510" + "022000000AC00000" + head(a, "40") }, code: "40"},
		"not valid":        {answer: func(a goodTotals) string { return "0510" + "022000000AC00000" + head(a, "12") }, code: "12"},
		"a form error":     {answer: func(a goodTotals) string { return "0510" + "022000000AC00000" + head(a, "30") }, code: "30"},
		"a passing outage": {answer: func(a goodTotals) string { return "0510" + "022000000AC00000" + head(a, "91") }, code: "91"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newCrookedHost(t, nil)
			h.totals = func(asked string) string { return c.answer(readAsked(asked)) }
			a := iso8583.New(iso8583.Config{Address: h.listener.Addr().String(), AnswerTimeout: 2 * time.Second})
			defer func() { _ = a.Close() }()
			asked := acquirer.Totals{Trace: testSale(t, 1).Trace, Batch: 7, Currency: "USD", Debits: standing}
			got, err := a.Reconcile(t.Context(), asked)
			if c.bad {
				if !errors.Is(err, acquirer.ErrMalformedAnswer) {
					t.Errorf("taken as %+v, %v", got, err)
				}
				return
			}
			if c.code != "" {
				refused, ok := errors.AsType[*acquirer.RefusedError](err)
				if !ok || refused.Code != c.code || refused.Passing != (c.code == "91") || !strings.Contains(err.Error(), c.code) {
					t.Errorf("refused as %v", err)
				}
				return
			}
			if err != nil || got.Agreed != c.want.Agreed || got.Untold != c.want.Untold || got.Host.Standing() != c.host {
				t.Errorf("got %+v, %v; want %+v with %+v", got, err, c.want, c.host)
			}
		})
	}
}
