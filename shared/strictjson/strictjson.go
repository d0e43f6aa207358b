// Package strictjson reads and writes the JSON of Nightdrop's signed notes and sealed plaintexts:
// one object, first byte '{', last byte '}', exactly the members named, in any order, none twice at
// any depth (names compared after unescaping, exact case), integers without fraction or exponent
// from 0 to 2^53-1, no null, no lone surrogates, valid UTF-8. encoding/json folds case, keeps the
// last of duplicate members and takes null for anything, so two readers could see two different
// orders in one text.
//
// Errors wrap ErrInvalid, name offsets and members of the known set, and never quote the text.
package strictjson

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Unmarshal decodes data into v, a pointer to a struct. The struct's json tags are the exact set of
// members: those without omitempty are required, those with it may be absent. Values may be
// strings, bools, integers, []byte (canonical base64), encoding.TextUnmarshaler (from a string),
// structs, pointers and slices of these. Unexported fields and fields without a json tag are not
// members. On an error v is undefined.
func Unmarshal(data []byte, v any) error {
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() || target.Elem().Kind() != reflect.Struct {
		return errors.New("strictjson: the target is not a pointer to a struct")
	}
	l, err := newLexer(data)
	if err != nil {
		return err
	}
	d := decoder{lexer: l}
	if err := d.object(target.Elem()); err != nil {
		return err
	}
	return l.end()
}

// Marshal encodes v in one line: encoding/json without HTML escaping and without a final newline.
func Marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("strictjson: encode: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

type decoder struct {
	*lexer
	buf []byte // of the last string with escapes
}

// member is a field of a struct that stands for a member of an object.
type member struct {
	name     string
	index    int
	optional bool
}

func members(t reflect.Type) []member {
	list := make([]member, 0, t.NumField())
	for i := range t.NumField() {
		tag := t.Field(i).Tag.Get("json")
		if tag == "" || tag == "-" || !t.Field(i).IsExported() {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		list = append(list, member{name, i, strings.HasPrefix(options, "omit")})
	}
	return list
}

func (d *decoder) object(v reflect.Value) error {
	list := members(v.Type())
	var seen uint64 // bit i: list[i] was there; no statement has 64 members
	err := d.each('{', '}', func(int) error {
		raw, err := d.string()
		if err != nil {
			return err
		}
		i := find(list, raw)
		if i < 0 {
			return d.fail("an unknown member")
		}
		if !d.accept(':') {
			return d.fail("expected a colon")
		}
		if seen&(1<<i) != 0 {
			return d.fail("member " + list[i].name + " is there twice")
		}
		seen |= 1 << i
		if err := d.value(v.Field(list[i].index)); err != nil {
			return fmt.Errorf("member %s: %w", list[i].name, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, m := range list {
		if !m.optional && seen&(1<<i) == 0 {
			return d.fail("member " + m.name + " is missing")
		}
	}
	return nil
}

func find(list []member, name []byte) int {
	for i, m := range list {
		if m.name == string(name) {
			return i
		}
	}
	return -1
}

// string takes a string; the result is valid until the next call and must not be written to.
func (d *decoder) string() ([]byte, error) {
	if bare, ok := d.bare(); ok {
		return bare, nil
	}
	text, err := d.text(d.buf)
	if err == nil {
		d.buf = text
	}
	return text, err
}

func (d *decoder) value(v reflect.Value) error {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		return d.value(v.Elem())
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		text, err := d.string()
		if err != nil {
			return err
		}
		if err := u.UnmarshalText(text); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		return d.object(v)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return d.bytes(v)
		}
		return d.array(v)
	}
	return d.scalar(v)
}

func (d *decoder) scalar(v reflect.Value) error {
	switch {
	case v.Kind() == reflect.String:
		text, err := d.string()
		if err != nil {
			return err
		}
		v.SetString(string(text))
	case v.Kind() == reflect.Bool:
		b, err := d.boolean()
		if err != nil {
			return err
		}
		v.SetBool(b)
	case v.CanUint():
		n, _, err := d.integer()
		if err != nil {
			return err
		}
		if v.OverflowUint(n) {
			return d.fail("an integer out of range")
		}
		v.SetUint(n)
	case v.CanInt():
		n, _, err := d.integer()
		if err != nil {
			return err
		}
		if v.OverflowInt(int64(n)) {
			return d.fail("an integer out of range")
		}
		v.SetInt(int64(n))
	default:
		return errors.New("strictjson: a field of a kind that has no strict form: " + v.Kind().String())
	}
	return nil
}

func (d *decoder) bytes(v reflect.Value) error {
	text, err := d.string()
	if err != nil {
		return err
	}
	raw, err := Base64(text)
	if err != nil {
		return err
	}
	v.SetBytes(raw)
	return nil
}

func (d *decoder) array(v reflect.Value) error {
	list := reflect.MakeSlice(v.Type(), 0, 0)
	err := d.each('[', ']', func(int) error {
		item := reflect.New(v.Type().Elem()).Elem()
		if err := d.value(item); err != nil {
			return err
		}
		list = reflect.Append(list, item)
		return nil
	})
	v.Set(list)
	return err
}
