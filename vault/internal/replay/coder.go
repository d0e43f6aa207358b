package replay

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"reflect"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// coder writes values into bytes, or reads them, by their types' declarations: a new member needs
// nothing here. Its form is private to one process.
type coder struct {
	reading bool
	buffer  []byte // what was written
	rest    string // what is left to read
	bad     bool   // it ended too early
}

var errCut = errors.New("a record of the replay's own file is cut")

func appendPayment(dst []byte, p *book.Payment) ([]byte, error) {
	c := coder{buffer: dst}
	c.value(reflect.ValueOf(p).Elem())
	return c.buffer, nil
}

// readPayment reads what appendPayment appended. Strings of p are parts of text.
func readPayment(text string, p *book.Payment) error {
	c := coder{reading: true, rest: text}
	*p = book.Payment{}
	if c.value(reflect.ValueOf(p).Elem()); c.bad || len(c.rest) > 0 {
		return errCut
	}
	return nil
}

var timeType = reflect.TypeFor[envelope.Time]()

// value writes or reads v, which is addressable and, when read, zero.
func (c *coder) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		s := v.String()
		if c.string(&s); c.reading {
			v.SetString(s)
		}
	case reflect.Bool:
		if b := c.bool(v.Bool()); c.reading {
			v.SetBool(b)
		}
	case reflect.Int, reflect.Int64:
		if n := c.uint(uint64(v.Int())); c.reading {
			v.SetInt(int64(n))
		}
	case reflect.Uint32, reflect.Uint64:
		if n := c.uint(v.Uint()); c.reading {
			v.SetUint(n)
		}
	case reflect.Pointer:
		c.pointer(v)
	case reflect.Slice:
		c.slice(v)
	case reflect.Struct:
		if v.Type() == timeType {
			c.time(v.Addr().Interface().(*envelope.Time))
			return
		}
		c.members(v)
	default:
		panic("replay: records hold no " + v.Kind().String())
	}
}

// members writes or reads which members of a struct, 64 at most, are not zero, and those.
func (c *coder) members(v reflect.Value) {
	set := uint64(0)
	for i := 0; !c.reading && i < v.NumField(); i++ {
		if !v.Field(i).IsZero() {
			set |= 1 << i
		}
	}
	set = c.uint(set)
	for ; set != 0; set &= set - 1 {
		i := bits.TrailingZeros64(set)
		if i >= v.NumField() {
			c.bad = true
			return
		}
		c.value(v.Field(i))
	}
}

// pointer writes or reads whether there is a value, and the value.
func (c *coder) pointer(v reflect.Value) {
	there := c.bool(!v.IsNil())
	if c.reading && there {
		v.Set(reflect.New(v.Type().Elem()))
	}
	if there {
		c.value(v.Elem())
	}
}

// slice writes or reads a slice's length and values. An empty one is read as nil.
func (c *coder) slice(v reflect.Value) {
	length := c.uint(uint64(v.Len()))
	if c.reading {
		if length > uint64(len(c.rest)) { // each takes a byte at least
			c.bad = true
			return
		}
		if length > 0 {
			v.Set(reflect.MakeSlice(v.Type(), int(length), int(length)))
		}
	}
	for i := range v.Len() {
		c.value(v.Index(i))
	}
}

func (c *coder) string(s *string) {
	length := c.uint(uint64(len(*s)))
	switch {
	case !c.reading:
		c.buffer = append(c.buffer, *s...)
	case length > uint64(len(c.rest)):
		c.bad = true
	default:
		*s, c.rest = c.rest[:length], c.rest[length:]
	}
}

// uint writes n, or returns what it reads instead.
func (c *coder) uint(n uint64) uint64 {
	if !c.reading {
		c.buffer = binary.AppendUvarint(c.buffer, n)
		return n
	}
	n = 0
	for i := 0; i < len(c.rest) && i < binary.MaxVarintLen64; i++ {
		n |= uint64(c.rest[i]&0x7f) << (7 * i)
		if c.rest[i] < 0x80 {
			c.rest = c.rest[i+1:]
			return n
		}
	}
	c.bad, c.rest = true, ""
	return 0
}

func (c *coder) bool(b bool) bool {
	bit := uint64(0)
	if b {
		bit = 1
	}
	return c.uint(bit) == 1
}

func (c *coder) time(t *envelope.Time) {
	seconds := int64(c.uint(uint64(t.Unix())))
	if c.reading {
		*t = envelope.Time{Time: time.Unix(seconds, 0).UTC()}
	}
}
