package command

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// JSON writes v as indented JSON.
func JSON(out io.Writer, v any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// Table writes what rows writes with its tabs aligned.
func Table(out io.Writer, rows func(io.Writer)) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	rows(w)
	return w.Flush()
}

// Row writes one line of a table.
func Row(w io.Writer, cells ...any) {
	line := make([]string, len(cells))
	for i, cell := range cells {
		line[i] = strings.Map(printable, fmt.Sprint(cell))
	}
	// Flush reports what went wrong
	fmt.Fprintln(w, strings.TrimRight(strings.Join(line, "\t"), "\t"))
}

// printable keeps a foreign text from steering the terminal or the table.
func printable(r rune) rune {
	if r < 0x20 || r == 0x7F || (r >= 0x80 && r < 0xA0) {
		return '?'
	}
	return r
}
