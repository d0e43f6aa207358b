package settle

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moov-io/ach"

	"nightdrop/ops/simulator/bank"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/vaulttest"
)

// amountReturned makes the simulator's bank return an entry with R02, account closed.
// (specification 10)
const amountReturned = 900_202

// settled takes and settles bank sales of these amounts, and returns their ids.
func (c *counter) settled(amounts ...int64) (ids []string) {
	c.t.Helper()
	for _, amount := range amounts {
		ids = append(ids, c.send(c.shop.BankSale(amount)))
	}
	c.endOfDay(c.engine(nil))
	return ids
}

// bankAnswers has the simulator's bank answer what is in the outbox, and reads the one new answer.
func (c *counter) bankAnswers() (name string, text []byte) {
	c.t.Helper()
	returns := c.t.TempDir()
	b, err := bank.Open(bank.Config{Outbox: c.outbox, Returns: returns, Book: filepath.Join(c.t.TempDir(), "book"), Acknowledge: true, Now: c.Clock.Now})
	c.must(err)
	c.must(b.Step())
	c.must(b.Close())
	all, err := os.ReadDir(returns)
	c.must(err)
	if len(all) != 1 {
		c.t.Fatalf("the bank answered with %v", all)
	}
	text, err = os.ReadFile(filepath.Join(returns, all[0].Name()))
	c.must(err)
	return all[0].Name(), text
}

// TestAnswersOfTheBank: a return, which blocks the account, and an acknowledgement of a payout; the
// same file again does nothing.
func TestAnswersOfTheBank(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	payout := c.send(c.shop.Payout(5000))
	ids := c.settled(amountReturned, 100)
	e := c.engine(nil)
	name, text := c.bankAnswers()
	done, err := e.ImportAnswers(t.Context(), "/media/stick/"+name, bytes.NewReader(text), person())
	c.must(err)
	if done.Returns != 1 || done.Acknowledgements != 1 || done.Repeats != 0 || done.Already || len(done.Digest) != 64 {
		t.Errorf("imported %+v", done)
	}
	c.want("the returned sale", ids[0], book.StageReturned, "ach-R02", "accepted", "settled", "returned")
	c.want("the other sale", ids[1], book.StageSettled, envelope.CodeOK, "accepted", "settled")
	if p := c.Payment("shop-1", payout); !p.Acked || p.Stage != book.StageSettled {
		t.Errorf("the payout is %+v", p)
	}
	blocked := c.send(c.shop.BankSale(100))
	c.want("another sale from the closed account", blocked, book.StageRejected, envelope.CodeBlockedAccount, "rejected")

	before := c.logSize()
	again, err := e.ImportAnswers(t.Context(), "copy of "+name, bytes.NewReader(text), person())
	c.must(err)
	if !again.Already || again.Digest != done.Digest || again.Returns != 0 || c.logSize() != before {
		t.Errorf("the same file again: %+v, %d events", again, c.logSize()-before)
	}
}

// answerFile is a file of returns as a bank makes it.
type answerFile struct {
	created  string // YYMMDD
	entries  []*ach.EntryDetail
	from, to string // "": our bank's number, and ours
	company  string // "": the shop's
}

// answerOf is the return, or the notice of change, of an entry of ours.
func answerOf(trace, code string, amount int64, transaction int) *ach.EntryDetail {
	e := ach.NewEntryDetail()
	e.TransactionCode, e.Amount, e.DFIAccountNumber, e.IndividualName = transaction, int(amount), "12345678", "B SHOPPER"
	e.SetRDFI("091000019")
	e.AddendaRecordIndicator = 1
	if strings.HasPrefix(code, "C") {
		e.Category, e.Addenda98 = ach.CategoryNOC, ach.NewAddenda98()
		e.Addenda98.ChangeCode, e.Addenda98.OriginalTrace, e.Addenda98.OriginalDFI, e.Addenda98.CorrectedData = code, trace, "01100001", "87654321"
		return e
	}
	e.Category, e.Addenda99 = ach.CategoryReturn, ach.NewAddenda99()
	e.Addenda99.ReturnCode, e.Addenda99.OriginalTrace, e.Addenda99.OriginalDFI = code, trace, "01100001"
	return e
}

