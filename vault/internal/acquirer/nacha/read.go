package nacha

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxAnswer bounds an answer file: 700,000 records, an answer to each of 350,000 entries.
const maxAnswer = 64 << 20

// ErrFile is returned when an answer file is refused: nothing of it may be applied. The text names the record by its place, counted from 1,
// its type and what is wrong there, and never repeats what it holds.
var ErrFile = errors.New("nacha: the file is refused")

// ItemKind says what an answer does to the entry it is about.
type ItemKind string

// The kinds of answers.
const (
	Return          ItemKind = "return"          // the money came back (addenda 99)
	Change          ItemKind = "change"          // the entry was booked, but the account's data should be corrected before the next (addenda 98)
	Acknowledgement ItemKind = "acknowledgement" // the entry was received (class ACK)
)

// Item is what a bank says of one entry. What a notice of change corrects the account's data to is not read: the shop asks its customer.
type Item struct {
	Kind   ItemKind
	Trace  string // of the original entry: 15 digits
	Code   string // R01 to R99, C01 to C99, or "" of an acknowledgement
	Amount int64  // cents, as returned; 0 of a change and an acknowledgement
	Credit bool   // the original entry was a credit
	Own    string // trace number of the answer itself: 15 digits
	Record int    // place of the answer's entry in its file, from 1
}

// Answer is a whole file of a bank's answers.
type Answer struct {
	Digest      string    // hex SHA-256 of the file's bytes
	Created     time.Time // date and minute of the header, as the bank's clock showed them, given as UTC
	Origin      string    // who made the file: immediate origin, without spaces around it
	Destination string    // whom it is for: immediate destination, without spaces around it
	Items       []Item    // in the file's order; none where the bank had nothing to say. No entry is answered twice in the same way
}

// Read reads a file of returns, notices of change and acknowledgements, of at most 64 MiB, whole or not at all. Records may end with a
// newline, with a carriage return and a newline, or not at all, but all in the same way. Refused with ErrFile are a wrong order or size of
// records, counts, hashes and totals that do not add up, what is not printable ASCII, a second file behind the first, unknown codes, and
// what is no answer to an entry of ours: new entries, answers to classes that are never written, dishonoured and contested returns. Other
// errors are r's.
//
// What the file holds of accounts is cleared from memory before Read returns, and never becomes a string.
func Read(r io.Reader) (Answer, error) {
	data, err := readAll(r)
	defer clear(data)
	if err != nil {
		return Answer{}, err
	}
	digest := sha256.Sum256(data)
	records, err := split(data)
	if err != nil {
		return Answer{}, err
	}
	reader := fileReader{records: records, answered: map[answered]int{}}
	if err := reader.read(); err != nil {
		return Answer{}, err
	}
	reader.answer.Digest = hex.EncodeToString(digest[:])
	return reader.answer, nil
}

// readAll reads all of r, clearing every buffer that it outgrows. It returns what it read beside an error too, for the caller to clear.
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
			return data, fmt.Errorf("nacha: reading the answer file: %w", err)
		}
	}
}

// records are a file's records where they lie in its bytes.
type records struct {
	data   []byte
	stride int // bytes from the start of one record to that of the next
	count  int
}

// at returns record i, from 0.
func (r records) at(i int) []byte { return r.data[i*r.stride : i*r.stride+recordBytes] }

// split finds the records: whole blocks of ten, each of 94 printable ASCII characters, all with the same ending, which the last may lack.
func split(data []byte) (records, error) {
	ending := ""
	if len(data) > recordBytes {
		switch data[recordBytes] {
		case '\n':
			ending = "\n"
		case '\r':
			ending = "\r\n"
		}
	}
	r := records{data: data, stride: recordBytes + len(ending)}
	r.count = (len(data) + len(ending)) / r.stride
	whole := r.count * r.stride
	if r.count == 0 || len(data) != whole && len(data) != whole-len(ending) {
		return records{}, fmt.Errorf("%w: it is not made of records of %d characters, or is cut off in its record %d", ErrFile, recordBytes, r.count+1)
	}
	for i := range r.count {
		for _, c := range r.at(i) {
			if c < ' ' || c > '~' {
				return records{}, fmt.Errorf("%w: record %d has not %d printable ASCII characters", ErrFile, i+1, recordBytes)
			}
		}
		if end := data[i*r.stride+recordBytes : min((i+1)*r.stride, len(data))]; len(end) > 0 && string(end) != ending {
			return records{}, fmt.Errorf("%w: record %d does not end like record 1", ErrFile, i+1)
		}
	}
	if r.count%blocking != 0 {
		return records{}, fmt.Errorf("%w: %d records are no whole blocks of %d; it may be cut off", ErrFile, r.count, blocking)
	}
	return r, nil
}
