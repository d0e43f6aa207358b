package strictjson

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxInteger is the largest integer that a text may hold, 2^53-1: the largest that every JSON
// reader keeps exact.
const MaxInteger = 1<<53 - 1

// ErrInvalid is wrapped by every error of this package that is about the text.
var ErrInvalid = errors.New("not strict JSON")

// lexer reads one text. All its errors name offsets and reasons, never bytes of the text.
type lexer struct {
	data []byte
	pos  int
}

func newLexer(data []byte) (*lexer, error) {
	l := &lexer{data: data}
	if len(data) < 2 || data[0] != '{' || data[len(data)-1] != '}' {
		return nil, l.fail("the text is not one object from its first byte to its last")
	}
	if !utf8.Valid(data) {
		return nil, l.fail("the text is not UTF-8")
	}
	return l, nil
}

func (l *lexer) fail(reason string) error {
	return fmt.Errorf("%w: offset %d: %s", ErrInvalid, l.pos, reason)
}

// peek skips white space and returns the next byte without taking it, 0 at the end.
func (l *lexer) peek() byte {
	for l.pos < len(l.data) {
		switch c := l.data[l.pos]; c {
		case ' ', '\t', '\n', '\r':
			l.pos++
		default:
			return c
		}
	}
	return 0
}

// accept skips white space and c, and reports whether c was there; else it skips no c.
func (l *lexer) accept(c byte) bool {
	if l.peek() != c {
		return false
	}
	l.pos++
	return true
}

func (l *lexer) end() error {
	if l.pos != len(l.data) {
		return l.fail("bytes after the object")
	}
	return nil
}

// each calls item for every element between the brackets open and close, which item must consume.
func (l *lexer) each(open, close byte, item func(n int) error) error {
	if !l.accept(open) {
		return l.fail("expected " + string(rune(open)))
	}
	if l.accept(close) {
		return nil
	}
	for n := 0; ; n++ {
		if err := item(n); err != nil {
			return err
		}
		if l.accept(close) {
			return nil
		}
		if !l.accept(',') {
			return l.fail("expected a comma or a closing bracket")
		}
	}
}

// name takes a member's name and its colon. The result is valid until buf is used again.
func (l *lexer) name(buf []byte) ([]byte, error) {
	name, err := l.text(buf)
	if err != nil {
		return nil, err
	}
	if !l.accept(':') {
		return nil, l.fail("expected a colon")
	}
	return name, nil
}

// text takes a string and appends what it stands for to buf[:0]. That is never longer than the
// string is in the text, so a buf with the capacity of the text is never reallocated.
func (l *lexer) text(buf []byte) ([]byte, error) {
	if !l.accept('"') {
		return nil, l.fail("expected a string")
	}
	buf = buf[:0]
	for l.pos < len(l.data) {
		switch c := l.data[l.pos]; {
		case c == '"':
			l.pos++
			return buf, nil
		case c < 0x20:
			return nil, l.fail("a control character in a string")
		case c == '\\':
			var err error
			if buf, err = l.escape(buf); err != nil {
				return nil, err
			}
		default:
			run := l.plain()
			buf = append(buf, run...)
		}
	}
	return nil, l.fail("a string without an end")
}

// plain takes the longest run of characters that stand for themselves.
func (l *lexer) plain() []byte {
	start := l.pos
	for l.pos < len(l.data) {
		if c := l.data[l.pos]; c == '"' || c == '\\' || c < 0x20 {
			break
		}
		l.pos++
	}
	return l.data[start:l.pos]
}

// bare returns the bytes of a string that has no escapes, as a slice of the text, without copying.
func (l *lexer) bare() ([]byte, bool) {
	if l.peek() != '"' {
		return nil, false
	}
	rest := l.data[l.pos+1:]
	n := bytes.IndexByte(rest, '"')
	if n < 0 || bytes.IndexByte(rest[:n], '\\') >= 0 || IndexControl(rest[:n]) >= 0 {
		return nil, false
	}
	l.pos += n + 2
	return rest[:n], true
}

