package bank

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moov-io/ach"

	"nightdrop/ops/simulator/book"
)

// Routing numbers with their check digits.
const (
	odfi  = "231380104"
	rdfi1 = "121042882"
	rdfi2 = "081000032"
)

// item is one entry of a vault's file.
type item struct {
	sec    string
	code   int
	rdfi   string
	amount int
	number string
}

// vaultFile returns a file as a vault writes it: a batch for each class, trace numbers from first
// on.
func vaultFile(t *testing.T, first int, items ...item) []byte {
	t.Helper()
	header := ach.NewFileHeader()
	header.ImmediateDestination, header.ImmediateDestinationName = odfi, "OUR BANK"
	header.ImmediateOrigin, header.ImmediateOriginName = "121042882", "NIGHTDROP"
	header.FileCreationDate, header.FileCreationTime = "261120", "1700"
	file := ach.NewFile()
	file.SetHeader(header)
	for n, sec := range []string{ach.WEB, ach.PPD, ach.CCD} {
		h := ach.NewBatchHeader()
		h.ServiceClassCode, h.StandardEntryClassCode, h.CompanyName, h.CompanyIdentification = ach.MixedDebitsAndCredits, sec, "CORNER CAFE", "1234567890"
		h.CompanyEntryDescription = map[string]string{ach.WEB: "PURCHASE", ach.PPD: "REFUND", ach.CCD: "PAYOUT"}[sec]
		h.EffectiveEntryDate, h.ODFIIdentification, h.BatchNumber = "261123", odfi[:8], n+1
		batch, err := ach.NewBatch(h)
		must(t, err)
		for _, i := range items {
			if i.sec != sec {
				continue
			}
			e := ach.NewEntryDetail()
			e.TransactionCode, e.Amount, e.DFIAccountNumber, e.IndividualName = i.code, i.amount, i.number, "ANNE EXAMPLE"
			e.SetRDFI(i.rdfi)
			e.SetTraceNumber(odfi[:8], first)
			e.Category = ach.CategoryForward
			if sec == ach.WEB {
				e.SetPaymentType("S")
			}
			first++
			batch.AddEntry(e)
		}
		if len(batch.GetEntries()) > 0 {
			must(t, batch.Create())
			file.AddBatch(batch)
		}
	}
	must(t, file.Create())
	var out bytes.Buffer
	must(t, ach.NewWriter(&out).Write(file))
	return out.Bytes()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// branch is a bank with directories and a clock of its own.
type branch struct {
	*Bank
	t   *testing.T
	cfg Config
	now time.Time
}

// friday is an afternoon before a weekend, in New York.
var friday = time.Date(2026, 11, 20, 22, 0, 0, 0, time.UTC)

func newBranch(t *testing.T, timing Timing) *branch {
	t.Helper()
	b := &branch{t: t, now: friday}
	dir := t.TempDir()
	b.cfg = Config{
		Outbox: filepath.Join(dir, "outbox"), Returns: filepath.Join(dir, "returns"), Book: filepath.Join(dir, "book"), Timing: timing,
		Acknowledge: true, Now: func() time.Time { return b.now },
	}
	must(t, os.Mkdir(b.cfg.Outbox, 0o700))
	must(t, os.Mkdir(b.cfg.Returns, 0o700))
	b.open()
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func (b *branch) open() {
	b.t.Helper()
	var err error
	b.Bank, err = Open(b.cfg)
	must(b.t, err)
}

func (b *branch) put(name string, content []byte) {
	b.t.Helper()
	must(b.t, os.WriteFile(filepath.Join(b.cfg.Outbox, name), content, 0o400))
}

// answers returns the names and contents of the bank's files.
func (b *branch) answers() (names []string, contents [][]byte) {
	b.t.Helper()
	list, err := os.ReadDir(b.cfg.Returns)
	must(b.t, err)
	for _, e := range list {
		content, err := os.ReadFile(filepath.Join(b.cfg.Returns, e.Name()))
		must(b.t, err)
		names, contents = append(names, e.Name()), append(contents, content)
	}
	return names, contents
}

func (b *branch) step() {
	b.t.Helper()
	must(b.t, b.Step())
}

// mixed holds sales of which three are returned, a refund returned, and payouts.
var mixed = []item{
	{ach.WEB, ach.CheckingDebit, rdfi1, 1099, "123456789012"},
	{ach.WEB, ach.CheckingDebit, rdfi1, 900_201, "223456789012"},
	{ach.WEB, ach.SavingsDebit, rdfi2, 900_203, "323456789012"},
	{ach.WEB, ach.CheckingDebit, rdfi1, 900_210, "423456789012"},
	{ach.PPD, ach.SavingsCredit, rdfi2, 900_202, "523456789012"},
	{ach.CCD, ach.CheckingCredit, rdfi2, 5000, "623456789012"},
	{ach.CCD, ach.CheckingCredit, rdfi1, 900_229, "723456789012"},
}

func TestReturnsComeOnTheNextBankingDay(t *testing.T) {
	b := newBranch(t, Timing{NextBankingDay: true})
	b.put("one.ach", vaultFile(t, 1, mixed...))
	b.put("notes.txt", []byte("not a file for the bank"))
	b.step()
	b.now = friday.Add(60 * time.Hour) // Monday morning, before the bank opens
	b.step()
	if names, _ := b.answers(); len(names) != 0 {
		t.Fatalf("answered over the weekend: %v", names)
	}
	b.now = time.Date(2026, 11, 23, 13, 30, 0, 0, time.UTC) // 8:30 in New York
	b.step()
	names, contents := b.answers()
	if len(names) != 1 || !strings.HasPrefix(names[0], "return-20261123-") || !strings.HasSuffix(names[0], ".ach") {
		t.Fatalf("answers %v, want one of Monday", names)
	}
	file, err := ach.NewReader(bytes.NewReader(contents[0])).Read()
	must(t, err)
	got := map[string]string{}
	for _, batch := range file.Batches {
		for _, e := range batch.GetEntries() {
			if e.RDFIIdentification+e.CheckDigit != odfi {
				t.Errorf("an answer goes to %s%s, want the vault's bank", e.RDFIIdentification, e.CheckDigit)
			}
			if e.Addenda99 == nil {
				got[e.OriginalTraceNumberField()] = "ack"
			} else {
				got[e.Addenda99.OriginalTrace] = e.Addenda99.ReturnCode
			}
		}
	}
	want := map[string]string{"2": "R01", "3": "R03", "4": "R10", "5": "R02", "6": "ack", "7": "R29"}
	if len(got) != len(want) {
		t.Errorf("answered %v, want %v", got, want)
	}
	for last, code := range want {
		if trace := "23138010000000" + last; got[trace] != code {
			t.Errorf("trace %s is answered %q, want %s", trace, got[trace], code)
		}
	}
	if file.Header.ImmediateDestination != "121042882" || file.Header.ImmediateOrigin != odfi || file.Header.FileCreationDate != "261123" {
		t.Errorf("the answer's header is %+v", file.Header)
	}
	if st := b.Statement(); st.Returned != 5 || st.Acknowledged != 1 || st.Entries != 7 || st.Debits != (Count{4, 1099 + 900_201 + 900_203 + 900_210}) || st.Credits.Number != 3 {
		t.Errorf("statement %+v", st)
	}
}

func TestHolidayIsNoBankingDay(t *testing.T) {
	zone, err := time.LoadLocation(bankingZone)
	must(t, err)
	for _, c := range []struct{ taken, due string }{
		{"2026-11-25T15:00:00-05:00", "2026-11-27T08:30:00-05:00"}, // Thanksgiving between
		{"2026-12-31T15:00:00-05:00", "2027-01-04T08:30:00-05:00"}, // New Year's Day and a weekend
		{"2027-03-12T23:00:00-05:00", "2027-03-15T08:30:00-04:00"}, // the clocks go forward between
		{"2026-11-23T03:00:00Z", "2026-11-23T08:30:00-05:00"},      // still Sunday in New York
	} {
		taken, err := time.Parse(time.RFC3339, c.taken)
		must(t, err)
		if due := (Timing{NextBankingDay: true}).due(taken, zone).Format(time.RFC3339); due != c.due {
			t.Errorf("taken %s: due %s, want %s", c.taken, due, c.due)
		}
	}
}

func TestEveryFileIsAnsweredOnce(t *testing.T) {
	b := newBranch(t, Timing{After: time.Minute})
	content := vaultFile(t, 1, mixed...)
	b.put("one.ach", content)
	b.step()
	b.put("same-bytes.ach", content)
	must(t, b.Close())
	b.open() // a restart between taking and answering
	b.now = b.now.Add(time.Minute)
	for range 3 {
		b.step()
	}
	names, _ := b.answers()
	if len(names) != 1 {
		t.Fatalf("answers %v, want one", names)
	}
	must(t, b.Close())
	b.open()
	b.step()
	if again, _ := b.answers(); len(again) != 1 {
		t.Errorf("after a restart %v", again)
	}
	b.put("two.ach", vaultFile(t, 8, mixed...))
	b.step()
	b.now = b.now.Add(time.Minute)
	b.step()
	if names, _ = b.answers(); len(names) != 2 {
		t.Fatalf("answers %v, want a second", names)
	}
	if st := b.Statement(); st.Files != 2 || len(st.Doubled) != 0 || st.Returned != 10 {
		t.Errorf("statement %+v", st)
	}
	traces := map[string]bool{}
	_, contents := b.answers()
	for _, content := range contents {
		file, err := ach.NewReader(bytes.NewReader(content)).Read()
		must(t, err)
		for _, batch := range file.Batches {
			for _, e := range batch.GetEntries() {
				if traces[e.TraceNumber] {
					t.Errorf("trace number %s is given twice", e.TraceNumber)
				}
				traces[e.TraceNumber] = true
			}
		}
	}
}

// A crash between writing the answer and booking it must not give another answer.
func TestCrashBeforeBookingTheAnswer(t *testing.T) {
	b := newBranch(t, Timing{})
	b.put("one.ach", vaultFile(t, 1, mixed...))
	must(t, os.Chmod(b.cfg.Returns, 0o700))
	b.step()
	names, first := b.answers()
	must(t, b.Close())
	lines, err := os.ReadFile(b.cfg.Book)
	must(t, err)
	taken, _, _ := bytes.Cut(lines, []byte("\n"))
	must(t, os.WriteFile(b.cfg.Book, append(taken, "\n{\"kind\":\"answ"...), 0o600))
	b.now = b.now.Add(time.Hour)
	b.open()
	b.step()
	again, second := b.answers()
	if len(names) != 1 || len(again) != 1 || again[0] != names[0] || !bytes.Equal(first[0], second[0]) {
		t.Errorf("answers before %v, after %v", names, again)
	}
	if st := b.Statement(); st.Returned != 5 || st.List[0].State != lineAnswered {
		t.Errorf("statement %+v", st)
	}
	if err := os.Remove(filepath.Join(b.cfg.Returns, again[0])); err != nil {
		t.Fatal(err)
	}
	must(t, b.Close())
	must(t, os.WriteFile(b.cfg.Book, append(taken, '\n'), 0o600))
	b.open()
	b.step()
	if _, third := b.answers(); len(third) != 1 || !bytes.Equal(first[0], third[0]) {
		t.Error("the answer made again has other bytes")
	}
}

func TestBadFilesAreRefusedWhole(t *testing.T) {
	good := vaultFile(t, 1, mixed...)
	for name, content := range map[string][]byte{
		"empty":                  {},
		"truncated":              good[:len(good)/2],
		"without its last block": good[:bytes.LastIndex(bytes.TrimRight(good, "9\n"), []byte("\n"))],
		"a number changed":       bytes.Replace(good, []byte("0000900201"), []byte("0000900301"), 1),
		"WEB without PURCHASE":   bytes.Replace(good, []byte("PURCHASE  "), []byte("SALE      "), 1),
		"two files in one":       append(bytes.Clone(good), good...),
		"one block too many":     append(bytes.Clone(good), bytes.Repeat([]byte(strings.Repeat("9", 94)+"\n"), 10)...),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBranch(t, Timing{})
			b.put("bad.ach", content)
			b.step()
			st := b.Statement()
			if st.Refused != 1 || st.Entries != 0 || st.List[0].Reason == "" {
				t.Errorf("statement %+v", st)
			}
			if strings.Contains(st.List[0].Reason, "23456789012") || strings.Contains(st.List[0].Reason, "ANNE") {
				t.Errorf("the reason shows account data: %s", st.List[0].Reason)
			}
			if names, _ := b.answers(); len(names) != 0 {
				t.Errorf("answered %v", names)
			}
		})
	}
}

