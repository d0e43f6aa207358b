package text

import (
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func TestMarksAreTakenAndOtherEncodingsRefusedByLine(t *testing.T) {
	for name, c := range map[string]struct{ in, out, wrong string }{
		"plain":                   {"a\nb\n", "a\nb\n", ""},
		"with a mark":             {"\ufeffa\nb\n", "a\nb\n", ""},
		"a mark alone":            {"\ufeff", "", ""},
		"empty":                   {"", "", ""},
		"two bytes":               {"ab", "ab", ""},
		"letters of four bytes":   {"𝛑é\n中\n", "𝛑é\n中\n", ""},
		"a mark further on":       {"a\ufeffb", "a\ufeffb", ""},
		"the replacement letter":  {"\ufffd\n", "\ufffd\n", ""},
		"Latin-1 in line 3":       {"\ufeffa\n\nJos\xe9\n", "", "line 3 "},
		"Latin-1 at the end":      {"a\nJos\xe9", "", "line 2 "},
		"cut in a letter":         {"a\n\xf0\x9d", "", "line 2 "},
		"UTF-16 with a mark":      {"\xff\xfea\x00", "", "UTF-16"},
		"UTF-16, the other order": {"\xfe\xff\x00a", "", "UTF-16"},
		"Latin-1 at once":         {"\xe9", "", "line 1 "},
	} {
		check := func(how string, got []byte, err error) {
			t.Helper()
			wrong := c.wrong != "" && (!errors.Is(err, ErrEncoding) || !strings.Contains(err.Error(), c.wrong) || strings.Contains(err.Error(), "Jos"))
			if wrong || c.wrong == "" && (err != nil || string(got) != c.out) {
				t.Errorf("%s, %s: %q, %v", name, how, got, err)
			}
		}
		got, err := Clean([]byte(c.in))
		check("at once", got, err)
		for how, r := range map[string]io.Reader{"whole": strings.NewReader(c.in), "byte by byte": iotest.OneByteReader(strings.NewReader(c.in)),
			"with its end": iotest.DataErrReader(strings.NewReader(c.in))} {
			got, err = io.ReadAll(NewReader(r))
			check(how, got, err)
		}
	}
	failed := errors.New("the disk fails")
	if _, err := io.ReadAll(NewReader(io.MultiReader(strings.NewReader("abcdef"), iotest.ErrReader(failed)))); !errors.Is(err, failed) {
		t.Errorf("a reader that fails: %v", err)
	}
	if _, err := io.ReadAll(NewReader(iotest.ErrReader(failed))); !errors.Is(err, failed) {
		t.Errorf("a reader that fails at once: %v", err)
	}
	if _, err := Read(strings.NewReader("abc"), 2); err == nil {
		t.Error("a file that is too long was read")
	}
}

func TestNoCellIsAFormula(t *testing.T) {
	for in, want := range map[string]string{
		"order 7": "order 7", "": "", "a=b": "a=b", "a - b": "a - b", "1+1": "1+1", "x@y.example": "x@y.example",
		"=1+1": "'=1+1", "+49 30": "'+49 30", "-5": "'-5", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t'=1", "\r=1": "'\r'=1", "\n=1": "'\n'=1",
		"＝1+1": "'＝1+1", "＋1": "'＋1", "－1": "'－1", "＠A1": "'＠A1", "  =1": "  '=1", "\u00a0=1": "\u00a0'=1", `"=1`: `"'=1`,
		"a;=1+1": "a;'=1+1", "a\t@x": "a\t'@x", "a\n-1": "a\n'-1", `a;"=1`: `a;"'=1`, "a; b=c": "a; b=c", "a|＝1": "a|'＝1",
	} {
		if got := inert(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestRowsAreReadAsTheyWereWritten(t *testing.T) {
	var out strings.Builder
	w := NewCSV(&out)
	var r Row
	r.Number(-7)
	r.Text(`a "quoted", text`)
	r.Blank()
	r.Text("two\nlines")
	r.Text("")
	for _, err := range []error{w.Header("n", "text", "blank", "lines", "empty"), w.Write(r), w.Flush()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if want := "\"n\",\"text\",\"blank\",\"lines\",\"empty\"\n-7,\"a \"\"quoted\"\", text\",,\"two\nlines\",\"\"\n"; out.String() != want {
		t.Errorf("written as %q", out.String())
	}
	rows, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
	if err != nil || len(rows) != 2 || !slices.Equal(rows[1], []string{"-7", `a "quoted", text`, "", "two\nlines", ""}) {
		t.Errorf("read as %q, %v", rows, err)
	}
	var blank Row
	blank.Blank()
	blank.Blank()
	if string(blank.line) != "," {
		t.Errorf("two blanks are %q", blank.line)
	}
	if !BlankRow([]string{"", " ", "\t"}) || BlankRow([]string{"", "x"}) || !BlankRow(nil) {
		t.Error("a blank row is not recognised")
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("\ufeffa\nJos\xe9"), 1)
	f.Add([]byte("中文\n"), 2)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		whole, wholeErr := Clean(data)
		r := NewReader(iotest.OneByteReader(strings.NewReader(string(data))))
		got, err := io.ReadAll(r)
		if (err == nil) != (wholeErr == nil) || err == nil && string(got) != string(whole) || err == nil != utf8.Valid(data) {
			t.Errorf("%q: %q %v, %q %v", data, whole, wholeErr, got, err)
		}
	})
}

func TestThousandsAreSeparated(t *testing.T) {
	for number, want := range map[string]string{"0": "0", "999": "999", "1000": "1,000", "-1000": "-1,000", "-999.50": "-999.50",
		"1234567.891": "1,234,567.891", "100000": "100,000"} {
		if got := Grouped(number); got != want {
			t.Errorf("%s is written %s, want %s", number, got, want)
		}
	}
	if got := Thousands(-1234567); got != "-1,234,567" {
		t.Error(got)
	}
}
