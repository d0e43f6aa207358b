package text

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// Row is the cells of one line of a CSV.
type Row struct{ line []byte }

// Text adds a cell of text: quoted, and so that no spreadsheet takes it, or a part of it, for a
// formula: an apostrophe stands before what would begin one. Spreadsheets take =, +, - and @ for
// its beginning, their full-width forms too, at the start of a cell or, where they split lines at
// another separator than the comma, after that.
func (r *Row) Text(cell string) {
	r.separate()
	r.line = append(r.line, '"')
	r.line = append(r.line, strings.ReplaceAll(inert(cell), `"`, `""`)...)
	r.line = append(r.line, '"')
}

// Texts adds a cell for each text, as Text does.
func (r *Row) Texts(cells ...string) {
	for _, cell := range cells {
		r.Text(cell)
	}
}

// Decimal adds a cell with a number that is written already: digits, with a minus before them or a
// dot among them. Anything else is added as Text does.
func (r *Row) Decimal(number string) {
	if digits := strings.TrimPrefix(number, "-"); digits == "" || strings.Trim(digits, "0123456789.") != "" {
		r.Text(number)
		return
	}
	r.separate()
	r.line = append(r.line, number...)
}

// Number adds a cell with a number.
func (r *Row) Number(n int64) {
	r.separate()
	r.line = strconv.AppendInt(r.line, n, 10)
}

// Blank adds a cell without anything in it.
func (r *Row) Blank() {
	r.separate()
}

func (r *Row) separate() {
	if r.line == nil {
		r.line = []byte{}
		return
	}
	r.line = append(r.line, ',')
}

// CSV writes rows as RFC 4180 text with lines that end in LF.
type CSV struct{ w *bufio.Writer }

// NewCSV begins a CSV. Flush ends it.
func NewCSV(w io.Writer) *CSV { return &CSV{bufio.NewWriter(w)} }

// Header writes a line of texts.
func (c *CSV) Header(names ...string) error {
	var r Row
	for _, name := range names {
		r.Text(name)
	}
	return c.Write(r)
}

// Write writes a line.
func (c *CSV) Write(r Row) error {
	_, err := c.w.Write(append(r.line, '\n'))
	return err
}

// Flush writes what is left; it does not close the underlying writer.
func (c *CSV) Flush() error { return c.w.Flush() }

// inert puts an apostrophe before each character that would begin a formula, and before a tab or
// line break at the start, which spreadsheets pass over.
func inert(cell string) string {
	var b strings.Builder
	begins := true // a cell may begin here, for some spreadsheet
	for at, r := range cell {
		separates := strings.ContainsRune(";\t\r\n|", r)
		if begins && strings.ContainsRune("=+-@＝＋－＠﹦﹢﹣﹫", r) || at == 0 && separates && r < ' ' {
			b.WriteByte('\'')
		}
		begins = separates || begins && (r == ' ' || r == '"' || r == '\u00a0' || r == '\ufeff')
		b.WriteRune(r)
	}
	return b.String()
}

// BlankRow reports whether a row that was read has nothing in any cell, as spreadsheets leave
// behind.
func BlankRow(cells []string) bool {
	for _, cell := range cells {
		if strings.TrimSpace(cell) != "" {
			return false
		}
	}
	return true
}
