package nacha_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/moov-io/ach"

	"nightdrop/vault/internal/account"
	"nightdrop/vault/internal/acquirer/nacha"
)

// Three companies, three classes, checking and savings, a name to be cut and transliterated.
func TestFileOfSeveralCompanies(t *testing.T) {
	plan, entry := oneBatch(t)
	cafe, roast := plan.Batches[0].Company, nacha.Company{Name: "Roast & Sons", ID: "9876543210"}
	next := day(2026, 11, 24)
	plan.Batches = append(plan.Batches,
		nacha.Batch{Company: roast, Standard: nacha.WEB, Description: nacha.Purchase, Effective: next, Number: 2},
		nacha.Batch{Company: cafe, Standard: nacha.PPD, Description: "REFUND", Effective: next, Number: 3},
		nacha.Batch{Company: roast, Standard: nacha.CCD, Description: "PAYOUT", Effective: day(2026, 11, 25), Number: 4})
	batches := [][]nacha.Entry{
		{entry, {Trace: nacha.TraceNumber(odfi, 2), Amount: 9_999_999_999, Identification: "TABLE-8", Bank: bank(t, "021000021", "0042", "savings", "José Ñáñez de la Torre y Müller")}},
		{{Trace: nacha.TraceNumber(odfi, 3), Amount: 1, Bank: bank(t, "322271627", "7654321", "checking", "Łukasz Żółć")}},
		{{Trace: nacha.TraceNumber(odfi, 5), Credit: true, Amount: 1250, Identification: "TABLE-7", Bank: bank(t, "011000015", "12345678901234567", "checking", "Ada Lovelace")}},
		{{Trace: nacha.TraceNumber(odfi, 9), Credit: true, Amount: 700_000, Identification: "INVOICE 77", Bank: bank(t, "121000248", "99887766", "savings", "Green Beans Ltd.")}},
	}
	file, sums, err := write(plan, batches...)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "payments.ach", file)
	digest := sha256.Sum256(file)
	want := nacha.Sums{
		Entries: 5, Debits: 9_999_999_999 + 1250 + 1, Credits: 1250 + 700_000, EntryHash: 1100001 + 2100002 + 32227162 + 1100001 + 12100024,
		SHA256: hex.EncodeToString(digest[:]), Bytes: int64(len(file)),
	}
	if sums != want {
		t.Errorf("sums %+v, want %+v", sums, want)
	}
	again, _, err := write(plan, batches...)
	if err != nil || !bytes.Equal(file, again) {
		t.Errorf("the same plan gave other bytes (error %v)", err)
	}
	checkByMoov(t, file, sums)
}

// checkByMoov reads a written file as a bank does, counts and totals included.
func checkByMoov(t *testing.T, file []byte, sums nacha.Sums) {
	t.Helper()
	if len(file)%(10*95) != 0 {
		t.Errorf("%d bytes are not blocks of ten lines", len(file))
	}
	reader := ach.NewReader(bytes.NewReader(file))
	// the origin is a number that the bank assigned
	reader.SetValidation(&ach.ValidateOpts{BypassOriginValidation: true})
	read, err := reader.Read()
	if err == nil {
		err = read.Validate()
	}
	if err != nil {
		t.Fatal(err)
	}
	if c := read.Control; c.EntryAddendaCount != sums.Entries || int64(c.TotalDebitEntryDollarAmountInFile) != sums.Debits ||
		int64(c.TotalCreditEntryDollarAmountInFile) != sums.Credits || uint64(c.EntryHash) != sums.EntryHash || c.BlockCount != len(file)/950 {
		t.Errorf("file control %+v, sums %+v", c, sums)
	}
	for _, b := range read.Batches {
		header := b.GetHeader()
		if header.StandardEntryClassCode == "WEB" && (header.CompanyEntryDescription != "PURCHASE" || header.ServiceClassCode != ach.DebitsOnly) {
			t.Errorf("WEB batch %d is described %q, class %d", header.BatchNumber, header.CompanyEntryDescription, header.ServiceClassCode)
		}
	}
}

// A file of ten records needs no filling; one of eleven needs nine lines of it.
func TestBlocksAreFilled(t *testing.T) {
	plan, entry := oneBatch(t)
	for _, c := range []struct{ entries, lines int }{{1, 10}, {6, 10}, {7, 20}, {16, 20}, {17, 30}} {
		var batch []nacha.Entry
		for i := range c.entries {
			entry.Trace = nacha.TraceNumber(odfi, uint32(i+1))
			batch = append(batch, entry)
		}
		file, sums, err := write(plan, batch)
		if err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(file, []byte("\n")); lines != c.lines {
			t.Errorf("%d entries: %d lines, want %d", c.entries, lines, c.lines)
		}
		checkByMoov(t, file, sums)
	}
}

