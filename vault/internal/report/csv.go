package report

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"
)

// columns heads a CSV; they are only ever added to, at the end.
var columns = [...]string{"number", "payment", "merchant", "batch", "operation", "of", "method", "stage", "code", "stands", "direction", "amount",
	"currency", "account", "brand", "reference", "approval", "terminal", "stan", "rrn", "entry", "file", "notice", "received", "changed"}

// CSV writes rows as RFC 4180 text, one a payment. Amounts are minor units without a sign; direction says debit or credit. A text that a
// spreadsheet would take for a formula begins with an apostrophe.
type CSV struct{ w *csv.Writer }

// NewCSV begins a CSV with its heading.
func NewCSV(w io.Writer) (*CSV, error) {
	c := &CSV{w: csv.NewWriter(w)}
	return c, c.w.Write(columns[:])
}

// Write adds a row.
func (c *CSV) Write(r Row) error {
	direction, stan := "debit", ""
	if r.Credit {
		direction = "credit"
	}
	if r.STAN != 0 {
		stan = strconv.FormatUint(uint64(r.STAN), 10)
	}
	record := [len(columns)]string{strconv.FormatUint(r.Number, 10), r.Payment, r.Merchant, r.Batch, string(r.Operation), r.Of, string(r.Method),
		string(r.Stage), string(r.Code), strconv.FormatBool(r.Stands), direction, strconv.FormatInt(r.Amount, 10), r.Currency, r.Account, r.Brand,
		r.Reference, r.Approval, r.Terminal, stan, r.RRN, r.Entry, r.File, r.Notice, r.Received.Format(time.RFC3339), r.Changed.Format(time.RFC3339)}
	for i, cell := range record {
		record[i] = inert(cell)
	}
	return c.w.Write(record[:])
}

// Close writes what is left; it does not close the underlying writer.
func (c *CSV) Close() error {
	c.w.Flush()
	return c.w.Error()
}

// inert keeps a storefront's text from running as a formula where a person opens the file.
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
