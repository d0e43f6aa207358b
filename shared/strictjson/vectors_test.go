package strictjson_test

import (
	"bytes"
	"errors"
	"flag"
	"testing"

	"nightdrop/shared/envelope/vector"
	"nightdrop/shared/strictjson"
)

var update = flag.Bool("update", false, "write testdata/vectors")

// sample has a member of each kind.
type sample struct {
	Name  string   `json:"name"`
	Count int64    `json:"count"`
	Data  []byte   `json:"data,omitempty"`
	Inner *inner   `json:"inner,omitempty"`
	List  []string `json:"list,omitempty"`
}

type inner struct {
	On bool `json:"on"`
}

// refused are texts with one defect each.
var refused = []struct{ defect, text string }{
	{"nothing", ``},
	{"an array", `[]`},
	{"space before the object", ` {"name":"a","count":1}`},
	{"a newline after the object", `{"name":"a","count":1}` + "\n"},
	{"a second object", `{"name":"a","count":1}{}`},
	{"a byte order mark", "\uFEFF" + `{"name":"a","count":1}`},
	{"no closing brace of its own", `{"name":"a","list":["}"],"count":1]}`},
	{"a member missing", `{"name":"a"}`},
	{"an unknown member", `{"name":"a","count":1,"more":1}`},
	{"a member in other case", `{"Name":"a","count":1}`},
	{"a member twice", `{"name":"a","count":1,"name":"b"}`},
	{"a member twice, once escaped", `{"name":"a","count":1,"\u006eame":"b"}`},
	{"an optional member twice", `{"name":"a","count":1,"list":[],"list":[]}`},
	{"a member twice in an inner object", `{"name":"a","count":1,"inner":{"on":true,"on":false}}`},
	{"an unknown member in an inner object", `{"name":"a","count":1,"inner":{"on":true,"off":true}}`},
	{"null for a required member", `{"name":null,"count":1}`},
	{"null for an optional member", `{"name":"a","count":1,"data":null}`},
	{"null for an object", `{"name":"a","count":1,"inner":null}`},
	{"null in a list", `{"name":"a","count":1,"list":[null]}`},
	{"a string for an integer", `{"name":"a","count":"1"}`},
	{"an integer for a string", `{"name":1,"count":1}`},
	{"an integer for a bool", `{"name":"a","count":1,"inner":{"on":1}}`},
	{"a word that is no bool", `{"name":"a","count":1,"inner":{"on":True}}`},
	{"an object for a list", `{"name":"a","count":1,"list":{}}`},
	{"a fraction", `{"name":"a","count":1.0}`},
	{"an exponent", `{"name":"a","count":1e2}`},
	{"a negative integer", `{"name":"a","count":-1}`},
	{"negative zero", `{"name":"a","count":-0}`},
	{"a plus sign", `{"name":"a","count":+1}`},
	{"a leading zero", `{"name":"a","count":01}`},
	{"an integer of 2^53", `{"name":"a","count":9007199254740992}`},
	{"an integer of 2^64 + 1", `{"name":"a","count":18446744073709551617}`},
	{"a lone high surrogate", `{"name":"\ud800","count":1}`},
	{"a lone low surrogate", `{"name":"\udc00","count":1}`},
	{"two high surrogates", `{"name":"\ud800\ud800","count":1}`},
	{"a high surrogate before another escape", `{"name":"\ud800\n","count":1}`},
	{"a control character in a string", "{\"name\":\"\x01\",\"count\":1}"},
	{"a newline in a string", "{\"name\":\"\n\",\"count\":1}"},
	{"an unknown escape", `{"name":"\x41","count":1}`},
	{"an escape of three digits", `{"name":"\u041","count":1}`},
	{"bytes that are not UTF-8", "{\"name\":\"\xff\",\"count\":1}"},
	{"an encoded surrogate", "{\"name\":\"\xed\xa0\x80\",\"count\":1}"},
	{"an overlong encoding", "{\"name\":\"\xc0\x80\",\"count\":1}"},
	{"a comma too many", `{"name":"a","count":1,}`},
	{"a comma too few", `{"name":"a" "count":1}`},
	{"no colon", `{"name" "a","count":1}`},
	{"single quotes", `{'name':"a","count":1}`},
	{"a comment", `{"name":"a",/**/"count":1}`},
	{"a form feed as white space", "{\f\"name\":\"a\",\"count\":1}"},
	{"base64 with spare bits", `{"name":"a","count":1,"data":"AAF="}`},
	{"base64 without padding", `{"name":"a","count":1,"data":"AAE"}`},
	{"base64 of the URL alphabet", `{"name":"a","count":1,"data":"-_8="}`},
	{"base64 with a line break", `{"name":"a","count":1,"data":"AA\nE="}`},
	{"a string without an end", `{"name":"a,"count":1}`},
}

