package nacha

import (
	"fmt"

	"github.com/moov-io/ach"

	"nightdrop/vault/internal/account"
)

// placeholder replaces account numbers and names in moov-io/ach's strings.
const placeholder = "X"

// openBatch is a batch that is being written. moov-io/ach holds its entries too, with placeholders,
// and validates the whole at the end.
type openBatch struct {
	planned  Batch
	position int // from 1
	odfi     string
	out      *recordWriter
	batch    ach.Batcher // nil until the first entry gives the sign
	credit   bool
	last     string // trace number
	entries  int
	total    int64  // cents
	hash     uint64 // not yet cut to ten digits
}

// add writes one entry, and before the first the batch's header.
func (b *openBatch) add(e Entry) error {
	if err := e.check(b.odfi, b.last); err != nil {
		return b.refuse(err.Error())
	}
	if b.batch == nil {
		if err := b.begin(e.Credit); err != nil {
			return err
		}
	}
	switch {
	case e.Credit != b.credit:
		return b.refuse("a batch holds debits or credits, never both")
	case b.entries == maxBatchEntries:
		return b.refuse(fmt.Sprintf("a batch holds at most %d entries", maxBatchEntries))
	case b.total+e.Amount > maxTotal:
		return b.refuse(fmt.Sprintf("the batch's total would be over %d cents", int64(maxTotal)))
	}
	detail := b.detail(e)
	b.batch.AddEntry(detail)
	if err := detail.Validate(); err != nil {
		return b.refuse(fault(err))
	}
	record, err := b.out.record(detail.String())
	if err != nil {
		return err
	}
	printAccount(record, e.Bank)
	b.last, b.entries, b.total, b.hash = e.Trace, b.entries+1, b.total+e.Amount, b.hash+firstEight(e.Bank.Routing())
	return nil
}

// begin writes the batch's header, which says whether its entries are debits or credits.
func (b *openBatch) begin(credit bool) error {
	if credit == (b.planned.Standard == WEB) {
		return b.refuse("WEB batches hold debits, PPD and CCD batches credits")
	}
	header := ach.NewBatchHeader()
	header.ServiceClassCode = ach.DebitsOnly
	if credit {
		header.ServiceClassCode = ach.CreditsOnly
	}
	header.CompanyName, header.CompanyIdentification = b.planned.Company.Name, b.planned.Company.ID
	header.StandardEntryClassCode, header.CompanyEntryDescription = string(b.planned.Standard), b.planned.Description
	header.EffectiveEntryDate = b.planned.Effective.Format("060102")
	header.ODFIIdentification, header.BatchNumber = b.odfi, b.planned.Number
	if err := header.Validate(); err != nil {
		return fmt.Errorf("%w: batch %d: header: %s", ErrPlan, b.position, fault(err))
	}
	batch, err := ach.NewBatch(header)
	if err != nil {
		return fmt.Errorf("%w: batch %d: header: %s", ErrPlan, b.position, fault(err))
	}
	b.batch, b.credit = batch, credit
	_, err = b.out.record(header.String())
	return err
}

// detail returns the entry's record with placeholders.
func (b *openBatch) detail(e Entry) *ach.EntryDetail {
	detail := ach.NewEntryDetail()
	detail.TransactionCode = transactionCode(e.Bank.Kind(), e.Credit)
	// public; the account number never becomes a string
	routing := string(e.Bank.Routing())
	detail.RDFIIdentification, detail.CheckDigit = routing[:8], routing[8:]
	detail.DFIAccountNumber, detail.IndividualName = placeholder, placeholder
	detail.Amount, detail.IdentificationNumber, detail.TraceNumber = int(e.Amount), e.Identification, e.Trace
	if b.planned.Standard == WEB {
		detail.DiscretionaryData = "S" // payment type code: a single entry
	}
	return detail
}

// transactionCode returns the code of a live entry. (appendix three, 3.4)
func transactionCode(kind account.BankKind, credit bool) int {
	switch {
	case kind == account.Savings && credit:
		return ach.SavingsCredit
	case kind == account.Savings:
		return ach.SavingsDebit
	case credit:
		return ach.CheckingCredit
	}
	return ach.CheckingDebit
}

// printAccount writes the account number and name over an entry record's placeholders.
func printAccount(record []byte, bank *account.Bank) {
	number := record[accountFrom:accountTo]
	for i := copy(number, bank.Account()); i < len(number); i++ {
		number[i] = ' '
	}
	printName(record[nameFrom:nameTo], bank.Name())
}

// firstEight returns what a routing number adds to the entry hash.
func firstEight(routing []byte) uint64 {
	n := uint64(0)
	for _, digit := range routing[:8] {
		n = n*10 + uint64(digit-'0')
	}
	return n
}

// close writes the batch's control record, whose sums by moov-io/ach must equal ours, and adds the
// batch to the file's sums.
func (b *openBatch) close(sums *Sums) error {
	if b.batch == nil {
		return fmt.Errorf("%w: batch %d has no entries", ErrPlan, b.position)
	}
	if err := b.batch.Create(); err != nil {
		return fmt.Errorf("%w: batch %d: %s", ErrPlan, b.position, fault(err))
	}
	debits, credits := b.total, int64(0)
	if b.credit {
		debits, credits = 0, b.total
	}
	control := b.batch.GetControl()
	if control.EntryAddendaCount != b.entries || uint64(control.EntryHash) != b.hash%hashModulus ||
		int64(control.TotalDebitEntryDollarAmount) != debits || int64(control.TotalCreditEntryDollarAmount) != credits {
		return fmt.Errorf("%w: batch %d: its count, hash or totals differ from those of a second calculation", ErrPlan, b.position)
	}
	if _, err := b.out.record(control.String()); err != nil {
		return err
	}
	sums.Entries += b.entries
	sums.Debits += debits
	sums.Credits += credits
	sums.EntryHash = (sums.EntryHash + b.hash) % hashModulus
	return nil
}

// refuse returns the error for the next entry.
func (b *openBatch) refuse(problem string) error {
	return fmt.Errorf("%w: batch %d, entry %d: %s", ErrPlan, b.position, b.entries+1, problem)
}
