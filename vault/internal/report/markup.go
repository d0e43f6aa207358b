package report

import (
	"bufio"
	_ "embed" // the style
	"fmt"
	"html"
	"io"
)

// markup is text that stands in a page as it is. A constant is markup; of a variable only [formed]
// makes it, escaped. There is no template engine: text/template calls methods by name, so that a
// linker keeps every exported method of every type, listeners among them, and the binary's symbols
// prove little (ops/tidy).
type markup string

// formed fills in a format: each %s is a value, escaped for text and quoted attributes unless it is
// markup.
func formed(format markup, values ...any) markup {
	filled := make([]any, len(values))
	for i, v := range values {
		if m, ok := v.(markup); ok {
			filled[i] = string(m)
		} else {
			filled[i] = html.EscapeString(fmt.Sprint(v))
		}
	}
	return markup(fmt.Sprintf(string(format), filled...))
}

// when is m if the condition holds.
func when(condition bool, m markup) markup {
	if condition {
		return m
	}
	return ""
}

// sheet is a page that is being written. Its first error is kept, and end returns it.
type sheet struct{ w *bufio.Writer }

// style is what the pages look like, on a screen and in print.
//
//go:embed style.html
var style markup

// newSheet begins a page that runs no script and loads nothing.
func newSheet(w io.Writer, title markup) sheet {
	s := sheet{bufio.NewWriter(w)}
	s.write(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>%s</title>
%s</head>
<body>
`, title, style)
	return s
}

// write adds what formed makes.
func (s sheet) write(format markup, values ...any) {
	_, _ = s.w.WriteString(string(formed(format, values...))) // the error is kept for end
}

// end ends the page under a footer.
func (s sheet) end(footer markup) error {
	s.write(`
<footer>%s</footer>
</body>
</html>
`, footer)
	return s.w.Flush()
}

// figure is a value that is written large, under its name.
type figure struct {
	name  markup
	value any
}

func (s sheet) figures(figures []figure) {
	s.write(`<dl class="figures">`)
	for _, f := range figures {
		s.write("\n<div><dt>%s</dt><dd>%s</dd></div>", f.name, f.value)
	}
	s.write("\n</dl>\n")
}

// heading is the head of a table's column.
type heading struct {
	text   markup
	number bool // its cells are numbers
}

func words(text markup) heading  { return heading{text, false} }
func number(text markup) heading { return heading{text, true} }

func (s sheet) section(title markup) { s.write("\n<section>\n<h2>%s</h2>\n", title) }

func (s sheet) endSection() { s.write("</section>\n") }

// table writes a table with a row for each of n, which row returns, or the remark that there is
// none.
func (s sheet) table(headings []heading, n int, row func(i int) markup, none markup) {
	s.captioned("", headings, n, row, none)
}

func (s sheet) captioned(caption markup, headings []heading, n int, row func(i int) markup, none markup) {
	s.write(`<div class="wide"><table>%s
<thead><tr>`, caption)
	for _, h := range headings {
		s.write(`<th scope="col"%s>%s</th>`, when(h.number, ` class="number"`), h.text)
	}
	s.write("</tr></thead>\n<tbody>\n")
	for i := range n {
		s.write("<tr>%s</tr>\n", row(i))
	}
	if n == 0 && none != "" {
		s.write("<tr><td colspan=\"%s\" class=\"quiet\">%s</td></tr>\n", len(headings), none)
	}
	s.write("</tbody>\n</table></div>\n")
}
