package nacha

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"nightdrop/vault/internal/account"
)

// stringsOf lists every string that can be reached from a value, unexported fields and interfaces
// included.
func stringsOf(v reflect.Value, seen map[uintptr]bool) []string {
	var all []string
	switch v.Kind() {
	case reflect.String:
		return []string{v.String()}
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] {
			return nil
		}
		seen[v.Pointer()] = true
		return stringsOf(v.Elem(), seen)
	case reflect.Interface:
		if !v.IsNil() {
			return stringsOf(v.Elem(), seen)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			all = append(all, stringsOf(v.Field(i), seen)...)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			all = append(all, stringsOf(v.Index(i), seen)...)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			all = append(append(all, stringsOf(key, seen)...), stringsOf(v.MapIndex(key), seen)...)
		}
	default:
	}
	return all
}

// holds fails where a string holds account data; the marker must be among them.
func holds(t *testing.T, value any, marker string, secrets ...string) {
	t.Helper()
	found := false
	for _, s := range stringsOf(reflect.ValueOf(value), map[uintptr]bool{}) {
		found = found || strings.Contains(s, marker)
		for _, secret := range secrets {
			if strings.Contains(s, secret) {
				t.Errorf("a string holds %q", secret)
			}
		}
	}
	if !found {
		t.Errorf("no string holds the marker %q", marker)
	}
}

func TestNoStringHoldsAnAccountThatIsWritten(t *testing.T) {
	a, err := account.Parse([]byte(`{"bank":{"routing":"011000015","account":"12345678901234567","type":"checking","name":"Ada Lovelace"}}`))
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	out := &recordWriter{out: &file, hash: sha256.New(), buffer: make([]byte, 0, writeBuffer)}
	b := openBatch{odfi: "09100001", out: out, planned: Batch{
		Company: Company{Name: "CORNER CAFE", ID: "1"}, Standard: WEB, Description: Purchase, Effective: time.Unix(0, 0), Number: 1,
	}}
	if err := b.add(Entry{Trace: "091000010000001", Amount: 1250, Identification: "TABLE-7", Bank: a.Bank}); err != nil {
		t.Fatal(err)
	}
	if err := b.close(new(Sums)); err != nil {
		t.Fatal(err)
	}
	holds(t, b, "TABLE-7", "12345678901234567", "LOVELACE", "Lovelace")
	if !bytes.Contains(out.buffer, []byte("12345678901234567")) {
		t.Fatal("the record does not hold the number")
	}
	if err := out.flush(); err != nil {
		t.Fatal(err)
	}
	if held := out.buffer[:cap(out.buffer)]; bytes.ContainsFunc(held, func(r rune) bool { return r != 0 }) {
		t.Error("the buffer still holds what was written")
	}
	if !bytes.Contains(file.Bytes(), []byte("12345678901234567")) {
		t.Error("the file does not hold the number")
	}
	if state := stateOf(t, out); bytes.Contains(state, []byte("123456789")) {
		t.Error("the hash still holds the number")
	}
}

// stateOf is what a hash keeps between writes.
func stateOf(t *testing.T, w *recordWriter) []byte {
	t.Helper()
	marshaler, ok := w.hash.(interface{ MarshalBinary() ([]byte, error) })
	if !ok {
		t.Fatal("the hash does not show its state")
	}
	state, err := marshaler.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestNoStringHoldsAnAccountThatIsRead(t *testing.T) {
	data, err := os.ReadFile("testdata/answers.ach")
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{"12345678901234567", "99887766", "5551234", "LOVELACE"}
	for _, secret := range secrets {
		if !bytes.Contains(data, []byte(secret)) {
			t.Fatalf("%q is not in the file: nothing is tested", secret)
		}
	}
	records, err := split(data)
	if err != nil {
		t.Fatal(err)
	}
	f := fileReader{records: records}
	if err := f.read(); err != nil {
		t.Fatal(err)
	}
	holds(t, f, "0910000100000", secrets...)
}

// Outgrown buffers are cleared, and so is what was read, also on errors.
func TestWhatWasReadIsCleared(t *testing.T) {
	source := bytes.Repeat([]byte("12345678901234567"), 20_000)
	var seen [][]byte
	watched := readerFunc(func(p []byte) (int, error) {
		if len(source) == 0 {
			return 0, io.EOF
		}
		n := copy(p, source)
		source = source[n:]
		seen = append(seen, p[:n])
		return n, nil
	})
	if _, err := Read(watched); err == nil {
		t.Fatal("digits are no file")
	}
	if len(seen) < 3 {
		t.Fatalf("read in %d pieces, want growth", len(seen))
	}
	for _, piece := range seen {
		if bytes.ContainsFunc(piece, func(r rune) bool { return r != 0 }) {
			t.Error("a buffer still holds what was read")
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
