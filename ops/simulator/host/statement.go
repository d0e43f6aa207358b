package host

import (
	"cmp"
	"maps"
	"slices"
)

// Statement is what a book holds.
type Statement struct {
	Sales     int `json:"sales"` // different ones taken, as are holds, captures and refunds
	Holds     int `json:"holds"`
	Captures  int `json:"captures"`
	Refunds   int `json:"refunds"`
	Approved  int `json:"approved"`  // of all these
	Declined  int `json:"declined"`  // or answered with another code that does not approve
	Reversed  int `json:"reversed"`  // approved and then reversed
	Charged   int `json:"charged"`   // sales and captures approved and not reversed
	Credited  int `json:"credited"`  // refunds approved and not reversed
	Reversals int `json:"reversals"` // messages, repeats among them
	Repeats   int `json:"repeats"`   // requests that came again under the same key
	// other requests under a key that was taken: there must be none
	Conflicts int `json:"conflicts"`
	// retrieval reference numbers that are charged, or credited, more than once: there must be none
	Doubled      []string      `json:"doubled"`
	Totals       []Total       `json:"totals"`
	Transactions []Transaction `json:"transactions"` // in the order taken
}

// Listing returns what stands of an acceptor's batch, in the order taken.
func (st Statement) Listing(acceptor, batch string) []Transaction {
	list := []Transaction{}
	for _, t := range st.Transactions {
		if t.Acceptor == acceptor && t.Batch == batch && (t.charged() || t.credited()) {
			list = append(list, t)
		}
	}
	return list
}

// total sums up one acceptor's batch in one currency.
func (a *account) total(acceptor, batch, currency string) Total {
	total := Total{Acceptor: acceptor, Batch: batch, Currency: currency}
	for _, t := range a.order {
		if t.Acceptor == acceptor && t.Batch == batch && t.Currency == currency && t.Kind != KindHold {
			total.take(t)
		}
	}
	return total
}

// statement returns copies of everything, totals sorted.
func (a *account) statement() Statement {
	st := Statement{Reversals: a.reversals, Repeats: a.repeats, Conflicts: a.conflicts, Doubled: []string{}, Totals: []Total{}, Transactions: []Transaction{}}
	totals := map[[3]string]*Total{}
	charges, credits := map[string]int{}, map[string]int{}
	for _, t := range a.order {
		st.count(t)
		if t.charged() {
			charges[t.RRN]++
		} else if t.credited() {
			credits[t.RRN]++
		}
		if t.Kind == KindHold {
			continue
		}
		key := [3]string{t.Acceptor, t.Batch, t.Currency}
		if totals[key] == nil {
			totals[key] = &Total{Acceptor: t.Acceptor, Batch: t.Batch, Currency: t.Currency}
		}
		totals[key].take(t)
	}
	for _, moved := range []map[string]int{charges, credits} {
		for _, rrn := range slices.Sorted(maps.Keys(moved)) {
			if moved[rrn] > 1 {
				st.Doubled = append(st.Doubled, rrn)
			}
		}
	}
	for _, t := range totals {
		st.Totals = append(st.Totals, *t)
	}
	slices.SortFunc(st.Totals, func(x, y Total) int {
		return cmp.Or(cmp.Compare(x.Acceptor, y.Acceptor), cmp.Compare(x.Batch, y.Batch), cmp.Compare(x.Currency, y.Currency))
	})
	return st
}

func (st *Statement) count(t *Transaction) {
	st.Transactions = append(st.Transactions, *t)
	switch t.Kind {
	case KindSale:
		st.Sales++
	case KindHold:
		st.Holds++
	case KindCapture:
		st.Captures++
	case KindRefund:
		st.Refunds++
	}
	switch {
	case !approves(t.Answer):
		st.Declined++
		return
	case t.Reversed:
		st.Reversed++
	case t.charged():
		st.Charged++
	case t.credited():
		st.Credited++
	}
	st.Approved++
}
