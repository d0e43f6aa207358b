package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

var update = flag.Bool("update", false, "write the golden files anew")

func at(day, hour int) envelope.Time {
	return envelope.At(time.Date(2026, 11, day, hour, 30, 0, 0, time.UTC))
}

// month is three batches: cards of two shops, one with totals that differ, and a bank batch with a
// return and an entry that its file lacks.
func month() *Builder {
	b := NewBuilder(Report{Vault: "vault.example.com", Made: at(30, 12), Subject: "Batches closed from 2026-11-20 to 2026-11-23", From: "2026-11-20", To: "2026-11-23"})
	b.Batch(book.Batch{Number: 17, Merchant: "shop-1", Method: book.MethodCard, Stage: book.BatchDone, Opened: at(20, 8), Closed: at(22, 22), Settled: at(22, 23),
		Totals: []book.Total{{Currency: "JPY", Count: 1, Amount: 500}, {Currency: "USD", Count: 2, Amount: 4499, Credits: 1, CreditAmount: 999}}, HashTotal: 13}, book.File{})
	b.Batch(book.Batch{Number: 18, Merchant: "shop-1", Method: book.MethodBank, Stage: book.BatchDone, Opened: at(20, 8), Closed: at(22, 22), Settled: at(22, 23),
		Totals: []book.Total{{Currency: "USD", Count: 2, Amount: 7000, Credits: 1, CreditAmount: 300}}, HashTotal: 21,
		Failed: []book.Total{{Currency: "USD", Count: 1, Amount: 2000}}, File: "nightdrop-20261122-A.ach"},
		book.File{Name: "nightdrop-20261122-A.ach", Digest: strings.Repeat("ab", 32), Effective: "2026-11-24"})
	b.Batch(book.Batch{Number: 19, Merchant: "shop-2", Method: book.MethodCard, Stage: book.BatchDiffers, Opened: at(21, 8), Closed: at(22, 22),
		Totals: []book.Total{{Currency: "KWD", Count: 1, Amount: 1250}}, HashTotal: 9,
		Host: []book.Total{{Currency: "KWD"}}}, book.File{})
	return b
}

// payments are those of month; their references are what a storefront might try.
func payments() []book.Payment {
	card := func(n uint64, stage book.Stage, code envelope.Code, amount int64, currency string, received envelope.Time) book.Payment {
		return book.Payment{Merchant: "shop-1", ID: fmt.Sprintf("0190c8f2-7d1e-7b5a-9c3f-%012d", n), Number: n, Stage: stage, Code: code, Operation: envelope.OpSale,
			Amount: amount, Currency: currency, Reference: fmt.Sprintf("order %d", n), Masked: "424242******4242", Brand: "visa", Method: book.MethodCard, Batch: 17,
			Approval: "00012" + fmt.Sprint(n%10), Received: received, Changed: received,
			Messages: book.Messages{Trace: &book.Trace{STAN: uint32(n), RRN: fmt.Sprintf("63240000%04d", n), Terminal: "ND000001"}}}
	}
	bank := func(n uint64, op envelope.Operation, stage book.Stage, code envelope.Code, amount int64) book.Payment {
		p := card(n, stage, code, amount, "USD", at(22, 9))
		p.Operation, p.Method, p.Batch, p.Trace, p.Approval, p.Brand = op, book.MethodBank, 18, nil, "", ""
		p.Masked, p.Entry, p.File = "*****6789", fmt.Sprintf("07640125%07d", n), "nightdrop-20261122-A.ach"
		return p
	}
	all := []book.Payment{
		card(1, book.StageSettled, "iso-00", 1999, "USD", at(20, 9)), card(2, book.StageSettled, "iso-00", 2500, "USD", at(21, 9)),
		card(3, book.StageDeclined, "iso-51", 900_051, "USD", at(21, 10)), card(4, book.StageSettled, "iso-00", 500, "JPY", at(22, 9)),
		card(5, book.StageReversed, "no-answer", 900_100, "USD", at(22, 9)), card(6, book.StageSettled, "iso-00", 999, "USD", at(22, 10)),
		bank(7, envelope.OpSale, book.StageReturned, "ach-R03", 5000), bank(6+0, envelope.OpPayout, book.StageSettled, "ok", 300),
		bank(8, envelope.OpSale, book.StageRejected, "account-gone", 2000), card(9, book.StageApproved, "iso-00", 1250, "KWD", at(22, 11)),
	}
	all[1].Reference = `<script>alert("x")</script>`
	all[3].Reference = `=HYPERLINK("http://example.com","x")`
	all[5].Operation, all[5].Of = envelope.OpRefund, all[0].ID
	all[9].Merchant, all[9].Batch = "shop-2", 19
	return all
}