// A batch's total has twelve digits, and the hash the ten lowest.
func TestTotalsAtTheirLimit(t *testing.T) {
	plan, entry := oneBatch(t)
	entry.Bank = bank(t, "999999992", "4711", "checking", "Max")
	fill := func(last int64) []nacha.Entry {
		var batch []nacha.Entry
		for i := range 101 {
			entry.Trace, entry.Amount = nacha.TraceNumber(odfi, uint32(i+1)), 9_999_999_999
			if i == 100 {
				entry.Amount = last
			}
			batch = append(batch, entry)
		}
		return batch
	}
	file, sums, err := write(plan, fill(99))
	if err != nil {
		t.Fatal(err)
	}
	if sums.Debits != 999_999_999_999 || sums.EntryHash != 101*99_999_999%10_000_000_000 {
		t.Errorf("sums %+v", sums)
	}
	checkByMoov(t, file, sums)
	if _, _, err := write(plan, fill(100)); !errors.Is(err, nacha.ErrPlan) {
		t.Errorf("a cent over the limit of a batch: %v, want ErrPlan", err)
	}
	second := plan.Batches[0]
	second.Number = 2
	plan.Batches = append(plan.Batches, second)
	if _, _, err := write(plan, fill(99), fill(1)[100:]); !errors.Is(err, nacha.ErrPlan) || !strings.Contains(err.Error(), "several files") {
		t.Errorf("a cent over the limit of a file: %v, want ErrPlan", err)
	}
}

func TestPlansThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		defect func(*nacha.Plan, []nacha.Entry) []nacha.Entry
		says   string
	}{
		"destination's check digit": {plan(func(p *nacha.Plan) { p.Bank.ImmediateDestination = "091000018" }), "immediate destination"},
		"destination of zeros":      {plan(func(p *nacha.Plan) { p.Bank.ImmediateDestination = "000000000" }), "immediate destination"},
		"destination's name":        {plan(func(p *nacha.Plan) { p.Bank.DestinationName = strings.Repeat("B", 24) }), "destination name"},
		"origin":                    {plan(func(p *nacha.Plan) { p.Bank.ImmediateOrigin = "12345678" }), "immediate origin"},
		"origin's name":             {plan(func(p *nacha.Plan) { p.Bank.OriginName = "Café" }), "origin name"},
		"ODFI":                      {plan(func(p *nacha.Plan) { p.Bank.ODFI = "0910000" }), "ODFI"},
		"modifier":                  {plan(func(p *nacha.Plan) { p.Modifier = 'a' }), "modifier"},
		"no time":                   {plan(func(p *nacha.Plan) { p.Created = time.Time{} }), "time of creation"},
		"no batches":                {plan(func(p *nacha.Plan) { p.Batches = nil }), "0 batches"},
		"company's name":            {plan(func(p *nacha.Plan) { p.Batches[0].Company.Name = "SEVENTEEN LETTERS" }), "batch 1: company name"},
		"company of zeros":          {plan(func(p *nacha.Plan) { p.Batches[0].Company.ID = "000" }), "company identification"},
		"class":                     {plan(func(p *nacha.Plan) { p.Batches[0].Standard = "CTX" }), "entry class"},
		"WEB without PURCHASE":      {plan(func(p *nacha.Plan) { p.Batches[0].Description = "SALE" }), "PURCHASE"},
		"description":               {plan(func(p *nacha.Plan) { p.Batches[0].Description = "" }), "entry description"},
		"no date":                   {plan(func(p *nacha.Plan) { p.Batches[0].Effective = time.Time{} }), "effective date"},
		"batch number":              {plan(func(p *nacha.Plan) { p.Batches[0].Number = 0 }), "ascend"},
		"batch numbers descend": {plan(func(p *nacha.Plan) {
			p.Batches = append(p.Batches, p.Batches[0])
		}), "batch 2: batch numbers ascend"},
		"credits in WEB":        {entry(func(e *nacha.Entry) { e.Credit = true }), "WEB batches hold debits"},
		"debits in PPD":         {plan(func(p *nacha.Plan) { p.Batches[0].Standard = nacha.PPD }), "PPD and CCD batches credits"},
		"trace of another bank": {entry(func(e *nacha.Entry) { e.Trace = "091000020000001" }), "originating bank"},
		"trace too short":       {entry(func(e *nacha.Entry) { e.Trace = odfi + "000001" }), "trace number"},
		"amount of nothing":     {entry(func(e *nacha.Entry) { e.Amount = 0 }), "amount"},
		"amount below nothing":  {entry(func(e *nacha.Entry) { e.Amount = -1 }), "amount"},
		"amount of 11 digits":   {entry(func(e *nacha.Entry) { e.Amount = 10_000_000_000 }), "amount"},
		"identification":        {entry(func(e *nacha.Entry) { e.Identification = "SIXTEEN LETTERS!" }), "identification"},
		"identification's characters": {entry(func(e *nacha.Entry) {
			e.Identification = "A\nB"
		}), "identification"},
		"no account":      {entry(func(e *nacha.Entry) { e.Bank = nil }), "bank account"},
		"cleared account": {entry(func(e *nacha.Entry) { e.Bank = new(account.Bank) }), "bank account"},
		"routing number's check digit": {entry(func(e *nacha.Entry) {
			e.Bank = bank(t, "011000016", "12345678901234567", "checking", "Ada")
		}), "RDFIIdentification"},
		"the same trace twice": {func(_ *nacha.Plan, es []nacha.Entry) []nacha.Entry { return append(es, es[0]) }, "batch 1, entry 2: trace numbers ascend"},
		"debits and credits": {func(_ *nacha.Plan, es []nacha.Entry) []nacha.Entry {
			second := es[0]
			second.Credit, second.Trace = true, nacha.TraceNumber(odfi, 2)
			return append(es, second)
		}, "never both"},
		"no entries": {func(*nacha.Plan, []nacha.Entry) []nacha.Entry { return nil }, "no entries"},
	} {
		t.Run(name, func(t *testing.T) {
			p, e := oneBatch(t)
			batch := c.defect(&p, []nacha.Entry{e})
			_, _, err := write(p, batch, batch)
			if !errors.Is(err, nacha.ErrPlan) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v, want ErrPlan that says %q", err, c.says)
			}
			if strings.Contains(err.Error(), "12345678901234567") || strings.Contains(err.Error(), "Ada") {
				t.Error("the error repeats account data")
			}
		})
	}
}

