package bank

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/moov-io/ach"

	"nightdrop/shared/durable"
)

// maxSequence is the largest sequence number of a trace number.
const maxSequence = 9_999_999

// modifiers are the file id modifiers of a day, in order.
const modifiers = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// reply is the answer to one file while it is made. The same file, due time and place in the book
// give the same bytes.
type reply struct {
	original               *ach.File
	file                   *ach.File
	batches                map[batchOf]ach.Batcher
	order                  []ach.Batcher
	sequence               int // of the last trace number given
	returned, acknowledged int
	noted                  int
}

// batchOf is which entries share a batch: those of one batch of the original and one receiving
// bank, answered in the same way.
type batchOf struct {
	number           int
	institution, sec string
}

// newReply begins an answer: answers and items are how many files and entries the bank has answered
// before.
func newReply(original *ach.File, due time.Time, answers, items int) *reply {
	header := ach.NewFileHeader()
	header.ImmediateDestination, header.ImmediateDestinationName = original.Header.ImmediateOrigin, original.Header.ImmediateOriginName
	header.ImmediateOrigin, header.ImmediateOriginName = original.Header.ImmediateDestination, original.Header.ImmediateDestinationName
	header.FileCreationDate, header.FileCreationTime = due.Format("060102"), due.Format("1504")
	header.FileIDModifier = string(modifiers[answers%len(modifiers)])
	file := ach.NewFile()
	// the vault's bank gave it a number of another kind
	if ach.CheckRoutingNumber(header.ImmediateDestination) != nil {
		file.SetValidation(&ach.ValidateOpts{BypassDestinationValidation: true})
		header.SetValidation(&ach.ValidateOpts{BypassDestinationValidation: true})
	}
	file.SetHeader(header)
	return &reply{original: original, file: file, batches: map[batchOf]ach.Batcher{}, sequence: items % maxSequence}
}

// fill answers every entry that there is something to say of.
func (r *reply) fill(acknowledge bool) error {
	for _, batch := range r.original.Batches {
		header := batch.GetHeader()
		for _, e := range batch.GetEntries() {
			code, change := returnCode(int64(e.Amount)), changeCode(int64(e.Amount))
			switch {
			case change != "":
				answer, err := r.add(header, ach.COR, e)
				if err != nil {
					return err
				}
				noteEntry(answer, e, change)
				r.noted++
			case code != "":
				answer, err := r.add(header, header.StandardEntryClassCode, e)
				if err != nil {
					return err
				}
				returnEntry(answer, e, code)
				r.returned++
			case acknowledge && header.StandardEntryClassCode == ach.CCD && e.CreditOrDebit() == "C":
				answer, err := r.add(header, ach.ACK, e)
				if err != nil {
					return err
				}
				acknowledgeEntry(answer, e)
				r.acknowledged++
			}
		}
	}
	return r.create()
}

// create totals what was answered.
func (r *reply) create() error {
	if len(r.order) == 0 {
		return nil
	}
	for _, batch := range r.order {
		if err := batch.Create(); err != nil {
			return errors.New(reason(err))
		}
		r.file.AddBatch(batch)
	}
	if err := r.file.Create(); err != nil {
		return errors.New(reason(err))
	}
	return nil
}

// add puts an answer to an entry into its batch: from the entry's bank back to the bank that sent
// it. What kind of answer it is remains to be said.
func (r *reply) add(header *ach.BatchHeader, sec string, e *ach.EntryDetail) (*ach.EntryDetail, error) {
	key := batchOf{number: header.BatchNumber, institution: e.RDFIIdentificationField(), sec: sec}
	batch := r.batches[key]
	if batch == nil {
		var err error
		if batch, err = r.newBatch(header, key); err != nil {
			return nil, err
		}
		r.batches[key] = batch
		r.order = append(r.order, batch)
	}
	r.sequence = r.sequence%maxSequence + 1
	answer := ach.NewEntryDetail()
	answer.SetRDFI(routing(header.ODFIIdentificationField()))
	answer.DFIAccountNumber, answer.Amount, answer.IndividualName = e.DFIAccountNumber, e.Amount, e.IndividualName
	answer.IdentificationNumber, answer.DiscretionaryData = e.IdentificationNumber, e.DiscretionaryData
	answer.SetTraceNumber(key.institution, r.sequence)
	answer.Category = ach.CategoryForward
	switch sec {
	case ach.ACK:
	case ach.COR:
		answer.Category = ach.CategoryNOC
	default:
		answer.Category = ach.CategoryReturn
	}
	batch.AddEntry(answer)
	return answer, nil
}

