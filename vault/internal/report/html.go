package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// MaxPageRows bounds the payments on a page, some 250 sheets. The page has how many it leaves out;
// a CSV has all.
const MaxPageRows = 10_000

// HTML writes the report as one self-contained page, with the rows of at most [MaxPageRows]
// payments and the number of the others.
func (r Report) HTML(w io.Writer, rows []Payment) error {
	s := newSheet(w, formed("%s – %s", r.Subject, r.Vault))
	r.heading(s)
	r.controlTotals(s)
	r.differences(s)
	r.adjustmentTable(s)
	r.batches(s)
	r.files(s)
	s.volume(r.Days)
	s.outcomes(r.Outcomes)
	r.returns(s)
	r.payments(s, rows)
	return s.end("Amounts are of payments that stand. A batch's hash total is the sum of its payments' numbers, modulo 10<sup>10</sup>: equal sums of " +
		"the same payments. Times are UTC. Accounts are masked; this page loads nothing and runs nothing.")
}

func (r Report) heading(s sheet) {
	s.write(`<header>
<p>Settlement report of %s</p>
<h1>%s</h1>
<p>`, r.Vault, r.Subject)
	if r.Merchant != "" {
		s.write("Merchant %s. ", r.Merchant)
	}
	if r.From != "" {
		s.write("Batches closed from %s to %s (UTC). ", r.From, r.To)
	}
	if a := r.Replayed; a != nil {
		s.write("Replayed by auditor %s from the first %s entries of the log, up to %s. Root <span class=\"hash\">%s</span>", a.By, a.Entries, r.Made, a.Root)
	} else {
		s.write("Made %s.", r.Made)
	}
	s.write(`</p>
</header>

<p class="verdict%s">%s</p>
`, when(len(r.Differences) > 0, " differs"), r.Verdict())
	r.net(s)
	s.figures([]figure{{"Payments", r.Payments}, {"Batches", len(r.Batches)}, {"Hash total", tenDigits(r.HashTotal)}, {"Differences", len(r.Differences)}})
}

// returned writes what came back: debits, and how many credits of each currency.
func returned(totals []book.Total) string {
	text := debits(totals)
	for _, t := range totals {
		if t.Credits > 0 {
			text += fmt.Sprintf(", %d credits", t.Credits)
		}
	}
	return text
}

// pageTime writes a time for a table: date and time of day in UTC, which may wrap.
func pageTime(t *envelope.Time) markup {
	if t == nil {
		return "-"
	}
	return formed("<span>%s</span> <span>%s</span>", t.Format(time.DateOnly), t.Format(time.TimeOnly))
}

func tenDigits(hash uint64) string { return fmt.Sprintf("%010d", hash) }

func (r Report) controlTotals(s sheet) {
	s.section("Control totals")
	headings := []heading{words("Currency"), number("Debits"), number("Taken"), number("Credits"), number("Given"), number("Taken less given")}
	s.table(headings, len(r.Totals), func(i int) markup {
		t := r.Totals[i]
		return formed(`<th scope="row">%s</th><td class="number">%s</td><td class="number">%s</td><td class="number">%s</td><td class="number">%s</td><td class="number">%s</td>`,
			t.Currency, t.Count, envelope.FormatAmount(t.Amount, t.Currency), t.Credits, envelope.FormatAmount(t.CreditAmount, t.Currency),
			envelope.FormatAmount(t.Amount-t.CreditAmount, t.Currency))
	}, "Nothing stands.")
	s.endSection()
}

func (r Report) differences(s sheet) {
	if len(r.Differences) == 0 {
		return
	}
	s.section("Differences")
	headings := []heading{words("Batch"), words("What"), number("Debits"), number("Credits"), number("Against debits"), number("Against credits")}
	s.table(headings, len(r.Differences), func(i int) markup {
		d := r.Differences[i]
		ours, theirs := []book.Total{d.Ours}, []book.Total{d.Theirs}
		return formed(`<th scope="row">%s</th><td class="bad">%s</td><td class="number">%s</td><td class="number">%s</td><td class="number">%s</td><td class="number">%s</td>`,
			d.Batch, d.Gap.Sentence(), debits(ours), credits(ours), debits(theirs), credits(theirs))
	}, "")
	s.endSection()
}

