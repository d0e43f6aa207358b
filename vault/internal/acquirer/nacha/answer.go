package nacha

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/moov-io/ach"
)

// Types of records: a record's first character.
const (
	fileHeader   = '1'
	batchHeader  = '5'
	entryRecord  = '6'
	addenda      = '7'
	batchControl = '8'
	fileControl  = '9'
)

// tally is the sums of a control record, or of records.
type tally struct {
	entries, hash, debits, credits int // entry and addenda records; the entry hash, whole; cents
}

func (t *tally) add(o tally) {
	t.entries, t.hash, t.debits, t.credits = t.entries+o.entries, t.hash+o.hash, t.debits+o.debits, t.credits+o.credits
}

// differs names the first sum in which a control record, said, differs from t, or returns "".
func (t tally) differs(said tally) string {
	switch {
	case said.entries != t.entries:
		return "its count of entries and addenda"
	case said.hash != t.hash%hashModulus:
		return "its entry hash"
	case said.debits != t.debits:
		return "its total of debits"
	case said.credits != t.credits:
		return "its total of credits"
	}
	return ""
}

// fileReader reads a file record by record, strictly in the format's order, and adds up every
// record, for the control records prove the whole. moov-io/ach's own reader is not used: it reads a
// total that is not a number as zero, keeps only the last of two addenda, and holds account numbers
// in strings.
type fileReader struct {
	records records
	next    int // position of the next record, from 0
	answer  Answer
	batches int
	sums    tally
}

// refuse returns the error for the last record read.
func (f *fileReader) refuse(record, problem string) error {
	return fmt.Errorf("%w: record %d, %s: %s", ErrFile, f.next, record, problem)
}

// nextRecord returns the next record and its type, or 0 after the last.
func (f *fileReader) nextRecord() ([]byte, byte) {
	if f.next == f.records.count {
		f.next++ // the position of what is missing
		return nil, 0
	}
	record := f.records.at(f.next)
	f.next++
	return record, record[0]
}

func (f *fileReader) read() error {
	record, kind := f.nextRecord()
	if kind != fileHeader {
		return f.refuse("file header", "it is missing")
	}
	if err := f.header(record); err != nil {
		return err
	}
	for {
		switch record, kind = f.nextRecord(); kind {
		case batchHeader:
			if err := f.batch(record); err != nil {
				return err
			}
		case fileControl:
			if err := f.control(record); err != nil {
				return err
			}
			return f.filling()
		default:
			return f.refuse("batch header or file control", "neither is there; the file may be cut off")
		}
	}
}

// header reads record 1. An answer's destination is the number that the bank assigned, perhaps no
// routing number.
func (f *fileReader) header(record []byte) error {
	const name = "file header"
	if string(record[1:3]) != "01" || string(record[34:40]) != "094101" {
		return f.refuse(name, "its priority, record size, blocking factor and format code are not 01, 094, 10 and 1")
	}
	var header ach.FileHeader
	header.SetValidation(&ach.ValidateOpts{BypassOriginValidation: true, BypassDestinationValidation: true})
	header.Parse(string(record))
	if err := header.Validate(); err != nil {
		return f.refuse(name, fault(err))
	}
	created := string(record[23:33])
	if strings.TrimSpace(created[6:]) == "" {
		created = created[:6] + "0000" // the time is optional
	}
	var err error
	if f.answer.Created, err = time.Parse("0601021504", created); err != nil {
		return f.refuse(name, "its creation date and time are invalid")
	}
	f.answer.Origin, f.answer.Destination = strings.TrimSpace(string(record[13:23])), strings.TrimSpace(string(record[3:13]))
	return nil
}

// control compares the file's control record with its batches.
func (f *fileReader) control(record []byte) error {
	const name = "file control"
	if !decimal(record[1:55], 54) {
		return f.refuse(name, "a count, hash or total in it is not a number")
	}
	blocks := (f.next + blocking - 1) / blocking
	switch said := number(record[7:13]); {
	case number(record[1:7]) != f.batches:
		return f.refuse(name, "its count of batches is not that of the file")
	case said != blocks && said*blocking != f.records.count:
		return f.refuse(name, "its count of blocks is not that of the file, which may be cut off, or two files in one")
	}
	said := tally{number(record[13:21]), number(record[21:31]), number(record[31:43]), number(record[43:55])}
	if what := f.sums.differs(said); what != "" {
		return f.refuse(name, what+" is not that of the batches")
	}
	return nil
}

// filling reads the lines of nines.
func (f *fileReader) filling() error {
	for f.next < f.records.count {
		if record, _ := f.nextRecord(); strings.Trim(string(record), "9 ") != "" {
			return f.refuse("filling", "there is more after the file control; this may be two files in one")
		}
	}
	return nil
}

// number parses at most twelve digits, which the caller has checked.
func number(digits []byte) int {
	n, _ := strconv.Atoi(string(digits))
	return n
}
