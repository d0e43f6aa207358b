package report

import (
	"io"
	"time"

	"nightdrop/shared/text"
)

// columns heads a CSV; they are only ever added to, at the end.
var columns = [...]string{"number", "payment", "merchant", "batch", "operation", "of", "method", "stage", "code", "stands", "direction", "amount",
	"currency", "account", "brand", "reference", "approval", "terminal", "stan", "rrn", "entry", "file", "notice", "received", "changed"}

// CSV writes rows as RFC 4180 text, one a payment. Amounts are minor units without a sign; direction says debit or credit. Texts are quoted,
// and what a spreadsheet would take for a formula has an apostrophe before it.
type CSV struct{ w *text.CSV }

// NewCSV begins a CSV with its heading.
func NewCSV(w io.Writer) (*CSV, error) {
	c := &CSV{w: text.NewCSV(w)}
	return c, c.w.Header(columns[:]...)
}

// Write adds a row.
func (c *CSV) Write(r Row) error {
	direction, stands := "debit", "false"
	if r.Credit {
		direction = "credit"
	}
	if r.Stands {
		stands = "true"
	}
	var line text.Row
	line.Number(int64(r.Number))
	for _, cell := range []string{r.Payment, r.Merchant, r.Batch, string(r.Operation), r.Of, string(r.Method), string(r.Stage), string(r.Code), stands, direction} {
		line.Text(cell)
	}
	line.Number(r.Amount)
	for _, cell := range []string{r.Currency, r.Account, r.Brand, r.Reference, r.Approval, r.Terminal} {
		line.Text(cell)
	}
	if r.STAN != 0 {
		line.Number(int64(r.STAN))
	} else {
		line.Blank()
	}
	for _, cell := range []string{r.RRN, r.Entry, r.File, r.Notice, r.Received.Format(time.RFC3339), r.Changed.Format(time.RFC3339)} {
		line.Text(cell)
	}
	return c.w.Write(line)
}

// Close writes what is left; it does not close the underlying writer.
func (c *CSV) Close() error { return c.w.Flush() }
