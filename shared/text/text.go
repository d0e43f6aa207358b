// Package text reads and writes files of text that people edit: UTF-8, with or without the byte
// order mark that editors and spreadsheets put before it, and CSV that no spreadsheet takes for
// formulas.
package text

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// ErrEncoding is returned when a text is not UTF-8. The error names the line and repeats nothing of
// it.
var ErrEncoding = errors.New("save the file as UTF-8 (spreadsheets call it CSV UTF-8)")

// mark is the byte order mark in UTF-8.
const mark = "\ufeff"

// WithoutMark returns data without the byte order mark that it may begin with: a part of data,
// which is not changed.
func WithoutMark(data []byte) []byte { return bytes.TrimPrefix(data, []byte(mark)) }

// Clean is WithoutMark for data that must be UTF-8; ErrEncoding where it is not.
func Clean(data []byte) ([]byte, error) {
	data = WithoutMark(data)
	if utf8.Valid(data) {
		return data, nil
	}
	c := checker{line: 1, first: true}
	if err := c.check(data, true); err != nil {
		return nil, err
	}
	return nil, c.wrong()
}

// Read reads at most limit bytes of a file of text, and fails for a longer one. See Clean.
func Read(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		clear(data)
		return nil, fmt.Errorf("longer than %d bytes", limit)
	}
	return Clean(data)
}

// NewReader returns a reader of r's text without its mark, which fails with ErrEncoding at the
// first line that is not UTF-8.
func NewReader(r io.Reader) io.Reader {
	return &reader{r: r, checker: checker{line: 1, first: true}}
}

type reader struct {
	r       io.Reader
	checker checker
	begun   bool
	head    []byte // of the text, while it is not known whether it is the mark
	err     error  // of r
	broken  error
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !r.begun {
		r.begun = true
		first := make([]byte, len(mark))
		n, err := io.ReadFull(r.r, first)
		if r.head = WithoutMark(first[:n]); err != nil {
			r.err = io.EOF
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				r.err = err
			}
		}
	}
	if r.broken != nil {
		return 0, r.broken
	}
	n, err := copy(p, r.head), error(nil)
	if r.head = r.head[n:]; n == 0 {
		if err = r.err; err == nil {
			n, err = r.r.Read(p)
		}
	}
	if r.broken = r.checker.check(p[:n], errors.Is(err, io.EOF)); r.broken != nil {
		return 0, r.broken
	}
	return n, err
}

// checker checks a text that comes in pieces.
type checker struct {
	line  int
	first bool   // nothing was taken yet
	rest  []byte // the beginning of a character whose end has not come
}

// check checks the next piece; last says that none follows.
func (c *checker) check(piece []byte, last bool) error {
	if c.first && len(piece) > 1 && (bytes.HasPrefix(piece, []byte{0xff, 0xfe}) || bytes.HasPrefix(piece, []byte{0xfe, 0xff})) {
		return fmt.Errorf("it is UTF-16: %w", ErrEncoding)
	}
	c.first = c.first && len(piece) == 0
	// only the character that was cut is joined: what is read may be secret, and copies stay
	if len(c.rest) > 0 && len(piece) > 0 {
		joined := append(c.rest, piece[:min(len(piece), utf8.UTFMax)]...)
		r, size := utf8.DecodeRune(joined)
		switch {
		case r != utf8.RuneError || size > 1:
			piece, c.rest = piece[size-len(c.rest):], nil
		case utf8.FullRune(joined):
			return c.wrong()
		default:
			piece, c.rest = nil, joined
		}
	}
	for len(piece) > 0 {
		r, size := utf8.DecodeRune(piece)
		switch {
		case r != utf8.RuneError || size > 1:
			if r == '\n' {
				c.line++
			}
			piece = piece[size:]
		case utf8.FullRune(piece):
			return c.wrong()
		default:
			piece, c.rest = nil, bytes.Clone(piece)
		}
	}
	if last && len(c.rest) > 0 {
		return c.wrong()
	}
	return nil
}

func (c *checker) wrong() error { return fmt.Errorf("line %d is not UTF-8: %w", c.line, ErrEncoding) }