func corpus() vector.File {
	f := vector.File{
		Format: "json",
		About: `One strict JSON object with the members "name" (string), "count" (integer), and optionally "data" (base64), ` +
			`"inner" ({"on": bool}) and "list" (of strings).`,
	}
	for _, a := range []struct{ name, shows, text string }{
		{"least", "the required members alone", `{"name":"a","count":0}`},
		{"all", "every member", `{"name":"a","count":9007199254740991,"data":"AAE=","inner":{"on":true},"list":["x","y"]}`},
		{"order and space", "members in any order, white space between tokens", "{ \"count\" : 1 ,\n\t\"name\":\"a\"\r}"},
		{"escapes", "every escape, a surrogate pair, an escaped name", `{"n\u0061me":"\"\\\/\b\f\n\r\t\u0041\uD83D\uDE00é","count":1}`},
		{"empty", "an empty string, an empty list, empty base64", `{"name":"","count":1,"data":"","list":[]}`},
	} {
		v := vector.New(a.name, vector.Accepted, a.shows, []byte(a.text))
		v.Exact = a.name == "least" || a.name == "all"
		f.Vectors = append(f.Vectors, v)
	}
	for _, r := range refused {
		f.Vectors = append(f.Vectors, vector.New(r.defect, vector.Malformed, r.defect, []byte(r.text)))
	}
	return f
}

const vectorsDir = "../../testdata/vectors"

func TestVectors(t *testing.T) {
	for _, v := range vector.Corpus(t, vectorsDir, corpus(), *update).Vectors {
		t.Run(v.Name, func(t *testing.T) {
			var s sample
			err := strictjson.Unmarshal(v.Bytes(), &s)
			if v.Want != vector.Accepted {
				if !errors.Is(err, strictjson.ErrInvalid) {
					t.Fatalf("got %v, want ErrInvalid: %s", err, v.Defect)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if again, err := strictjson.Marshal(s); v.Exact && (err != nil || !bytes.Equal(again, v.Bytes())) {
				t.Errorf("encodes as %s, %v", again, err)
			}
		})
	}
}

// TestWalkAgrees: on texts whose defect is not about the known members, Walk decides as Unmarshal
// does.
func TestWalkAgrees(t *testing.T) {
	shape := map[string]bool{
		"a member missing": true, "an unknown member": true, "an unknown member in an inner object": true,
		"a string for an integer": true, "an integer for a string": true, "an integer for a bool": true, "an object for a list": true,
		"base64 with spare bits": true, "base64 without padding": true, "base64 of the URL alphabet": true, "base64 with a line break": true,
	}
	compared := 0
	for _, v := range corpus().Vectors {
		if shape[v.Name] {
			continue
		}
		compared++
		err := strictjson.Walk(v.Bytes(), func([]string, strictjson.Kind, []byte) error { return nil })
		if (err == nil) != (v.Want == vector.Accepted) {
			t.Errorf("%s: Walk says %v", v.Name, err)
		}
	}
	if compared < 30 {
		t.Errorf("compared %d texts only", compared)
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, v := range corpus().Vectors {
		f.Add(v.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s sample
		if err := strictjson.Unmarshal(data, &s); err != nil {
			return
		}
		text, err := strictjson.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var again sample
		if err := strictjson.Unmarshal(text, &again); err != nil {
			t.Fatalf("what was accepted does not decode again: %v\n%s", err, text)
		}
		if twice, err := strictjson.Marshal(again); err != nil || !bytes.Equal(twice, text) {
			t.Fatalf("decode-then-encode is not stable: %s then %s", text, twice)
		}
		if err := strictjson.Walk(data, func([]string, strictjson.Kind, []byte) error { return nil }); err != nil {
			t.Fatalf("Walk refuses what Unmarshal takes: %v", err)
		}
	})
}
