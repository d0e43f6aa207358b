package replay

import (
	"errors"
	"fmt"
	"testing"

	"nightdrop/vault/internal/book"
)

// TestPaymentsComeByBatch: in the order of a report, however they were written, also those that are
// in the file.
func TestPaymentsComeByBatch(t *testing.T) {
	s, err := NewState("vault.example.com")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const payments = 20_000
	for i := range payments {
		n := uint64(payments - i)
		p := book.Payment{Merchant: fmt.Sprintf("shop-%d", n%2), ID: fmt.Sprintf("%012d", n), Number: n, Batch: uint32(n % 3)}
		if err := s.state.payments.Put(book.Payments.Key(p), p); err != nil {
			t.Fatal(err)
		}
	}
	seen, last := 0, book.Payment{Batch: 1}
	err = s.Payments(func(p book.Payment) bool { return p.Number%5 != 0 }, func(p book.Payment) error {
		if seen++; p.Batch == last.Batch && p.Number <= last.Number || p.Batch != last.Batch && p.Batch != (last.Batch+1)%3 {
			t.Fatalf("payment %d of batch %d after payment %d of batch %d", p.Number, p.Batch, last.Number, last.Batch)
		}
		last = p
		return nil
	})
	if err != nil || seen != payments*4/5 || last.Batch != 0 {
		t.Errorf("%d payments, the last of batch %d (%v)", seen, last.Batch, err)
	}
	full := errors.New("the disk is full")
	if err := s.Payments(func(book.Payment) bool { return true }, func(book.Payment) error { return full }); !errors.Is(err, full) {
		t.Errorf("a writer's error: %v", err)
	}
}
