package nacha

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"
)

// Bounds of an answer file: 700,000 records, an answer to each of 350,000 entries.
const (
	maxAnswer        = 64 << 20
	maxAnswerRecords = maxAnswer / recordBytes
)

// ErrFile is returned when an answer file is refused as a whole, because its control records do not
// prove its content. The text names the record by its position, from 1 without blank lines, its
// type and what is wrong, and never quotes it.
var ErrFile = errors.New("the file is refused")

// ItemKind is what an answer does to its entry.
type ItemKind string

// The kinds of answers.
const (
	Return ItemKind = "return" // the money came back (addenda 99)
	// the entry was booked, but the account's data should be corrected before the next (addenda 98)
	Change          ItemKind = "change"
	Acknowledgement ItemKind = "acknowledgement" // the entry was received (class ACK)
)

// Item is a bank's answer to one entry. The corrected data of a notice of change is not read: the
// shop asks its customer.
type Item struct {
	Kind  ItemKind
	Trace string // of the original entry: 15 digits
	// R01 to R99 but R61 to R77, C01 to C99 but C61 to C69, assigned or not, or "" of an
	// acknowledgement
	Code    string
	Amount  int64  // cents, as returned; 0 of a change and an acknowledgement
	Credit  bool   // the original entry was a credit
	Company string // trimmed identification of the company whose entry it was
	Record  int    // position of the answer's entry in its file, from 1
}

// Left is an entry that answers nothing that was sent from here, or is malformed.
type Left struct {
	Trace   string // of the entry that it answers, 15 digits, or ""
	Code    string // as of Item, and R61 to R77 and C61 to C69, or ""
	Record  int    // position of the entry in its file, from 1
	Problem string // why it is left; quotes nothing of the file
}

// Answer is a bank's file of answers.
type Answer struct {
	Digest      string    // hex SHA-256 of the file's bytes
	Created     time.Time // date and minute of the header, by the bank's clock, given as UTC
	Origin      string    // who made the file: immediate origin, trimmed
	Destination string    // whom it is for: immediate destination, trimmed
	Items       []Item    // in the file's order; an entry may be answered more than once
	Left        []Left    // in the file's order
}

// Read reads a file of returns, notices of change and acknowledgements, of at most 64 MiB. It
// refuses the whole file with [ErrFile] where records are out of order, counts, hashes or totals do
// not add up, or a second file follows. An entry that answers nothing of ours, or is malformed, is
// counted and listed in Answer.Left, and does not stop the others. Other errors are r's.
//
// Lines end with LF, CR LF, or not at all; blanks at the end of a record, blank lines, Ctrl-Z at
// the end, a byte order mark and lines of nines are optional; a character that is not printable
// ASCII counts as a question mark. Batch numbers are their senders', in any order.
//
// Account data is cleared from memory before Read returns, and never becomes a string.
func Read(r io.Reader) (Answer, error) {
	data, err := readAll(r)
	defer clear(data)
	if err != nil {
		return Answer{}, err
	}
	digest := sha256.Sum256(data)
	records, err := split(data)
	defer clear(records.data)
	if err != nil {
		return Answer{}, err
	}
	reader := fileReader{records: records}
	if err := reader.read(); err != nil {
		return Answer{}, err
	}
	reader.answer.Digest = hex.EncodeToString(digest[:])
	return reader.answer, nil
}

// readAll reads all of r, clearing every buffer that it outgrows. The caller clears the result,
// even with an error.
func readAll(r io.Reader) ([]byte, error) {
	data := make([]byte, 0, 64<<10)
	for {
		if len(data) == cap(data) {
			grown := append(make([]byte, 0, 2*cap(data)), data...)
			clear(data)
			data = grown
		}
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case len(data) > maxAnswer:
			return data, fmt.Errorf("%w: it is larger than %d MiB", ErrFile, maxAnswer>>20)
		case errors.Is(err, io.EOF):
			return data, nil
		case err != nil:
			return data, fmt.Errorf("reading the answer file: %w", err)
		}
	}
}
