package bank

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/moov-io/ach"
	"github.com/moov-io/base"

	"nightdrop/shared/envelope"
)

// Amounts, in minor units, of entries that are returned or bring a notice of change: the last two
// digits are the code's. (specification 10)
const (
	firstReturned = 900_201
	lastReturned  = 900_299
	firstNoted    = 900_401
	lastNoted     = 900_499
)

// blocking is how many records a file's blocks have.
const blocking = 10

// purchase is the description that batches of WEB debits must carry since 20 March 2026.
const purchase = "PURCHASE"

// parse reads a file whole and holds it against the rules. Its errors name lines and fields, never
// what stands there.
func parse(content []byte) (*ach.File, error) {
	file, err := ach.NewReader(bytes.NewReader(content)).Read()
	if err != nil {
		return nil, errors.New(reason(err))
	}
	if err := file.Validate(); err != nil {
		return nil, errors.New(reason(err))
	}
	records := bytes.Count(bytes.TrimRight(content, "\r\n"), []byte("\n")) + 1
	if records != file.Control.BlockCount*blocking {
		return nil, fmt.Errorf("%d records are not the %d blocks of ten that the file control says", records, file.Control.BlockCount)
	}
	for _, batch := range file.Batches {
		header := batch.GetHeader()
		if header.StandardEntryClassCode != ach.WEB || header.CompanyEntryDescription == purchase {
			continue
		}
		for _, e := range batch.GetEntries() {
			if e.CreditOrDebit() == "D" {
				return nil, fmt.Errorf("batch %d: WEB debits need the entry description %s", header.BatchNumber, purchase)
			}
		}
	}
	return &file, nil
}

// reason returns where a file breaks the format, without the value that does.
func reason(err error) string {
	var list base.ErrorList
	if errors.As(err, &list) && len(list) > 0 {
		err = list[0]
	}
	text := "the file is not as NACHA says"
	var parse *base.ParseError
	if errors.As(err, &parse) {
		text += fmt.Sprintf(": line %d, %s", parse.Line, parse.Record)
	}
	var batch *ach.BatchError
	if errors.As(err, &batch) {
		text += fmt.Sprintf(", batch %d, %s", batch.BatchNumber, batch.FieldName)
	}
	var field *ach.FieldError
	if errors.As(err, &field) {
		text += ", " + field.FieldName
	}
	return text
}

// entriesOf returns what the book keeps of a file's entries.
func entriesOf(file *ach.File) []Entry {
	var list []Entry
	for _, batch := range file.Batches {
		header := batch.GetHeader()
		for _, e := range batch.GetEntries() {
			list = append(list, Entry{
				Trace: e.TraceNumberField(), Standard: header.StandardEntryClassCode, Company: header.CompanyName, Code: e.TransactionCode,
				Credit: e.CreditOrDebit() == "C", Amount: int64(e.Amount), Masked: envelope.MaskBank([]byte(e.DFIAccountNumber)), Return: returnCode(int64(e.Amount)),
				Notice: changeCode(int64(e.Amount)),
			})
		}
	}
	return list
}

// returnCode returns the code that an entry of amount is returned with, "" where it is not: codes
// that NACHA does not have, or has for answers to returns only, return nothing.
func returnCode(amount int64) string {
	if amount < firstReturned || amount > lastReturned {
		return ""
	}
	code := fmt.Sprintf("R%02d", amount-firstReturned+1)
	if ach.LookupReturnCode(code) == nil || ach.IsDishonoredReturnCode(code) || ach.IsContestedReturnCode(code) {
		return ""
	}
	return code
}

// changeCode returns the code of the notice of change that an entry of amount brings, "" where it
// brings none: codes that NACHA does not have, or has for refusing notices only, bring nothing.
func changeCode(amount int64) string {
	if amount < firstNoted || amount > lastNoted {
		return ""
	}
	code := fmt.Sprintf("C%02d", amount-firstNoted+1)
	if ach.LookupChangeCode(code) == nil || ach.IsRefusedChangeCode(code) {
		return ""
	}
	return code
}

// corrected is what a notice of change says that stands in an entry from now on, made up: the
// fields of each code. (NACHA Operating Rules, appendix five)
func corrected(code string, e *ach.EntryDetail) string {
	const account, otherKind = "1918171615", 37
	switch code {
	case "C01":
		return account
	case "C02", "C08":
		return routing(e.RDFIIdentificationField())
	case "C03":
		return routing(e.RDFIIdentificationField()) + "   " + account
	case "C04":
		return "A NEW NAME"
	case "C05":
		return fmt.Sprint(otherKind)
	case "C06":
		return fmt.Sprintf("%-20s%d", account, otherKind)
	case "C07":
		return fmt.Sprintf("%s%-17s%d", routing(e.RDFIIdentificationField()), account, otherKind)
	}
	return "SEE YOUR BANK"
}
