package nacha_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/moov-io/ach"

	"nightdrop/vault/internal/acquirer/nacha"
)

// accountData is what no error may repeat.
var accountData = []string{"12345678901234567", "99887766", "5551234", "LOVELACE"}

var nines = strings.Repeat("9", 94)

const theirODFI = "01100001"

// answers is a bank's file: two returns of WEB debits, one of a PPD credit, a notice of change and
// two acknowledgements.
func answers(t testing.TB) []byte {
	t.Helper()
	file := ach.NewFile()
	file.SetHeader(answerHeader())
	returned := func(code int, amount int, number, reason string, sequence int) *ach.EntryDetail {
		e := answerEntry(code, amount, number, sequence)
		e.AddendaRecordIndicator, e.Category = 1, ach.CategoryReturn
		e.Addenda99 = ach.NewAddenda99()
		e.Addenda99.ReturnCode, e.Addenda99.OriginalTrace, e.Addenda99.OriginalDFI = reason, nacha.TraceNumber(odfi, uint32(sequence)), theirODFI
		e.Addenda99.AddendaInformation, e.Addenda99.TraceNumber = "NO ACCOUNT 5551234", e.TraceNumber
		return e
	}
	file.AddBatch(answerBatch(t, 1, "WEB", "PURCHASE", ach.MixedDebitsAndCredits,
		returned(ach.CheckingReturnNOCDebit, 1250, "12345678901234567", "R01", 1), returned(ach.SavingsReturnNOCDebit, 4200, "0042", "R29", 2)))
	file.AddBatch(answerBatch(t, 2, "PPD", "REFUND", ach.CreditsOnly, returned(ach.CheckingReturnNOCCredit, 77, "99887766", "R03", 5)))
	change := answerEntry(ach.CheckingReturnNOCDebit, 0, "12345678901234567", 6)
	change.AddendaRecordIndicator, change.Category = 1, ach.CategoryNOC
	change.Addenda98 = ach.NewAddenda98()
	change.Addenda98.ChangeCode, change.Addenda98.OriginalTrace, change.Addenda98.OriginalDFI = "C01", nacha.TraceNumber(odfi, 6), theirODFI
	change.Addenda98.CorrectedData, change.Addenda98.TraceNumber = "5551234", change.TraceNumber
	file.AddBatch(answerBatch(t, 3, "COR", "PURCHASE", ach.MixedDebitsAndCredits, change))
	first, second := answerEntry(ach.CheckingZeroDollarRemittanceCredit, 0, "99887766", 7), answerEntry(ach.SavingsZeroDollarRemittanceCredit, 0, "99887766", 8)
	first.SetOriginalTraceNumber(nacha.TraceNumber(odfi, 7))
	second.SetOriginalTraceNumber(nacha.TraceNumber(odfi, 9))
	second.AddendaRecordIndicator = 1
	five := ach.NewAddenda05()
	five.PaymentRelatedInformation = "ACCOUNT 5551234"
	second.AddAddenda05(five)
	file.AddBatch(answerBatch(t, 4, "ACK", "PAYOUT", ach.CreditsOnly, first, second))
	return moovFile(t, file)
}

func answerHeader() ach.FileHeader {
	header := ach.NewFileHeader()
	header.SetValidation(&ach.ValidateOpts{BypassDestinationValidation: true})
	header.ImmediateDestination, header.ImmediateDestinationName = "1987654321", "NIGHTDROP VAULT"
	header.ImmediateOrigin, header.ImmediateOriginName = "091000019", "NORTHERN CLEARING BANK"
	header.FileCreationDate, header.FileCreationTime, header.FileIDModifier = "261125", "0615", "B"
	return header
}

func answerEntry(code, amount int, number string, sequence int) *ach.EntryDetail {
	e := ach.NewEntryDetail()
	e.TransactionCode, e.Amount, e.DFIAccountNumber, e.IndividualName = code, amount, number, "ADA LOVELACE"
	e.SetRDFI("091000019")
	e.SetTraceNumber(theirODFI, sequence+100)
	return e
}

