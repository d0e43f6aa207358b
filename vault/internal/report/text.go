package report

import (
	"fmt"
	"io"
	"strings"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// Text writes the report without its rows for a terminal: cells are separated by tabs, for a
// text/tabwriter. The caller flushes w and looks at its error.
func (r Report) Text(w io.Writer) {
	line(w, "report", r.Subject)
	line(w, "vault", r.Vault)
	if r.Merchant != "" {
		line(w, "merchant", r.Merchant)
	}
	line(w, "made", r.Made)
	line(w, "payments", r.Payments)
	line(w, "hash total", fmt.Sprintf("%010d", r.HashTotal))
	line(w, "verdict", r.Verdict())
	r.netText(w)
	line(w)
	line(w, "BATCH", "MERCHANT", "STATUS", "CLOSED", "SETTLED", "DEBITS", "CREDITS", "HASH TOTAL", "FILE")
	for _, b := range r.Batches {
		file := "-"
		if b.File != nil {
			file = b.File.Name
		}
		line(w, b.ID, b.Merchant, b.Status, moment(b.Closed), moment(b.Settled), debits(b.Totals), credits(b.Totals), fmt.Sprintf("%010d", b.HashTotal), file)
	}
	line(w, "all", "", "", "", "", debits(r.Totals), credits(r.Totals), fmt.Sprintf("%010d", r.HashTotal))
	if len(r.Differences) > 0 {
		line(w)
		line(w, "DIFFERENCE", "BATCH", "DEBITS", "CREDITS", "AGAINST DEBITS", "AGAINST CREDITS")
		for _, d := range r.Differences {
			ours, theirs := []book.Total{d.Ours}, []book.Total{d.Theirs}
			line(w, d.Gap.Sentence(), d.Batch, debits(ours), credits(ours), debits(theirs), credits(theirs))
		}
	}
	r.linesText(w)
	line(w)
	line(w, "DAY", "DEBITS", "CREDITS")
	for _, d := range r.Days {
		line(w, d.Date, debits(d.Totals), credits(d.Totals))
	}
	line(w)
	line(w, "OUTCOME", "PAYMENTS", "CODES")
	for _, o := range r.Outcomes {
		line(w, o.Status, o.Count, o.codes())
	}
	if len(r.Returns) > 0 {
		line(w)
		line(w, "RETURNED", "CODE", "AMOUNT", "ACCOUNT", "REFERENCE")
		for _, p := range r.Returns {
			line(w, p.Name, p.Code, envelope.FormatAmount(p.Amount, p.Currency), p.Masked, p.Reference)
		}
	}
}

// Verdict reports in a sentence whether everything adds up.
func (r Report) Verdict() string {
	open := 0
	for _, b := range r.Batches {
		if b.Status != book.BatchDone {
			open++
		}
	}
	switch {
	case len(r.Differences) > 0:
		return fmt.Sprintf("%d differences: see below", len(r.Differences))
	case len(r.Batches) == 0:
		return "no batches"
	case open > 0:
		return fmt.Sprintf("the payments come to the control totals; %d of %d batches are not settled yet", open, len(r.Batches))
	}
	if n := len(r.adjustments()); n > 0 {
		return fmt.Sprintf("settled, and everything adds up with %d adjustments: see below", n)
	}
	return "settled, and everything adds up"
}

// Sentence is what the gap means.
func (g Gap) Sentence() string {
	switch g {
	case GapAcquirer:
		return "the acquirer has other totals"
	case GapPayments:
		return "the payments come to something else"
	case GapHash:
		return "the hash total is not that of the payments"
	case GapFile:
		return "left out of the file: the account could not be opened"
	}
	return string(g)
}

func line(w io.Writer, cells ...any) {
	text := make([]string, len(cells))
	for i, cell := range cells {
		text[i] = fmt.Sprint(cell)
	}
	fmt.Fprintln(w, strings.TrimRight(strings.Join(text, "\t"), "\t"))
}

func moment(t *envelope.Time) string {
	if t == nil {
		return "-"
	}
	return t.String()
}

// debits writes what was taken: "3 for 44.99 USD".
func debits(totals []book.Total) string {
	return money(totals, func(t book.Total) (int64, int64) { return t.Count, t.Amount })
}

// credits writes what was given.
func credits(totals []book.Total) string {
	return money(totals, func(t book.Total) (int64, int64) { return t.Credits, t.CreditAmount })
}

func money(totals []book.Total, of func(book.Total) (count, amount int64)) string {
	var parts []string
	for _, t := range totals {
		if count, amount := of(t); count != 0 && t.Currency != "" {
			parts = append(parts, envelope.FormatSum(count, amount, t.Currency))
		}
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// codes writes an outcome's codes with their counts: "iso-51 (3), iso-05".
func (o Outcome) codes() string {
	var parts []string
	for _, c := range o.Codes {
		if c.Count == 1 {
			parts = append(parts, string(c.Code))
		} else {
			parts = append(parts, fmt.Sprintf("%s (%d)", c.Code, c.Count))
		}
	}
	return strings.Join(parts, ", ")
}
