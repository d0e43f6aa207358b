package command

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTables(t *testing.T) {
	id := "b3e3d844-35e1-4676-a601-ba76ba37894d"
	for _, c := range []struct {
		name string
		rows [][]any
		want string
	}{
		{"numbers and amounts stand to the right", [][]any{{"BATCH", "AMOUNT", "N"}, {"card-1", "1,234.00 EUR", 7}, {"card-2", "9.50 EUR", 12}, {"card-3", "-", ""}},
			"BATCH         AMOUNT   N\ncard-1  1,234.00 EUR   7\ncard-2      9.50 EUR  12\ncard-3             -\n"},
		{"names and values do not", [][]any{{"entries", 7}, {"verified", 12345}}, "entries   7\nverified  12345\n"},
		{"the widest text is folded", [][]any{{"KIND", "DETAIL", "N"}, {"gap", strings.Repeat("words of it ", 8), 1}},
			"KIND  DETAIL                                                                   N\n" +
				"gap   words of it words of it words of it words of it words of it words of it  1\n      words of it words of it\n"},
		{"what cannot be folded goes on in a further line", [][]any{{"PAYMENT", "OPERATION", "AMOUNT", "OF"}, {"corner-cafe/" + id, "sale", "12.50 EUR", id}},
			"PAYMENT                                           OPERATION     AMOUNT\n  OF\n" +
				"corner-cafe/" + id + "  sale       12.50 EUR\n  " + id + "\n"},
		{"a long value is folded", [][]any{{"state", "unlocked"}, {"note", strings.Repeat("nine of 9 ", 9)}},
			"state  unlocked\nnote   nine of 9 nine of 9 nine of 9 nine of 9 nine of 9 nine of 9 nine of 9\n       nine of 9 nine of 9\n"},
		{"a long word stands below its name", [][]any{{"vault", "v"}, {"its verifier key", strings.Repeat("k", 70)}},
			"vault             v\nits verifier key\n  " + strings.Repeat("k", 70) + "\n"},
	} {
		var out bytes.Buffer
		err := Table(&out, func(w io.Writer) {
			for _, row := range c.rows {
				Row(w, row...)
			}
		})
		if err != nil || out.String() != c.want {
			t.Errorf("%s:\n%swant\n%s%v", c.name, &out, c.want, err)
		}
	}
}

// TestNoTableIsTooWide lays out tables of any columns and values: none is wider than it may be,
// and none loses a word.
func TestNoTableIsTooWide(t *testing.T) {
	words := []string{"card-000017", "corner-cafe", "b3e3d844-35e1-4676-a601-ba76ba37894d", "a-merchant-id-of-the-most-letters/0190c8f2-7d1e-7b5a-9c3f-000000000007",
		"2026-11-30T12:00:00Z", "the relay's disk was replaced on Tuesday, and what was on it is gone", "1,234,567.00 EUR", "-", "17", "", "Größe, ünïcode"}
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 0))
		columns := 2 + random.IntN(10)
		headed := random.IntN(2) == 0
		width := 76 + random.IntN(100)
		var lines bytes.Buffer
		row := make([]any, columns)
		for r := range 4 {
			for i := range row {
				row[i] = words[random.IntN(len(words))]
				if r == 0 && headed {
					row[i] = fmt.Sprintf("HEAD %c", 'A'+i)
				}
			}
			row[0] = fmt.Sprint("r ", row[0])
			if r == 0 && headed {
				row[0] = "HEAD"
			}
			Row(&lines, row...)
		}
		laid := layOut(lines.String(), width)
		for line := range strings.Lines(laid) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
				t.Fatalf("seed %d: %d columns, want %d:\n%s", seed, n, width, laid)
			}
		}
		for _, word := range strings.Fields(lines.String()) {
			if !strings.Contains(laid, word) {
				t.Fatalf("seed %d: %q is lost:\n%s", seed, word, laid)
			}
		}
	}
}
