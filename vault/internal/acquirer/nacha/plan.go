package nacha

import (
	"errors"
	"fmt"
	"time"

	"github.com/moov-io/ach"

	"nightdrop/vault/internal/account"
)

// ErrPlan is returned when a file cannot be made as planned: a field, count or total does not fit
// NACHA's format. What was written until then is useless. The text names batch and entry by their
// positions, from 1, and never repeats account data.
var ErrPlan = errors.New("the file cannot be made as planned; correct what is named and make it again")

// Standard is a standard entry class. (NACHA Operating Rules, appendix three, 3.3)
type Standard string

// The supported classes.
const (
	WEB Standard = "WEB" // a debit that a consumer agreed to on line
	PPD Standard = "PPD" // a credit to a consumer
	CCD Standard = "CCD" // a credit to a business
)

// Purchase is the entry description that every WEB debit for goods carries, since 2026-03-20.
const Purchase = "PURCHASE"

// Bank is who sends files to whom. (file header record)
type Bank struct {
	ImmediateDestination string // nine digits: the routing number of the bank that gets the file
	DestinationName      string // 1 to 23 printable ASCII characters
	// the bank's number for its customer: a routing number of nine digits, or ten of 0-9 and A-Z
	ImmediateOrigin string
	OriginName      string // 1 to 23 printable ASCII characters
	// eight digits: the originating bank, with which every trace number begins
	ODFI string
}

// Check returns an error that names the first field that is not as its comment requires.
func (b Bank) Check() error {
	switch {
	case !decimal(b.ImmediateDestination, 9) || ach.CheckRoutingNumber(b.ImmediateDestination) != nil || b.ImmediateDestination == "000000000":
		return errors.New("immediate destination: want a routing number, nine digits of which the last is the check digit")
	case !printable(b.DestinationName, 1, 23):
		return errors.New("destination name: want 1 to 23 printable ASCII characters")
	case !decimal(b.ImmediateOrigin, 9) && !isOriginID(b.ImmediateOrigin):
		return errors.New("immediate origin: want the nine digits or ten characters that the bank assigned")
	case !printable(b.OriginName, 1, 23):
		return errors.New("origin name: want 1 to 23 printable ASCII characters")
	case !decimal(b.ODFI, 8) || b.ODFI == "00000000":
		return errors.New("ODFI: want the first eight digits of the originating bank's routing number")
	}
	return nil
}

func isOriginID(origin string) bool {
	for i := range len(origin) {
		if c := origin[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return len(origin) == 10
}

// Company is a merchant as the receiver's statement shows it. (batch header record)
type Company struct {
	Name string // 1 to 16 printable ASCII characters, not all zeros
	ID   string // 1 to 10 printable ASCII characters, not all zeros; the bank assigns it
}

// Check returns an error that names the first field that is not as its comment requires.
func (c Company) Check() error {
	switch {
	case !printable(c.Name, 1, 16) || blank(c.Name):
		return errors.New("company name: want 1 to 16 printable ASCII characters")
	case !printable(c.ID, 1, 10) || blank(c.ID):
		return errors.New("company identification: want the 1 to 10 characters that the bank assigned")
	}
	return nil
}

// blank reports whether a text is only zeros and spaces, which NACHA counts as empty.
func blank(text string) bool {
	for i := range len(text) {
		if text[i] != '0' && text[i] != ' ' {
			return false
		}
	}
	return true
}

// Plan is a file to be written.
type Plan struct {
	Bank     Bank
	Created  time.Time // by the bank's clock, to the minute
	Modifier byte      // distinguishes the files of one day: A to Z, then 0 to 9
	Batches  []Batch   // at least one
}

// Batch is the entries of one company, class and date; all are debits or all are credits. (batch
// header record)
type Batch struct {
	Company  Company
	Standard Standard
	// 1 to 10 printable ASCII characters, shown to the receiver; of WEB debits: Purchase
	Description string
	Effective   time.Time // the day on which money is to move, by the bank's calendar
	Number      int       // 1 to 9,999,999, ascending in a file
}

// Entry is one movement of money. (entry detail record)
type Entry struct {
	Trace  string // 15 digits: the file's ODFI and a sequence number, ascending in a batch
	Credit bool   // to the account; else from it
	Amount int64  // cents, 1 to 9,999,999,999
	// at most 15 printable ASCII characters: the company's name of this payment; no account data
	Identification string
	Bank           *account.Bank // used until Writer.Add returns
}

// Sums are a written file's totals.
type Sums struct {
	Entries int   // entry records
	Debits  int64 // cents
	Credits int64 // cents
	// the first eight digits of every entry's routing number added up, ten lowest digits
	EntryHash uint64
	SHA256    string // hex, of the whole file
	Bytes     int64
}

// TraceNumber returns the 15 digits of a trace number: the originating bank's eight, and the lowest
// seven of sequence, 1 to 9,999,999.
func TraceNumber(odfi string, sequence uint32) string {
	return fmt.Sprintf("%s%07d", odfi, sequence%10_000_000)
}

// check checks the file header's fields; batches are checked as they are written.
func (p Plan) check() error {
	if err := p.Bank.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrPlan, err)
	}
	switch {
	case p.Created.IsZero():
		return fmt.Errorf("%w: it has no time of creation", ErrPlan)
	case (p.Modifier < 'A' || p.Modifier > 'Z') && (p.Modifier < '0' || p.Modifier > '9'):
		return fmt.Errorf("%w: the file id modifier is not A to Z or 0 to 9; a day has 36 files at most", ErrPlan)
	case len(p.Batches) == 0 || len(p.Batches) > maxBatches:
		return fmt.Errorf("%w: %d batches, want 1 to %d", ErrPlan, len(p.Batches), maxBatches)
	}
	return nil
}

// check checks a batch; after is the number of the batch before, or 0.
func (b Batch) check(after int) error {
	if err := b.Company.Check(); err != nil {
		return err
	}
	switch {
	case b.Standard != WEB && b.Standard != PPD && b.Standard != CCD:
		return errors.New("its standard entry class is not WEB, PPD or CCD")
	case !printable(b.Description, 1, 10) || blank(b.Description):
		return errors.New("entry description: want 1 to 10 printable ASCII characters")
	case b.Standard == WEB && b.Description != Purchase:
		return errors.New("the entry description of WEB debits is " + Purchase)
	case b.Effective.IsZero():
		return errors.New("it has no effective date")
	case b.Number <= after || b.Number > maxBatchNumber:
		return fmt.Errorf("batch numbers ascend from 1 to %d", maxBatchNumber)
	}
	return nil
}

// check checks an entry; after is the trace number of the entry before, or "".
func (e Entry) check(odfi, after string) error {
	switch {
	case !decimal(e.Trace, 15) || e.Trace[:8] != odfi:
		return errors.New("its trace number is not the originating bank's eight digits and seven more")
	case e.Trace <= after:
		return errors.New("trace numbers ascend in a batch")
	case e.Amount < 1 || e.Amount > maxEntryAmount:
		return fmt.Errorf("its amount is not from 1 to %d cents", int64(maxEntryAmount))
	case !printable(e.Identification, 0, 15):
		return errors.New("its identification is not up to 15 printable ASCII characters")
	case e.Bank == nil || len(e.Bank.Account()) == 0:
		return errors.New("it has no bank account")
	}
	return nil
}
