package settle

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moov-io/ach"

	"nightdrop/ops/simulator/bank"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/payment"
)

// amountReturned makes the simulator's bank return an entry with R02, account closed. (INTERFACES 10)
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

// TestAnswersOfTheBank: a return, which blocks the account, and an acknowledgement of a payout; the same file again does nothing.
func TestAnswersOfTheBank(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	payout := c.send(c.shop.Payout(5000))
	ids := c.settled(amountReturned, 100)
	e := c.engine(nil)
	name, text := c.bankAnswers()
	done, err := e.ImportAnswers(t.Context(), "/media/stick/"+name, bytes.NewReader(text), operator())
	c.must(err)
	if done.Returns != 1 || done.Acknowledgements != 1 || done.Repeats != 0 || done.Already || len(done.Digest) != 64 {
		t.Errorf("imported %+v", done)
	}
	c.want("the returned sale", ids[0], payment.StageReturned, "ach-R02", "accepted", "settled", "returned")
	c.want("the other sale", ids[1], payment.StageSettled, envelope.CodeOK, "accepted", "settled")
	if p := c.Payment("shop-1", payout); !p.Acked || p.Stage != payment.StageSettled {
		t.Errorf("the payout is %+v", p)
	}
	blocked := c.send(c.shop.BankSale(100))
	c.want("another sale from the closed account", blocked, payment.StageRejected, envelope.CodeBlockedAccount, "rejected")

	before := c.logSize()
	again, err := e.ImportAnswers(t.Context(), "copy of "+name, bytes.NewReader(text), operator())
	c.must(err)
	if !again.Already || again.Digest != done.Digest || again.Returns != 0 || c.logSize() != before {
		t.Errorf("the same file again: %+v, %d events", again, c.logSize()-before)
	}
}

// answerFile is a file of returns as a bank makes it.
type answerFile struct {
	created string // YYMMDD
	entries []*ach.EntryDetail
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
	file := ach.NewFile()
	header := ach.NewFileHeader()
	header.ImmediateDestination, header.ImmediateDestinationName, header.ImmediateOrigin, header.ImmediateOriginName = "091000019", "NIGHTDROP VAULT", "011000015", "BANK"
	header.FileCreationDate, header.FileCreationTime, header.FileIDModifier = f.created, "0615", "B"
	file.SetHeader(header)
	for i, e := range f.entries {
		h := ach.NewBatchHeader()
		h.ServiceClassCode, h.StandardEntryClassCode, h.CompanyEntryDescription = ach.MixedDebitsAndCredits, "WEB", "PURCHASE"
		if e.Category == ach.CategoryNOC {
			h.StandardEntryClassCode = "COR"
		}
		h.CompanyName, h.CompanyIdentification, h.EffectiveEntryDate, h.ODFIIdentification, h.BatchNumber = "THE SHOP", "1234567890", "261125", "01100001", i+1
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
	var out bytes.Buffer
	if err := ach.NewWriter(&out).Write(file); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func (c *counter) importing(f answerFile) (Import, error) {
	c.t.Helper()
	return c.engine(nil).ImportAnswers(c.t.Context(), "returns.ach", bytes.NewReader(f.bytes(c.t.(*testing.T))), operator())
}

const today = "261124"

// TestAnswersThatComeAgain in other files are counted; a change is noted once, also of an entry that came back.
func TestAnswersThatComeAgain(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	trace := c.Payment("shop-1", c.settled(100)[0]).Entry
	returned, changed := answerOf(trace, "R01", 100, ach.CheckingReturnNOCDebit), answerOf(trace, "C01", 0, ach.CheckingReturnNOCDebit)
	first, err := c.importing(answerFile{today, []*ach.EntryDetail{returned}})
	c.must(err)
	second, err := c.importing(answerFile{"261123", []*ach.EntryDetail{returned, changed}})
	c.must(err)
	third, err := c.importing(answerFile{"261122", []*ach.EntryDetail{changed}})
	c.must(err)
	if first.Returns != 1 || second.Returns != 0 || second.Repeats != 1 || second.Changes != 1 || third.Changes != 0 || third.Repeats != 1 {
		t.Errorf("imported %+v, %+v, %+v", first, second, third)
	}
	if n := c.State().Findings[payment.FindingAnswerFile]; n != 0 {
		t.Errorf("%d findings", n)
	}
}

// TestAnswerFilesRefusedWhole: one thing is wrong with each, nothing of it is applied, and the log says why.
func TestAnswerFilesRefusedWhole(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	ids := c.settled(100, 200)
	one, two := c.Payment("shop-1", ids[0]).Entry, c.Payment("shop-1", ids[1]).Entry
	waiting := c.interrupted(fullDisk{appear: errCrash})
	good := func() *ach.EntryDetail { return answerOf(one, "R01", 100, ach.CheckingReturnNOCDebit) }
	debit, credit := ach.CheckingReturnNOCDebit, ach.CheckingReturnNOCCredit
	findings := 0
	for name, test := range map[string]struct {
		bad     *ach.EntryDetail
		created string
		why     string
	}{
		"a trace number of nobody":        {answerOf("091000019999999", "R01", 200, debit), today, "record 7, trace number 091000019999999: no entry of ours"},
		"another amount":                  {answerOf(two, "R01", 201, debit), today, "its amount is not"},
		"a credit where ours was a debit": {answerOf(two, "R01", 200, credit), today, "the other way round"},
		"an entry that is not out":        {answerOf(c.Payment("shop-1", waiting).Entry, "R01", 100, debit), today, "the entry is filing"},
		"an old file":                     {answerOf(two, "R01", 200, debit), "260520", "over 180 days ago"},
		"the same entry twice":            {answerOf(one, "R02", 100, debit), today, "entry: an answer of the same kind"},
	} {
		f := answerFile{test.created, []*ach.EntryDetail{good(), test.bad}}
		_, err := c.importing(f)
		if !errors.Is(err, ErrAnswerFile) || !strings.Contains(err.Error(), test.why) {
			t.Errorf("%s: %v, want %q", name, err, test.why)
		}
		findings++
	}
	broken := answerFile{today, []*ach.EntryDetail{good()}}.bytes(t)
	if _, err := c.engine(nil).ImportAnswers(t.Context(), "returns-20261123-000006.ach", bytes.NewReader(broken[:len(broken)/2]), operator()); !errors.Is(err, ErrAnswerFile) || !errors.Is(err, nacha.ErrFile) {
		t.Errorf("half a file: %v", err)
	}
	details := c.findings(payment.FindingAnswerFile)
	if len(details) != findings+1 || !strings.HasPrefix(details[len(details)-1], `file "returns-20261123-000006.ach": nacha: the file is refused: `) {
		t.Errorf("findings %q", details)
	}
	for _, d := range details {
		if strings.Contains(d, "12345678") || strings.Contains(d, "SHOPPER") {
			t.Errorf("a finding repeats account data: %s", d)
		}
	}
	for _, id := range ids {
		c.want("the sale", id, payment.StageSettled, envelope.CodeOK, "accepted", "settled")
	}
	first, err := c.importing(answerFile{today, []*ach.EntryDetail{good()}})
	c.must(err)
	if first.Returns != 1 {
		t.Errorf("imported %+v", first)
	}
	_, err = c.importing(answerFile{today, []*ach.EntryDetail{answerOf(one, "R02", 100, debit)}})
	if !errors.Is(err, ErrAnswerFile) || !strings.Contains(err.Error(), "for another reason") {
		t.Errorf("returned again for another reason: %v", err)
	}
}