func plan(defect func(*nacha.Plan)) func(*nacha.Plan, []nacha.Entry) []nacha.Entry {
	return func(p *nacha.Plan, es []nacha.Entry) []nacha.Entry {
		defect(p)
		return es
	}
}

func entry(defect func(*nacha.Entry)) func(*nacha.Plan, []nacha.Entry) []nacha.Entry {
	return func(_ *nacha.Plan, es []nacha.Entry) []nacha.Entry {
		defect(&es[0])
		return es
	}
}

func TestErrorsOfOthersAreKept(t *testing.T) {
	p, e := oneBatch(t)
	full := errors.New("disk full")
	if _, err := writeTo(failing{full}, p, []nacha.Entry{e}); !errors.Is(err, full) {
		t.Errorf("error %v, want the writer's", err)
	}
}

func TestBatchesArePlanned(t *testing.T) {
	p, e := oneBatch(t)
	for _, batches := range [][][]nacha.Entry{{}, {{e}, {e}}} {
		if _, _, err := write(p, batches...); !errors.Is(err, nacha.ErrPlan) {
			t.Errorf("%d batches where one is planned: %v", len(batches), err)
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestTraceNumbers(t *testing.T) {
	for sequence, want := range map[uint32]string{1: "091000010000001", 9_999_999: "091000019999999", 10_000_001: "091000010000001"} {
		if got := nacha.TraceNumber(odfi, sequence); got != want {
			t.Errorf("sequence %d: %s, want %s", sequence, got, want)
		}
	}
}

// An account from before routing numbers were checked against the table of districts is written
// too.
func TestEntryOfADistrictThatIsNone(t *testing.T) {
	plan, entry := oneBatch(t)
	entry.Bank = bank(t, "990000000", "0012345678", "checking", "Ann")
	file, _, err := write(plan, []nacha.Entry{entry})
	if err != nil || !bytes.Contains(file, []byte("627990000000"+"0012345678")) {
		t.Errorf("%v\n%s", err, file)
	}
}
