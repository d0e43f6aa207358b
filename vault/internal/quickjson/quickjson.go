// Package quickjson reads and writes the JSON of events and records several times as fast as
// encoding/json: Append writes the same bytes, and Unmarshal reads the same values and refuses
// unknown members.
//
// It is fast on the form that Append writes: no white space, members in the order of the struct's
// fields, strings without escapes. Anything else it leaves to encoding/json, from the beginning of
// the value, so that every text has one meaning. It uses no unsafe memory: an auditor reads events
// of a vault that it does not trust.
package quickjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strconv"
)

// Form is a value that writes its own JSON. Types that implement json.Marshaler implement it too
// where they are to be quick, and the two must agree.
type Form interface {
	AppendJSON(dst []byte) ([]byte, error)
}

// Append appends the JSON of v to dst: the bytes of json.Marshal. It is safe for concurrent use, as
// long as nothing changes v.
func Append[T any](dst []byte, v *T) ([]byte, error) {
	return appendValue(dst, reflect.ValueOf(v).Elem())
}

func appendValue(dst []byte, v reflect.Value) ([]byte, error) {
	if p := planOf(v.Type()); p != nil {
		return p.append(dst, v)
	}
	return appendSlowly(dst, v)
}

// Unmarshal replaces *v by the value of data, which is one JSON text. Strings of *v share one copy
// of data. Errors are those of encoding/json; *v is undefined then.
func Unmarshal[T any](data []byte, v *T) error {
	if Read(data, v) {
		return nil
	}
	reflect.ValueOf(v).Elem().SetZero()
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something after the JSON value")
	}
	return nil
}

// Read replaces *v by the value of data if that has the form that Append writes; else it reports
// false, and *v is undefined. Strings of *v share one copy of data.
func Read[T any](data []byte, v *T) bool {
	target := reflect.ValueOf(v).Elem()
	target.SetZero()
	p := planOf(target.Type())
	if p == nil {
		return false
	}
	r := reader{data: data, text: string(data)}
	return r.object(p, target) && r.at == len(data)
}

func appendSlowly(dst []byte, v reflect.Value) ([]byte, error) {
	if v.CanAddr() {
		v = v.Addr() // as encoding/json does, for methods of pointers
	}
	text, err := json.Marshal(v.Interface())
	return append(dst, text...), err
}

func (p *plan) append(dst []byte, v reflect.Value) (_ []byte, err error) {
	dst = append(dst, '{')
	empty := len(dst)
	for i := range p.fields {
		f := &p.fields[i]
		value := f.of(v)
		if f.omits(value) {
			continue
		}
		if len(dst) > empty {
			dst = append(dst, ',')
		}
		dst = append(dst, f.name...)
		if dst, err = f.form.append(dst, value); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func (f *form) append(dst []byte, v reflect.Value) (_ []byte, err error) {
	switch f.kind {
	case kindString:
		return appendString(dst, v.String())
	case kindBool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case kindInt:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case kindUint:
		return strconv.AppendUint(dst, v.Uint(), 10), nil
	case kindStruct:
		return f.plan.append(dst, v)
	case kindPointer:
		if !v.IsNil() {
			return f.elem.append(dst, v.Elem())
		}
	case kindSlice:
		if !v.IsNil() {
			return f.appendSlice(dst, v)
		}
	case kindInterface:
		if !v.IsNil() {
			return appendValue(dst, v.Elem())
		}
	case kindOwn:
		if v.CanAddr() {
			v = v.Addr() // spares a copy on the heap
		}
		return v.Interface().(Form).AppendJSON(dst)
	case kindOther:
		return appendSlowly(dst, v)
	}
	return append(dst, "null"...), nil
}

func (f *form) appendSlice(dst []byte, v reflect.Value) (_ []byte, err error) {
	dst = append(dst, '[')
	for i := range v.Len() {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = f.elem.append(dst, v.Index(i)); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

// appendString writes a string; what encoding/json escapes is left to it.
func appendString(dst []byte, s string) ([]byte, error) {
	for i := range len(s) {
		if !plainOut[s[i]] {
			text, err := json.Marshal(s)
			return append(dst, text...), err
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"'), nil
}

// plainIn are the bytes that stand for themselves in a string, plainOut those that encoding/json
// also writes so: not what HTML reads.
var plainIn, plainOut = plain("\"\\"), plain("\"\\<>&")

func plain(but string) (set [256]bool) {
	for c := 0x20; c < 0x7f; c++ {
		set[c] = true
	}
	for _, c := range []byte(but) {
		set[c] = false
	}
	return set
}
