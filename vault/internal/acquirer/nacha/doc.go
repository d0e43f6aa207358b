// Package nacha writes the files that move money between bank accounts of the United States, and
// reads the bank's answers: returns, notices of change and acknowledgements (NACHA Operating Rules,
// appendix three). moov-io/ach defines records and validates batches; this package makes sure that
// an account number never becomes a Go string, that a file is written whole or not at all, and that
// a bank's file is refused unless its control records prove it.
//
// A file is lines of 94 printable ASCII characters in blocks of ten: a file header (1), batches of
// a header (5), entries (6) with addenda (7) and a control record (8), and the file's control
// record (9), then lines of nines up to the block's end. moov-io/ach works on strings, so it sees
// placeholders for account numbers and holders' names.
//
// Functions may be called concurrently, each with its own reader or writer.
package nacha

import (
	"errors"

	"github.com/moov-io/ach"
)

// Sizes of a file. (NACHA Operating Rules, appendix three, 3.1)
const (
	recordBytes = 94
	blocking    = 10 // records of a block
	nines       = "9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999"
)

// Columns used here, as [from, to) of the record's bytes. (appendix three, 3.2: columns count from
// 1)
const (
	accountFrom, accountTo = 12, 29 // entry: DFI account number
	nameFrom, nameTo       = 54, 76 // entry: individual or receiving company name
	traceFrom, traceTo     = 79, 94 // entry, addenda 98 and 99: trace number of the record itself
	// addenda 98 and 99: trace number of the entry that is answered
	originalFrom, originalTo = 6, 21
	ackFrom, ackTo           = 39, 54 // entry of an acknowledgement: the same
)

// Limits set by the fields' widths. (appendix three, 3.2)
const (
	maxEntryAmount  = 9_999_999_999   // cents; ten digits
	maxTotal        = 999_999_999_999 // cents of a batch or a file and sign; twelve digits
	maxBatchEntries = 999_999         // six digits
	// six digits, but a control record of more would begin like a line of nines
	maxBatches     = 899_999
	maxBatchNumber = 9_999_999      // seven digits
	maxRecords     = 9_999_990      // six digits of blocks
	hashModulus    = 10_000_000_000 // the entry hash keeps the ten lowest digits
)

// fault names the field of a moov-io/ach error, whose own text quotes the value and is never passed
// on.
func fault(err error) string {
	var field *ach.FieldError
	var batch *ach.BatchError
	switch {
	case errors.As(err, &field):
		return field.FieldName + " breaks NACHA's rules"
	case errors.As(err, &batch):
		return batch.FieldName + " breaks NACHA's rules"
	}
	return "it breaks one of NACHA's rules"
}

// printable reports whether a text is min to max bytes of ASCII from 0x20 to 0x7E and neither
// begins nor ends with a space.
func printable(text string, min, max int) bool {
	if len(text) < min || len(text) > max {
		return false
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return text == "" || text[0] != ' ' && text[len(text)-1] != ' '
}

// decimal reports whether a text consists of exactly n ASCII digits.
func decimal[T string | []byte](text T, n int) bool {
	if len(text) != n {
		return false
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}
