package replay

import (
	"errors"

	"nightdrop/vault/internal/book"
)

// spilled is a book.State of which most is not in memory.
type spilled struct {
	*book.Memory // all but payments, bags and entries
	payments     *store[book.Key, book.Payment]
	bags         *store[book.BagKey, book.Bag]
}

var _ book.State = (*spilled)(nil)

func newSpilled() (*spilled, error) {
	payments, err := newStore(func(p *book.Payment) book.Key { return book.Key{Merchant: p.Merchant, ID: p.ID} },
		form[book.Payment]{appendPayment, readPayment})
	if err != nil {
		return nil, err
	}
	bags, err := newStore(func(b *book.Bag) book.BagKey {
		return book.BagKey{Relay: b.Relay, Run: b.Run, Number: b.Number}
	},
		asJSON[book.Bag]())
	if err != nil {
		return nil, errors.Join(err, payments.close())
	}
	return &spilled{Memory: book.NewMemory(), payments: payments, bags: bags}, nil
}

func (b *spilled) close() error { return errors.Join(b.payments.close(), b.bags.close()) }

// Payment implements book.State.
func (b *spilled) Payment(merchant, id string) (book.Payment, bool, error) {
	return b.payments.get(book.Key{Merchant: merchant, ID: id})
}

// PutPayment implements book.State.
func (b *spilled) PutPayment(p book.Payment) error {
	return b.payments.put(book.Key{Merchant: p.Merchant, ID: p.ID}, p)
}

// Bag implements book.State.
func (b *spilled) Bag(relay, run string, number uint64) (book.Bag, bool, error) {
	return b.bags.get(book.BagKey{Relay: relay, Run: run, Number: number})
}

// PutBag implements book.State.
func (b *spilled) PutBag(v book.Bag) error {
	return b.bags.put(book.BagKey{Relay: v.Relay, Run: v.Run, Number: v.Number}, v)
}

// PutEntry implements book.State. The fold writes which payment a bank's trace number is of, for those who read answer files, and never
// reads it: a replay has no use for it.
func (b *spilled) PutEntry(book.Entry) error { return nil }

// count counts every total anew, and what the payments come to. It fails with book.ErrTransition where a total is not the fold's.
func (b *spilled) count() (*Sums, error) {
	s := &Sums{Merchants: len(b.Merchants), Payments: b.TheVault.Payments, Batches: len(b.Batches), Files: len(b.Files), Money: []Money{}}
	for _, batch := range b.Batches {
		if batch.Stage == book.BatchDone {
			s.Settled++
		}
	}
	recount := book.NewRecount()
	err := b.payments.each(func(p book.Payment) error {
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
