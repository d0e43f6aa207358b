// Package vector reads and writes the test vectors under testdata/vectors: for each format what is
// accepted and, one defect a vector, what is refused. The formats' tests make them (go test
// -update) from fixed keys; they also serve implementers in other languages.
package vector

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unicode/utf8"

	"nightdrop/shared/note"
)

// What a decoder says of a vector.
const (
	Accepted   = "accepted"
	Malformed  = "malformed"  // not of the format
	TooLarge   = "too-large"  // over the format's size
	Unverified = "unverified" // no valid signature by the expected key
)

// File is the vectors of one format.
type File struct {
	Format  string   `json:"format"` // name of the file without .json
	About   string   `json:"about"`
	Keys    []string `json:"keys,omitempty"` // vkeys that the decoder expects
	Vectors []Vector `json:"vectors"`
}

// Vector is one input. Exactly one of Text and Base64 holds it, Text where it is UTF-8.
type Vector struct {
	Name   string `json:"name"`            // unique in the file
	Want   string `json:"want"`            // Accepted, Malformed, TooLarge or Unverified
	Defect string `json:"defect"`          // why it is refused; for an accepted one, what it shows
	Exact  bool   `json:"exact,omitempty"` // decode-then-encode gives the same bytes
	Fill   *Fill  `json:"fill,omitempty"`  // bytes to put in before decoding
	Text   string `json:"text,omitempty"`
	Base64 []byte `json:"base64,omitempty"`
}

// Fill keeps vectors about size small: Count spaces are put in before offset At.
type Fill struct {
	At    int `json:"at"`
	Count int `json:"count"`
}

// New makes a vector of data.
func New(name, want, defect string, data []byte) Vector {
	v := Vector{Name: name, Want: want, Defect: defect}
	if utf8.Valid(data) && len(data) > 0 {
		v.Text = string(data)
	} else {
		v.Base64 = data
	}
	return v
}

// Bytes returns the input.
func (v Vector) Bytes() []byte {
	data := v.Base64
	if v.Text != "" {
		data = []byte(v.Text)
	}
	if v.Fill == nil {
		return data
	}
	return slices.Concat(data[:v.Fill.At], bytes.Repeat([]byte{' '}, v.Fill.Count), data[v.Fill.At:])
}

// Seed returns the 32 bytes of a fixed test key.
func Seed(label string) []byte {
	sum := sha256.Sum256([]byte("nightdrop test vector key: " + label))
	return sum[:]
}

// Signer makes the fixed signer of a name and a label, the same in every package's vectors.
func Signer(tb testing.TB, name, label string) *note.Signer {
	tb.Helper()
	s, err := note.NewSigner(name, ed25519.NewKeyFromSeed(Seed(label)))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// Corpus returns the vectors of want's format from dir (testdata/vectors as the test sees it). The
// file must equal want, so that others test against what these tests do; with update it is written
// first. An empty or lopsided corpus fails.
func Corpus(tb testing.TB, dir string, want File, update bool) File {
	tb.Helper()
	path := filepath.Join(dir, want.Format+".json")
	made, err := encode(want)
	if err != nil {
		tb.Fatal(err)
	}
	if update {
		if err := os.WriteFile(path, made, 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		tb.Fatalf("read the vectors: %v", err)
	}
	if !bytes.Equal(have, made) {
		tb.Errorf("%s is not what its test makes: run the test with -update and look at the difference", path)
	}
	var f File
	if err := json.Unmarshal(have, &f); err != nil {
		tb.Fatalf("read the vectors: %v", err)
	}
	if err := f.Check(); err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	return f
}

func encode(f File) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	if err := enc.Encode(f); err != nil {
		return nil, fmt.Errorf("encode the vectors: %w", err)
	}
	return out.Bytes(), nil
}

// Check refuses a corpus without accepted or refused vectors, with two of one name, or with one
// that does not name what it shows.
func (f File) Check() error {
	names := map[string]bool{}
	accepted := 0
	for _, v := range f.Vectors {
		switch v.Want {
		case Accepted:
			accepted++
		case Malformed, TooLarge, Unverified:
		default:
			return fmt.Errorf("vector %q wants %q", v.Name, v.Want)
		}
		if v.Name == "" || v.Defect == "" || names[v.Name] {
			return fmt.Errorf("vector %q has no name of its own or no defect", v.Name)
		}
		names[v.Name] = true
	}
	if accepted == 0 || accepted == len(f.Vectors) {
		return fmt.Errorf("%d of %d vectors are accepted: a corpus needs both", accepted, len(f.Vectors))
	}
	return nil
}
