package host

import (
	"cmp"
	"maps"
	"slices"
)

// Kinds of a book's lines.
const (
	kindSale     = "sale"     // a 0200 taken
	kindRepeat   = "repeat"   // the same 0200 again: answered as before, booked nothing
	kindReversal = "reversal" // a 0420 or 0421 taken
	kindTotals   = "totals"   // a 0500 compared
)

// line is one line of the book. It never holds a whole account number, an expiry or a security code.
type line struct {
	Kind     string `json:"kind"`
	At       string `json:"at"` // RFC 3339, UTC
	Sale     *Sale  `json:"sale,omitempty"`
	Original *Key   `json:"original,omitempty"` // of a repeat or reversal
	Undone   bool   `json:"undone,omitempty"`   // the reversal undid an approved sale
	Totals   *Total `json:"totals,omitempty"`
	Agreed   bool   `json:"agreed,omitempty"`
}

// Key names a sale as its terminal does, for ever.
type Key struct {
	Terminal string `json:"terminal"`
	STAN     string `json:"stan"`
	Sent     string `json:"sent"` // field 7, MMDDhhmmss
	RRN      string `json:"rrn"`
}

// Sale is one authorisation in the book.
type Sale struct {
	Key
	Acceptor string `json:"acceptor"`
	Batch    string `json:"batch"`
	Amount   int64  `json:"amount"`   // minor units
	Currency string `json:"currency"` // ISO 4217 number
	Masked   string `json:"masked"`
	Answer   string `json:"answer"`
	Approval string `json:"approval,omitempty"`
	Reversed bool   `json:"reversed"`
	Repeats  int    `json:"repeats"` // how often the same request came again
}

// charged tells whether the cardholder pays for the sale.
func (s *Sale) charged() bool { return s.Answer == codeApproved && !s.Reversed }

// Count is a number of sales and the sum of their amounts.
type Count struct {
	Number int   `json:"number"`
	Amount int64 `json:"amount"`
}

func (c *Count) add(amount int64) {
	c.Number++
	c.Amount += amount
}

// Total is one acceptor's batch in one currency. Debits are all approved sales, Reversed those of them that were undone, Standing
// the difference: what will be paid out.
type Total struct {
	Acceptor string `json:"acceptor"`
	Batch    string `json:"batch"`
	Currency string `json:"currency"`
	Debits   Count  `json:"debits"`
	Reversed Count  `json:"reversed"`
	Standing Count  `json:"standing"`
}

// Statement is what a book tells.
type Statement struct {
	Sales        int      `json:"sales"`    // different sales taken
	Approved     int      `json:"approved"` // of these
	Declined     int      `json:"declined"`
	Charged      int      `json:"charged"`   // approved and not reversed
	Reversed     int      `json:"reversed"`  // approved and then reversed
	Reversals    int      `json:"reversals"` // messages, repeats among them
	Repeats      int      `json:"repeats"`   // sales that came again under the same key
	Doubled      []string `json:"doubled"`   // retrieval reference numbers that are charged more than once: there must be none
	Totals       []Total  `json:"totals"`
	Transactions []Sale   `json:"transactions"` // in the order taken
}

// account is the fold of a book's lines.
type account struct {
	sales     map[Key]*Sale
	order     []*Sale
	cancelled map[Key]bool // reversed before, or without, the sale
	reversals int
	repeats   int
}

func newAccount() *account {
	return &account{sales: map[Key]*Sale{}, cancelled: map[Key]bool{}}
}

// apply adds one line to the fold.
func (a *account) apply(l line) {
	switch {
	case l.Kind == kindSale && l.Sale != nil:
		sale := *l.Sale
		a.sales[sale.Key] = &sale
		a.order = append(a.order, &sale)
	case l.Kind == kindRepeat && l.Original != nil:
		a.repeats++
		if sale := a.sales[*l.Original]; sale != nil {
			sale.Repeats++
		}
	case l.Kind == kindReversal && l.Original != nil:
		a.reversals++
		if sale := a.sales[*l.Original]; sale == nil {
			a.cancelled[*l.Original] = true
		} else if l.Undone {
			sale.Reversed = true
		}
	}
}

// total sums up one acceptor's batch in one currency.
func (a *account) total(acceptor, batch, currency string) Total {
	t := Total{Acceptor: acceptor, Batch: batch, Currency: currency}
	for _, s := range a.order {
		if s.Acceptor == acceptor && s.Batch == batch && s.Currency == currency {
			t.take(s)
		}
	}
	return t
}

func (t *Total) take(s *Sale) {
	if s.Answer != codeApproved {
		return
	}
	t.Debits.add(s.Amount)
	if s.Reversed {
		t.Reversed.add(s.Amount)
	} else {
		t.Standing.add(s.Amount)
	}
}

// statement returns copies of everything, totals sorted.
func (a *account) statement() Statement {
	st := Statement{Sales: len(a.order), Reversals: a.reversals, Repeats: a.repeats, Doubled: []string{}, Totals: []Total{}, Transactions: []Sale{}}
	totals := map[[3]string]*Total{}
	charges := map[string]int{}
	for _, s := range a.order {
		st.Transactions = append(st.Transactions, *s)
		key := [3]string{s.Acceptor, s.Batch, s.Currency}
		if totals[key] == nil {
			totals[key] = &Total{Acceptor: s.Acceptor, Batch: s.Batch, Currency: s.Currency}
		}
		totals[key].take(s)
		switch {
		case s.Answer != codeApproved:
			st.Declined++
		case s.Reversed:
			st.Reversed++
		default:
			st.Charged++
			charges[s.RRN]++
		}
	}
	st.Approved = st.Sales - st.Declined
	for _, rrn := range slices.Sorted(maps.Keys(charges)) {
		if charges[rrn] > 1 {
			st.Doubled = append(st.Doubled, rrn)
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