func (f answerFile) bytes(t *testing.T) []byte {
	t.Helper()
	f.from, f.to, f.company = cmp.Or(f.from, "091000019"), cmp.Or(f.to, "1987654321"), cmp.Or(f.company, "1234567890")
	file := ach.NewFile()
	header := ach.NewFileHeader()
	header.ImmediateDestination, header.ImmediateDestinationName, header.ImmediateOrigin, header.ImmediateOriginName = f.to, "NIGHTDROP VAULT", f.from, "BANK"
	header.SetValidation(&ach.ValidateOpts{BypassDestinationValidation: true})
	file.SetValidation(&ach.ValidateOpts{BypassDestinationValidation: true})
	header.FileCreationDate, header.FileCreationTime, header.FileIDModifier = f.created, "0615", "B"
	file.SetHeader(header)
	for i, e := range f.entries {
		h := ach.NewBatchHeader()
		h.ServiceClassCode, h.StandardEntryClassCode, h.CompanyEntryDescription = ach.MixedDebitsAndCredits, "WEB", "PURCHASE"
		if e.Category == ach.CategoryNOC {
			h.StandardEntryClassCode = "COR"
		}
		h.CompanyName, h.CompanyIdentification, h.EffectiveEntryDate, h.ODFIIdentification, h.BatchNumber = "THE SHOP", f.company, "261125", "01100001", i+1
		e.SetTraceNumber("01100001", i+1)
		if e.Addenda98 != nil {
			e.Addenda98.TraceNumber = e.TraceNumber
		} else {
			e.Addenda99.TraceNumber = e.TraceNumber
		}
		batch, err := ach.NewBatch(h)
		if err != nil {
			t.Fatal(err)
		}
		batch.AddEntry(e)
		if err := batch.Create(); err != nil {
			t.Fatal(err)
		}
		file.AddBatch(batch)
	}
	if err := file.Create(); err != nil {
		t.Fatal(err)
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

func (c *counter) importing(f answerFile) (Import, error) {
	c.t.Helper()
	return c.engine(nil).ImportAnswers(c.t.Context(), "returns.ach", bytes.NewReader(f.bytes(c.t.(*testing.T))), person())
}

const today = "261124"

// TestAnswersThatComeAgain in other files are counted; a change is noted once, also of an entry
// that came back.
func TestAnswersThatComeAgain(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	trace := c.Payment("shop-1", c.settled(100)[0]).Entry
	returned, changed := answerOf(trace, "R01", 100, ach.CheckingReturnNOCDebit), answerOf(trace, "C01", 0, ach.CheckingReturnNOCDebit)
	first, err := c.importing(answerFile{created: today, entries: []*ach.EntryDetail{returned}})
	c.must(err)
	second, err := c.importing(answerFile{created: "261123", entries: []*ach.EntryDetail{returned, changed}})
	c.must(err)
	third, err := c.importing(answerFile{created: "261122", entries: []*ach.EntryDetail{changed}})
	c.must(err)
	if first.Returns != 1 || second.Returns != 0 || second.Repeats != 1 || second.Changes != 1 || third.Changes != 0 || third.Repeats != 1 {
		t.Errorf("imported %+v, %+v, %+v", first, second, third)
	}
	if n := c.State().Findings[book.FindingAnswerFile]; n != 0 {
		t.Errorf("%d findings", n)
	}
}

// TestAnswersThatAreLeft: each stands beside a sound return in one file. The sound one is taken,
// the other is listed with its record and why, in the import and in the log, and nothing of an
// account is repeated.
func TestAnswersThatAreLeft(t *testing.T) {
	debit, credit := ach.CheckingReturnNOCDebit, ach.CheckingReturnNOCCredit
	for name, test := range map[string]struct {
		// other is an entry of ours that is at the bank, of 200
		odd func(c *counter, other string) *ach.EntryDetail
		why string
	}{
		"a trace number of another system": {func(*counter, string) *ach.EntryDetail { return answerOf("091000019999999", "R01", 200, debit) }, "no entry of ours"},
		"a trace number of another bank":   {func(*counter, string) *ach.EntryDetail { return answerOf("041000010000001", "R01", 200, debit) }, "no entry of ours"},
		"another amount":                   {func(_ *counter, o string) *ach.EntryDetail { return answerOf(o, "R01", 201, debit) }, "its amount is not"},
		"a credit where ours was a debit":  {func(_ *counter, o string) *ach.EntryDetail { return answerOf(o, "R01", 200, credit) }, "the other way round"},
		"a dishonoured return":             {func(_ *counter, o string) *ach.EntryDetail { return answerOf(o, "R61", 200, debit) }, "dishonoured"},
		"a contested return":               {func(_ *counter, o string) *ach.EntryDetail { return answerOf(o, "R77", 200, debit) }, "contested"},
		"an entry that is not out": {func(c *counter, _ string) *ach.EntryDetail {
			return answerOf(c.Payment("shop-1", c.interrupted(fullDisk{appear: errCrash})).Entry, "R01", 100, debit)
		}, "the entry is filing"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCounter(t, 5*time.Second)
			ids := c.settled(100, 200)
			odd := test.odd(c, c.Payment("shop-1", ids[1]).Entry)
			f := answerFile{created: today, entries: []*ach.EntryDetail{answerOf(c.Payment("shop-1", ids[0]).Entry, "R01", 100, debit), odd}}
			done, err := c.importing(f)
			c.must(err)
			if done.Returns != 1 || done.LeftCount != 1 || len(done.Left) != 1 || done.Left[0].Record != 7 || !strings.Contains(done.Left[0].Problem, test.why) {
				t.Errorf("imported %+v, want %q", done, test.why)
			}
			c.want("the returned sale", ids[0], book.StageReturned, "ach-R01", "accepted", "settled", "returned")
			c.want("the other sale", ids[1], book.StageSettled, envelope.CodeOK, "accepted", "settled")
			details := c.findings(book.FindingAnswerFile)
			if len(details) != 1 || !strings.Contains(details[0], "1 of its entries are not applied, the first in record 7: "+done.Left[0].Problem) {
				t.Errorf("findings %q", details)
			}
			if text := fmt.Sprintf("%+v %q", done, details); strings.Contains(text, "12345678") || strings.Contains(text, "SHOPPER") || strings.Contains(text, "041000010000001") {
				t.Errorf("account data is repeated: %s", text)
			}
			before := c.logSize()
			again, err := c.importing(f)
			c.must(err)
			if !again.Already || again.LeftCount != 1 || again.applied() != 0 || c.logSize() != before {
				t.Errorf("again: %+v, %d events", again, c.logSize()-before)
			}
		})
	}
}

// TestWhatWasLeftIsTakenLater: an entry whose file had not been seen out is returned by the very
// file once it is.
func TestWhatWasLeftIsTakenLater(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	id := c.interrupted(fullDisk{appear: errCrash, keep: true})
	f := answerFile{created: today, entries: []*ach.EntryDetail{answerOf(c.Payment("shop-1", id).Entry, "R01", 100, ach.CheckingReturnNOCDebit)}}
	first, err := c.importing(f)
	c.must(err)
	c.endOfDay(c.engine(nil))
	second, err := c.importing(f)
	c.must(err)
	third, err := c.importing(f)
	c.must(err)
	if first.LeftCount != 1 || second.Returns != 1 || second.LeftCount != 0 || second.Already || !third.Already {
		t.Errorf("imported %+v, %+v, %+v", first, second, third)
	}
	c.want("the sale", id, book.StageReturned, "ach-R01", "accepted", "settled", "returned")
}

// TestAnswersOfAnotherCompany are none of ours, though a trace number, an amount and the bank fit;
// an entry keeps the company that it went out under.
func TestAnswersOfAnotherCompany(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	id := c.settled(100)[0]
	entry := func() []*ach.EntryDetail {
		return []*ach.EntryDetail{answerOf(c.Payment("shop-1", id).Entry, "R01", 100, ach.CheckingReturnNOCDebit)}
	}
	done, err := c.importing(answerFile{created: today, entries: entry(), company: "9999999999"})
	c.must(err)
	if done.Returns != 0 || done.LeftCount != 1 || !strings.Contains(done.Left[0].Problem, "its company is not") {
		t.Errorf("imported %+v", done)
	}
	policy := vaulttest.Policy()
	policy.Company.ID = "2222222222"
	c.Append("shop-1", book.MerchantPolicySet{Policy: policy})
	done, err = c.importing(answerFile{created: today, entries: entry()})
	c.must(err)
	if done.Returns != 1 || done.LeftCount != 0 {
		t.Errorf("under the company that it went out under: %+v", done)
	}
}

// TestFilesOfOthers: the control records hold, one trace number fits, and yet the file is not our
// bank's for us, or too old. Nothing is taken.
func TestFilesOfOthers(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	id := c.settled(100)[0]
	entries := func() []*ach.EntryDetail {
		return []*ach.EntryDetail{answerOf(c.Payment("shop-1", id).Entry, "R01", 100, ach.CheckingReturnNOCDebit)}
	}
	findings := 0
	for name, test := range map[string]struct {
		file answerFile
		why  string
	}{
		"of another bank":     {answerFile{created: today, entries: entries(), from: "011000015"}, "bank.answers_from"},
		"for somebody else":   {answerFile{created: today, entries: entries(), to: "1987654322"}, "bank.answers_to"},
		"our own, given back": {answerFile{created: today, entries: entries(), from: "1987654321", to: "091000019"}, "bank.answers_from"},
		"of another year":     {answerFile{created: "260520", entries: entries()}, "over 180 days ago"},
	} {
		done, err := c.importing(test.file)
		if !errors.Is(err, ErrOthersFile) || errors.Is(err, ErrAnswerFile) || !strings.Contains(err.Error(), test.why) || done.applied() != 0 {
			t.Errorf("%s: %v, want %q", name, err, test.why)
		}
		findings++
	}
	if details := c.findings(book.FindingAnswerFile); len(details) != findings {
		t.Errorf("findings %q", details)
	}
	c.want("the sale", id, book.StageSettled, envelope.CodeOK, "accepted", "settled")

	f := answerFile{created: today, entries: entries(), from: "011000015", to: "1987654322"}
	known := c.engine(func(cfg *Config) {
		cfg.Bank.AnswersFrom, cfg.Bank.AnswersTo = []string{"011000015"}, []string{"1", "1987654322"}
	})
	done, err := known.ImportAnswers(t.Context(), "returns.ach", bytes.NewReader(f.bytes(t)), person())
	c.must(err)
	if done.Returns != 1 {
		t.Errorf("by numbers of the settings: %+v", done)
	}
	if _, err := c.engine(func(cfg *Config) { cfg.Bank = nil }).ImportAnswers(t.Context(), "returns.ach", bytes.NewReader(f.bytes(t)), person()); !errors.Is(err, ErrConflict) {
		t.Errorf("without a bank: %v", err)
	}
}

// TestAnswerFilesRefusedWhole: a file that its control records do not prove, and nothing of it is
// applied.
func TestAnswerFilesRefusedWhole(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	ids := c.settled(100)
	f := answerFile{created: today, entries: []*ach.EntryDetail{answerOf(c.Payment("shop-1", ids[0]).Entry, "R01", 100, ach.CheckingReturnNOCDebit)}}
	broken := f.bytes(t)
	for _, text := range [][]byte{broken[:len(broken)/2], bytes.Replace(broken, []byte("0000000100"), []byte("0000000101"), 1)} {
		_, err := c.engine(nil).ImportAnswers(t.Context(), "returns-20261123-000006.ach", bytes.NewReader(text), person())
		if !errors.Is(err, ErrAnswerFile) || !errors.Is(err, nacha.ErrFile) {
			t.Errorf("a broken file: %v", err)
		}
	}
	details := c.findings(book.FindingAnswerFile)
	if len(details) != 2 || !strings.HasPrefix(details[1], `file "returns-20261123-000006.ach": the file is refused: `) {
		t.Errorf("findings %q", details)
	}
	for _, d := range details {
		if strings.Contains(d, "12345678") || strings.Contains(d, "SHOPPER") {
			t.Errorf("a finding repeats account data: %s", d)
		}
	}
	c.want("the sale", ids[0], book.StageSettled, envelope.CodeOK, "accepted", "settled")
}

// TestAnEntryComesBackOnce: in one file, or in several, another reason is listed and the same one
// is a repeat.
func TestAnEntryComesBackOnce(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	id := c.settled(100)[0]
	one := func(code string) *ach.EntryDetail {
		return answerOf(c.Payment("shop-1", id).Entry, code, 100, ach.CheckingReturnNOCDebit)
	}
	done, err := c.importing(answerFile{created: today, entries: []*ach.EntryDetail{one("R01"), one("R02"), one("R01")}})
	c.must(err)
	if done.Returns != 1 || done.Repeats != 1 || done.LeftCount != 1 || !strings.Contains(done.Left[0].Problem, "came back before, with R01") {
		t.Errorf("imported %+v", done)
	}
	done, err = c.importing(answerFile{created: "261123", entries: []*ach.EntryDetail{one("R03"), one("R01"), one("R72")}})
	c.must(err)
	if done.Returns != 0 || done.Repeats != 1 || done.LeftCount != 2 || done.Left[1].Code != "R03" && done.Left[0].Code != "R03" {
		t.Errorf("imported %+v", done)
	}
	c.want("the sale", id, book.StageReturned, "ach-R01", "accepted", "settled", "returned")
}

// TestSeveralNoticesOfChange: each code is told once, whichever files bring it.
func TestSeveralNoticesOfChange(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	id := c.settled(100)[0]
	one := func(code string) *ach.EntryDetail {
		return answerOf(c.Payment("shop-1", id).Entry, code, 0, ach.CheckingReturnNOCDebit)
	}
	first, err := c.importing(answerFile{created: today, entries: []*ach.EntryDetail{one("C01"), one("C05"), one("C01")}})
	c.must(err)
	second, err := c.importing(answerFile{created: "261123", entries: []*ach.EntryDetail{one("C05"), one("C13")}})
	c.must(err)
	if first.Changes != 2 || first.Repeats != 1 || first.LeftCount != 0 || second.Changes != 1 || second.Repeats != 1 {
		t.Errorf("imported %+v, %+v", first, second)
	}
	c.want("the sale", id, book.StageSettled, envelope.CodeOK, "accepted", "settled", "noted", "noted", "noted")
}

// TestNoticesOfOldLogs were told to nobody: where the bank says so again, the shop is told.
func TestNoticesOfOldLogs(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	id := c.settled(100)[0]
	c.Append("shop-1", book.ChangeNotified{ID: id, Code: "C01"})
	c.want("the sale", id, book.StageSettled, envelope.CodeOK, "accepted", "settled")
	f := answerFile{created: today, entries: []*ach.EntryDetail{answerOf(c.Payment("shop-1", id).Entry, "C01", 0, ach.CheckingReturnNOCDebit)}}
	done, err := c.importing(f)
	c.must(err)
	if done.Changes != 1 {
		t.Errorf("imported %+v", done)
	}
	c.want("the sale", id, book.StageSettled, envelope.CodeOK, "accepted", "settled", "noted")
}
