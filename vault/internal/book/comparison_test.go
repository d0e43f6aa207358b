package book

import (
	"fmt"
	"testing"
	"time"

	"nightdrop/shared/envelope"
)

// mismatch is a refund of payment 1 that named another account.
func mismatch(n int) EnvelopeRejected {
	return EnvelopeRejected{ID: id(n), Digest: "d", Code: envelope.CodeBadAccount, Remembered: true,
		Operation: envelope.OpRefund, Amount: 1, Of: id(1), Mismatch: true}
}

func TestMismatchesAreCounted(t *testing.T) {
	b := newBook(t)
	b.misfits(shop, mismatch(10)) // of no payment
	b.inStage(1, StageSettled)
	uncounted := mismatch(10)
	uncounted.Mismatch = false
	b.must(shop, uncounted) // as logs of before have them
	for _, other := range []func(*EnvelopeRejected){
		func(r *EnvelopeRejected) { r.Code = envelope.CodeLimit },
		func(r *EnvelopeRejected) { r.Operation = envelope.OpCapture },
	} {
		wrong := mismatch(11)
		other(&wrong)
		b.misfits(shop, wrong)
	}
	for n := range MaxMismatches {
		b.must(shop, mismatch(20+n))
	}
	b.misfits(shop, mismatch(30))
	b.now = b.now.Add(24 * time.Hour)
	b.misfits(shop, mismatch(30)) // a payment's are for ever
	if m := Merchants.In(b.State)[shop]; b.payment(1).Mismatches != MaxMismatches || m.Compared.Mismatches != MaxMismatches {
		t.Errorf("counted %d, %+v", b.payment(1).Mismatches, m.Compared)
	}
}

func TestMismatchesOfADayAreCounted(t *testing.T) {
	b := newBook(t)
	b.inStage(1, StageSettled)
	m := Merchants.In(b.State)[shop]
	m.Compared = Comparisons{Day: b.now.UTC().Format(time.DateOnly), Mismatches: MaxMismatchesPerDay - 1}
	Merchants.In(b.State)[shop] = m
	b.must(shop, mismatch(20))
	b.misfits(shop, mismatch(21))
	b.now = b.now.Add(24 * time.Hour)
	b.must(shop, mismatch(21))
	if m := Merchants.In(b.State)[shop]; m.Compared.Mismatches != 1 {
		t.Errorf("a new day begins with %+v", m.Compared)
	}
}

func TestComparisonsWithTheBlockListAreCounted(t *testing.T) {
	b := newBook(t)
	refused := EnvelopeRejected{ID: id(1), Digest: "d", Code: envelope.CodeBlockedAccount, Remembered: true,
		Operation: envelope.OpSale, Compared: true}
	other := refused
	other.Code = envelope.CodeLimit
	b.misfits(shop, other)
	b.must(shop, refused)
	for n := range MaxBlockComparisons - 1 {
		received := sale(2 + n)
		received.Compared = true
		b.must(shop, received)
	}
	more := sale(1000)
	more.Compared = true
	b.misfits(shop, more)
	refused.ID = id(1001)
	b.misfits(shop, refused)
	b.must(shop, sale(1000)) // what was not compared is not counted
	b.now = b.now.Add(24 * time.Hour)
	b.must(shop, refused)
}

// The fold reads one list of return reasons. If it changed, logs of before would fold to other
// states.
func TestTheReasonsThatBlockNeverChange(t *testing.T) {
	blocks := map[string]bool{"R02": true, "R03": true, "R04": true, "R07": true, "R10": true, "R29": true}
	for n := range 100 {
		if reason := fmt.Sprintf("R%02d", n); blocksAccount(reason) != blocks[reason] {
			t.Errorf("%s blocks: %v", reason, blocksAccount(reason))
		}
	}
}
