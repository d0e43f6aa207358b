package replay

import (
	"errors"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/replay/spill"
)

// spilled is a state of which most is not in memory.
type spilled struct {
	*book.State
	payments *spill.Store[book.Key, book.Payment]
	bags     *spill.Store[book.BagKey, book.Bag]
}

func newSpilled() (*spilled, error) {
	payments, err := spill.New(book.Payments.Key, spill.Form[book.Payment]{Append: appendPayment, Read: readPayment})
	if err != nil {
		return nil, err
	}
	bags, err := spill.New(book.Bags.Key, spill.JSON[book.Bag]())
	if err != nil {
		return nil, errors.Join(err, payments.Close())
	}
	s := book.NewMemory()
	book.Payments.Keep(s, payments)
	book.Bags.Keep(s, bags)
	book.Entries.Keep(s, unkept{})
	return &spilled{s, payments, bags}, nil
}

func (b *spilled) close() error { return errors.Join(b.payments.Close(), b.bags.Close()) }

// unkept are the rows of entries, which the fold writes for readers of answer files and never
// reads.
type unkept struct{}

func (unkept) Get(string) (e book.Entry, found bool, err error) { return e, false, nil }
func (unkept) Put(string, book.Entry) error                     { return nil }
func (unkept) Each(func(book.Entry) error) error                { return nil }

// count counts every total anew, and the payments' sums. It fails with [book.ErrTransition] where a
// total is not the fold's.
func (b *spilled) count() (*Sums, error) {
	v, err := b.Vault()
	if err != nil {
		return nil, err
	}
	batches := book.Batches.In(b.State)
	s := &Sums{Merchants: len(book.Merchants.In(b.State)), Payments: v.Payments, Batches: len(batches), Files: len(book.Files.In(b.State)), Money: []Money{}}
	for _, batch := range batches {
		if batch.Stage == book.BatchDone {
			s.Settled++
		}
	}
	recount := book.NewRecount()
	err = b.payments.Each(func(p book.Payment) error {
		recount.Add(p)
		if state := standing(p); state != "" {
			s.add(state, p)
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	if err := recount.Batches(batches); err != nil {
		return s, err
	}
	return s, recount.Payments(b.Payment)
}
