// Package scan looks for account numbers in clear in files, folders and process memory.
//
// It reads any bytes, knows how a number leaks (plain text, grouped by spaces or dashes, UTF-16,
// packed BCD, and the text forms inside base64 at every alignment), and reports only position and
// masked number. It keeps numbers in byte slices that it clears, so that a scan does not spread
// them.
package scan

import (
	"context"
	"errors"
	"fmt"
	"io"

	"nightdrop/shared/envelope"
)

// Encoding names how a number was written.
type Encoding string

// The encodings of a [Finding]. InBase64 precedes the inner one: "base64/plain".
const (
	Plain   Encoding = "plain"
	Grouped Encoding = "grouped"
	UTF16   Encoding = "utf-16"
	BCD     Encoding = "bcd"
)

func inBase64(inner Encoding) Encoding { return "base64/" + inner }

// A Finding is one account number in clear, masked as PCI DSS 3.4.1 allows.
type Finding struct {
	Path     string   `json:"path"`
	Offset   int64    `json:"offset"` // bytes from the start of the file; the address in a process
	Encoding Encoding `json:"encoding"`
	Masked   string   `json:"masked"`
}

const (
	windowBytes = 1 << 20
	// marginBytes is how far a number may reach over a window's edge. The longest form, 19 digits,
	// grouped, in UTF-16, in base64 with line breaks, needs about 110 bytes; the rest is context
	// for the rules.
	marginBytes = 1 << 10

	minDigits = 12 // ISO/IEC 7812-1: 8 to 19; no card brand issues below 12
	maxDigits = 19
)

// A Scanner finds every plausible card number, or exactly the given ones. Not safe for concurrent
// use.
type Scanner struct {
	exact *numberSet // nil: every run that passes Luhn and has a brand's prefix and length
	emit  func(Finding)
	path  string
	base  int64 // offset of data[0] of the window
	// findings that start before from or at or after to belong to a neighbouring window
	from    int
	to      int
	chain   chain
	decoded []byte
	letters []byte
	places  []int32
}

// New returns a scanner for 12 to 19 digits that pass Luhn and fit a known brand. It misses packed
// BCD between random bytes, where chance alone makes such numbers: use [NewExact] for that.
func New() *Scanner { return &Scanner{} }

// NewExact returns a scanner for the given numbers (12 to 19 ASCII digits each) in every encoding.
// The numbers are copied; Clear removes the copies.
func NewExact(numbers [][]byte) (*Scanner, error) {
	set, err := newNumberSet(numbers)
	if err != nil {
		return nil, err
	}
	return &Scanner{exact: set}, nil
}

// Clear removes the given numbers and clears the buffers. The scanner cannot be used afterwards.
func (s *Scanner) Clear() {
	if s.exact != nil {
		s.exact.clear()
	}
	clear(s.decoded[:cap(s.decoded)])
	clear(s.letters[:cap(s.letters)])
	clear(s.chain.digits[:cap(s.chain.digits)])
}

// Reader scans r, calling emit for each finding, in order of windows. path names the source.
func (s *Scanner) Reader(ctx context.Context, path string, r io.Reader, emit func(Finding)) error {
	return s.reader(ctx, path, 0, r, emit, func(int) {})
}

// reader is Reader from an offset; progress gets the bytes read.
func (s *Scanner) reader(ctx context.Context, path string, offset int64, r io.Reader, emit func(Finding), progress func(int)) error {
	buffer := make([]byte, windowBytes+2*marginBytes)
	defer clear(buffer)
	s.path, s.emit = path, emit
	held, from := 0, 0 // bytes held; those before from were reported with the window before
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(r, buffer[held:])
		held += n
		progress(n)
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return fmt.Errorf("read %s: %w", path, err)
		}
		to := held
		if !last {
			to = held - marginBytes
		}
		s.window(buffer[:held], offset, from, to)
		if last {
			return nil
		}
		kept := 2 * marginBytes
		copy(buffer, buffer[held-kept:held])
		offset += int64(held - kept)
		held, from = kept, marginBytes
	}
}

// window scans data, whose first byte is at base, and reports what starts in data[from:to].
func (s *Scanner) window(data []byte, base int64, from, to int) {
	s.base, s.from, s.to = base, from, to
	here := func(i int) int { return i }
	s.text(data, 1, Plain, here)
	s.text(data, 2, UTF16, here)
	if s.exact != nil {
		s.exact.find(data, func(at int, e Encoding, digits []byte) { s.report(at, e, digits) })
	} else {
		s.packed(data)
	}
	s.base64(data)
}

// report emits the number at data[at] unless it belongs to a neighbouring window.
func (s *Scanner) report(at int, e Encoding, digits []byte) {
	if at < s.from || at >= s.to {
		return
	}
	s.emit(Finding{Path: s.path, Offset: s.base + int64(at), Encoding: e, Masked: envelope.MaskCard(digits)})
}

func isDigit(b byte) bool { return b-'0' < 10 }
