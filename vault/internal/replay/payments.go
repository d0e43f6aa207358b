package replay

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"

	"nightdrop/vault/internal/book"
)

// ErrNoMerchant is returned where the replayed log knows no merchant of the name.
var ErrNoMerchant = errors.New("the replayed log has no such merchant")

// Batches are the state's batches, by number.
func (s *State) Batches() []book.Batch {
	all := book.Batches.In(s.state.State)
	batches := make([]book.Batch, 0, len(all))
	for _, number := range slices.Sorted(maps.Keys(all)) {
		batches = append(batches, all[number])
	}
	return batches
}

// File is the settlement file of a name, the zero File where there is none.
func (s *State) File(name string) (book.File, error) {
	f, _, err := s.state.File(name)
	return f, err
}

// Merchant reports whether the state has a merchant of the id.
func (s *State) Merchant(id string) (bool, error) {
	_, found, err := s.state.Merchant(id)
	return found, err
}

// Payments calls fn with the wanted payments, by the number of their batch and then in the order of
// arrival; those without a batch come last. It needs some 100 bytes of memory for each. The first
// error of fn ends it.
func (s *State) Payments(wanted func(book.Payment) bool, fn func(book.Payment) error) error {
	type place struct {
		batch, number uint64
		key           book.Key
	}
	var places []place
	// one string each: a payment's is a part of all that was read with it
	merchants := map[string]string{}
	err := s.state.payments.Each(func(p book.Payment) error {
		if !wanted(p) {
			return nil
		}
		merchant, known := merchants[p.Merchant]
		if !known {
			merchant = strings.Clone(p.Merchant)
			merchants[merchant] = merchant
		}
		places = append(places, place{uint64(p.Batch) - 1, p.Number, book.Key{Merchant: merchant, ID: strings.Clone(p.ID)}})
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Or(cmp.Compare(a.batch, b.batch), cmp.Compare(a.number, b.number)) })
	for _, at := range places {
		p, _, err := s.state.payments.Get(at.key)
		if err != nil {
			return err
		}
		if err := fn(p); err != nil {
			return err
		}
	}
	return nil
}