func TestBookAndLogHoldNoAccountData(t *testing.T) {
	b := newBranch(t, Timing{})
	b.put("one.ach", vaultFile(t, 1, mixed...))
	b.step()
	text, err := os.ReadFile(b.cfg.Book)
	must(t, err)
	if !bytes.Contains(text, []byte("******9012")) {
		t.Error("the masked number is not there: nothing was tested")
	}
	for _, secret := range []string{"23456789012", "ANNE"} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("the book holds %q", secret)
		}
	}
	st, err := ReadBook(b.cfg.Book)
	must(t, err)
	onDisk, _ := json.Marshal(st)
	if now, _ := json.Marshal(b.Statement()); !bytes.Equal(onDisk, now) {
		t.Errorf("on disk %s, in memory %s", onDisk, now)
	}
}

// The bank is the witness against double payments: one trace number in two entries is one too many.
func TestDoubledTraceShows(t *testing.T) {
	b := newBranch(t, Timing{})
	b.put("one.ach", vaultFile(t, 1, mixed[0]))
	b.put("two.ach", vaultFile(t, 1, mixed[0], mixed[0]))
	b.step()
	if st := b.Statement(); len(st.Doubled) != 1 || st.Doubled[0] != "231380100000001" {
		t.Errorf("doubled %v", st.Doubled)
	}
}

