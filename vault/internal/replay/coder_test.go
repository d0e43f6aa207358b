package replay

import (
	"reflect"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// fill sets every member of what v points to, each to something else.
func fill(t *testing.T, v reflect.Value, n *int64) {
	t.Helper()
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(time.Unix(*n, 0).UTC().String())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(-1000 * *n)
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(1000 * *n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), n)
		fill(t, v.Index(1), n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[envelope.Time]() {
			v.Set(reflect.ValueOf(envelope.At(time.Unix(*n, 0))))
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	default:
		t.Fatalf("payments have a member of kind %s: add it to coder.value", v.Kind())
	}
}

// TestPaymentsAreKeptWhole: every member of a payment is written and read, whatever is added.
func TestPaymentsAreKeptWhole(t *testing.T) {
	var n int64
	var full book.Payment
	fill(t, reflect.ValueOf(&full).Elem(), &n)
	for _, want := range []book.Payment{{}, {ID: "a"}, full,
		{Replies: book.Replies{Results: []uint64{1}}, Messages: book.Messages{Trace: &book.Trace{}}}} {
		data, err := appendPayment([]byte("before"), &want)
		if err != nil {
			t.Fatal(err)
		}
		data = data[len("before"):]
		got := full // is replaced whole
		if err := readPayment(string(data), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
		for cut := range data {
			if readPayment(string(data[:cut]), &got) == nil {
				t.Fatalf("%d bytes of %d are a payment", cut, len(data))
			}
		}
		if readPayment(string(data)+"\x00", &got) == nil {
			t.Error("a payment with something behind it is one")
		}
	}
}

func FuzzReadPayment(f *testing.F) {
	data, _ := appendPayment(nil, &book.Payment{ID: "a", Replies: book.Replies{Results: []uint64{1, 300}}, Messages: book.Messages{Trace: &book.Trace{RRN: "b"}}})
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		var p, again book.Payment
		if readPayment(string(data), &p) != nil {
			return
		}
		written, err := appendPayment(nil, &p)
		if err != nil || readPayment(string(written), &again) != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("%+v is not read again: %v", p, err)
		}
	})
}