func built(t *testing.T) (Report, []Payment) {
	t.Helper()
	b := month()
	var rows []Payment
	for _, p := range payments() {
		rows = append(rows, b.Payment(p))
	}
	return b.Report(), rows
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what it was; look at it, then run with -update:\n%s", name, got)
	}
}

func TestFormsOfAReport(t *testing.T) {
	r, rows := built(t)
	var text, table, page bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 4, 2, ' ', 0)
	r.Text(w)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	golden(t, "month.txt", text.Bytes())

	c, err := NewCSV(&table)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if err := c.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	golden(t, "month.csv", table.Bytes())

	if err := r.HTML(&page, rows); err != nil {
		t.Fatal(err)
	}
	golden(t, "month.html", page.Bytes())

	encoded, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "month.json", append(encoded, '\n'))
}

// TestNothingRunsOnThePage: what a storefront writes stays text, and the page asks nobody for
// anything.
func TestNothingRunsOnThePage(t *testing.T) {
	r, rows := built(t)
	var page bytes.Buffer
	if err := r.HTML(&page, rows); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page.String(), "&lt;script&gt;") {
		t.Error("the reference is not on the page: the search is blind")
	}
	if found := regexp.MustCompile(`(?i)<script|<link|<img|<iframe|\bsrc=|\bhref=|url\(|@import|\son[a-z]+=`).FindString(page.String()); found != "" {
		t.Errorf("the page holds %q", found)
	}
}

// fill writes text into every string that v holds, but for days: they are dates.
func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		if !v.IsNil() {
			fill(v.Elem(), text)
		}
	case reflect.Slice:
		for i := range v.Len() {
			fill(v.Index(i), text)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() && field.Name != "Date" && field.Type != reflect.TypeFor[envelope.Time]() {
				fill(v.Field(i), text)
			}
		}
	}
}

// TestEveryTextIsEscaped: whatever stands in a report, in text and in attributes, its pages have
// the same tags and attributes.
func TestEveryTextIsEscaped(t *testing.T) {
	pages := func(text string) (both string) {
		r, rows := built(t)
		s := summed(t)
		fill(reflect.ValueOf(&r).Elem(), text)
		fill(reflect.ValueOf(rows), text)
		fill(reflect.ValueOf(&s).Elem(), text)
		var page bytes.Buffer
		if err := errorsOf(r.HTML(&page, rows), s.HTML(&page)); err != nil {
			t.Fatal(err)
		}
		return page.String()
	}
	const hostile = `"><script>'x'</script>&`
	plain, attacked := pages("plain"), pages(hostile)
	if written := strings.Count(attacked, html.EscapeString(hostile)); written < 100 || strings.Contains(attacked, hostile) || strings.Contains(attacked, "<script") {
		t.Errorf("a text is not escaped, or missing: it stands there %d times:\n%s", written, attacked)
	}
	for _, mark := range []string{"<", ">", `"`} {
		if p, a := strings.Count(plain, mark), strings.Count(attacked, mark); p != a {
			t.Errorf("%d of %s with plain text, %d with hostile text", p, mark, a)
		}
	}
	if strings.Contains(plain, "%!") {
		t.Error("a format has other values than it wants")
	}
}

func TestFormed(t *testing.T) {
	const given = `<b title="x">`
	for _, test := range []struct{ got, want markup }{
		{formed("<i>100%% of %s</i>", `<&>"'`), "<i>100% of &lt;&amp;&gt;&#34;&#39;</i>"},
		{formed("%s", book.Stage(given)), "&lt;b title=&#34;x&#34;&gt;"},
		{formed("%s", markup(given)), given},
		{formed("%s and %s", at(20, 9), 7), "2026-11-20T09:30:00Z and 7"},
		{formed("<p>%s</p>", formed("%s", "100%s <")), "<p>100%s &lt;</p>"},
		{when(false, given), ""}, {when(true, given), given},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}

// summed is the summary of a log with two kinds of findings.
func summed(t *testing.T) Summary {
	t.Helper()
	b := month()
	for _, p := range payments() {
		b.Payment(p)
	}
	s := Summary{Vault: "vault.example.com", Made: at(30, 12), Entries: 431, Bodies: 17, Merchants: 2, Auditors: 1}
	s.Add(b)
	s.Found(map[book.Finding]uint64{book.FindingAnswerFile: 3, book.FindingClockConfirmed: 1})
	return s
}

// TestSummary: what the page of a log says, and that it names no payment.
func TestSummary(t *testing.T) {
	var page, sound bytes.Buffer
	s := summed(t)
	if s.Alarming() != 3 {
		t.Errorf("%d findings alarm", s.Alarming())
	}
	if err := s.HTML(&page); err != nil {
		t.Fatal(err)
	}
	golden(t, "summary.html", page.Bytes())
	for _, p := range payments() {
		if strings.Contains(page.String(), p.ID) || strings.Contains(page.String(), p.Masked) || strings.Contains(page.String(), p.Merchant) {
			t.Errorf("the page names payment %d", p.Number)
		}
	}
	s.Bodies = 0
	s.Found(nil)
	if err := s.HTML(&sound); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"No integrity finding stands in this log.", `<td colspan="2" class="quiet">None.</td>`} {
		if !strings.Contains(sound.String(), text) || strings.Contains(page.String(), text) {
			t.Errorf("%q does not stand on the page of a sound log only", text)
		}
	}
}