func TestOnlyCodesOfReturnsAreReturned(t *testing.T) {
	for amount, want := range map[int64]string{
		900_200: "", 900_201: "R01", 900_229: "R29", 900_248: "", 900_261: "", 900_271: "", 900_285: "R85", 900_299: "", 900_300: "", 1: "",
	} {
		if code := returnCode(amount); code != want {
			t.Errorf("amount %d is returned with %q, want %q", amount, code, want)
		}
	}
}

func TestFileThatIsGoneIsAnsweredWhenItIsBack(t *testing.T) {
	b := newBranch(t, Timing{After: time.Hour})
	content := vaultFile(t, 1, mixed...)
	b.put("one.ach", content)
	b.step()
	must(t, os.Remove(filepath.Join(b.cfg.Outbox, "one.ach")))
	b.now = b.now.Add(time.Hour)
	b.step()
	if names, _ := b.answers(); len(names) != 0 {
		t.Errorf("answers %v to a file that is gone", names)
	}
	b.put("one.ach", content)
	b.step()
	if names, _ := b.answers(); len(names) != 1 {
		t.Errorf("answers %v to the file that is back", names)
	}
}

// TestHiddenFilesAreStillBeingWritten: a vault gives a file its name when it is whole.
func TestHiddenFilesAreStillBeingWritten(t *testing.T) {
	b := newBranch(t, Timing{After: time.Hour})
	b.put(".partial-one.ach", vaultFile(t, 1, mixed...))
	b.step()
	if st := b.Statement(); st.Files != 0 || st.Refused != 0 {
		t.Errorf("a hidden file was taken: %+v", st)
	}
}

