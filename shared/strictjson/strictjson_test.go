package strictjson_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"nightdrop/shared/strictjson"
)

func TestWalkGivesEveryScalarInOrder(t *testing.T) {
	const text = `{"card":{"number":"4242","expiry":"2031-\u0031\u0032"},"on":true,"n":42,"list":["a",{"b":"c"}],"none":{},"nil":[]}`
	var got []string
	err := strictjson.Walk([]byte(text), func(path []string, kind strictjson.Kind, value []byte) error {
		got = append(got, fmt.Sprintf("%s %d %s", strings.Join(path, "."), kind, value))
		return nil
	})
	want := []string{
		"card.number 1 4242", "card.expiry 1 2031-12", "on 3 true", "n 2 42", "list.0 1 a", "list.1.b 1 c", "none 4 ", "nil 4 ",
	}
	if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestWalkClearsValues: what fn was given is gone when it has returned.
func TestWalkClearsValues(t *testing.T) {
	var kept [][]byte
	err := strictjson.Walk([]byte(`{"number":"4242424242424242","n":42}`), func(_ []string, _ strictjson.Kind, value []byte) error {
		kept = append(kept, value)
		return nil
	})
	if err != nil || len(kept) != 2 {
		t.Fatal(err, len(kept))
	}
	for _, value := range kept {
		if strings.Trim(string(value), "\x00") != "" {
			t.Errorf("a value is still there after the walk")
		}
	}
}

func TestWalkReturnsTheErrorOfItsFunction(t *testing.T) {
	stop := errors.New("stop")
	calls := 0
	err := strictjson.Walk([]byte(`{"a":"1","b":"2"}`), func([]string, strictjson.Kind, []byte) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("got %v after %d calls", err, calls)
	}
}

// TestErrorsQuoteNothing: whatever is wrong with it, a number in the text is not in the error.
func TestErrorsQuoteNothing(t *testing.T) {
	const number = "4242424242424242"
	for _, text := range []string{
		`{"` + number + `":1}`, `{"name":` + number + `}`, `{"name":"` + number + `"`, `{"count":"` + number + `"}`, `{"name":"` + number + `",}`,
		`{"data":"` + number + `!"}`, `{"name":"\x` + number + `"}`, `{"count":99` + number + `}`,
	} {
		var s sample
		for _, err := range []error{
			strictjson.Unmarshal([]byte(text), &s),
			strictjson.Walk([]byte(text), func([]string, strictjson.Kind, []byte) error { return nil }),
		} {
			if err != nil && strings.Contains(err.Error(), "4242") {
				t.Errorf("the error quotes the text: %v", err)
			}
		}
	}
}

func TestWalkRefusesDeepNesting(t *testing.T) {
	text := `{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`
	err := strictjson.Walk([]byte(text), func([]string, strictjson.Kind, []byte) error { return nil })
	if !errors.Is(err, strictjson.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestUnmarshalTargets(t *testing.T) {
	var float struct {
		F float64 `json:"f"`
	}
	var small struct {
		N uint8 `json:"n"`
	}
	var text string
	for name, err := range map[string]error{
		"a float field":          strictjson.Unmarshal([]byte(`{"f":1}`), &float),
		"an overflow":            strictjson.Unmarshal([]byte(`{"n":256}`), &small),
		"a pointer to no struct": strictjson.Unmarshal([]byte(`{}`), &text),
		"no pointer":             strictjson.Unmarshal([]byte(`{}`), small),
	} {
		if err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := strictjson.Unmarshal([]byte(`{"n":255}`), &small); err != nil || small.N != 255 {
		t.Errorf("got %d, %v", small.N, err)
	}
}

// TestIndexControl: every byte value at every place of texts around the eight bytes that are looked
// at together, among the bytes next to its bounds.
func TestIndexControl(t *testing.T) {
	for _, around := range []byte{0x20, 0x7f, 0x80, 0xa0, 0xff} {
		for length := range 26 {
			text := bytes.Repeat([]byte{around}, length)
			if got := strictjson.IndexControl(text); got != -1 {
				t.Fatalf("%d bytes %#x: got %d, want -1", length, around, got)
			}
			for at := range length {
				for c := range 256 {
					text[at] = byte(c)
					want := -1
					if c < 0x20 {
						want = at
					}
					if got := strictjson.IndexControl(text); got != want {
						t.Fatalf("%d bytes %#x with %#x at %d: got %d, want %d", length, around, c, at, got, want)
					}
				}
				text[at] = around
			}
		}
	}
	if got := strictjson.IndexControl([]byte("\x20\x1f\x00")); got != 1 {
		t.Errorf("of two control characters got the one at %d, want the first, at 1", got)
	}
}