func TestSpreadsheetsRunNothing(t *testing.T) {
	for _, text := range []string{"=1+1", "+1", "-1", "@sum", "\tx", "\rx"} {
		var out bytes.Buffer
		c, err := NewCSV(&out)
		if err != nil {
			t.Fatal(err)
		}
		if err := errorsOf(c.Write(Payment{Reference: text}), c.Close()); err != nil {
			t.Fatal(err)
		}
		records, err := csv.NewReader(&out).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if got := records[1][slices.Index(columns[:], "reference")]; !strings.HasPrefix(got, "'") {
			t.Errorf("%q is written as %q", text, got)
		}
	}
}

// TestMajorUnits: a spreadsheet reads the amount as a number, with the digits of its currency.
func TestMajorUnits(t *testing.T) {
	for _, test := range []struct {
		amount          int64
		currency, minor string
		major           string
	}{
		{1234, "USD", "1234", "12.34"}, {5, "USD", "5", "0.05"}, {1234, "JPY", "1234", "1234"}, {1250, "KWD", "1250", "1.250"},
		{9_007_199_254_740_993, "EUR", "9007199254740993", "90071992547409.93"}, {0, "", "0", ""},
	} {
		var out bytes.Buffer
		c, err := NewCSV(&out)
		if err != nil {
			t.Fatal(err)
		}
		if err := errorsOf(c.Write(Payment{Amount: test.amount, Currency: test.currency}), c.Close()); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "Z\","+test.major+",\"") {
			t.Errorf("%d %s is not a bare number in %s", test.amount, test.currency, out.String())
		}
		records, err := csv.NewReader(&out).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		got := records[1]
		if minor, major := got[slices.Index(columns[:], "amount")], got[slices.Index(columns[:], "amount_major")]; minor != test.minor || major != test.major {
			t.Errorf("%d %s: amount %q, amount_major %q", test.amount, test.currency, minor, major)
		}
	}
}

func errorsOf(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestDifferences: each way in which a report does not add up, one at a time, and one that does.
func TestDifferences(t *testing.T) {
	usd := func(count, amount int64) []book.Total {
		return []book.Total{{Currency: "USD", Count: count, Amount: amount}}
	}
	sound := book.Batch{Number: 1, Merchant: "shop-1", Method: book.MethodCard, Stage: book.BatchDone, Totals: usd(1, 100), HashTotal: 7}
	tests := []struct {
		name   string
		change func(b *book.Batch, p *book.Payment)
		gaps   []Gap
		says   string
	}{
		{"sound", func(*book.Batch, *book.Payment) {}, nil, "everything adds up"},
		{"not settled yet", func(b *book.Batch, _ *book.Payment) { b.Stage = book.BatchFixed }, nil, "1 of 1 batches are not settled"},
		{"the host has another amount", func(b *book.Batch, _ *book.Payment) { b.Host = usd(1, 99) }, []Gap{GapAcquirer}, "1 differences"},
		{"another amount", func(_ *book.Batch, p *book.Payment) { p.Amount = 99 }, []Gap{GapPayments}, "1 differences"},
		{"another currency", func(_ *book.Batch, p *book.Payment) { p.Currency = "EUR" }, []Gap{GapPayments, GapPayments}, "2 differences"},
		{"a debit that is a credit", func(_ *book.Batch, p *book.Payment) { p.Operation = envelope.OpRefund }, []Gap{GapPayments}, "1 differences"},
		{"another payment", func(_ *book.Batch, p *book.Payment) { p.Number = 8 }, []Gap{GapHash}, "1 differences"},
		{"one that does not stand", func(_ *book.Batch, p *book.Payment) { p.Stage = book.StageReversed }, []Gap{GapPayments, GapHash}, "2 differences"},
		{"an entry that the file lacks", func(b *book.Batch, p *book.Payment) {
			b.Method, p.Method, p.Stage, b.Failed = book.MethodBank, book.MethodBank, book.StageRejected, usd(1, 100)
		}, []Gap{GapFile}, "1 differences"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			batch := sound
			p := book.Payment{Merchant: "shop-1", ID: "one", Number: 7, Operation: envelope.OpSale, Stage: book.StageSettled, Amount: 100, Currency: "USD", Batch: 1}
			test.change(&batch, &p)
			b := NewBuilder(Report{})
			b.Batch(batch, book.File{})
			b.Payment(p)
			r := b.Report()
			var gaps []Gap
			for _, d := range r.Differences {
				gaps = append(gaps, d.Gap)
				if d.Gap.Sentence() == string(d.Gap) {
					t.Errorf("%s has no sentence", d.Gap)
				}
			}
			if !slices.Equal(gaps, test.gaps) || !strings.Contains(r.Verdict(), test.says) {
				t.Errorf("differences %v, verdict %q", gaps, r.Verdict())
			}
		})
	}
}

