package scan

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

const (
	visa    = "4242424242424242"
	amex    = "378282246310005"
	maestro = "6759649826438453"
	union19 = "6205500000000000004"
)

func wide(text string, bigEndian bool) string {
	var out []byte
	for _, b := range []byte(text) {
		if bigEndian {
			out = append(out, 0, b)
		} else {
			out = append(out, b, 0)
		}
	}
	return string(out)
}

// bcd packs hexadecimal text: digits, and an F nibble where there is one.
func bcd(t *testing.T, nibbles string) string {
	t.Helper()
	var out []byte
	if _, err := fmt.Sscanf(nibbles, "%x", &out); err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func findings(t *testing.T, s *Scanner, data string) []Finding {
	t.Helper()
	var found []Finding
	if err := s.Reader(context.Background(), "input", strings.NewReader(data), func(f Finding) { found = append(found, f) }); err != nil {
		t.Fatal(err)
	}
	return found
}

func exact(t *testing.T, numbers ...string) *Scanner {
	t.Helper()
	var list [][]byte
	for _, n := range numbers {
		list = append(list, []byte(n))
	}
	s, err := NewExact(list)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryEncodingIsFound(t *testing.T) {
	tests := []struct {
		name     string
		data     string
		offset   int64
		encoding Encoding
		masked   string
	}{
		{"plain", `{"number":"` + visa + `"}`, 11, Plain, "424242******4242"},
		{"plain alone", visa, 0, Plain, "424242******4242"},
		{"plain, 15 digits", "pan=" + amex + "\n", 4, Plain, "378282*****0005"},
		{"plain, 19 digits", "x" + union19 + "x", 1, Plain, "620550*********0004"},
		{"plain after letters", "PAN" + maestro, 3, Plain, "675964******8453"},
		{"plain before a security code", visa + " 123", 0, Plain, "424242******4242"},
		{"spaced", "card 4242 4242 4242 4242 12/29", 5, Grouped, "424242******4242"},
		{"dashed", "4242-4242-4242-4242", 0, Grouped, "424242******4242"},
		{"spaced as printed on an Amex", "3782 822463 10005", 0, Grouped, "378282*****0005"},
		{"a space after each digit", strings.TrimSpace(strings.ReplaceAll(visa, "", " ")), 0, Grouped, "424242******4242"},
		{"UTF-16 LE", "\x00\x01" + wide(visa, false) + "\x01", 2, UTF16, "424242******4242"},
		{"UTF-16 BE", "\xff" + wide(visa, true) + "\x01", 2, UTF16, "424242******4242"},
		{"UTF-16 LE, spaced", wide("4242 4242 4242 4242", false), 0, UTF16, "424242******4242"},
		{"BCD", "\x00\xff" + bcd(t, visa) + "\xff\x00", 2, BCD, "424242******4242"},
		{"BCD alone", bcd(t, visa), 0, BCD, "424242******4242"},
		{"BCD, odd, ended by F", "\xfe" + bcd(t, amex+"f") + "\xff", 1, BCD, "378282*****0005"},
		{"BCD, odd, led by zero", "\xfe" + bcd(t, "0"+amex) + "\xff", 1, BCD, "378282*****0005"},
	}
	for alignment := range 3 {
		text := strings.Repeat("x", alignment) + `"` + visa + `"`
		tests = append(tests, struct {
			name     string
			data     string
			offset   int64
			encoding Encoding
			masked   string
		}{fmt.Sprintf("base64 at alignment %d", alignment), base64.StdEncoding.EncodeToString([]byte(text)),
			int64((alignment+1)/3*4 + (alignment+1)%3), "base64/plain", "424242******4242"})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			numbers := []string{visa, amex, maestro, union19}
			for name, s := range map[string]*Scanner{"any number": New(), "given numbers": exact(t, numbers...)} {
				found := findings(t, s, test.data)
				want := Finding{Path: "input", Offset: test.offset, Encoding: test.encoding, Masked: test.masked}
				if name == "given numbers" && len(found) == 1 && test.encoding == BCD {
					// the packed form is looked for without the pad, so it may start a byte on
					want.Offset = found[0].Offset
				}
				if len(found) != 1 || found[0] != want {
					t.Errorf("%s: found %v, want %v", name, found, want)
				}
			}
		})
	}
}

func TestMoreFormsOfGivenNumbers(t *testing.T) {
	random := make([]byte, 4096)
	rand.NewChaCha8([32]byte{1}).Read(random)
	tests := map[string]string{
		"inside a longer run of digits": "0200" + "16" + visa + "000000",
		"BCD from the middle of a byte": "\xff" + bcd(t, "1"+visa+"1") + "\xff",
		"BCD between random bytes":      string(random[:2048]) + bcd(t, visa) + string(random[2048:]),
		"BCD in base64":                 base64.StdEncoding.EncodeToString([]byte("\xff\xff" + bcd(t, maestro) + "\xff")),
		"UTF-16 in base64":              base64.StdEncoding.EncodeToString([]byte("x" + wide(visa, false))),
		"grouped in base64":             base64.StdEncoding.EncodeToString([]byte("4242 4242 4242 4242")),
		"base64 with line breaks":       breakLines(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("some text ", 20) + visa))),
		"base64 of the URL alphabet":    base64.RawURLEncoding.EncodeToString([]byte("\xff\xfe\xfd" + visa)),
		"grouped oddly":                 "37 828224-63 10005",
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			if found := findings(t, exact(t, visa, amex, maestro), data); len(found) == 0 {
				t.Error("not found")
			}
		})
	}
}

