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

// tally is what a control record says, or what records came to.
type tally struct {
	entries, hash, debits, credits int // entry and addenda records; the entry hash, whole; cents
}

func (t *tally) add(o tally) {
	t.entries, t.hash, t.debits, t.credits = t.entries+o.entries, t.hash+o.hash, t.debits+o.debits, t.credits+o.credits
}

// differs names the first sum in which a control record differs from what it is about; "" where it
// holds.
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

// fileReader reads a file record by record, strictly in the order that the format gives, and adds
// up every record, whatever it is, for the control records prove the whole. moov-io/ach's own
// reader is not used: even when it is asked to take such files it makes zero of a total that is no
// number, keeps only the last of two addenda, and holds account numbers in strings.
type fileReader struct {
	records records
	next    int // place of the next record, from 0
	answer  Answer
	batches int
	sums    tally
}

// refuse is the error of the record that was read last.
func (f *fileReader) refuse(record, problem string) error {
	return fmt.Errorf("%w: record %d, %s: %s", ErrFile, f.next, record, problem)
}

// take returns the next record and its type, or 0 behind the last.
func (f *fileReader) take() ([]byte, byte) {
	if f.next == f.records.count {
		f.next++ // what is missing would stand there
		return nil, 0
	}
	record := f.records.at(f.next)
	f.next++
	return record, record[0]
}

// read reads the whole file.
func (f *fileReader) read() error {
	record, kind := f.take()
	if kind != fileHeader {
		return f.refuse("file header", "it is missing")
	}
	if err := f.header(record); err != nil {
		return err
	}
	for {
		switch record, kind = f.take(); kind {
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
			return f.refuse("batch header or file control", "neither of them stands there; the file may be cut off")
		}
	}
}

// header reads record 1. An answer's destination is the number that the bank gave us, which need be
// no routing number.
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
		return f.refuse(name, "its date and time of creation are none")
	}
	f.answer.Origin, f.answer.Destination = strings.TrimSpace(string(record[13:23])), strings.TrimSpace(string(record[3:13]))
	return nil
}

// control compares the file's control record with what its batches came to.
func (f *fileReader) control(record []byte) error {
	const name = "file control"
	if !decimal(record[1:55], 54) {
		return f.refuse(name, "a count, hash or total in it is no number")
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

// filling reads the lines of nines, as many as there are.
func (f *fileReader) filling() error {
	for f.next < f.records.count {
		if record, _ := f.take(); strings.Trim(string(record), "9 ") != "" {
			return f.refuse("filling", "something follows the file control; this may be two files in one")
		}
	}
	return nil
}

// number reads digits, of which the caller has made sure; there are at most twelve.
func number(digits []byte) int {
	n, _ := strconv.Atoi(string(digits))
	return n
}
