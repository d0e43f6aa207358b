package ledger

import (
	"slices"
	"testing"
	"time"

	"nightdrop/vault/internal/book"
)

// TestSearch: whatever narrows a search, in both directions and in pages of any size it finds what
// is there, once, in the order of numbers.
func TestSearch(t *testing.T) {
	v := newVault(t)
	var all []book.Payment
	for day := range 3 {
		v.commit(func(tx *Tx) error {
			for i := range 100 {
				id, merchant := v.newID(), shop
				if i%3 == 0 {
					merchant = other
				}
				if err := receive(tx, merchant, id); err != nil {
					return err
				}
				if code := []string{"00", "51"}[i%2]; day == 0 {
					if err := authorise(tx, merchant, id, code); err != nil {
						return err
					}
				}
			}
			return nil
		})
		v.clock.Pass(24 * time.Hour)
	}
	v.view(func(tx *Tx) error {
		return tx.Payments(Query{}, func(p book.Payment) error { all = append(all, p); return nil })
	})
	second := all[100].Received.Time
	for name, s := range map[string]Search{
		"all":                 {},
		"merchant":            {Query: Query{Merchant: other}},
		"working stage":       {Query: Query{Stage: book.StageReceived}},
		"other stage":         {Query: Query{Stage: book.StageDeclined, Merchant: shop}},
		"batch":               {Query: Query{Batch: 1}},
		"batch and stage":     {Query: Query{Batch: 1, Stage: book.StageApproved}},
		"after and before":    {Query: Query{After: 20, Merchant: shop}, Before: 140},
		"the second day":      {From: second, Until: second.Add(24 * time.Hour)},
		"since the second":    {Query: Query{Merchant: other}, From: second},
		"before all":          {Until: second.Add(-48 * time.Hour)},
		"after all":           {From: second.Add(480 * time.Hour)},
		"matching":            {Match: func(p book.Payment) bool { return p.Number%17 == 0 }},
		"matching nothing":    {Match: func(book.Payment) bool { return false }},
		"beyond the last one": {Query: Query{After: 1 << 60}},
	} {
		for _, oldest := range []bool{false, true} {
			for _, most := range []int{1, 7, 1000} {
				s := s
				s.Oldest, s.Most, s.Limit = oldest, most, 5
				var want []uint64
				for _, p := range all {
					if s.matches(p) && (s.Before == 0 || p.Number < s.Before) && !p.Received.Before(s.From) &&
						(s.Until.IsZero() || p.Received.Before(s.Until)) && (s.Match == nil || s.Match(p)) {
						want = append(want, p.Number)
					}
				}
				if !oldest {
					slices.Reverse(want)
				}
				if got := v.search(s); !slices.Equal(got, want) {
					t.Errorf("%s, oldest first %v, %d at once: got %v, want %v", name, oldest, most, got, want)
				}
			}
		}
	}
}

// search reads every page of a search.
func (v *vault) search(s Search) (numbers []uint64) {
	v.t.Helper()
	for {
		found, read := 0, Searched{}
		v.view(func(tx *Tx) (err error) {
			read, err = tx.Search(v.t.Context(), s, func(p book.Payment) error {
				numbers, found = append(numbers, p.Number), found+1
				return nil
			})
			return err
		})
		if found > s.Limit || read.Read > s.Most {
			v.t.Errorf("found %d and read %d, more than %d and %d", found, read.Read, s.Limit, s.Most)
		}
		if !read.More {
			return numbers
		}
		if s.Oldest {
			s.After = read.Reached
		} else {
			s.Before = read.Reached
		}
	}
}
