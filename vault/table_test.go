package main

import (
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"nightdrop/shared/command"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/audit"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/replay"
	"nightdrop/vault/internal/report"
)

// longTexts are realistic long values of texts, by the end of a member's name.
var longTexts = []struct{ member, text string }{
	{"Merchant", "a-merchant-id-of-32-letters-long"}, {"Currency", "USD"}, {"Verifier", "vault.example.com+fe9dab12+" + strings.Repeat("A", 44)},
	{"Payment", "a-merchant-id-of-32-letters-long/0190c8f2-7d1e-7b5a-9c3f-000000000007"}, {"Digest", strings.Repeat("0a", 32)},
	{"Root", strings.Repeat("A", 43) + "="},
	{"Detail", longSentence}, {"Reason", longSentence}, {"Note", longSentence}, {"What", longSentence}, {"Why", longSentence}, {"Problem", longSentence}, {"Means", longSentence},
	{"", "0190c8f2-7d1e-7b5a-9c3f-000000000007"},
}

const longSentence = "the relay's disk was replaced on Tuesday, what was on it is gone, and the storefronts post again what had no receipt"

// filled sets every member of v to a long value.
func filled(v reflect.Value, member string, depth int) {
	if depth > 6 || !v.CanSet() {
		return
	}
	if v.Type() == reflect.TypeFor[envelope.Time]() {
		v.Set(reflect.ValueOf(envelope.At(time.Date(2026, 11, 30, 23, 59, 59, 0, time.UTC))))
		return
	}
	switch v.Kind() {
	case reflect.String:
		for _, long := range longTexts {
			if strings.HasSuffix(member, long.member) {
				v.SetString(long.text)
				return
			}
		}
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(99_999_999)
	case reflect.Uint64, reflect.Uint32, reflect.Uint, reflect.Uint16:
		v.SetUint(min(99_999_999, uint64(1)<<(v.Type().Bits()-1)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(1234.5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(v.Elem(), member, depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			filled(v.Field(i), v.Type().Field(i).Name, depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			filled(v.Index(i), strings.TrimSuffix(member, "s"), depth+1)
		}
	case reflect.Array:
		for i := range v.Len() {
			filled(v.Index(i), member, depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		filled(key, member, depth+1)
		filled(value, member, depth+1)
		v.SetMapIndex(key, value)
	default:
	}
}

// long is a value all of whose members are long.
func long[T any]() (v T) {
	filled(reflect.ValueOf(&v).Elem(), "", 0)
	return v
}

// TestTablesKeepEightyColumns prints every table of the command line with long values: without a
// terminal none is wider than 80 columns.
func TestTablesKeepEightyColumns(t *testing.T) {
	for name, print := range map[string]func(io.Writer){
		"status":     func(w io.Writer) { printStatus(w, long[control.Status]()) },
		"unlocked":   func(w io.Writer) { s := long[control.Status](); s.Locked = false; printStatus(w, s) },
		"batches":    func(w io.Writer) { printBatches(w, long[[]control.Batch]()) },
		"batch":      func(w io.Writer) { printBatch(w, long[control.Batch]()) },
		"settlement": func(w io.Writer) { printSettlement(w, long[control.Settlement]()) },
		"comparison": func(w io.Writer) { printComparison(w, long[control.Comparison]()) },
		"lines":      func(w io.Writer) { printLines(w, long[[]book.Adjustment]()) },
		"payments":   func(w io.Writer) { printPayments(w, long[[]control.Payment]()) },
		"payment":    func(w io.Writer) { printPayment(w, long[control.Payment]()) },
		"finding":    func(w io.Writer) { printFinding(w, long[control.Finding]()) },
		"directory":  func(w io.Writer) { printDirectory(w, long[control.Directory]()) },
		"merchant":   func(w io.Writer) { printMerchant(w, long[control.Merchant]()) },
		"policy":     func(w io.Writer) { printPolicy(w, long[control.Merchant]()) },
		"imports":    func(w io.Writer) { printImports(w, long[[]control.Import]()) },
		"left":       func(w io.Writer) { printLeft(w, long[[]control.Import]()) },
		"verified":   func(w io.Writer) { printReport(w, long[audit.Report]()) },
		"replayed":   func(w io.Writer) { r := long[replay.Report](); printReplay(w, &r) },
		"report":     func(w io.Writer) { long[report.Report]().Text(w) },
	} {
		var out, lines bytes.Buffer
		if err := command.Table(&out, print); err != nil {
			t.Fatal(err)
		}
		print(&lines)
		if !strings.Contains(lines.String(), "\t") {
			t.Errorf("%s: no table is printed:\n%s", name, &out)
		}
		for line := range strings.Lines(out.String()) {
			sentence := strings.Contains("\n"+lines.String(), "\n"+line)
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 && !sentence {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
	}
}

// unfolded is a table's text with one space between words, however they were folded.
func unfolded(text string) string { return strings.Join(strings.Fields(text), " ") }
