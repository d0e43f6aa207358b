package command

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"nightdrop/shared/text"
)

const (
	// defaultWidth is how wide tables are where there is no terminal, in columns.
	defaultWidth = 80
	// minWidth is the narrowest that they are made.
	minWidth = 40
	// gap stands between columns, and before what a row goes on with on its next line.
	gap = 2
	// minFold is the narrowest column whose cells are folded, in columns.
	minFold = 16
)

// Row writes one line of a table.
func Row(w io.Writer, cells ...any) {
	line := make([]string, len(cells))
	for i, cell := range cells {
		line[i] = strings.Map(printable, fmt.Sprint(cell))
	}
	// Table reports what went wrong
	fmt.Fprintln(w, strings.TrimRight(strings.Join(line, "\t"), "\t"))
}

// printable keeps a foreign text from steering the terminal or the table.
func printable(r rune) rune {
	if r < 0x20 || r == 0x7F || (r >= 0x80 && r < 0xA0) {
		return '?'
	}
	return r
}

// Table writes the lines that rows writes, whose cells have tabs between them, as tables of at most
// the terminal's width, or 80 columns where out is none. A line in capitals is the head of a
// listing: its columns of numbers and amounts stand to the right, and where it is too wide, cells
// are folded at spaces, or each row goes on in further lines. Other lines are names and values. A
// line without a tab stands as it is, and ends a table; so does a word that is longer than a line.
func Table(out io.Writer, rows func(io.Writer)) error {
	var lines bytes.Buffer
	rows(&lines)
	_, err := io.WriteString(out, layOut(lines.String(), widthOf(out)))
	return err
}

func widthOf(out io.Writer) int {
	if output, ok := out.(*text.Output); ok {
		out = output.To()
	}
	if file, ok := out.(*os.File); ok {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil {
			return max(width, minWidth)
		}
	}
	return defaultWidth
}

func layOut(lines string, width int) string {
	var b strings.Builder
	var block [][]string
	end := func() {
		if len(block) > 0 {
			b.WriteString(layBlock(block, width))
		}
		block = nil
	}
	for line := range strings.Lines(lines) {
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(cells) == 1 || isHead(cells) {
			end()
		}
		if len(cells) == 1 {
			b.WriteString(line)
			continue
		}
		block = append(block, cells)
	}
	end()
	return b.String()
}

func layBlock(block [][]string, width int) string {
	widths := natural(block)
	total := -gap
	for _, w := range widths {
		total += w + gap
	}
	switch {
	case total <= width:
		return aligned(block, widths, [][]int{upTo(len(widths))})
	case isHead(block[0]):
		return listing(block, widths, total, width)
	}
	return values(block, width)
}

var (
	// numeric finds a number or an amount.
	numeric = regexp.MustCompile(`^[-+]?[0-9][0-9,]*(\.[0-9]+)?( [A-Z]{3}| %)?$`)
	head    = regexp.MustCompile(`^[^a-z0-9]*[A-Z][^a-z0-9]*$`)
)

// isHead reports whether cells are the head of a listing.
func isHead(cells []string) bool {
	for _, cell := range cells {
		if cell != "" && !head.MatchString(cell) {
			return false
		}
	}
	return cells[0] != ""
}

// natural returns how wide each column is.
func natural(block [][]string) (widths []int) {
	for _, cells := range block {
		for i, cell := range cells {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

// rightward reports whether a listing's column stands to the right.
func rightward(block [][]string, column int) bool {
	found := false
	for _, cells := range block[1:] {
		if column < len(cells) && cells[column] != "" && cells[column] != "-" {
			if !numeric.MatchString(cells[column]) {
				return false
			}
			found = true
		}
	}
	return found && isHead(block[0])
}

// listing lays out a listing that is too wide: the widest column of texts is folded where that is
// enough, otherwise each row goes on in further lines.
func listing(block [][]string, widths []int, total, width int) string {
	widest := -1
	for i, w := range widths {
		if !rightward(block, i) && (widest < 0 || w > widths[widest]) {
			widest = i
		}
	}
	if widest >= 0 {
		if room := width - total + widths[widest]; room >= max(minFold, longestWord(block, widest)) {
			widths[widest] = room
			return aligned(block, widths, [][]int{upTo(len(widths))})
		}
	}
	var lines [][]int
	left := 0
	for i := range widths {
		widths[i] = min(widths[i], max(width-gap, longestWord(block, i)))
		if i == 0 || widths[i] > left {
			lines, left = append(lines, nil), width
			if i > 0 {
				left -= gap
			}
		}
		lines[len(lines)-1] = append(lines[len(lines)-1], i)
		left -= widths[i] + gap
	}
	return aligned(block, widths, lines)
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func longestWord(block [][]string, column int) (longest int) {
	for _, cells := range block {
		if column < len(cells) {
			for _, word := range strings.Fields(cells[column]) {
				longest = max(longest, utf8.RuneCountInString(word))
			}
		}
	}
	return longest
}

// aligned writes rows of columns of these widths, each row in these lines of columns.
func aligned(block [][]string, widths []int, lines [][]int) string {
	var b strings.Builder
	right := make([]bool, len(widths))
	for i := range right {
		right[i] = rightward(block, i)
	}
	for _, cells := range block {
		for n, columns := range lines {
			indent := ""
			if n > 0 {
				indent = strings.Repeat(" ", gap)
			}
			b.WriteString(foldedRow(cells, columns, widths, right, indent))
		}
	}
	return b.String()
}

// foldedRow writes these columns of a row: a line, or more where a cell is folded.
func foldedRow(cells []string, columns, widths []int, right []bool, indent string) string {
	var b strings.Builder
	pieces := make([][]string, len(columns))
	most := 0
	for i, column := range columns {
		if column < len(cells) && cells[column] != "" {
			pieces[i] = fold(cells[column], widths[column])
		}
		most = max(most, len(pieces[i]))
	}
	for n := range most {
		line := indent
		for i, column := range columns {
			piece := ""
			if n < len(pieces[i]) {
				piece = pieces[i][n]
			}
			padding := strings.Repeat(" ", max(widths[column]-utf8.RuneCountInString(piece), 0))
			if right[column] {
				piece, padding = padding+piece, ""
			}
			line += piece + padding + strings.Repeat(" ", gap)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// fold breaks a text at spaces into lines of at most width columns; a longer word has a line of its
// own.
func fold(text string, width int) []string {
	if utf8.RuneCountInString(text) <= width {
		return []string{text}
	}
	var lines []string
	for _, word := range strings.Fields(text) {
		if last := len(lines) - 1; last >= 0 && utf8.RuneCountInString(lines[last])+1+utf8.RuneCountInString(word) <= width {
			lines[last] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	return lines
}

// values lays out names and values that are too wide: a value is folded beside its name, or below
// it where a word of it has no room there.
func values(block [][]string, width int) string {
	var b strings.Builder
	names := 0
	for _, cells := range block {
		names = max(names, utf8.RuneCountInString(cells[0]))
	}
	for _, cells := range block {
		value := strings.Join(slices.DeleteFunc(slices.Clone(cells[1:]), func(cell string) bool { return cell == "" }), "  ")
		if room := width - names - gap; room >= minFold && longestWord([][]string{{value}}, 0) <= room {
			b.WriteString(foldedRow([]string{cells[0], value}, []int{0, 1}, []int{names, room}, []bool{false, false}, ""))
			continue
		}
		b.WriteString(cells[0] + "\n")
		for _, line := range fold(value, width-gap) {
			b.WriteString(strings.Repeat(" ", gap) + line + "\n")
		}
	}
	return b.String()
}