func (l *lexer) escape(buf []byte) ([]byte, error) {
	if l.pos+1 >= len(l.data) {
		return nil, l.fail("an escape without an end")
	}
	c := l.data[l.pos+1]
	if c == 'u' {
		return l.unicode(buf)
	}
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	i := bytes.IndexByte([]byte(from), c)
	if i < 0 {
		return nil, l.fail("an unknown escape")
	}
	l.pos += 2
	return append(buf, to[i]), nil
}

// unicode takes \uXXXX, or two of them that make a surrogate pair.
func (l *lexer) unicode(buf []byte) ([]byte, error) {
	r, err := l.hex4()
	if err != nil {
		return nil, err
	}
	if r < 0xD800 || r > 0xDFFF {
		return utf8.AppendRune(buf, r), nil
	}
	if r > 0xDBFF || l.pos+1 >= len(l.data) || l.data[l.pos] != '\\' || l.data[l.pos+1] != 'u' {
		return nil, l.fail("a lone surrogate")
	}
	low, err := l.hex4()
	if err != nil {
		return nil, err
	}
	if low < 0xDC00 || low > 0xDFFF {
		return nil, l.fail("a lone surrogate")
	}
	return utf8.AppendRune(buf, (r-0xD800)<<10+(low-0xDC00)+0x10000), nil
}

func (l *lexer) hex4() (rune, error) {
	if l.pos+6 > len(l.data) {
		return 0, l.fail("an escape without an end")
	}
	var r rune
	for _, c := range l.data[l.pos+2 : l.pos+6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, l.fail("an escape that is not four hex digits")
		}
		r = r<<4 + rune(c)
	}
	l.pos += 6
	return r, nil
}

// integer takes an integer of 0 to MaxInteger and returns it with its digits.
func (l *lexer) integer() (uint64, []byte, error) {
	if c := l.peek(); c < '0' || c > '9' {
		return 0, nil, l.fail("expected an integer of 0 to 2^53-1")
	}
	start := l.pos
	var n uint64
	for l.pos < len(l.data) {
		c := l.data[l.pos]
		if c < '0' || c > '9' {
			break
		}
		if n = n*10 + uint64(c-'0'); n > MaxInteger {
			return 0, nil, l.fail("an integer above 2^53-1")
		}
		l.pos++
	}
	digits := l.data[start:l.pos]
	if len(digits) > 1 && digits[0] == '0' {
		return 0, nil, l.fail("an integer with a leading zero")
	}
	switch l.peek() {
	case ',', '}', ']':
		return n, digits, nil
	}
	return 0, nil, l.fail("a number that is not an integer")
}

// boolean takes true or false.
func (l *lexer) boolean() (bool, error) {
	l.peek()
	for _, word := range []string{"true", "false"} {
		if bytes.HasPrefix(l.data[l.pos:], []byte(word)) {
			l.pos += len(word)
			return word == "true", nil
		}
	}
	return false, l.fail("expected true or false")
}

// IndexControl returns where the first control character (a byte below 0x20) of b is, -1 if there
// is none. Sealed parts make texts of kilobytes, so it looks at eight bytes at a time: a byte below
// 0x20, and only that, borrows into its highest bit when 0x20 is taken from it.
func IndexControl(b []byte) int {
	const each, highest = 0x2020202020202020, 0x8080808080808080
	i := 0
	for ; len(b)-i >= 8; i += 8 {
		if eight := binary.LittleEndian.Uint64(b[i:]); (eight-each)&^eight&highest != 0 {
			break
		}
	}
	for ; i < len(b); i++ {
		if b[i] < 0x20 {
			return i
		}
	}
	return -1
}

// Base64 decodes BASE64: RFC 4648 standard alphabet, padded, canonical (no spare bits, no line
// breaks). It is for the text of members and of signature lines alike. The error does not quote the
// text.
func Base64(text []byte) ([]byte, error) {
	// encoding/base64 passes over these two.
	if bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0 {
		return nil, fmt.Errorf("%w: base64 with a line break", ErrInvalid)
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(out, text)
	if err != nil {
		return nil, fmt.Errorf("%w: base64 that is not canonical", ErrInvalid)
	}
	return out[:n], nil
}
