package nacha

import (
	"bytes"
	"fmt"
	"iter"
	"unicode/utf8"
)

// records are a file's records, each padded to 94 characters.
type records struct {
	data  []byte
	count int
}

// at returns record i, from 0.
func (r records) at(i int) []byte { return r.data[i*recordBytes : (i+1)*recordBytes] }

// Bytes before and after a file's records that are ignored.
const (
	byteOrderMark = "\xef\xbb\xbf"
	emptyAtEnd    = " \t\r\n\x1a\x00" // blanks, line ends, Ctrl-Z, and the zeros that fill a block
)

// split returns the padded records. The caller clears them, even with an error.
func split(data []byte) (records, error) {
	data = bytes.TrimRight(bytes.TrimPrefix(data, []byte(byteOrderMark)), emptyAtEnd)
	count := 0
	for range lines(data) {
		count++
	}
	if count == 0 {
		return records{}, fmt.Errorf("%w: it is empty, or cut off", ErrFile)
	}
	if count > maxAnswerRecords {
		return records{}, fmt.Errorf("%w: it has more than %d records", ErrFile, maxAnswerRecords)
	}
	r := records{data: make([]byte, 0, count*recordBytes)}
	for line := range lines(data) {
		if r.count++; !r.fill(line) {
			return r, fmt.Errorf("%w: record %d has more than %d characters", ErrFile, r.count, recordBytes)
		}
	}
	return r, nil
}

// lines yields the lines that are not blank, without blanks at their ends; or, of a file without
// line ends, every 94 characters.
func lines(data []byte) iter.Seq[[]byte] {
	end := byte('\n')
	if bytes.IndexByte(data, end) < 0 {
		end = '\r'
	}
	unbroken := bytes.IndexByte(data, end) < 0
	return func(yield func([]byte) bool) {
		for rest := data; len(rest) > 0; {
			var line []byte
			if unbroken {
				line, rest = rest[:min(recordBytes, len(rest))], rest[min(recordBytes, len(rest)):]
			} else {
				line, rest, _ = bytes.Cut(rest, []byte{end})
			}
			if line = bytes.TrimRight(line, " \t\r"); len(line) > 0 && !yield(line) {
				return
			}
		}
	}
}

// fill appends one padded record; false where the line is longer. A character that is not printable
// ASCII becomes a question mark, which is in no number and no code. A line of other than 94 bytes
// is read as UTF-8 where it is valid: the bank counted characters.
func (r *records) fill(line []byte) bool {
	characters := len(line) != recordBytes && utf8.Valid(line)
	n := 0
	for len(line) > 0 && n < recordBytes {
		c, size := line[0], 1
		if characters {
			_, size = utf8.DecodeRune(line)
		}
		if c < ' ' || c > '~' {
			c = '?'
		}
		r.data, line, n = append(r.data, c), line[size:], n+1
	}
	for ; n < recordBytes; n++ {
		r.data = append(r.data, ' ')
	}
	return len(line) == 0
}
