package report

import (
	_ "embed" // the page
	"fmt"
	"html/template"
	"io"
	"slices"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/payment"
)

// MaxPageRows bounds the payments that a page lists: some 250 sheets. The page says how many it leaves out; a CSV has them all.
const MaxPageRows = 10_000

// page is the HTML of a report. It runs no script and loads nothing.
//
//go:embed page.html
var page string

// parts are what the pages share: their style, and the charts of volume and outcomes.
//
//go:embed parts.html
var parts string

// HTML writes the report as one page that needs nothing but itself, with the rows of at most MaxPageRows payments; of the others it says
// how many there are.
func (r Report) HTML(w io.Writer, rows []Row) error {
	t, err := parsePage("page", page)
	if err != nil {
		return err
	}
	shown := rows[:min(len(rows), MaxPageRows)]
	return t.Execute(w, struct {
		Report
		Rows    []Row
		Left    int64
		Volumes []volumeChart
		Stages  []outcomeBar
	}{r, shown, max(r.Payments-int64(len(shown)), 0), volumeCharts(r.Days), outcomeBars(r.Outcomes)})
}

// Filed tells whether a settlement file holds any of the batches.
func (r Report) Filed() bool {
	return slices.ContainsFunc(r.Batches, func(b Batch) bool { return b.File != nil })
}

// parsePage reads a page and the parts that it shares with the others.
func parsePage(name, text string) (*template.Template, error) {
	functions := template.FuncMap{
		"moment": moment, "at": func(t envelope.Time) string { return t.String() }, "debits": debits, "credits": credits,
		"amount": envelope.FormatAmount, "hash": func(n uint64) string { return fmt.Sprintf("%010d", n) },
		"net":  func(t payment.Total) string { return envelope.FormatAmount(t.Amount-t.CreditAmount, t.Currency) },
		"list": func(t payment.Total) []payment.Total { return []payment.Total{t} },
		"tone": tone, "codes": Outcome.codes, "height": func(bars int) string { return coordinate(barStep * float64(bars)) },
	}
	t, err := template.New("parts").Funcs(functions).Parse(parts)
	if err != nil {
		return nil, err
	}
	return t.New(name).Parse(text)
}

// tone is the colour class of a stage: of money that moved, of money that did not, of what is open, and of what came back.
func tone(stage payment.Stage) string {
	switch stage {
	case payment.StageApproved, payment.StageAuthorised, payment.StageCaptured, payment.StageAccepted, payment.StageFiling, payment.StageSettled,
		payment.StageCompleted, payment.StageDone:
		return "good"
	case payment.StageUnknown, payment.StageManual, payment.StageAuthorising, payment.StageCapturing, payment.StageVoiding, payment.StageWaiting,
		payment.StageReceived:
		return "open"
	case payment.StageDeclined, payment.StageRejected, payment.StageReturned:
		return "bad"
	case payment.StageVoided, payment.StageReversed, payment.StageExpired:
	}
	return "none"
}
