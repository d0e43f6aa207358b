package quickjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/quickjson"
)

type named string

type inner struct {
	Text  string        `json:"text"`
	At    envelope.Time `json:"at,omitzero"`
	Small uint8         `json:"small,omitempty"`
}

// Part is embedded: its members are those of what holds it.
type Part struct {
	Share int64  `json:"share,omitempty"`
	Of    *inner `json:"of,omitempty"`
}

// all has a member of every form, some of which are encoding/json's.
type all struct {
	Plain  string        `json:"plain"`
	Named  named         `json:"named,omitempty"`
	Yes    bool          `json:"yes"`
	Maybe  bool          `json:"maybe,omitempty"`
	Int    int64         `json:"int"`
	Little int8          `json:"little,omitempty"`
	Uint   uint64        `json:"uint,omitempty"`
	Time   envelope.Time `json:"time"`
	In     inner         `json:"in"`
	Part
	Pointer   *inner            `json:"pointer,omitempty"`
	Nothing   *inner            `json:"nothing"`
	Texts     []string          `json:"texts,omitempty"`
	Numbers   []uint32          `json:"numbers"`
	Structs   []inner           `json:"structs,omitempty"`
	Bytes     []byte            `json:"bytes,omitempty"`
	Map       map[string]uint64 `json:"map,omitempty"`
	Any       any               `json:"any,omitempty"`
	Untagged  string
	Hidden    string `json:"-"`
	unseen    string
	Fraction  float64       `json:"fraction"`
	Zero      inner         `json:"zero,omitzero"`
	Array     [2]uint16     `json:"array"`
	Interface io.ByteReader `json:"interface,omitempty"`
}

// flat has only what is quick.
type flat struct {
	ID      string        `json:"id"`
	Amount  int64         `json:"amount,omitempty"`
	Counted uint32        `json:"counted"`
	Done    bool          `json:"done,omitempty"`
	At      envelope.Time `json:"at"`
	In      *inner        `json:"in,omitempty"`
	Part
	Serials []uint64 `json:"serials,omitempty"`
	Rows    []inner  `json:"rows,omitempty"`
}

var at = envelope.At(time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC))

func samples() []all {
	return []all{
		{},
		{Plain: "p", Named: "n", Yes: true, Maybe: true, Int: -7, Little: -128, Uint: math.MaxUint64, Time: at, In: inner{"x", at, 255}, Part: Part{3, &inner{Text: "of"}}, Pointer: &inner{Text: "y"},
			Texts: []string{"", "a"}, Numbers: []uint32{0, math.MaxUint32}, Structs: []inner{{}, {"z", at, 1}}, Bytes: []byte("bytes"), Map: map[string]uint64{"a": 1, "b": 2},
			Any: inner{Text: "any"}, Untagged: "u", Hidden: "h", unseen: "s", Fraction: 1.5, Zero: inner{"z", at, 0}, Array: [2]uint16{1, 2}},
		{Plain: "<b>&\"\\\u2028\x00\x7fé\xff", Int: math.MinInt64, Numbers: []uint32{}, Texts: []string{}, Any: []any{1.0, nil, "s"}},
		{Int: math.MaxInt64, Uint: 1e18, Structs: []inner{}, Any: map[string]any{"k": "<"}},
	}
}

func TestAppendIsMarshal(t *testing.T) {
	for i, s := range samples() {
		want, err := json.Marshal(&s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := quickjson.Append([]byte("before"), &s)
		if err != nil || string(got) != "before"+string(want) {
			t.Errorf("%d: %s, %v, want %s", i, got, err, want)
		}
	}
	if got, err := quickjson.Append(nil, &all{Time: envelope.Time{Time: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}}); err == nil {
		t.Errorf("a time that has no form is written: %s", got)
	}
	text := "not a struct"
	if got, err := quickjson.Append(nil, &text); err != nil || string(got) != `"not a struct"` {
		t.Errorf("%s, %v", got, err)
	}
}

// decode is what Unmarshal is to be like.
func decode(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more")
	}
	return nil
}

// check reads data both ways, into what holds something already.
func check[T any](t *testing.T, data []byte, before T) {
	t.Helper()
	var want T
	wantErr := decode(data, &want)
	got := before
	gotErr := quickjson.Unmarshal(data, &got)
	if (gotErr == nil) != (wantErr == nil) {
		t.Fatalf("%q: error %v, encoding/json has %v", data, gotErr, wantErr)
	}
	if wantErr == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("%q is\n%+v, encoding/json reads\n%+v", data, got, want)
	}
}

