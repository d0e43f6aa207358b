package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/operator"
)

// printJSON writes v as indented JSON.
func printJSON(out io.Writer, v any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// print writes v as JSON where that is asked for, and otherwise as people read it.
func (g *global) print(out io.Writer, v any, table func(io.Writer)) error {
	if g.json {
		return printJSON(out, v)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	table(w)
	return w.Flush()
}

// row writes one line of a table.
func row(w io.Writer, cells ...any) {
	text := make([]string, len(cells))
	for i, cell := range cells {
		text[i] = strings.Map(printable, fmt.Sprint(cell))
	}
	fmt.Fprintln(w, strings.TrimRight(strings.Join(text, "\t"), "\t"))
}

// printable keeps a merchant's text from steering the terminal or the table.
func printable(r rune) rune {
	if r < 0x20 || r == 0x7F || (r >= 0x80 && r < 0xA0) {
		return '?'
	}
	return r
}

func moment(t envelope.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// bar gives a progress bar on standard error where that is a terminal, and nothing otherwise. The bar appears when the work
// takes over a second; done ends it.
func bar(errOut io.Writer, what string) (progress operator.Progress, done func()) {
	file, ok := errOut.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil, func() {}
	}
	began := time.Now()
	var shown *progressbar.ProgressBar
	progress = func(done, total int) {
		if total <= 0 || shown == nil && time.Since(began) < time.Second {
			return
		}
		if shown == nil {
			shown = progressbar.NewOptions(total, progressbar.OptionSetWriter(file), progressbar.OptionSetDescription(what),
				progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
		}
		shown.ChangeMax(total)
		_ = shown.Set(done) // a bar that cannot be drawn is no failure
	}
	return progress, func() {
		if shown != nil {
			_ = shown.Clear()
		}
	}
}