func TestBanksThatCannotBeOpened(t *testing.T) {
	b := newBranch(t, Timing{})
	if _, err := Open(b.cfg); !errors.Is(err, book.ErrLocked) {
		t.Errorf("a second bank on one book: %v, want ErrLocked", err)
	}
	none := b.cfg
	none.Outbox += "-none"
	if _, err := Open(none); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an outbox that is not there: %v", err)
	}
	must(t, b.Close())
	must(t, os.WriteFile(b.cfg.Book, []byte("{\"kind\":\"answered\",\"hash\":\"00\"}\n"), 0o600))
	if _, err := Open(b.cfg); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a book with an answer to nothing: %v, want an error that names line 1", err)
	}
	must(t, os.WriteFile(b.cfg.Book, nil, 0o600))
	b.open()
}

// TestNoticesOfChange: an entry of 900400+NN is booked and brings a notice CNN, where NACHA has
// that code; what the bank writes is read again.
func TestNoticesOfChange(t *testing.T) {
	b := newBranch(t, Timing{})
	b.put("vault.ach", vaultFile(t, 1,
		item{ach.WEB, ach.CheckingDebit, rdfi1, 900_401, "1234567"}, item{ach.WEB, ach.SavingsDebit, rdfi1, 900_405, "1234567"},
		item{ach.WEB, ach.CheckingDebit, rdfi2, 900_413, "7654321"}, item{ach.WEB, ach.CheckingDebit, rdfi2, 900_462, "7654321"},
		item{ach.WEB, ach.CheckingDebit, rdfi2, 900_444, "7654321"}, item{ach.CCD, ach.CheckingCredit, rdfi2, 900_402, "7654321"}))
	b.step()
	b.step()
	_, contents := b.answers()
	if len(contents) != 1 {
		t.Fatalf("%d answers", len(contents))
	}
	file, err := ach.NewReader(bytes.NewReader(contents[0])).Read()
	must(t, err)
	must(t, file.Validate())
	codes := map[string]int{}
	for _, batch := range file.Batches {
		for _, e := range batch.GetEntries() {
			if batch.GetHeader().StandardEntryClassCode != ach.COR || e.Amount != 0 || e.Addenda98 == nil || e.Addenda98.CorrectedData == "" {
				t.Fatalf("an answer is %+v", e)
			}
			codes[e.Addenda98.ChangeCode]++
		}
	}
	if len(codes) != 4 || codes["C01"] != 1 || codes["C02"] != 1 || codes["C05"] != 1 || codes["C13"] != 1 {
		t.Errorf("notices %v", codes)
	}
	if st := b.Statement(); st.Noted != 4 || st.Returned != 0 || st.Acknowledged != 0 || st.Entries != 6 {
		t.Errorf("statement %+v", st)
	}
}
