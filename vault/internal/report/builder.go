package report

import (
	"cmp"
	"maps"
	"slices"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// hashModulus keeps a hash total at ten digits, as a batch's.
const hashModulus = 10_000_000_000

// Builder makes a [Report]. Its memory grows with batches, days, codes and listed returns, not with
// payments. It is not for concurrent use.
type Builder struct {
	report   Report
	counted  map[uint32]*count
	batches  map[uint32]book.Batch
	totals   sums
	returned sums
	days     map[string]sums
	outcomes map[book.Stage]map[envelope.Code]int64
}

// count is what the payments of a batch come to.
type count struct {
	totals sums
	hash   uint64
}

// sums are control totals by currency.
type sums map[string]book.Total

func (s sums) add(t book.Total) {
	sum := s[t.Currency]
	sum.Currency = t.Currency
	sum.Count, sum.Amount = sum.Count+t.Count, sum.Amount+t.Amount
	sum.Credits, sum.CreditAmount = sum.Credits+t.Credits, sum.CreditAmount+t.CreditAmount
	s[t.Currency] = sum
}

func (s sums) sorted() []book.Total {
	list := make([]book.Total, 0, len(s))
	for _, currency := range slices.Sorted(maps.Keys(s)) {
		list = append(list, s[currency])
	}
	return list
}

// NewBuilder begins a report with a heading: vault, time, subject, and merchant and period if any.
func NewBuilder(heading Report) *Builder {
	return &Builder{report: heading, counted: map[uint32]*count{}, batches: map[uint32]book.Batch{}, totals: sums{}, returned: sums{},
		days: map[string]sums{}, outcomes: map[book.Stage]map[envelope.Code]int64{}}
}

// Batch adds a batch, before its payments. file is its settlement file, or the zero File.
func (b *Builder) Batch(batch book.Batch, file book.File) {
	view := Batch{ID: batch.ID(), Number: batch.Number, Merchant: batch.Merchant, Method: batch.Method, Status: batch.Stage, Opened: batch.Opened,
		Closed: orNil(batch.Closed), Settled: orNil(batch.Settled), Totals: batch.Totals, HashTotal: batch.HashTotal,
		By: batch.By, Lines: LinesOf(batch)}
	if view.Totals == nil {
		view.Totals = []book.Total{}
	}
	if file.Name != "" {
		view.File = &File{Name: file.Name, Digest: file.Digest, Effective: file.Effective}
	}
	b.report.Batches = append(b.report.Batches, view)
	b.report.HashTotal = (b.report.HashTotal + batch.HashTotal) % hashModulus
	b.batches[batch.Number] = batch
	b.counted[batch.Number] = &count{totals: sums{}}
	for _, t := range batch.Totals {
		b.totals.add(t)
	}
}

func orNil(t envelope.Time) *envelope.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Payment adds a payment of one of the batches and returns its view.
func (b *Builder) Payment(p book.Payment) Payment {
	r := PaymentOf(p)
	b.report.Payments++
	codes := b.outcomes[p.Stage]
	if codes == nil {
		codes = map[envelope.Code]int64{}
		b.outcomes[p.Stage] = codes
	}
	codes[p.Code]++
	if !r.Stands {
		return r
	}
	t := totalOf(r)
	if c := b.counted[p.Batch]; c != nil {
		c.totals.add(t)
		c.hash = (c.hash + p.Number) % hashModulus
	}
	date := p.Received.Format(dayLayout)
	if b.days[date] == nil {
		b.days[date] = sums{}
	}
	b.days[date].add(t)
	if p.Stage == book.StageReturned {
		b.returned.add(t)
		if len(b.report.Returns) < MaxReturns {
			b.report.Returns = append(b.report.Returns, r)
		}
	}
	return r
}

const dayLayout = "2006-01-02"

// stands reports whether a payment counts in its batch's control totals. An entry that its file
// left out was counted when the batch was closed, and a closed batch does not change.
func stands(p book.Payment) bool {
	if p.InTotals {
		return true // a person's correction came after the close
	}
	switch p.Stage {
	case book.StageApproved, book.StageCaptured, book.StageAccepted, book.StageFiling, book.StageSettled, book.StageReturned,
		book.StageRejected:
		return p.Batch != 0
	}
	return false
}

func totalOf(r Payment) book.Total {
	if r.Credit {
		return book.Total{Currency: r.Currency, Credits: 1, CreditAmount: r.Amount}
	}
	return book.Total{Currency: r.Currency, Count: 1, Amount: r.Amount}
}

// Report is what was added so far.
func (b *Builder) Report() Report {
	r := b.report
	r.Batches = slices.Clone(r.Batches)
	if r.Batches == nil {
		r.Batches = []Batch{}
	}
	if r.Returns == nil {
		r.Returns = []Payment{}
	}
	r.Nets, r.Totals, r.Returned = b.nets(), b.totals.sorted(), b.returned.sorted()
	r.Differences, r.Days, r.Outcomes = b.differences(), b.volume(), b.results()
	return r
}

func (b *Builder) volume() []Day {
	days := []Day{}
	for _, date := range slices.Sorted(maps.Keys(b.days)) {
		days = append(days, Day{Date: date, Totals: b.days[date].sorted()})
	}
	return days
}

func (b *Builder) results() []Outcome {
	outcomes := []Outcome{}
	for stage, codes := range b.outcomes {
		o := Outcome{Status: stage}
		for code, n := range codes {
			o.Count += n
			if code != "" {
				o.Codes = append(o.Codes, CodeCount{Code: code, Count: n})
			}
		}
		slices.SortFunc(o.Codes, func(x, y CodeCount) int { return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Code, y.Code)) })
		outcomes = append(outcomes, o)
	}
	slices.SortFunc(outcomes, func(x, y Outcome) int { return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Status, y.Status)) })
	return outcomes
}

// differences compares every batch's control totals with its payments, the acquirer's totals and
// its file.
func (b *Builder) differences() []Difference {
	all := []Difference{}
	for _, view := range b.report.Batches {
		batch, counted := b.batches[view.Number], b.counted[view.Number]
		ours := sums{}
		for _, t := range batch.Totals {
			ours.add(t)
		}
		note := func(gap Gap, theirs book.Total) {
			t := ours[theirs.Currency]
			t.Currency = theirs.Currency
			all = append(all, Difference{Batch: view.ID, Currency: theirs.Currency, Gap: gap, Ours: t, Theirs: theirs})
		}
		expected := sums{}
		for _, t := range batch.Expected() {
			expected.add(t)
		}
		for _, t := range batch.Host {
			adjusted := expected[t.Currency]
			adjusted.Currency = t.Currency
			all = append(all, Difference{Batch: view.ID, Currency: t.Currency, Gap: GapAcquirer, Ours: adjusted, Theirs: t})
		}
		for _, t := range batch.Failed {
			left := ours[t.Currency]
			left.Currency = t.Currency
			left.Count, left.Amount = left.Count-t.Count, left.Amount-t.Amount
			left.Credits, left.CreditAmount = left.Credits-t.Credits, left.CreditAmount-t.CreditAmount
			note(GapFile, left)
		}
		for _, currency := range currencies(ours, counted.totals) {
			theirs := counted.totals[currency]
			theirs.Currency = currency
			if ours[currency] != theirs {
				note(GapPayments, theirs)
			}
		}
		if counted.hash != batch.HashTotal {
			all = append(all, Difference{Batch: view.ID, Gap: GapHash})
		}
	}
	return all
}

func currencies(a, b sums) []string {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return slices.Sorted(maps.Keys(both))
}
