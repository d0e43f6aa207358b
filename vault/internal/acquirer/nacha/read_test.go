package nacha_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/moov-io/ach"

	"nightdrop/vault/internal/acquirer/nacha"
)

// What no error may repeat: the account numbers and the name that the answers below hold.
var accountData = []string{"12345678901234567", "99887766", "5551234", "LOVELACE"}

// theirODFI is the bank that answers.
const theirODFI = "01100001"

// answers is a bank's file: two returns of WEB debits, one of a PPD credit, a notice of change and two acknowledgements.
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
		number = b.GetHeader().BatchNumber // Create numbers batches anew
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
	own := func(sequence uint32) string { return nacha.TraceNumber(theirODFI, sequence+100) }
	digest := sha256.Sum256(file)
	want := nacha.Answer{
		Digest: hex.EncodeToString(digest[:]), Created: time.Date(2026, 11, 25, 6, 15, 0, 0, time.UTC), Origin: "091000019", Destination: "1987654321",
		Items: []nacha.Item{
			{Kind: nacha.Return, Trace: "091000010000001", Code: "R01", Amount: 1250, Own: own(1), Record: 3},
			{Kind: nacha.Return, Trace: "091000010000002", Code: "R29", Amount: 4200, Own: own(2), Record: 5},
			{Kind: nacha.Return, Trace: "091000010000005", Code: "R03", Amount: 77, Credit: true, Own: own(5), Record: 9},
			{Kind: nacha.Change, Trace: "091000010000006", Code: "C01", Own: own(6), Record: 13},
			{Kind: nacha.Acknowledgement, Trace: "091000010000007", Credit: true, Own: own(7), Record: 17},
			{Kind: nacha.Acknowledgement, Trace: "091000010000009", Credit: true, Own: own(8), Record: 18},
		},
	}
	for name, bytes := range map[string][]byte{
		"newlines": file, "the last newline missing": file[:len(file)-1], "carriage returns": bytes.ReplaceAll(file, []byte("\n"), []byte("\r\n")),
		"no line ends": bytes.ReplaceAll(file, []byte("\n"), nil),
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

// line is one change to the file of answers: text put at a column, from 1, of a record, from 1.
func put(record, column int, text string) func([]byte) []byte {
	return func(file []byte) []byte {
		copy(file[(record-1)*95+column-1:], text)
		return file
	}
}

// without and twice take a record away or repeat it, and keep the blocks whole.
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

// One defect each. The file has 21 records: header 1; WEB 2-7, of entries 3 and 5; PPD 8-11; COR 12-15; ACK 16-20; control 21; and nines to 30.
func TestFilesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		defect func([]byte) []byte
		says   string
	}{
		"empty":                      {func([]byte) []byte { return nil }, "cut off"},
		"one byte":                   {func(f []byte) []byte { return f[:1] }, "cut off"},
		"cut off in a record":        {func(f []byte) []byte { return f[:95*12+40] }, "cut off in its record 13"},
		"cut off behind a record":    {func(f []byte) []byte { return f[:95*12] }, "whole blocks"},
		"cut off behind a block":     {func(f []byte) []byte { return f[:95*10] }, "record 11, entry or batch control"},
		"cut off behind a batch":     {all(without(21), func(f []byte) []byte { return append(f[:95*20], f[:0]...) }), "record 21, batch header or file control"},
		"a short record":             {func(f []byte) []byte { return append(f[:200:200], f[201:]...) }, "record 3 has not 94 printable"},
		"a long record":              {func(f []byte) []byte { return append(append(f[:200:200], ' '), f[200:]...) }, "records of 94"},
		"mixed line ends":            {func(f []byte) []byte { f[95*3-1] = ' '; return f }, "record 3 does not end like"},
		"an empty line":              {func(f []byte) []byte { return append(append(f[:95:95], '\n'), f[95:]...) }, "records of 94"},
		"an accent":                  {put(3, 60, "\xc3\x89"), "record 3 has not 94 printable"},
		"a control character":        {put(3, 60, "\x00"), "record 3 has not 94 printable"},
		"lower type":                 {put(3, 1, "x"), "record 3"},
		"not padded":                 {func(f []byte) []byte { return f[:95*21] }, "whole blocks"},
		"no file header":             {without(1), "record 1, file header: it is missing"},
		"two file headers":           {twice(1), "record 2, batch header or file control"},
		"two files in one":           {func(f []byte) []byte { return append(f, f...) }, "two files"},
		"a file in the filling":      {put(25, 1, "101 "), "record 25, filling"},
		"filling in the middle":      {put(5, 1, strings.Repeat("9", 94)), "record 5, entry or batch control"},
		"a block of filling":         {func(f []byte) []byte { return append(f, f[95*21:]...) }, "whole blocks"},
		"record size":                {put(1, 35, "095"), "record size"},
		"blocking factor":            {put(1, 38, "01"), "blocking factor"},
		"date of the file":           {put(1, 24, "261325"), "record 1, file header"},
		"time of the file":           {put(1, 30, "2575"), "record 1, file header"},
		"modifier":                   {put(1, 34, "b"), "FileIDModifier"},
		"service class":              {put(2, 2, "201"), "ServiceClassCode"},
		"class that is never sent":   {put(2, 51, "CTX"), "record 2, batch header: its standard entry class"},
		"no class":                   {put(2, 51, "ZZZ"), "StandardEntryClassCode"},
		"international change":       {put(12, 5, "IATCOR          "), "record 12, batch header: its standard entry class"},
		"batch numbers descend":      {put(8, 88, "0000001"), "record 8, batch header: batch numbers"},
		"batch number":               {put(2, 88, "000000A"), "batch number"},
		"batch without an end":       {without(7), "record 7, entry or batch control"},
		"batch end without a batch":  {twice(7), "record 8, batch header or file control"},
		"addenda outside a batch":    {without(2), "record 2, batch header or file control"},
		"addenda without an entry":   {without(3), "record 3, addenda"},
		"two addenda":                {twice(4), "record 5, addenda"},
		"entry without its addenda":  {without(4), "record 4, addenda"},
		"entry without addenda":      {all(without(4), put(3, 79, "0")), "record 3, entry: it has no addenda"},
		"addenda indicator":          {put(3, 79, "2"), "record 3, entry"},
		"the same return twice":      {put(6, 7, odfi+"0000001"), "stands in record 3"},
		"new entry":                  {put(3, 2, "27"), "record 3, entry: its transaction code"},
		"prenotification":            {put(3, 2, "28"), "record 3, entry: its transaction code"},
		"transaction code":           {put(3, 2, "20"), "TransactionCode"},
		"routing number":             {put(3, 4, "X"), "routing number"},
		"check digit":                {put(3, 12, "8"), "record 3, entry"},
		"amount is no number":        {put(3, 30, " "), "amount"},
		"amount":                     {put(3, 39, "1"), "record 7, batch control"},
		"trace number of the answer": {put(3, 80, "09100001"), "record 4, addenda: its trace number"},
		"answers descend":            {all(put(3, 94, "5"), put(4, 94, "5")), "record 7, batch control"},
		"another bank's trace":       {all(put(3, 80, "09100001"), put(4, 80, "09100001")), "record 7, batch control"},
		"original trace":             {put(4, 7, "0910000100000A1"), "15 digits"},
		"unknown return":             {put(4, 4, "R99"), "ReturnCode"},
		"dishonoured return":         {put(4, 4, "R61"), "dishonoured"},
		"contested return":           {put(4, 4, "R74"), "dishonoured or contested"},
		"unknown change":             {put(14, 4, "C44"), "ChangeCode"},
		"refused change":             {put(14, 4, "C62"), "refused notice of change"},
		"change without its data":    {put(14, 36, strings.Repeat(" ", 29)), "CorrectedData"},
		"change of an amount":        {put(13, 39, "1"), "record 15, batch control"},
		"return among changes":       {put(14, 2, "99R01"), "record 14, addenda: its type"},
		"change among returns":       {put(4, 2, "98C01"), "record 4, addenda: its type"},
		"acknowledged amount":        {put(17, 39, "1"), "record 20, batch control"},
		"acknowledged trace":         {put(17, 40, "TABLE-7        "), "record 17, entry"},
		"acknowledged debit":         {put(17, 2, "29"), "record 17, entry: its transaction code"},
		"acknowledgement's addenda":  {put(19, 94, "1"), "record 19, addenda: its trace number"},
		"addenda's own number":       {put(19, 87, "2"), "record 19, addenda: its sequence number"},
		"count of a batch":           {put(7, 10, "5"), "EntryAddendaCount"},
		"hash of a batch":            {put(7, 20, "9"), "EntryHash"},
		"debits of a batch":          {put(7, 32, "9"), "TotalDebitEntryDollarAmount"},
		"credits of a batch":         {put(7, 44, "9"), "TotalCreditEntryDollarAmount"},
		"company of a batch":         {put(7, 45, "X"), "CompanyIdentification"},
		"bank of a batch":            {put(7, 87, "9"), "ODFIIdentification"},
		"number of a batch":          {put(7, 94, "9"), "BatchNumber"},
		"class of a batch":           {put(7, 2, "225"), "ServiceClassCode"},
		"total is no number":         {put(7, 21, "            "), "batch control: a count, hash, total"},
		"count of batches":           {put(21, 7, "5"), "count of batches"},
		"count of blocks":            {put(21, 13, "4"), "count of blocks"},
		"count of entries":           {put(21, 21, "9"), "count of entries"},
		"hash of the file":           {put(21, 31, "1"), "entry hash"},
		"debits of the file":         {put(21, 43, "9"), "total of debits"},
		"credits of the file":        {put(21, 55, "9"), "total of credits"},
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

// Our own files hold no answers: whoever hands one back sees it refused.
func TestPaymentsAreNoAnswers(t *testing.T) {
	plan, entry := oneBatch(t)
	file, _, err := write(plan, []nacha.Entry{entry})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nacha.Read(bytes.NewReader(file)); !errors.Is(err, nacha.ErrFile) || !strings.Contains(err.Error(), "new entries") {
		t.Errorf("error %v, want ErrFile", err)
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

// agrees reads a file, and checks that the answer is ErrFile, or one that moov-io/ach takes too and in which every item is whole. It tells
// whether the file was taken.
func agrees(t *testing.T, file []byte) bool {
	t.Helper()
	got, err := nacha.Read(bytes.NewReader(file))
	if err != nil {
		if !errors.Is(err, nacha.ErrFile) || !reflect.DeepEqual(got, nacha.Answer{}) {
			t.Fatalf("error %v beside %+v", err, got)
		}
		return false
	}
	reader := ach.NewReader(bytes.NewReader(file))
	reader.SetValidation(&ach.ValidateOpts{BypassDestinationValidation: true, AllowZeroBatches: true})
	read, err := reader.Read()
	if err == nil {
		err = read.Validate()
	}
	if err != nil {
		t.Fatalf("taken, but moov-io/ach says %v", err)
	}
	entries := 0
	for _, b := range read.Batches {
		entries += len(b.GetEntries())
	}
	if entries != len(got.Items) {
		t.Fatalf("%d items of %d entries", len(got.Items), entries)
	}
	for _, item := range got.Items {
		if len(item.Trace) != 15 || len(item.Own) != 15 || (item.Kind == nacha.Acknowledgement) != (item.Code == "") || item.Amount < 0 {
			t.Fatalf("item %+v", item)
		}
	}
	return true
}

// Each character of the file in turn is damaged in four ways. No damage to counts, hashes, totals, routing numbers, amounts and the
// answers' own trace numbers goes unnoticed. What the format holds once only, as the trace number of the original entry, it cannot protect: the
// caller knows which entries it sent, and of what amount.
func TestDamageOfOneCharacter(t *testing.T) {
	good := answers(t)
	columns := map[byte][][2]int{ // of a record type, from 1: columns of which any damage is refused
		'6': {{1, 1}, {4, 12}, {30, 39}, {79, 94}}, '8': {{1, 54}, {80, 94}}, '9': {{1, 55}}, '5': {{1, 1}, {41, 50}, {80, 87}}, '7': {{1, 3}, {84, 94}},
	}
	taken := 0
	for i, was := range good {
		for _, c := range []byte("07 Z") {
			if c == was {
				continue
			}
			file := bytes.Clone(good)
			file[i] = c
			if !agrees(t, file) {
				continue
			}
			taken++
			for _, column := range columns[good[i/95*95]] {
				at := i%95 + 1
				lone := i/95+1 == 17 && at >= 80 // the trace number of an answer without addenda stands nowhere else
				if at >= column[0] && at <= column[1] && !lone {
					t.Errorf("record %d, column %d: %q instead of %q was taken", i/95+1, at, c, was)
				}
			}
		}
	}
	if taken == 0 {
		t.Error("nothing was taken, not even other names")
	}
}

// FuzzRead: whatever comes, it is refused or taken as moov-io/ach takes it.
func FuzzRead(f *testing.F) {
	f.Add(answers(f))
	f.Add(bytes.ReplaceAll(answers(f), []byte("\n"), nil))
	f.Add([]byte(strings.Repeat("9", 940)))
	f.Fuzz(func(t *testing.T, file []byte) { agrees(t, file) })
}
