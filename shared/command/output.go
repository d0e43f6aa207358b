package command

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
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

// Bar shows the progress of work on a terminal. It is safe for concurrent use.
type Bar struct {
	mu      sync.Mutex
	file    *os.File // nil where there is no terminal
	began   time.Time
	options []progressbar.Option
	done    int64
	shown   *progressbar.ProgressBar
}

// NewBar returns a bar on errOut, where that is a terminal; otherwise it shows nothing. It appears
// when the work takes over a second. Call Close at the end.
func NewBar(errOut io.Writer, what string, options ...progressbar.Option) *Bar {
	b := &Bar{began: time.Now(), options: append([]progressbar.Option{progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(), progressbar.OptionThrottle(100 * time.Millisecond), progressbar.OptionClearOnFinish()}, options...)}
	if file, ok := errOut.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		b.file = file
	}
	return b
}

// Visible reports whether anybody sees the bar.
func (b *Bar) Visible() bool { return b.file != nil }

// InBytes has a bar count bytes.
func InBytes() progressbar.Option { return progressbar.OptionShowBytes(true) }

// Set shows that done of total are done; a negative total is not known.
func (b *Bar) Set(done, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(done, total)
}

// Add shows that n more of total are done.
func (b *Bar) Add(n, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(b.done+n, total)
}

func (b *Bar) set(done, total int64) {
	b.done = done
	if b.file == nil || total == 0 || b.shown == nil && time.Since(b.began) < time.Second {
		return
	}
	if b.shown == nil {
		b.shown = progressbar.NewOptions64(total, append(b.options, progressbar.OptionSetWriter(b.file))...)
	}
	b.shown.ChangeMax64(total)
	_ = b.shown.Set64(done) // a bar that cannot be drawn is no failure
}

// Close removes the bar.
func (b *Bar) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shown != nil {
		_ = b.shown.Clear()
	}
}
