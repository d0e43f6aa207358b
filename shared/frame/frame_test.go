package frame_test

import (
	"bytes"
	"errors"
	"testing"

	"nightdrop/shared/frame"
)

func TestFramesComeBackAsTheyWere(t *testing.T) {
	whole := frame.Append(nil, []byte("one"))
	whole = frame.Append(whole)
	whole = frame.Append(whole, []byte("t"), []byte("wo"))
	if want := "\x00\x00\x00\x03one\x00\x00\x00\x00\x00\x00\x00\x03two"; string(whole) != want {
		t.Fatalf("%q, want %q", whole, want)
	}
	rest := whole
	for _, want := range []string{"one", "", "two"} {
		var got []byte
		var err error
		if got, rest, err = frame.Cut(rest); err != nil || string(got) != want {
			t.Fatalf("%q, error %v, want %q", got, err, want)
		}
		if cap(got) != len(got) {
			t.Error("what is appended to a frame would overwrite the next")
		}
	}
	if len(rest) != 0 {
		t.Errorf("%q is left", rest)
	}
}

func TestCutFrames(t *testing.T) {
	for text, want := range map[string]error{
		"": frame.ErrHeader, "\x00\x00\x00": frame.ErrHeader, "\x00\x00\x00\x01": frame.ErrCut, "\x00\x00\x00\x03on": frame.ErrCut, "\xff\xff\xff\xffone": frame.ErrCut,
	} {
		if _, _, err := frame.Cut([]byte(text)); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

// FuzzCut: what is cut off and laid down again is what was there.
func FuzzCut(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x03one\x00"))
	f.Add([]byte("\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, rest, err := frame.Cut(b)
		if err == nil && !bytes.Equal(append(frame.Append(nil, got), rest...), b) {
			t.Error("it was cut in another place than it was laid")
		}
	})
}
