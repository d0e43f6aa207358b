package book

import (
	"fmt"
	"testing"
)

// batches is what the decision reads.
type batches struct {
	next uint32
	open Batch
}

func (s batches) Vault() (Vault, error)             { return Vault{NextBatch: s.next}, nil }
func (s batches) Batch(uint32) (Batch, bool, error) { return s.open, true, nil }

func TestWhichBatchAPaymentJoins(t *testing.T) {
	full := Batch{Number: 4, Method: MethodBank, Totals: []Total{{Currency: "USD", Count: 2, Amount: MaxFileAmount}}}
	card, bank := Payment{Currency: "USD", Amount: 1}, Payment{Currency: "USD", Amount: 1, Method: MethodBank}
	for name, c := range map[string]struct {
		merchant Merchant
		open     Batch
		next     uint32
		p        Payment
		batch    uint32
		before   string
	}{
		"an open one of cards":              {Merchant{OpenBatch: 3, OpenBank: 4}, full, 5, card, 3, "[]"},
		"an open one of entries":            {Merchant{OpenBatch: 3, OpenBank: 4}, Batch{Number: 4}, 5, bank, 4, "[]"},
		"none of cards":                     {Merchant{OpenBank: 4}, full, 5, card, 5, "[{5 card}]"},
		"none of entries":                   {Merchant{OpenBatch: 3}, Batch{}, 5, bank, 5, "[{5 bank}]"},
		"a full one of entries":             {Merchant{OpenBank: 4}, full, 5, bank, 5, "[{4} {5 bank}]"},
		"the last number":                   {Merchant{}, Batch{}, MaxBatch, card, MaxBatch, fmt.Sprintf("[{%d card}]", MaxBatch)},
		"none, and no number":               {Merchant{}, Batch{}, MaxBatch + 1, card, 0, "[]"},
		"a full one, and no number":         {Merchant{OpenBank: 4}, full, MaxBatch + 1, bank, 0, "[]"},
		"an open one when no number's left": {Merchant{OpenBatch: 3}, Batch{}, MaxBatch + 1, card, 3, "[]"},
	} {
		got, err := Joins(batches{c.next, c.open}, c.merchant, c.p)
		if before := fmt.Sprint(got.Before()); err != nil || got.Batch != c.batch || before != c.before {
			t.Errorf("%s: batch %d after %s, %v; want %d after %s", name, got.Batch, before, err, c.batch, c.before)
		}
	}
}