// texts are of flat: what is quick, what is JSON all the same, and what is neither.
var texts = []string{
	`{"id":"a","counted":1,"at":"2026-11-29T10:00:00Z"}`,
	`{"id":"a","amount":-5,"counted":4294967295,"done":true,"at":"2026-11-29T10:00:00Z","in":{"text":"t","at":"2026-11-29T10:00:00Z","small":255},"serials":[1,2,3],"rows":[{"text":""},{"text":"b"}]}`,
	`{}`, `{"done":false}`, `{"serials":[]}`, `{"in":null}`, `{"serials":null}`, `{"in":{}}`, `{"rows":[{}]}`,
	` {"id" : "a"}`, `{"id":"a"} `, `{"counted":1,"id":"a"}`, `{"ID":"a"}`, `{"id":"a","id":"b"}`, `{"id":"\u0041\n"}`, `{"id":"é"}`, "{\"id\":\"\xff\"}",
	`{"amount":-0}`, `{"amount":9223372036854775807}`, `{"amount":-9223372036854775808}`, `{"amount":123456789012345678}`, `{"counted":0}`,
	``, `{`, `{"id"`, `{"id":`, `{"id":"a`, `{"id":"a"`, `{"id":"a",}`, `{,}`, `{"id":"a""counted":1}`, `{"id":"a"}}`, `{"id":"a"}{}`, `{"id":"a"}x`, `[]`, `null`, `"id"`,
	`{"id":7}`, `{"id":null}`, `{"mood":1}`, `{"id":"a","mood":1}`, `{"in":{"mood":1}}`, `{"counted":-1}`, `{"counted":4294967296}`, `{"counted":1.0}`, `{"counted":1e0}`, `{"counted":01}`,
	`{"counted":}`, `{"amount":9223372036854775808}`, `{"amount":-}`, `{"done":tru}`, `{"done":1}`, `{"at":"2026-11-29T10:00:00+01:00"}`, `{"at":"2026-11-29T10:00:00.5Z"}`, `{"at":7}`, `{"at":"x}`,
	`{"serials":[1,]}`, `{"serials":[`, `{"serials":[1 2]}`, `{"serials":["1"]}`, `{"in":{"small":256}}`, "{\"id\":\"a\nb\"}", "{\"id\":\"a\x00b\"}",
}

func TestUnmarshalIsDecode(t *testing.T) {
	before := flat{ID: "before", Amount: 9, Done: true, In: &inner{Text: "before"}, Part: Part{Share: 9}, Serials: []uint64{9, 9}, Rows: []inner{{Small: 9}}}
	for _, text := range texts {
		check(t, []byte(text), before)
	}
	for _, s := range samples() {
		s.Any, s.Interface = nil, nil // which are read as something else
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		check(t, text, all{Plain: "before", Map: map[string]uint64{"before": 1}})
		check(t, text[:len(text)/2], all{})
	}
	check(t, []byte(`[1,2]`), []int{3})
}

// TestQuick: the quick way is the one that is taken, or nothing here would be tested.
func TestQuick(t *testing.T) {
	text := []byte(texts[0])
	var v flat
	if n := testing.AllocsPerRun(100, func() {
		if err := quickjson.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("%v allocations to read, beside the copy of the text", n-1)
	}
	var room [512]byte
	if n := testing.AllocsPerRun(100, func() { _, _ = quickjson.Append(room[:0], &v) }); n > 0 {
		t.Errorf("%v allocations to write what has its room", n)
	}
}

// TestReadIsStrict: what Append would not have written is left to others.
func TestReadIsStrict(t *testing.T) {
	for _, text := range []string{`{"id":"a","counted":1}`, `{"counted":1,"at":"2026-11-29T10:00:00Z"}`, `{"id":"a","counted":1,"at":"2026-11-29T10:00:00Z",}`,
		`{"id":"a","counted":1,"at":"2026-11-29T10:00:00Z" }`, `{,"id":"a","counted":1,"at":"2026-11-29T10:00:00Z"}`, `{"id":"a",,"counted":1,"at":"2026-11-29T10:00:00Z"}`} {
		var v flat
		if quickjson.Read([]byte(text), &v) {
			t.Errorf("%s is %+v", text, v)
		}
	}
	var v flat
	if !quickjson.Read([]byte(texts[1]), &v) || v.Amount != -5 || len(v.Rows) != 2 {
		t.Errorf("%+v", v)
	}
}

// TestValuesAreApart: what was read does not change with its text, nor with its neighbours.
func TestValuesAreApart(t *testing.T) {
	data := []byte(`{"id":"abc","serials":[1],"rows":[{"text":"t"}]}`)
	var v flat
	if err := quickjson.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	copy(data, strings.Repeat("x", len(data)))
	if v.ID != "abc" || v.Rows[0].Text != "t" {
		t.Errorf("%+v changed with the text", v)
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) { check(t, data, flat{ID: "before", Serials: []uint64{9}}) })
}

func FuzzAppend(f *testing.F) {
	f.Add("<id>", int64(-1), uint32(7), true, "\x80")
	f.Fuzz(func(t *testing.T, id string, amount int64, counted uint32, done bool, text string) {
		v := flat{ID: id, Amount: amount, Counted: counted, Done: done, At: at, In: &inner{Text: text}, Part: Part{Share: amount}, Rows: []inner{{Text: id}}}
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := quickjson.Append(nil, &v)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s, %v, want %s", got, err, want)
		}
		check(t, got, flat{})
	})
}
