package report

import (
	"io"
	"strings"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// Net is what came of one currency, in minor units: Net is Gross less Refunds, Returns and LeftOut,
// and Adjusted added.
type Net struct {
	Currency string `json:"currency"`
	Gross    int64  `json:"gross"`   // debits of the control totals
	Refunds  int64  `json:"refunds"` // credits of the control totals: refunds and payouts
	Returns  int64  `json:"returns"` // bank entries that came back, debits less credits
	// entries that their settlement file lacks, debits less credits
	LeftOut int64 `json:"leftOut,omitempty"`
	// what the acquirer has more by the batches' lines, debits less credits
	Adjusted int64 `json:"adjusted,omitempty"`
	Net      int64 `json:"net"`
}

// nets are those of all currencies, in their order.
func (b *Builder) nets() []Net {
	leftOut, adjusted := sums{}, sums{}
	for _, batch := range b.batches {
		for _, t := range batch.Failed {
			leftOut.add(t)
		}
		for _, l := range batch.Lines {
			adjusted.add(l.Total)
		}
	}
	all := sums{}
	for _, s := range []sums{b.totals, b.returned, leftOut, adjusted} {
		for currency := range s {
			all[currency] = book.Total{Currency: currency}
		}
	}
	less := func(t book.Total) int64 { return t.Amount - t.CreditAmount }
	nets := []Net{}
	for _, t := range all.sorted() {
		n := Net{Currency: t.Currency, Gross: b.totals[t.Currency].Amount, Refunds: b.totals[t.Currency].CreditAmount,
			Returns: less(b.returned[t.Currency]), LeftOut: less(leftOut[t.Currency]), Adjusted: less(adjusted[t.Currency])}
		n.Net = n.Gross - n.Refunds - n.Returns - n.LeftOut + n.Adjusted
		nets = append(nets, n)
	}
	return nets
}

// sum is a column of the nets.
type sum struct {
	name markup
	of   func(Net) int64
}

// sums are the columns; rare ones only where one of them is not 0.
func (r Report) sums() []sum {
	columns := []sum{{"Gross", func(n Net) int64 { return n.Gross }}, {"Refunds, payouts", func(n Net) int64 { return -n.Refunds }},
		{"Returns", func(n Net) int64 { return -n.Returns }}}
	for _, seldom := range []sum{{"Left out of files", func(n Net) int64 { return -n.LeftOut }}, {"Adjusted", func(n Net) int64 { return n.Adjusted }}} {
		for _, n := range r.Nets {
			if seldom.of(n) != 0 {
				columns = append(columns, seldom)
				break
			}
		}
	}
	return append(columns, sum{"Net", func(n Net) int64 { return n.Net }})
}

func (r Report) net(s sheet) {
	if len(r.Nets) == 0 {
		return
	}
	columns := r.sums()
	headings := []heading{words("Currency")}
	for _, c := range columns {
		headings = append(headings, number(c.name))
	}
	s.write(`<div class="headline">`)
	s.table(headings, len(r.Nets), func(i int) markup {
		n := r.Nets[i]
		m := formed(`<th scope="row">%s</th>`, n.Currency)
		for _, c := range columns {
			m += formed(`<td class="number">%s</td>`, strings.TrimSuffix(envelope.FormatAmount(c.of(n), n.Currency), " "+n.Currency))
		}
		return m
	}, "")
	s.write("</div>\n")
}

// netText writes the same for a terminal.
func (r Report) netText(w io.Writer) {
	if len(r.Nets) == 0 {
		return
	}
	columns := r.sums()
	cells := []any{"CURRENCY"}
	for _, c := range columns {
		cells = append(cells, strings.ToUpper(string(c.name)))
	}
	line(w)
	line(w, cells...)
	for _, n := range r.Nets {
		cells = []any{n.Currency}
		for _, c := range columns {
			cells = append(cells, envelope.FormatAmount(c.of(n), n.Currency))
		}
		line(w, cells...)
	}
}