func (r Report) batches(s sheet) {
	s.section("Batches")
	headings := []heading{words("Batch"), words("Merchant"), words("Status"), words("Closed"), words("Settled"), number("Debits"), number("Credits"),
		number("Hash total")}
	s.table(headings, len(r.Batches), func(i int) markup {
		b := r.Batches[i]
		return formed(`<th scope="row">%s</th><td class="text">%s</td><td>%s</td><td class="time">%s</td><td class="time">%s</td><td class="number">%s</td><td class="number">%s</td><td class="number">%s</td>`,
			b.ID, b.Merchant, b.Status, pageTime(b.Closed), pageTime(b.Settled), lines(b.Totals, debits), lines(b.Totals, credits), tenDigits(b.HashTotal))
	}, "")
	s.endSection()
}

// files writes the settlement files that hold batches, if any does.
func (r Report) files(s sheet) {
	var filed []Batch
	for _, b := range r.Batches {
		if b.File != nil {
			filed = append(filed, b)
		}
	}
	if len(filed) == 0 {
		return
	}
	s.section("Settlement files")
	s.table([]heading{words("Batch"), words("File"), words("Effective"), words("SHA-256")}, len(filed), func(i int) markup {
		f := filed[i].File
		return formed(`<th scope="row">%s</th><td class="code">%s</td><td>%s</td><td class="hash">%s</td>`, filed[i].ID, f.Name, f.Effective, f.Digest)
	}, "")
	s.endSection()
}

func (r Report) returns(s sheet) {
	if len(r.Returns) == 0 {
		return
	}
	s.section("Returns")
	headings := []heading{words("Payment"), words("Code"), words("Operation"), number("Amount"), words("Account"), words("Reference"),
		words("Entry")}
	s.table(headings, len(r.Returns), func(i int) markup {
		p := r.Returns[i]
		return formed(`<th scope="row" class="code id">%s</th><td class="bad short">%s</td><td>%s</td><td class="number">%s</td><td class="code short">%s</td><td class="text">%s</td><td class="code">%s</td>`,
			p.Name, p.Code, p.Operation, envelope.FormatAmount(p.Amount, p.Currency), p.Masked, p.Reference, p.Entry)
	}, "")
	s.endSection()
}

func (r Report) payments(s sheet, rows []Payment) {
	shown := rows[:min(len(rows), MaxPageRows)]
	left := max(r.Payments-int64(len(shown)), 0)
	caption := formed("\n<caption>%s of %s, in the order of arrival in each batch.%s Amounts in grey do not count in the control totals.</caption>",
		len(shown), r.Payments, when(left > 0, formed(" The other %s are not on this page: take them as CSV.", left)))
	s.write("\n<section class=\"payments\">\n<h2>Payments</h2>\n")
	headings := []heading{words("Payment"), words("Batch"), words("Operation"), words("Outcome"), words("Code"), number("Amount"), words("Account"),
		words("Reference"), words("Approval / entry"), words("Received")}
	s.captioned(caption, headings, len(shown), func(i int) markup { return shown[i].cells() }, "No payments.")
	s.endSection()
}

// cells are its row in the list of payments.
func (p Payment) cells() markup {
	return formed(`<td class="code id">%s</td><td class="short">%s</td><td>%s</td><td class="%s">%s</td><td class="code whole">%s</td><td class="number%s">%s%s</td><td class="code short">%s</td><td class="text">%s</td><td class="code">%s</td><td class="time">%s</td>`,
		p.Name, p.Batch, p.Operation, tone(p.Status), p.Status, p.Code, when(!p.Stands, " quiet"), when(p.Credit, "−"), envelope.FormatAmount(p.Amount, p.Currency),
		p.Masked, p.Reference, cmp.Or(p.Entry, strings.TrimSpace(p.Approval)), pageTime(&p.Received))
}

// tone is the colour class of a stage: money that moved, that did not, that is open, or that came
// back.
func tone(stage book.Stage) markup {
	switch stage {
	case book.StageApproved, book.StageAuthorised, book.StageCaptured, book.StageAccepted, book.StageFiling, book.StageSettled,
		book.StageCompleted, book.StageDone:
		return "good"
	case book.StageUnknown, book.StageManual, book.StageCorrecting, book.StageAuthorising, book.StageCapturing, book.StageVoiding, book.StageWaiting,
		book.StageReceived:
		return "open"
	case book.StageDeclined, book.StageRejected, book.StageReturned:
		return "bad"
	case book.StageVoided, book.StageReversed, book.StageExpired:
	}
	return "none"
}
