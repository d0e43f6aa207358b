package iso8583

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightdrop/vault/internal/acquirer"
)

// The built-in tables against the public one of ISO 8583:1987, field 39.
func TestBuiltInOutcomes(t *testing.T) {
	a := DefaultDialect().Answers
	refusals := strings.Fields(`01 02 03 04 05 07 12 13 14 15 17 18 19 23 25 30 31 33 34 35 36 37 38 39 40 41 42 43 44 51 52 53 54 55 56 57 58 59 60 61
		62 63 64 65 66 67 75 90 91 92 93 96 N7`)
	wants := map[string]map[string]acquirer.Outcome{
		"request": {"00": acquirer.Approves}, "capture": {"00": acquirer.Stands}, "repeated capture": {"00": acquirer.Stands, "94": acquirer.Stands},
		"repeated duplicate": {"00": acquirer.Stands},
		"reversal":           {"00": acquirer.Stands, "21": acquirer.Stands, "25": acquirer.Stands, "94": acquirer.Stands},
	}
	for _, code := range refusals {
		wants["request"][code] = acquirer.Declines
	}
	for _, code := range []string{"12", "13", "14", "25", "30"} {
		for _, class := range []string{"capture", "repeated capture", "repeated duplicate"} {
			wants[class][code] = acquirer.Person
		}
		if code != "25" {
			wants["reversal"][code] = acquirer.Person
		}
	}
	wants["capture"]["94"], wants["repeated duplicate"]["94"] = acquirer.Person, acquirer.Person
	for class, means := range map[string]func(code string) acquirer.Outcome{
		"request":            a.Requests.outcome,
		"capture":            func(code string) acquirer.Outcome { return a.Captures.outcomeOfCapture(code, 0, "") },
		"repeated capture":   func(code string) acquirer.Outcome { return a.Captures.outcomeOfCapture(code, 3, "91") },
		"repeated duplicate": func(code string) acquirer.Outcome { return a.Captures.outcomeOfCapture(code, 1, "94") },
		"reversal":           a.Reversals.outcome,
	} {
		others := acquirer.Repeat
		if class == "request" {
			others = acquirer.Doubtful
		}
		const signs = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		for i := range len(signs) * len(signs) {
			code := string([]byte{signs[i/len(signs)], signs[i%len(signs)]})
			want := wants[class][code]
			if want == "" {
				want = others
			}
			if got := means(code); got != want {
				t.Errorf("%s answered %s: it %s, want that it %s", class, code, got, want)
			}
		}
	}
}

// 00 always stands, and a file without tables has the built-in ones beside its own "undone".
func TestTablesThatAreLeftOut(t *testing.T) {
	d, err := parseDialect([]byte(strings.Replace(string(ascii1987), `"stands": ["00", "21", "25"]`, `"stands": ["21"]`, 1)))
	if err != nil || d.Answers.Reversals.outcome("00") != acquirer.Stands {
		t.Errorf("00 that is not listed: %v", err)
	}
	before := packedDialect(t) // "undone": ["00", "12"]
	for code, want := range map[string]acquirer.Outcome{"00": acquirer.Stands, "12": acquirer.Stands, "21": acquirer.Repeat, "94": acquirer.Stands, "13": acquirer.Person} {
		if got := before.Answers.Reversals.outcome(code); got != want {
			t.Errorf("a reversal answered %s: it %s, want that it %s", code, got, want)
		}
	}
	if got := before.Answers.Requests.outcome("51"); got != acquirer.Declines {
		t.Errorf("a request answered 51: it %s", got)
	}
}

// The reference's example is a valid table.
func TestExampleOfTheReference(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "ops", "docs", "dialect.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(text), "```json\n")
	example, _, closed := strings.Cut(example, "```")
	begin, end := strings.Index(string(ascii1987), `"answers": {`), strings.Index(string(ascii1987), `"compared"`)
	if !found || !closed || begin < 0 || end < begin {
		t.Fatal("the example or its place is not found")
	}
	d, err := parseDialect([]byte(string(ascii1987[:begin]) + example + "," + string(ascii1987[end:])))
	if err != nil {
		t.Fatal(err)
	}
	if d.Answers.Requests.approves("10") != part || d.Answers.Requests.outcome("08") != acquirer.Approves || d.Answers.Captures.outcomeOfCapture("94", 1, "") != acquirer.Stands {
		t.Errorf("the example is read as %+v", d.Answers)
	}
}
