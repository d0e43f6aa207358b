package simulation

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/vaulttest"
)

// aDay is a day of twenty payments, from the first sale to the last settlement, whatever happens to
// the vault meanwhile. Of one sale the host's approval is not taken, and to the repeat of one
// capture it says that it has it.
func aDay(w *world) {
	shop := w.shops[0]
	doubtful := shop.Sale()
	doubtful.Order = vaulttest.Order(900_008, "USD", "order 4")
	first := w.post(shop.Sale(), shop.Sale(), shop.Sale(), doubtful, shop.Authorize(5000), shop.Authorize(1_000_000), shop.Authorize(100),
		shop.BankSale(900_201), shop.BankSale(1250), shop.BankSale(700), shop.Payout(3000))
	w.rest()
	w.post(shop.Void(first[0]), shop.Void(first[6]), shop.Void(first[9]), shop.Capture(first[4], 2000), shop.Capture(first[4], 3000), shop.Capture(first[5], 900_094))
	w.rest()
	w.closeAll()
	w.post(shop.Refund(first[1], 1999), shop.Refund(first[2], 500), shop.Refund(first[4], 700))
	w.rest()
	w.closeAll()
	w.settleAll()
	w.bankDay()
}

// TestKillAtEveryIndex kills the vault before and after every commit and every message of a day of
// twenty payments, and in every state that a file to the bank goes through, a run for each, and
// compares books: they are equal every time.
func TestKillAtEveryIndex(t *testing.T) {
	var points []string
	synctest.Test(t, func(t *testing.T) { points = killed(t, 0, "") })
	if len(points) < 130 {
		t.Fatalf("only %d points were seen", len(points))
	}
	for _, kind := range []string{"0100 leaves", "0200 leaves", "0220 has left", "0221 leaves", "0420 leaves", "0500 has left", "half written", "both names", "payment-settled"} {
		if !strings.Contains(strings.Join(points, "\n"), kind) {
			t.Errorf("no point was %q", kind)
		}
	}
	for i, name := range points {
		t.Run(fmt.Sprintf("%03d", i+1), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { killed(t, i+1, name) })
		})
	}
}

// killed has a day whose vault is killed at a point, 0 for never, and compares the books. It
// returns the points there were.
func killed(t *testing.T, at int, name string) []string {
	w := newWorld(t, plan{seed: 1, shops: 1, outstanding: 4})
	w.start(at)
	began := w.process
	aDay(w)
	w.compare()
	w.twenty(at > 0)
	points := began.fate.names
	if at > 0 && (began.fate.alive() || points[len(points)-1] != name) {
		w.fail("it was not killed %s", name)
	}
	if len(w.faults) > 0 {
		t.Errorf("killed %s: %s\n%s", name, strings.Join(w.faults, "\n"), w.story)
	}
	return points
}

// twenty checks that there were twenty payments, and that none was turned away but for the reversal
// of the one that it is about.
func (w *world) twenty(killed bool) {
	all := w.payments(nil)
	if len(all) != 20 {
		w.fail("the day had %d payments", len(all))
	}
	for _, p := range all {
		if p.Stage == book.StageRejected && (!killed || p.Code != envelope.CodeWrongState) {
			w.fail("%s was rejected: %s", p.ID, p.Code)
		}
	}
}