func answerBatch(t testing.TB, number int, class, description string, service int, entries ...*ach.EntryDetail) ach.Batcher {
	t.Helper()
	header := ach.NewBatchHeader()
	header.ServiceClassCode, header.StandardEntryClassCode, header.CompanyEntryDescription = service, class, description
	header.CompanyName, header.CompanyIdentification, header.EffectiveEntryDate = "CORNER CAFE", "1234567890", "261125"
	header.ODFIIdentification, header.BatchNumber = theirODFI, number
	batch, err := ach.NewBatch(header)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		batch.AddEntry(e)
	}
	if err := batch.Create(); err != nil {
		t.Fatal(err)
	}
	return batch
}

func moovFile(t testing.TB, file *ach.File) []byte {
	t.Helper()
	number := 0
	for _, b := range file.Batches {
		number = b.GetHeader().BatchNumber // Create renumbers batches
	}
	if err := file.Create(); err != nil {
		t.Fatal(err)
	}
	if number != 0 && file.Batches[len(file.Batches)-1].GetHeader().BatchNumber != number {
		t.Fatal("batches were numbered otherwise")
	}
	file.Header.SetValidation(&ach.ValidateOpts{BypassDestinationValidation: true})
	var out bytes.Buffer
	writer := ach.NewWriter(&out)
	writer.BypassValidation = true
	if err := writer.Write(file); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestAnswersOfABank(t *testing.T) {
	file := answers(t)
	golden(t, "answers.ach", file)
	digest := sha256.Sum256(file)
	want := nacha.Answer{
		Digest: hex.EncodeToString(digest[:]), Created: time.Date(2026, 11, 25, 6, 15, 0, 0, time.UTC), Origin: "091000019", Destination: "1987654321",
		Items: []nacha.Item{
			{Kind: nacha.Return, Trace: "091000010000001", Code: "R01", Amount: 1250, Company: "1234567890", Record: 3},
			{Kind: nacha.Return, Trace: "091000010000002", Code: "R29", Amount: 4200, Company: "1234567890", Record: 5},
			{Kind: nacha.Return, Trace: "091000010000005", Code: "R03", Amount: 77, Credit: true, Company: "1234567890", Record: 9},
			{Kind: nacha.Change, Trace: "091000010000006", Code: "C01", Company: "1234567890", Record: 13},
			{Kind: nacha.Acknowledgement, Trace: "091000010000007", Credit: true, Company: "1234567890", Record: 17},
			{Kind: nacha.Acknowledgement, Trace: "091000010000009", Credit: true, Company: "1234567890", Record: 18},
		},
	}
	trimmed := regexp.MustCompile(` +\n`).ReplaceAll(file, []byte("\n"))
	bare := bytes.ReplaceAll(file, []byte(nines+"\n"), nil)
	for name, bytes := range map[string][]byte{
		"newlines": file, "the last newline missing": file[:len(file)-1], "carriage returns": bytes.ReplaceAll(file, []byte("\n"), []byte("\r\n")),
		"no line ends": bytes.ReplaceAll(file, []byte("\n"), nil), "old line ends": bytes.ReplaceAll(file, []byte("\n"), []byte("\r")),
		"blanks trimmed": trimmed, "blank lines at the end": append(bytes.Clone(file), "\n\n   \r\n"...), "Ctrl-Z": append(bytes.Clone(file), 0x1a),
		"Ctrl-Z in a line of its own": append(bytes.Clone(file), "\x1a\r\n"...), "a blank line between": bytes.ReplaceAll(file, []byte("\n"), []byte("\n\n")),
		"no nines": bare, "no nines and no end": bytes.TrimRight(bare, " \n"), "some nines": append(bytes.Clone(bare), nines+"\n"...),
		"a block of nines more": append(bytes.Clone(file), strings.Repeat(nines+"\n", 10)...), "trimmed without line ends": bytes.TrimRight(bytes.ReplaceAll(bare, []byte("\n"), nil), " "),
		"a byte order mark": append([]byte("\xef\xbb\xbf"), file...), "line ends of two kinds": bytes.Replace(file, []byte("\n"), []byte("\r\n"), 3),
		"a name in Latin-1": put(3, 60, "\xc9")(bytes.Clone(file)), "a name in UTF-8": bytes.Replace(file, []byte("ADA"), []byte("ÁDÁ"), 3),
		"the bank's name in Latin-1": put(1, 66, "\xd6")(bytes.Clone(file)), "free text with a control character": put(4, 50, "\x07")(bytes.Clone(file)),
		"the bank's name in UTF-8, trimmed": bytes.Replace(trimmed, []byte("NORTHERN"), []byte("NÖRTHERN"), 1),
		"batch numbers 7, 3 and twice 3": all(put(2, 88, "0000007"), put(7, 88, "0000007"), put(8, 88, "0000003"), put(11, 88, "0000003"), put(12, 88, "0000003"),
			put(15, 88, "0000003"))(bytes.Clone(file)),
		"a control without its company": put(7, 45, "          ")(bytes.Clone(file)), "a change without its data": put(14, 36, strings.Repeat(" ", 29))(bytes.Clone(file)),
		"trace numbers that descend": all(put(3, 94, "5"), put(4, 94, "5"))(bytes.Clone(file)),
		"other trace numbers":        all(put(3, 80, "09100001"), put(4, 80, "09100001"))(bytes.Clone(file)),
	} {
		got, err := nacha.Read(strings.NewReader(string(bytes)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		digest := sha256.Sum256(bytes)
		want.Digest = hex.EncodeToString(digest[:])
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
}

func TestFileWithoutAnswers(t *testing.T) {
	empty := "101" + "1987654321" + " 091000019" + "2611250615B094101" + "NIGHTDROP VAULT        " + "NORTHERN CLEARING BANK " + "        \n" +
		"9000000000001" + strings.Repeat("0", 42) + strings.Repeat(" ", 39) + "\n" +
		strings.Repeat(strings.Repeat("9", 94)+"\n", 8)
	got, err := nacha.Read(strings.NewReader(empty))
	if err != nil || len(got.Items) != 0 || got.Created.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
}

// line puts a text at a column of a record, both from 1.
func put(record, column int, text string) func([]byte) []byte {
	return func(file []byte) []byte {
		copy(file[(record-1)*95+column-1:], text)
		return file
	}
}

// without and twice remove or repeat a record, and keep the blocks complete.
func without(record int) func([]byte) []byte {
	return func(file []byte) []byte {
		return append(append(file[:(record-1)*95:(record-1)*95], file[record*95:]...), strings.Repeat("9", 94)+"\n"...)
	}
}

func twice(record int) func([]byte) []byte {
	return func(file []byte) []byte {
		return append(append(file[:record*95:record*95], file[(record-1)*95:(record-1)*95+95]...), file[record*95:len(file)-95]...)
	}
}

func all(changes ...func([]byte) []byte) func([]byte) []byte {
	return func(file []byte) []byte {
		for _, change := range changes {
			file = change(file)
		}
		return file
	}
}

// One defect each, which the control records show. The file has 21 records: header 1; WEB 2-7, of
// entries 3 and 5; PPD 8-11; COR 12-15; ACK 16-20; control 21; and nines to 30.
func TestFilesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		defect func([]byte) []byte
		says   string
	}{
		"empty":                              {func([]byte) []byte { return nil }, "cut off"},
		"blanks":                             {func([]byte) []byte { return []byte(" \r\n\x1a") }, "cut off"},
		"one byte":                           {func(f []byte) []byte { return f[:1] }, "record 1, file header"},
		"cut off in a record":                {func(f []byte) []byte { return f[:95*12+40] }, "record 14, entry or batch control"},
		"cut off behind a record":            {func(f []byte) []byte { return f[:95*12] }, "record 13, entry or batch control"},
		"cut off behind a batch":             {all(without(21), func(f []byte) []byte { return append(f[:95*20], f[:0]...) }), "record 21, batch header or file control"},
		"a character is missing":             {func(f []byte) []byte { return append(f[:105:105], f[106:]...) }, "record 2"},
		"a long record":                      {func(f []byte) []byte { return append(append(f[:200:200], ' '), f[200:]...) }, "record 3 has more than 94"},
		"a line end in a record":             {put(3, 40, "\n"), "record 4"},
		"lower type":                         {put(3, 1, "x"), "record 3"},
		"no file header":                     {without(1), "record 1, file header: it is missing"},
		"two file headers":                   {twice(1), "record 2, batch header or file control"},
		"two files in one":                   {func(f []byte) []byte { return append(f, f...) }, "two files"},
		"a file in the filling":              {put(25, 1, "101 "), "record 25, filling"},
		"filling in the middle":              {put(5, 1, strings.Repeat("9", 94)), "record 5, entry or batch control"},
		"record size":                        {put(1, 35, "095"), "record size"},
		"blocking factor":                    {put(1, 38, "01"), "blocking factor"},
		"date of the file":                   {put(1, 24, "261325"), "record 1, file header"},
		"time of the file":                   {put(1, 30, "2575"), "record 1, file header"},
		"modifier":                           {put(1, 34, "b"), "FileIDModifier"},
		"a class that is totalled otherwise": {put(2, 51, "ADV"), "ADV"},
		"batch number":                       {put(2, 88, "000000A"), "batch number"},
		"batch without an end":               {without(7), "record 7, entry or batch control"},
		"batch end without a batch":          {twice(7), "record 8, batch header or file control"},
		"addenda outside a batch":            {without(2), "record 2, batch header or file control"},
		"addenda without an entry":           {without(3), "record 3, addenda"},
		"two addenda":                        {twice(4), "count of entries and addenda"},
		"entry without its addenda":          {without(4), "count of entries and addenda"},
		"an entry twice":                     {twice(17), "count of entries and addenda"},
		"routing number":                     {put(3, 4, "X"), "routing number"},
		"another routing number":             {put(3, 4, "011000015"), "record 7, batch control: its entry hash"},
		"the other sign":                     {put(3, 2, "21"), "record 7, batch control: its total of debits"},
		"amount is no number":                {put(3, 30, " "), "amount"},
		"an accent in an amount":             {put(3, 30, "\xe9"), "amount"},
		"amount":                             {put(3, 39, "1"), "record 7, batch control"},
		"change of an amount":                {put(13, 39, "1"), "record 15, batch control"},
		"acknowledged amount":                {put(17, 39, "1"), "record 20, batch control"},
		"count of a batch":                   {put(7, 10, "5"), "record 7, batch control: its count of entries"},
		"hash of a batch":                    {put(7, 20, "9"), "record 7, batch control: its entry hash"},
		"debits of a batch":                  {put(7, 32, "9"), "record 7, batch control: its total of debits"},
		"credits of a batch":                 {put(7, 44, "9"), "record 7, batch control: its total of credits"},
		"company of a batch":                 {put(7, 45, "X"), "company identification"},
		"bank of a batch":                    {put(7, 87, "9"), "originating bank"},
		"number of a batch":                  {put(7, 94, "9"), "batch number"},
		"class of a batch":                   {put(7, 2, "225"), "service class"},
		"total is no number":                 {put(7, 21, "            "), "batch control: a count, hash, total"},
		"count of batches":                   {put(21, 7, "5"), "count of batches"},
		"count of blocks":                    {put(21, 13, "4"), "count of blocks"},
		"count of entries":                   {put(21, 21, "9"), "count of entries"},
		"hash of the file":                   {put(21, 31, "1"), "entry hash"},
		"debits of the file":                 {put(21, 43, "9"), "total of debits"},
		"credits of the file":                {put(21, 55, "9"), "total of credits"},
		"the file's total, no number": {
			put(21, 32, "000000005450 "), "file control: a count, hash or total",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := nacha.Read(bytes.NewReader(c.defect(bytes.Clone(answers(t)))))
			if !errors.Is(err, nacha.ErrFile) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v, want ErrFile that says %q", err, c.says)
			}
			if !reflect.DeepEqual(got, nacha.Answer{}) {
				t.Errorf("refused, and yet %+v", got)
			}
			for _, secret := range accountData {
				if strings.Contains(err.Error(), secret) {
					t.Error("the error repeats account data")
				}
			}
		})
	}
}

