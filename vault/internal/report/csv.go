package report

import (
	"io"
	"strconv"
	"strings"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/text"
	"nightdrop/vault/internal/book"
)

// columns heads a CSV; new ones come at the end. "amount" is minor units, "amount_major" the same
// in the currency's own unit.
var columns = [...]string{"number", "payment", "merchant", "batch", "operation", "of", "method", "status", "code", "stands", "direction", "amount",
	"currency", "account", "brand", "reference", "approval", "terminal", "stan", "rrn", "entry", "file", "notice", "received", "changed", "amount_major", "id"}

// CSV writes rows as RFC 4180 text, one a payment. Amounts have no sign; direction is debit or
// credit. The decimal sign is a dot, and thousands are not separated. Texts are quoted, and what a
// spreadsheet would read as a formula has an apostrophe before it.
type CSV struct{ w *text.CSV }

// NewCSV begins a CSV with its heading.
func NewCSV(w io.Writer) (*CSV, error) {
	c := &CSV{w: text.NewCSV(w)}
	return c, c.w.Header(columns[:]...)
}

// Write adds a row.
func (c *CSV) Write(p Payment) error {
	direction := "debit"
	if p.Credit {
		direction = "credit"
	}
	trace := book.Trace{}
	if p.Trace != nil {
		trace = *p.Trace
	}
	var line text.Row
	line.Number(int64(p.Number))
	line.Texts(p.Name, p.Merchant, p.Batch, string(p.Operation), p.Of, string(p.Method), string(p.Status), string(p.Code),
		strconv.FormatBool(p.Stands), direction)
	line.Number(p.Amount)
	line.Texts(p.Currency, p.Masked, p.Brand, p.Reference, strings.TrimSpace(p.Approval), trace.Terminal)
	if trace.STAN != 0 {
		line.Number(int64(trace.STAN))
	} else {
		line.Blank()
	}
	line.Texts(trace.RRN, p.Entry, p.File, p.Notice, p.Received.Format(time.RFC3339), p.Changed.Format(time.RFC3339))
	if major, known := envelope.MajorUnits(p.Amount, p.Currency); known {
		line.Decimal(major)
	} else {
		line.Blank() // of a payment without money
	}
	line.Texts(p.ID)
	return c.w.Write(line)
}

// Close writes what is left; it does not close the underlying writer.
func (c *CSV) Close() error { return c.w.Flush() }
