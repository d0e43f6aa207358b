package intake

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/vaulttest"
)

// guesses are valid card numbers masked as 424242******4242 that are not 4242424242424242.
func guesses(n int) (numbers []string) {
	for hidden := 0; len(numbers) < n; hidden++ {
		number := fmt.Sprintf("424242%06d4242", hidden)
		if envelope.Luhn([]byte(number)) && number != vaulttest.CardNumber {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

// refundTo is a refund of one cent that names an account.
func (d *fixture) refundTo(of, account string) vaulttest.Draft {
	draft := d.shop.Refund(of, 1)
	draft.Account = account
	return draft
}

// codes posts drafts in bags of a hundred and counts their answers' codes.
func (d *fixture) codes(drafts []vaulttest.Draft) map[envelope.Code]int {
	d.TB.Helper()
	counts := map[envelope.Code]int{}
	for some := range slices.Chunk(drafts, 100) {
		d.post(some...)
	}
	answers := d.answers()
	for _, draft := range drafts {
		counts[answers[draft.ID].Code]++
	}
	return counts
}

func (d *fixture) expectCodes(drafts []vaulttest.Draft, want map[envelope.Code]int) {
	d.TB.Helper()
	if got := d.codes(drafts); fmt.Sprint(got) != fmt.Sprint(want) {
		d.TB.Errorf("%d drafts are answered %v, want %v", len(drafts), got, want)
	}
}

// Of 1,500 tried numbers behind a masked result three are compared.
func TestGuessingTheCardOfAPayment(t *testing.T) {
	d := newFixture(t)
	sale := d.approved(d.shop.Sale())
	d.settleCards()
	var tries []vaulttest.Draft
	for _, number := range guesses(1500) {
		tries = append(tries, d.refundTo(sale, vaulttest.Card(number, vaulttest.CardExpiry)))
	}
	half := len(tries) / 2
	d.expectCodes(tries[:half], map[envelope.Code]int{envelope.CodeBadAccount: book.MaxMismatches,
		envelope.CodeLimit: half - book.MaxMismatches})
	d.Reopen()
	d.intake = d.newIntake(nil)
	d.expectCodes(tries[half:], map[envelope.Code]int{envelope.CodeLimit: len(tries) - half})
	d.Clock.Pass(24 * time.Hour)
	// nor does the right one reveal itself on later days
	d.beyond(d.refundTo(sale, goodCard), book.ExceededComparisons)
	d.expectFound(map[book.Finding]uint64{book.FindingMismatches: 1})
	if p := d.Payment("shop-1", sale); p.Mismatches != book.MaxMismatches || p.Refunded != 0 {
		t.Errorf("payment %+v", p)
	}
}

// One card may have paid many times: the day's tries are counted over all payments.
func TestGuessingTheCardOfManyPayments(t *testing.T) {
	d := bankFixture(t)
	token := d.stored(d.shop.Store(goodCard))
	var sales []string
	for range book.MaxMismatchesPerDay {
		sales = append(sales, d.approved(d.shop.ByToken(envelope.OpSale, token, 10)))
	}
	d.settleCards()
	var tries []vaulttest.Draft
	for n, number := range guesses(len(sales) * 3) {
		tries = append(tries, d.refundTo(sales[n%len(sales)], vaulttest.Card(number, vaulttest.CardExpiry)))
	}
	d.expectCodes(tries, map[envelope.Code]int{envelope.CodeBadAccount: book.MaxMismatchesPerDay,
		envelope.CodeLimit: len(tries) - book.MaxMismatchesPerDay})
	d.refused(d.refundTo(sales[0], goodCard), envelope.CodeLimit)
	d.expectFound(map[book.Finding]uint64{book.FindingMismatches: 1})
	d.waits(d.shop.Refund(sales[1], 1)) // without a number, by its token

	other := d.Enrol("shop-2")
	d.permit("shop-2")
	foreign := other.Sale()
	d.take(d.run.Bag(other.Seal(foreign)))
	if f := d.answers()[foreign.ID]; f.Code != "" {
		t.Errorf("another merchant's sale is answered %+v", f)
	}
	d.Clock.Pass(24 * time.Hour)
	d.waits(d.refundTo(sales[0], goodCard))
	if m := d.merchant(); m.Compared.Mismatches != book.MaxMismatchesPerDay {
		t.Errorf("the right account of a new day was counted: %+v", m.Compared)
	}
	d.refused(d.refundTo(sales[2], vaulttest.Card(guesses(1)[0], vaulttest.CardExpiry)), envelope.CodeBadAccount)
	if m := d.merchant(); m.Compared.Mismatches != 1 {
		t.Errorf("the new day has %+v", m.Compared)
	}
}

// State and amount come first: an impossible refund compares nothing.
func TestARefundThatCannotBeMadeComparesNothing(t *testing.T) {
	d := bankFixture(t)
	sale := d.approved(d.shop.Sale())
	wrong := vaulttest.Card(guesses(1)[0], vaulttest.CardExpiry)
	for range book.MaxMismatches + 1 {
		d.refused(d.refundTo(sale, wrong), envelope.CodeWrongState)
	}
	d.settleCards()
	tooMuch := d.shop.Refund(sale, 2000)
	for _, account := range []string{wrong, goodCard} {
		tooMuch.Account = account
		d.refused(tooMuch, envelope.CodeOverCaptured)
		tooMuch = d.shop.Refund(sale, 2000)
	}
	policy := vaulttest.Policy()
	policy.RefundPercent = 1
	d.Append("shop-1", book.MerchantPolicySet{Policy: policy})
	over := d.shop.Refund(sale, 1999)
	over.Account = wrong
	d.refused(over, envelope.CodeLimit)
	if p, m := d.Payment("shop-1", sale), d.merchant(); p.Mismatches != 0 || m.Compared.Mismatches != 0 {
		t.Errorf("counted %d of the payment, %+v of the day", p.Mismatches, m.Compared)
	}
	d.expectFound(nil)
}

// A bank payment's account is needed again once its part is gone; it is guarded in the same way.
func TestGuessingTheAccountOfABankPayment(t *testing.T) {
	d := bankFixture(t)
	d.intake.RefundsByReference = true
	sale := d.accepted(d.shop.BankSale(300))
	d.settleBank()
	d.refused(d.refundTo(sale, goodCard), envelope.CodeBadOrder) // no card's number is ever needed
	var tries []vaulttest.Draft
	for n := range 100 {
		tries = append(tries, d.refundTo(sale, vaulttest.Bank(vaulttest.Routing, fmt.Sprintf("%04d5678", n))))
	}
	d.expectCodes(tries, map[envelope.Code]int{envelope.CodeBadAccount: book.MaxMismatches,
		envelope.CodeLimit: 100 - book.MaxMismatches})
	d.refused(d.refundTo(sale, vaulttest.Bank(vaulttest.Routing, vaulttest.BankAccount)), envelope.CodeLimit)
	d.accepted(d.shop.Refund(sale, 1)) // its part is still here
	d.expectFound(map[book.Finding]uint64{book.FindingMismatches: 1})
}

// blockedFixture has a merchant whose account of vaulttest is blocked, and one settled sale.
func blockedFixture(t *testing.T) *fixture {
	t.Helper()
	d := bankFixture(t)
	sale := d.accepted(d.shop.BankSale(300))
	d.settleBank()
	d.Append("shop-1", book.PaymentReturned{ID: sale, Code: envelope.ACHCode("R02")})
	return d
}

// The block list answers only so many times a day. Beyond that an entry is accepted, and the
// settlement file leaves it out.
func TestGuessingABlockedAccount(t *testing.T) {
	d := blockedFixture(t)
	used := d.merchant().Compared.Blocks
	if used != 1 {
		t.Fatalf("%d accounts were compared by one sale", used)
	}
	policy := vaulttest.Policy()
	policy.Limits[0].Payment = 10
	d.Append("shop-1", book.MerchantPolicySet{Policy: policy})
	// first, so as not to reveal the block
	d.refused(d.shop.BankSale(11), envelope.CodeLimit)
	d.Append("shop-1", book.MerchantPolicySet{Policy: vaulttest.Policy()})

	blocked := vaulttest.Bank(vaulttest.Routing, vaulttest.BankAccount)
	d.refused(d.shop.BankSale(5), envelope.CodeBlockedAccount)
	d.refused(d.shop.Store(blocked), envelope.CodeBlockedAccount)
	var tries []vaulttest.Draft
	for n := range book.MaxBlockComparisons - used - 2 {
		try := d.shop.BankSale(1)
		try.Account = vaulttest.Bank(vaulttest.Routing, fmt.Sprintf("%04d5678", n))
		tries = append(tries, try)
	}
	d.expectCodes(tries, map[envelope.Code]int{envelope.CodeOK: len(tries)})
	d.Reopen()
	d.intake = d.newIntake(nil)
	if m := d.merchant(); m.MayCompareBlocks(envelope.At(d.Clock.Now())) {
		t.Fatalf("after %d there is more to compare: %+v", book.MaxBlockComparisons, m.Compared)
	}
	d.accepted(d.shop.BankSale(5))
	d.accepted(d.shop.Payout(5))
	token := d.stored(d.shop.Store(blocked))
	d.accepted(d.shop.ByToken(envelope.OpSale, token, 5))
	d.Clock.Pass(24 * time.Hour)
	// nor does a token reveal it later
	d.accepted(d.shop.ByToken(envelope.OpSale, token, 5))
	d.refused(d.shop.BankSale(5), envelope.CodeBlockedAccount)
}

// After an update by another account, neither sales nor refunds of the token reveal anything for
// free.
func TestGuessingByUpdates(t *testing.T) {
	d := blockedFixture(t)
	token := d.stored(d.shop.Store(vaulttest.Bank(vaulttest.Routing, "87654321")))
	sale := d.accepted(d.shop.ByToken(envelope.OpSale, token, 300))
	d.settleBank()
	d.accepted(d.shop.Refund(sale, 1))
	update := func(account string) vaulttest.Draft {
		return d.replace(token, vaulttest.Bank(vaulttest.Routing, account))
	}
	d.refused(update(vaulttest.BankAccount), envelope.CodeBlockedAccount)
	for n := range book.MaxMismatches {
		d.expect(update(fmt.Sprintf("%04d4321", n)), envelope.StatusUpdated, envelope.CodeOK)
		if f := d.refused(d.shop.Refund(sale, 1), envelope.CodeAccountGone); f.Token != "" {
			t.Errorf("a refund to another account than the token's is answered %+v", f)
		}
	}
	d.expect(update("87654321"), envelope.StatusUpdated, envelope.CodeOK)
	// the right one now, which is not revealed
	d.refused(d.shop.Refund(sale, 1), envelope.CodeLimit)
	d.expectFound(map[book.Finding]uint64{book.FindingMismatches: 1})

	for n := 0; d.merchant().Compared.Blocks < book.MaxBlockComparisons; n++ {
		d.expect(update(fmt.Sprintf("%04d5678", n)), envelope.StatusUpdated, envelope.CodeOK)
	}
	d.expect(update(vaulttest.BankAccount), envelope.StatusUpdated, envelope.CodeOK)
	d.accepted(d.shop.ByToken(envelope.OpSale, token, 5))
	d.Clock.Pass(24 * time.Hour)
	d.accepted(d.shop.ByToken(envelope.OpSale, token, 5))
}