// TestEntriesThatAreLeft: each is listed with its problem, and all others are read.
func TestEntriesThatAreLeft(t *testing.T) {
	first := "091000010000001"
	for name, c := range map[string]struct {
		change  func([]byte) []byte
		entries []int // positions of those that are left
		trace   string
		code    string
		says    string
	}{
		"a class that is never sent":   {put(2, 51, "CTX"), []int{3, 5}, first, "R01", "standard entry class"},
		"a class that nobody knows":    {put(2, 51, "ZZZ"), []int{3, 5}, first, "R01", "standard entry class"},
		"an international change":      {put(12, 5, "IATCOR          "), []int{13}, "091000010000006", "C01", "standard entry class"},
		"a new debit":                  {put(3, 2, "27"), []int{3}, first, "R01", "new entries"},
		"a prenotification":            {put(3, 2, "28"), []int{3}, first, "R01", "new entries"},
		"a transaction code of no use": {put(3, 2, "95"), []int{3}, first, "R01", "transaction code"},
		"a new credit":                 {put(9, 2, "22"), []int{9}, "091000010000005", "R03", "new entries"},
		"a check digit":                {put(3, 12, "8"), []int{3}, first, "R01", "check digit"},
		"another trace number":         {put(3, 80, "09100001"), []int{3}, first, "R01", "not its own"},
		"an original trace number":     {put(4, 7, "0910000100000A1"), []int{3}, "", "R01", "15 digits"},
		"a dishonoured return":         {put(4, 4, "R61"), []int{3}, first, "R61", "dishonoured"},
		"a dishonoured return later":   {put(4, 4, "R65"), []int{3}, first, "R65", "dishonoured"},
		"a contested return":           {put(4, 4, "R77"), []int{3}, first, "R77", "dishonoured or contested"},
		"a refused change":             {put(14, 4, "C62"), []int{13}, "091000010000006", "C62", "refused notice of change"},
		"a return among changes":       {put(14, 2, "99R01"), []int{13}, "091000010000006", "R01", "type or code of its addenda"},
		"a change among returns":       {put(4, 2, "98C01"), []int{3}, first, "C01", "type or code of its addenda"},
		"a code of letters":            {put(4, 4, "RAB"), []int{3}, "", "", "type or code of its addenda"},
		"an addenda of text":           {put(4, 2, "05"), []int{3}, "", "", "type or code of its addenda"},
		"an acknowledged trace":        {put(17, 40, "TABLE-7        "), []int{17}, "", "", "15 digits"},
		"an acknowledged check":        {put(17, 2, "20"), []int{17}, "091000010000007", "", "transaction code"},
		"two addenda":                  {all(twice(4), put(8, 5, "000005"), put(22, 14, "00000012")), []int{3}, first, "R01", "several addenda"},
	} {
		t.Run(name, func(t *testing.T) {
			file := c.change(bytes.Clone(answers(t)))
			whole, err := nacha.Read(bytes.NewReader(answers(t)))
			if err != nil {
				t.Fatal(err)
			}
			got, err := nacha.Read(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			var places []int
			for _, l := range got.Left {
				places = append(places, l.Record)
			}
			if !slices.Equal(places, c.entries) || len(got.Items) != len(whole.Items)-len(c.entries) {
				t.Fatalf("left %+v, taken %d", got.Left, len(got.Items))
			}
			if l := got.Left[0]; l.Trace != c.trace || l.Code != c.code || !strings.Contains(l.Problem, c.says) {
				t.Errorf("left %+v, want trace %q, code %q, because %q", l, c.trace, c.code, c.says)
			}
		})
	}
}

// A code that NACHA has not assigned yet is accepted.
func TestCodesThatComeLater(t *testing.T) {
	got, err := nacha.Read(bytes.NewReader(all(put(4, 4, "R99"), put(14, 4, "C44"))(bytes.Clone(answers(t)))))
	if err != nil || len(got.Left) != 0 || got.Items[0].Code != "R99" || got.Items[3].Code != "C44" {
		t.Errorf("%+v, %v", got, err)
	}
}

// The same entry may be answered more than once in a file.
func TestTwoAnswersToOneEntry(t *testing.T) {
	got, err := nacha.Read(bytes.NewReader(put(6, 7, odfi+"0000001")(bytes.Clone(answers(t)))))
	if err != nil || len(got.Left) != 0 || got.Items[0].Trace != got.Items[1].Trace {
		t.Errorf("%+v, %v", got, err)
	}
}

// Our own files hold no answers.
func TestPaymentsAreNoAnswers(t *testing.T) {
	plan, entry := oneBatch(t)
	file, _, err := write(plan, []nacha.Entry{entry})
	if err != nil {
		t.Fatal(err)
	}
	got, err := nacha.Read(bytes.NewReader(file))
	if err != nil || len(got.Items) != 0 || len(got.Left) != 1 || !strings.Contains(got.Left[0].Problem, "new entries") {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAnswersThatCannotBeRead(t *testing.T) {
	if _, err := nacha.Read(iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(answers(t))))); !errors.Is(err, iotest.ErrTimeout) || errors.Is(err, nacha.ErrFile) {
		t.Errorf("error %v, want that of the reader", err)
	}
	if _, err := nacha.Read(io.LimitReader(endless{}, 65<<20)); !errors.Is(err, nacha.ErrFile) || !strings.Contains(err.Error(), "64 MiB") {
		t.Errorf("error %v, want ErrFile", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '9'
	}
	return len(p), nil
}

// agrees reads a file, and checks that the answer is ErrFile, or one in which every item is
// complete and each entry is in once.
func agrees(t *testing.T, file []byte) (nacha.Answer, bool) {
	t.Helper()
	got, err := nacha.Read(bytes.NewReader(file))
	if err != nil {
		if !errors.Is(err, nacha.ErrFile) || !reflect.DeepEqual(got, nacha.Answer{}) {
			t.Fatalf("error %v beside %+v", err, got)
		}
		return got, false
	}
	seen := map[int]bool{}
	for _, item := range got.Items {
		if len(item.Trace) != 15 || (item.Kind == nacha.Acknowledgement) != (item.Code == "") || item.Amount < 0 || seen[item.Record] {
			t.Fatalf("item %+v", item)
		}
		seen[item.Record] = true
	}
	for _, l := range got.Left {
		if len(l.Trace) != 0 && len(l.Trace) != 15 || l.Problem == "" || seen[l.Record] {
			t.Fatalf("left %+v", l)
		}
		seen[l.Record] = true
	}
	return got, true
}

// TestMoovReadsTheSame: we read the same entries as moov-io/ach.
func TestMoovReadsTheSame(t *testing.T) {
	file := answers(t)
	reader := ach.NewReader(bytes.NewReader(file))
	reader.SetValidation(&ach.ValidateOpts{BypassDestinationValidation: true, AllowZeroBatches: true})
	read, err := reader.Read()
	if err == nil {
		err = read.Validate()
	}
	if err != nil {
		t.Fatal(err)
	}
	got, taken := agrees(t, file)
	var entries []*ach.EntryDetail
	for _, b := range read.Batches {
		entries = append(entries, b.GetEntries()...)
	}
	if !taken || len(got.Left) != 0 || len(entries) != len(got.Items) {
		t.Fatalf("%+v of %d entries", got, len(entries))
	}
	for i, e := range entries {
		if int64(e.Amount) != got.Items[i].Amount || e.Addenda99 != nil && e.Addenda99.ReturnCode != got.Items[i].Code {
			t.Errorf("entry %d is %+v", i, got.Items[i])
		}
	}
}

// Each character of the file in turn is damaged in four ways. All damage to counts, hashes, totals,
// routing numbers, amounts, signs and the answers' own trace numbers is noticed: the file is
// refused, or the entry is left. What the format holds only once, such as the original entry's
// trace number, it cannot protect: the caller compares it with the entries sent.
func TestDamageOfOneCharacter(t *testing.T) {
	good := answers(t)
	whole, _ := agrees(t, good)
	// of a record type, from 1: columns of which any damage is noticed
	columns := map[byte][][2]int{
		'6': {{1, 12}, {30, 39}, {80, 94}}, '8': {{1, 54}, {80, 94}}, '9': {{1, 55}}, '5': {{1, 4}, {41, 50}, {80, 94}}, '7': {{1, 1}, {80, 94}},
	}
	taken := 0
	for i, was := range good {
		for _, c := range []byte("07 Z") {
			if c == was {
				continue
			}
			file := bytes.Clone(good)
			file[i] = c
			got, ok := agrees(t, file)
			if !ok {
				continue
			}
			taken++
			if len(got.Left) > 0 || reflect.DeepEqual(got.Items, whole.Items) {
				continue
			}
			for _, column := range columns[good[i/95*95]] {
				if at := i%95 + 1; at >= column[0] && at <= column[1] {
					t.Errorf("record %d, column %d: %q instead of %q was taken as %+v", i/95+1, at, c, was, got.Items)
				}
			}
		}
	}
	if taken == 0 {
		t.Error("nothing was taken, not even other names")
	}
}

// FuzzRead: any input is refused, or read with each entry once.
func FuzzRead(f *testing.F) {
	f.Add(answers(f))
	f.Add(bytes.ReplaceAll(answers(f), []byte("\n"), nil))
	f.Add([]byte(strings.Repeat("9", 940)))
	f.Add([]byte("\xef\xbb\xbf1\r\n\r5\n\n6\x1a"))
	f.Fuzz(func(t *testing.T, file []byte) { agrees(t, file) })
}
