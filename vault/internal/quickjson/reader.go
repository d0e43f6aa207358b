package quickjson

import (
	"encoding/binary"
	"encoding/json"
	"reflect"
	"strings"
)

// reader reads the form that Append writes. Its methods report false for any other, JSON or not.
type reader struct {
	data []byte
	text string // the same bytes
	at   int
}

func (r *reader) accept(c byte) bool {
	if r.at < len(r.data) && r.data[r.at] == c {
		r.at++
		return true
	}
	return false
}

func (r *reader) object(p *plan, v reflect.Value) bool {
	if !r.accept('{') {
		return false
	}
	first := true
	for i := range p.fields {
		f := &p.fields[i]
		at := r.at
		if !first && !r.accept(',') || !strings.HasPrefix(r.text[r.at:], f.name) {
			if f.omit == nil {
				return false // it is always written
			}
			r.at = at
			continue // it was left out, or what is there is no member that may stand here
		}
		first = false
		r.at += len(f.name)
		if !r.value(f.form, f.of(v)) {
			return false
		}
	}
	return r.accept('}')
}

func (r *reader) value(f *form, v reflect.Value) bool {
	switch f.kind {
	case kindString:
		s, ok := r.string()
		if ok {
			v.SetString(s)
		}
		return ok
	case kindBool:
		return r.boolean(v)
	case kindInt:
		return r.int(v)
	case kindUint:
		n, ok := r.digits()
		if !ok || v.OverflowUint(n) {
			return false
		}
		v.SetUint(n)
		return true
	case kindStruct:
		return r.object(f.plan, v)
	case kindPointer:
		v.Set(reflect.New(v.Type().Elem()))
		return r.value(f.elem, v.Elem())
	case kindSlice:
		return r.slice(f.elem, v)
	case kindOwn:
		from := r.at
		_, ok := r.string()
		return ok && v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(r.data[from:r.at]) == nil
	case kindInterface, kindOther:
	}
	return false
}

// string reads a string of ASCII that needs no unescaping.
func (r *reader) string() (string, bool) {
	if !r.accept('"') {
		return "", false
	}
	length := strings.IndexByte(r.text[r.at:], '"')
	if length < 0 || !isPlain(r.data[r.at:r.at+length]) {
		return "", false
	}
	s := r.text[r.at : r.at+length]
	r.at += length + 1
	return s, true
}

// isPlain reports whether all bytes stand for themselves in a string, eight at a time if possible.
func isPlain(b []byte) bool {
	const each, high = 0x0101010101010101, 0x8080808080808080
	for ; len(b) >= 8; b = b[8:] {
		w := binary.LittleEndian.Uint64(b)
		backslash := w ^ each*'\\'
		del := w ^ each*0x7f
		// The highest bit of a byte is set in x-0x01 and not in x where x was 0, in x-0x20 where x
		// was below 0x20; a borrow only ever marks a byte behind one that is marked too.
		if (w|(w-each*0x20)&^w|(backslash-each)&^backslash|(del-each)&^del)&high != 0 {
			return false
		}
	}
	for _, c := range b {
		if !plainIn[c] {
			return false
		}
	}
	return true
}

func (r *reader) boolean(v reflect.Value) bool {
	const yes, no = "true", "false"
	switch rest := r.text[r.at:]; {
	case strings.HasPrefix(rest, yes):
		r.at += len(yes)
		v.SetBool(true)
	case strings.HasPrefix(rest, no):
		r.at += len(no)
	default:
		return false
	}
	return true
}

// maxDigits is how many digits are sure to fit into 63 bits.
const maxDigits = 18

func (r *reader) digits() (n uint64, ok bool) {
	from := r.at
	for r.at < len(r.data) && r.data[r.at]-'0' <= 9 {
		n = 10*n + uint64(r.data[r.at]-'0')
		r.at++
	}
	length := r.at - from
	return n, length > 0 && length <= maxDigits && (r.data[from] != '0' || length == 1)
}

func (r *reader) int(v reflect.Value) bool {
	negative := r.accept('-')
	n, ok := r.digits()
	value := int64(n)
	if negative {
		value = -value
	}
	if !ok || v.OverflowInt(value) || negative && n == 0 {
		return false
	}
	v.SetInt(value)
	return true
}

func (r *reader) slice(elem *form, v reflect.Value) bool {
	if !r.accept('[') {
		return false
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 1))
	if r.accept(']') {
		return true
	}
	for n := 0; ; n++ {
		if n == v.Cap() {
			v.Grow(1)
		}
		v.SetLen(n + 1)
		if !r.value(elem, v.Index(n)) {
			return false
		}
		if !r.accept(',') {
			return r.accept(']')
		}
	}
}