func (r *reply) newBatch(original *ach.BatchHeader, key batchOf) (ach.Batcher, error) {
	header := ach.NewBatchHeader()
	header.ServiceClassCode = original.ServiceClassCode
	header.CompanyName, header.CompanyIdentification = original.CompanyName, original.CompanyIdentification
	header.CompanyDiscretionaryData, header.CompanyEntryDescription = original.CompanyDiscretionaryData, original.CompanyEntryDescription
	header.CompanyDescriptiveDate, header.EffectiveEntryDate = original.CompanyDescriptiveDate, original.EffectiveEntryDate
	header.StandardEntryClassCode, header.ODFIIdentification = key.sec, key.institution
	header.BatchNumber = len(r.order) + 1
	if key.sec == ach.ACK {
		header.ServiceClassCode = ach.CreditsOnly
	}
	batch, err := ach.NewBatch(header)
	if err != nil {
		return nil, errors.New(reason(err))
	}
	return batch, nil
}

// answerCode is the transaction code of the return of an entry, and of a notice of change: x1 of a
// credit, x6 of a debit.
func answerCode(e *ach.EntryDetail) int {
	if e.CreditOrDebit() == "D" {
		return e.TransactionCode/10*10 + 6
	}
	return e.TransactionCode/10*10 + 1
}

// noteEntry makes answer a notice of change about e, which was booked. (NACHA notification of
// change, addenda 98)
func noteEntry(answer, e *ach.EntryDetail, code string) {
	answer.TransactionCode, answer.Amount, answer.DiscretionaryData = answerCode(e), 0, ""
	addenda := ach.NewAddenda98()
	addenda.ChangeCode, addenda.OriginalTrace, addenda.CorrectedData = code, e.TraceNumberField(), corrected(code, e)
	addenda.OriginalDFI, addenda.TraceNumber = e.RDFIIdentificationField(), answer.TraceNumber
	answer.Addenda98, answer.AddendaRecordIndicator = addenda, 1
}

// returnEntry makes answer the return of e. (NACHA return entry, addenda 99)
func returnEntry(answer, e *ach.EntryDetail, code string) {
	answer.TransactionCode = answerCode(e)
	addenda := ach.NewAddenda99()
	addenda.ReturnCode, addenda.OriginalTrace = code, e.TraceNumberField()
	addenda.OriginalDFI, addenda.TraceNumber = e.RDFIIdentificationField(), answer.TraceNumber
	answer.Addenda99, answer.AddendaRecordIndicator = addenda, 1
}

// acknowledgeEntry makes answer the acknowledgement of e. (NACHA ACK entry: no money, the
// original's trace number)
func acknowledgeEntry(answer, e *ach.EntryDetail) {
	answer.TransactionCode = e.TransactionCode/10*10 + 4 // x4: zero-dollar credit
	answer.Amount, answer.DiscretionaryData = 0, ""
	answer.SetOriginalTraceNumber(e.TraceNumberField())
}

// routing returns the nine digits of an institution's eight.
func routing(institution string) string {
	return fmt.Sprintf("%s%d", institution, ach.CalculateCheckDigit(institution))
}

func (r *reply) write(w io.Writer) error {
	if err := ach.NewWriter(w).Write(r.file); err != nil {
		return errors.New(reason(err))
	}
	return nil
}

// writeAnswer writes a file that readers see whole or not at all. One that is there under that name
// is the same answer, written before a crash, and stays.
func writeAnswer(path string, write func(io.Writer) error) error {
	f, err := durable.Begin(path, durable.Private)
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	if err := write(f); err != nil {
		return fmt.Errorf("write the answer: %w", errors.Join(err, f.Discard()))
	}
	if err := f.Create(); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}
