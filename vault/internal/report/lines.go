package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// Signed writes a difference: "+1 for 12.50 EUR, refunds -1 for -5.00 EUR".
func Signed(t book.Total) string {
	var parts []string
	if t.Count != 0 || t.Amount != 0 {
		parts = append(parts, fmt.Sprintf("%+d for %s", t.Count, envelope.FormatAmount(t.Amount, t.Currency)))
	}
	if t.Credits != 0 || t.CreditAmount != 0 {
		parts = append(parts,
			fmt.Sprintf("refunds %+d for %s", t.Credits, envelope.FormatAmount(t.CreditAmount, t.Currency)))
	}
	return strings.Join(parts, ", ")
}

// adjustment is a line of a batch.
type adjustment struct {
	batch string
	book.Adjustment
}

// adjustments are the lines of all batches, in their order.
func (r Report) adjustments() (all []adjustment) {
	for _, b := range r.Batches {
		for _, l := range b.Lines {
			all = append(all, adjustment{b.ID, l})
		}
	}
	return all
}

// linesText writes the adjustment lines, if there are any.
func (r Report) linesText(w io.Writer) {
	all := r.adjustments()
	if len(all) == 0 {
		return
	}
	line(w)
	line(w, "ADJUSTED", "BATCH", "BY", "ACQUIRER HAS", "PAYMENT", "REASON")
	for _, a := range all {
		line(w, a.Time, a.batch, a.Actor, Signed(a.Total), cmp.Or(a.Payment, "-"), a.Reason)
	}
}

// adjustmentTable writes the adjustment lines on the page, if there are any.
func (r Report) adjustmentTable(s sheet) {
	all := r.adjustments()
	if len(all) == 0 {
		return
	}
	s.section("Adjustments")
	headings := []heading{words("Batch"), words("When"), words("By"), number("Acquirer has"), words("Payment"),
		words("Reason"), words("Evidence (SHA-256)")}
	s.table(headings, len(all), func(i int) markup {
		a := all[i]
		return formed(`<th scope="row">%s</th><td class="time">%s</td><td>%s</td><td class="number">%s</td><td class="code id">%s</td><td class="text">%s</td><td class="hash">%s</td>`,
			a.batch, pageTime(&a.Time), a.Actor, Signed(a.Total), a.Payment, a.Reason, a.Evidence)
	}, "")
	s.endSection()
}
