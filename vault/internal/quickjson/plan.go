package quickjson

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// plan is how a struct type is read and written, made once.
type plan struct {
	fields []field
}

type field struct {
	index []int  // through embedded structs
	name  string // as it is written: `"id":`
	omit  func(reflect.Value) bool
	form  *form
}

func (f *field) omits(v reflect.Value) bool { return f.omit != nil && f.omit(v) }

type kind uint8

const (
	kindOther kind = iota // encoding/json's
	kindString
	kindBool
	kindInt
	kindUint
	kindStruct
	kindPointer
	kindSlice
	kindInterface // is written only
	kindOwn       // a Form and json.Unmarshaler
)

// form is how a value is read and written.
type form struct {
	kind kind
	plan *plan // of a struct
	elem *form // of a pointer or slice
}

var plans sync.Map // reflect.Type to *plan, nil for types that are encoding/json's

// planOf returns the plan of a struct type, nil where only encoding/json can do it.
func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p, _ := plans.LoadOrStore(t, newPlan(t))
	return p.(*plan)
}

func newPlan(t reflect.Type) *plan {
	if t.Kind() != reflect.Struct || hasMethods(t) {
		return nil
	}
	p := &plan{}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous { // its members are among the others
			inner := planOf(f.Type)
			if inner == nil || !f.IsExported() || f.Tag != "" {
				return nil
			}
			for _, member := range inner.fields {
				member.index = append([]int{i}, member.index...)
				p.fields = append(p.fields, member)
			}
			continue
		}
		tag := f.Tag.Get("json")
		if !f.IsExported() || tag == "-" {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if name == "" {
			name = f.Name
		}
		omit, ok := omission(f.Type, options)
		if quoted, err := appendString(nil, name); ok && err == nil {
			p.fields = append(p.fields, field{index: []int{i}, name: string(quoted) + ":", omit: omit, form: formOf(f.Type)})
			continue
		}
		return nil
	}
	for i, f := range p.fields {
		if slices.ContainsFunc(p.fields[:i], func(g field) bool { return f.name == g.name }) {
			return nil // which of them is meant, encoding/json knows
		}
	}
	return p
}

// of is the field of a struct.
func (f *field) of(v reflect.Value) reflect.Value {
	for _, i := range f.index {
		v = v.Field(i)
	}
	return v
}

var (
	formType   = reflect.TypeFor[Form]()
	readerType = reflect.TypeFor[json.Unmarshaler]()
	custom     = [...]reflect.Type{reflect.TypeFor[json.Marshaler](), readerType, reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()}
)

// hasMethods reports whether encoding/json asks the type itself.
func hasMethods(t reflect.Type) bool {
	for _, c := range custom {
		if t.Implements(c) || reflect.PointerTo(t).Implements(c) {
			return true
		}
	}
	return false
}

func formOf(t reflect.Type) *form {
	if hasMethods(t) {
		if t.Implements(formType) && reflect.PointerTo(t).Implements(readerType) {
			return &form{kind: kindOwn}
		}
		return &form{}
	}
	switch t.Kind() {
	case reflect.String:
		return &form{kind: kindString}
	case reflect.Bool:
		return &form{kind: kindBool}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return &form{kind: kindInt}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return &form{kind: kindUint}
	case reflect.Struct:
		if p := planOf(t); p != nil {
			return &form{kind: kindStruct, plan: p}
		}
	case reflect.Pointer:
		// types that hold themselves have no place in records
		if elem := formOf(t.Elem()); elem.kind == kindStruct {
			return &form{kind: kindPointer, elem: elem}
		}
	case reflect.Slice:
		// bytes are base64
		if elem := formOf(t.Elem()); elem.kind != kindOther && t.Elem().Kind() != reflect.Uint8 {
			return &form{kind: kindSlice, elem: elem}
		}
	case reflect.Interface:
		return &form{kind: kindInterface}
	default:
	}
	return &form{}
}

// omission returns when a field's options omit it; nil: never. It reports false for an unknown
// option.
func omission(t reflect.Type, options string) (func(reflect.Value) bool, bool) {
	switch options {
	case "":
		return nil, true
	case "omitempty":
		switch t.Kind() {
		case reflect.Slice, reflect.Map, reflect.String:
			return func(v reflect.Value) bool { return v.Len() == 0 }, true
		case reflect.Struct: // is never empty
			return nil, true
		case reflect.Array, reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
			return nil, false
		default:
			return reflect.Value.IsZero, true
		}
	case "omitzero":
		type zero interface{ IsZero() bool }
		if t.Implements(reflect.TypeFor[zero]()) && t.Kind() == reflect.Struct {
			return func(v reflect.Value) bool {
				if v.CanAddr() {
					v = v.Addr()
				}
				return v.Interface().(zero).IsZero()
			}, true
		}
		return reflect.Value.IsZero, !reflect.PointerTo(t).Implements(reflect.TypeFor[zero]())
	}
	return nil, false
}