// TestWhatStands: a report counts as the fold does, stage by stage.
func TestWhatStands(t *testing.T) {
	standing := []book.Stage{book.StageApproved, book.StageCaptured, book.StageAccepted, book.StageFiling, book.StageSettled,
		book.StageReturned, book.StageRejected}
	for _, stage := range book.Stages {
		in := PaymentOf(book.Payment{Operation: envelope.OpSale, Stage: stage, Batch: 1})
		if in.Stands != slices.Contains(standing, stage) {
			t.Errorf("one that is %s in a batch: stands %v", stage, in.Stands)
		}
		if PaymentOf(book.Payment{Operation: envelope.OpSale, Stage: stage}).Stands {
			t.Errorf("one that is %s in no batch stands", stage)
		}
	}
}

// TestWhoMadeAPage: an auditor's says so, with what of the log it is made from.
func TestWhoMadeAPage(t *testing.T) {
	r := NewBuilder(Report{Vault: "v", Made: at(1, 1), Subject: "all", Replayed: &Replayed{By: "anna", Entries: 431, Root: "cm9vdA=="}}).Report()
	var page bytes.Buffer
	if err := r.HTML(&page, nil); err != nil {
		t.Fatal(err)
	}
	want := `Replayed by auditor anna from the first 431 entries of the log, up to 2026-11-01T01:30:00Z. Root <span class="hash">cm9vdA==</span></p>`
	if !strings.Contains(page.String(), want) || strings.Contains(page.String(), "Made ") {
		t.Errorf("the page says\n%s", page.String())
	}
}

func TestEmptyReport(t *testing.T) {
	r := NewBuilder(Report{Vault: "v", Made: at(1, 1), Subject: "nothing"}).Report()
	var page, text bytes.Buffer
	if err := r.HTML(&page, nil); err != nil {
		t.Fatal(err)
	}
	r.Text(&text)
	encoded, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict() != "no batches" || bytes.Contains(encoded, []byte("null")) || !bytes.Contains(page.Bytes(), []byte("No payments.")) {
		t.Errorf("verdict %q, JSON %s", r.Verdict(), encoded)
	}
}

// TestPageIsBounded: a page of a great batch says what it leaves out.
func TestPageIsBounded(t *testing.T) {
	b := NewBuilder(Report{Vault: "v", Made: at(1, 1), Subject: "much"})
	rows := make([]Payment, MaxPageRows+17)
	for i := range rows {
		rows[i] = b.Payment(book.Payment{Number: uint64(i + 1), Operation: envelope.OpSale, Stage: book.StageApproved, Amount: 1, Currency: "USD", Received: at(1, 1)})
	}
	var page bytes.Buffer
	if err := b.Report().HTML(&page, rows); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(page.Bytes(), []byte("The other 17 are not on this page: take them as CSV.")) {
		t.Error("the page does not say what it leaves out")
	}
}

func TestScale(t *testing.T) {
	tests := []struct {
		most      int64
		currency  string
		step, top int64
	}{
		{1, "USD", 1, 1}, {4499, "USD", 2000, 6000}, {100_000, "USD", 50_000, 100_000}, {500, "JPY", 200, 600}, {250, "USD", 100, 300},
		{99_999_999_999, "USD", 50_000_000_000, 100_000_000_000},
	}
	for _, test := range tests {
		if step, top := scale(test.most, test.currency); step != test.step || top != test.top {
			t.Errorf("scale of %d %s: %d to %d, want %d to %d", test.most, test.currency, step, top, test.step, test.top)
		}
	}
}
