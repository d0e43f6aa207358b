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

// ErrFile is returned when an answer file is refused: nothing of it may be applied, for its control
// records do not prove what it holds. The text names the record by its place, counted from 1
// without blank lines, its type and what is wrong there, and never repeats what it holds.
var ErrFile = errors.New("the file is refused")

// ItemKind says what an answer does to the entry it is about.
type ItemKind string

// The kinds of answers.
const (
	Return ItemKind = "return" // the money came back (addenda 99)
	// the entry was booked, but the account's data should be corrected before the next (addenda 98)
	Change          ItemKind = "change"
	Acknowledgement ItemKind = "acknowledgement" // the entry was received (class ACK)
)

// Item is what a bank says of one entry. What a notice of change corrects the account's data to is
// not read: the shop asks its customer.
type Item struct {
	Kind  ItemKind
	Trace string // of the original entry: 15 digits
	// R01 to R99 but R61 to R77, C01 to C99 but C61 to C69, or "" of an acknowledgement; NACHA may
	// have none of that number yet
	Code    string
	Amount  int64  // cents, as returned; 0 of a change and an acknowledgement
	Credit  bool   // the original entry was a credit
	Company string // identification of the company whose entry it was, without spaces around it
	Record  int    // place of the answer's entry in its file, from 1
}

// Left is an entry of a file that answers nothing that was sent from here, or not as an answer is
// written.
type Left struct {
	Trace   string // of the entry that it is about, 15 digits; "" where it names none
	Code    string // as of Item, and R61 to R77 and C61 to C69; "" where it has none
	Record  int    // place of the entry in its file, from 1
	Problem string // why it is left, in words, without what stands in the file
}

// Answer is a whole file of a bank's answers.
type Answer struct {
	Digest string // hex SHA-256 of the file's bytes
	// date and minute of the header, as the bank's clock showed them, given as UTC
	Created     time.Time
	Origin      string // who made the file: immediate origin, without spaces around it
	Destination string // whom it is for: immediate destination, without spaces around it
	// in the file's order; none where the bank had nothing to say. The same may be said of an entry
	// more than once
	Items []Item
	Left  []Left // what is no answer of these, in the file's order
}

// Read reads a file of returns, notices of change and acknowledgements, of at most 64 MiB. What its
// control records prove is taken: a wrong order of records, or counts, hashes or totals that do not
// add up, refuse it whole with ErrFile, as does a second file behind the first. An entry that
// answers nothing of ours, or not as it should, is counted, listed in Answer.Left, and does not
// stop the others. Other errors are r's.
//
// Files come as they are handled on their way. Lines end with a newline, with a carriage return and
// a newline, or not at all; blanks at the end of a record, blank lines, Ctrl-Z at the end, a byte
// order mark, lines of nines or none of them are nothing; a character that is not printable ASCII
// counts as a question mark. Batches bear their senders' numbers, in any order.
//
// What the file holds of accounts is cleared from memory before Read returns, and never becomes a
// string.
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

// readAll reads all of r, clearing every buffer that it outgrows. It returns what it read beside an
// error too, for the caller to clear.
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
