package replay

import (
	"errors"

	"nightdrop/vault/internal/payment"
)

// book is a payment.State of which most is not in memory.
type book struct {
	*payment.Memory // all but payments, bags and entries
	payments        *store[payment.Key, payment.Payment]
	bags            *store[payment.BagKey, payment.Bag]
}

var _ payment.State = (*book)(nil)

func newBook() (*book, error) {
	payments, err := newStore(func(p *payment.Payment) payment.Key { return payment.Key{Merchant: p.Merchant, ID: p.ID} },
		form[payment.Payment]{appendPayment, readPayment})
	if err != nil {
		return nil, err
	}
	bags, err := newStore(func(b *payment.Bag) payment.BagKey {
		return payment.BagKey{Relay: b.Relay, Run: b.Run, Number: b.Number}
	},
		asJSON[payment.Bag]())
	if err != nil {
		return nil, errors.Join(err, payments.close())
	}
	return &book{Memory: payment.NewMemory(), payments: payments, bags: bags}, nil
}

func (b *book) close() error { return errors.Join(b.payments.close(), b.bags.close()) }

// Payment implements payment.State.
func (b *book) Payment(merchant, id string) (payment.Payment, bool, error) {
	return b.payments.get(payment.Key{Merchant: merchant, ID: id})
}

// PutPayment implements payment.State.
func (b *book) PutPayment(p payment.Payment) error {
	return b.payments.put(payment.Key{Merchant: p.Merchant, ID: p.ID}, p)
}

// Bag implements payment.State.
func (b *book) Bag(relay, run string, number uint64) (payment.Bag, bool, error) {
	return b.bags.get(payment.BagKey{Relay: relay, Run: run, Number: number})
}

// PutBag implements payment.State.
func (b *book) PutBag(v payment.Bag) error {
	return b.bags.put(payment.BagKey{Relay: v.Relay, Run: v.Run, Number: v.Number}, v)
}

// PutEntry implements payment.State. The fold writes which payment a bank's trace number is of, for those who read answer files, and never
// reads it: a replay has no use for it.
func (b *book) PutEntry(payment.Entry) error { return nil }

// count counts every total anew, and what the payments come to. It fails with payment.ErrTransition where a total is not the fold's.
func (b *book) count() (*Sums, error) {
	s := &Sums{Merchants: len(b.Merchants), Payments: b.TheVault.Payments, Batches: len(b.Batches), Files: len(b.Files), Money: []Money{}}
	for _, batch := range b.Batches {
		if batch.Stage == payment.BatchDone {
			s.Settled++
		}
	}
	recount := payment.NewRecount()
	err := b.payments.each(func(p payment.Payment) error {
		recount.Add(p)
		if state := standing(p); state != "" {
			s.add(state, p)
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	if err := recount.Batches(b.Batches); err != nil {
		return s, err
	}
	return s, recount.Payments(b.Payment)
}