func breakLines(s string) string {
	var out strings.Builder
	for len(s) > 76 {
		out.WriteString(s[:76] + "\r\n")
		s = s[76:]
	}
	return out.String() + s
}

func TestInnocentBytesAreNotFound(t *testing.T) {
	random := make([]byte, 2<<20)
	rand.NewChaCha8([32]byte{2}).Read(random)
	var digests strings.Builder
	for i := 0; i < 1<<20; i += 32 {
		fmt.Fprintf(&digests, "%x\n", random[i:i+32])
	}
	tests := map[string]string{
		"Luhn fails":            "4242424242424241",
		"no brand":              "1234567890123452",
		"too short for a brand": "42424242426",
		"too long":              visa + visa,
		"masked":                "424242******4242",
		"random bytes":          string(random),
		"base64":                base64.StdEncoding.EncodeToString(random),
		"digests":               digests.String(),
		"prose":                 strings.Repeat("Nightdrop's relay posts sealed bags; a receipt is a promise. ", 5000),
		"times":                 "2026-11-22T17:00:35Z 1763830835123 2026-11-22 17 00 35",
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			if found := findings(t, New(), data); len(found) != 0 {
				t.Errorf("found %v", found)
			}
		})
	}
	t.Run("other numbers than those given", func(t *testing.T) {
		if found := findings(t, exact(t, amex), visa+" "+string(random)); len(found) != 0 {
			t.Errorf("found %v", found)
		}
	})
}

func TestNumbersAcrossWindows(t *testing.T) {
	for _, offset := range []int{windowBytes - 8, windowBytes + marginBytes - 20, windowBytes + 2*marginBytes - 3, 2*windowBytes + 5} {
		data := bytes.Repeat([]byte{'.'}, 3*windowBytes)
		copy(data[offset:], visa)
		var found []Finding
		reader := iotest.HalfReader(bytes.NewReader(data))
		if err := New().Reader(context.Background(), "input", reader, func(f Finding) { found = append(found, f) }); err != nil {
			t.Fatal(err)
		}
		if len(found) != 1 || found[0].Offset != int64(offset) {
			t.Errorf("at %d: found %v, want one there", offset, found)
		}
	}
}

func TestTree(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a/clean": "nothing", "a/b/dirty": "number " + visa, "c": amex} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "c"), filepath.Join(dir, "a", "link")); err != nil {
		t.Fatal(err)
	}
	var found []string
	read := 0
	err := New().Tree(context.Background(), dir, func(f Finding) { found = append(found, filepath.Base(f.Path)) }, func(n int) { read += n })
	if err != nil || strings.Join(found, " ") != "dirty c" {
		t.Errorf("found %v, %v; want dirty and c once each", found, err)
	}
	if size, err := Size(dir); err != nil || int64(read) != size {
		t.Errorf("progress reported %d bytes of %d (%v)", read, size, err)
	}
	if err := New().Tree(context.Background(), filepath.Join(dir, "absent"), func(Finding) {}, func(int) {}); err == nil {
		t.Error("an absent path was called clean")
	}
}

func TestProcessMemory(t *testing.T) {
	// The number is put together at run time in this process's own memory, which is then scanned.
	secret := make([]byte, 16)
	for i := range secret {
		secret[i] = "42"[i%2]
	}
	var found int
	if err := exact(t, visa).Process(context.Background(), os.Getpid(), func(Finding) { found++ }, func(int) {}); err != nil {
		t.Fatal(err)
	}
	if found == 0 {
		t.Error("the number in this process's memory was not found")
	}
	clear(secret)
	if err := New().Process(context.Background(), -1, func(Finding) {}, func(int) {}); err == nil {
		t.Error("a process that is not there was called clean")
	}
}

func TestReadNumbers(t *testing.T) {
	numbers, err := ReadNumbers(strings.NewReader("\ufeff4242 4242 4242 4242\n\n" + amex + "\r\n"))
	if err != nil || len(numbers) != 2 || string(numbers[0]) != visa || string(numbers[1]) != amex {
		t.Errorf("read %d numbers, %v", len(numbers), err)
	}
	for name, text := range map[string]string{"empty": "\n", "too long": strings.Repeat("4", 20)} {
		if _, err := ReadNumbers(strings.NewReader(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewExact([][]byte{[]byte("4242x24242424242")}); err == nil || strings.Contains(err.Error(), "4242") {
		t.Errorf("letters: %v; want an error that does not quote the line", err)
	}
}

func TestUnreadableInputIsAnError(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("x"), iotest.ErrReader(io.ErrClosedPipe))
	if err := New().Reader(context.Background(), "input", broken, func(Finding) {}); err == nil {
		t.Error("a read that failed was called clean")
	}
}

func BenchmarkScan(b *testing.B) {
	random := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{3}).Read(random)
	data := []byte(base64.StdEncoding.EncodeToString(random))
	b.SetBytes(int64(len(data)))
	s := New()
	for b.Loop() {
		if err := s.Reader(context.Background(), "input", bytes.NewReader(data), func(Finding) {}); err != nil {
			b.Fatal(err)
		}
	}
}
