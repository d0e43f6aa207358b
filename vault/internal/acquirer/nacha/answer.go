package nacha

import (
	"fmt"
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

// answered is an answer's identity within its file.
type answered struct {
	kind  ItemKind
	trace string
}

// control is what a control record says of a file or a batch, and what a file's batches came to.
type control struct {
	batches, entries, hash, debits, credits int
}

// fileReader reads a file record by record, strictly in the order that the format gives. moov-io/ach judges each record and each batch;
// its own reader is not used, for it pads short records, takes lines that begin with 99 for filling wherever they stand, makes zero of a
// total that is no number, and keeps only the last of two addenda.
type fileReader struct {
	records  records
	next     int // place of the next record, from 0
	answer   Answer
	answered map[answered]int // to the record that says so
	sums     control
	number   int // of the last batch
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

// header reads record 1. An answer's destination is the number that the bank gave us, which need be no routing number.
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

// batch reads a batch from its header to its control record.
func (f *fileReader) batch(record []byte) error {
	const name = "batch header"
	if !decimal(record[1:4], 3) || !decimal(record[79:87], 8) || !decimal(record[87:94], 7) {
		return f.refuse(name, "its service class, originating bank or batch number is no number")
	}
	header := ach.NewBatchHeader()
	header.Parse(string(record))
	if err := header.Validate(); err != nil {
		return f.refuse(name, fault(err))
	}
	if header.BatchNumber <= f.number {
		return f.refuse(name, "batch numbers do not ascend")
	}
	f.number = header.BatchNumber
	b := answerBatch{file: f}
	switch class := header.StandardEntryClassCode; {
	case class == ach.ACK:
		b.kind = Acknowledgement
	case class == ach.COR && header.CompanyName != ach.IATCOR:
		b.kind = Change
	case class == string(WEB) || class == string(PPD) || class == string(CCD):
		b.kind = Return
	default:
		return f.refuse(name, "its standard entry class is none that answers our entries")
	}
	var err error
	if b.batch, err = ach.NewBatch(header); err != nil {
		return f.refuse(name, fault(err))
	}
	return b.read()
}

// control compares the file's control record with what its batches came to.
func (f *fileReader) control(record []byte) error {
	const name = "file control"
	if !decimal(record[1:55], 54) {
		return f.refuse(name, "a count, hash or total in it is no number")
	}
	var said ach.FileControl
	said.Parse(string(record))
	switch {
	case said.BatchCount != f.sums.batches:
		return f.refuse(name, "its count of batches is not that of the file")
	case said.BlockCount*blocking != f.records.count:
		return f.refuse(name, "its count of blocks is not that of the file, which may be cut off, or two files in one")
	case said.EntryAddendaCount != f.sums.entries:
		return f.refuse(name, "its count of entries and addenda is not that of the batches")
	case said.EntryHash != f.sums.hash%hashModulus:
		return f.refuse(name, "its entry hash is not that of the batches")
	case said.TotalDebitEntryDollarAmountInFile != f.sums.debits:
		return f.refuse(name, "its total of debits is not that of the batches")
	case said.TotalCreditEntryDollarAmountInFile != f.sums.credits:
		return f.refuse(name, "its total of credits is not that of the batches")
	}
	return nil
}

// filling reads the lines of nines up to the end of the block.
func (f *fileReader) filling() error {
	if f.records.count-f.next >= blocking {
		return f.refuse("file control", "whole blocks follow it; this may be two files in one")
	}
	for f.next < f.records.count {
		if record, _ := f.take(); string(record) != nines {
			return f.refuse("filling", "something follows the file control; this may be two files in one")
		}
	}
	return nil
}
