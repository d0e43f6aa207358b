package iso8583

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightdrop/vault/internal/acquirer"
)

func packedDialect(t testing.TB) *Dialect {
	t.Helper()
	d, err := LoadDialect(filepath.Join("testdata", "packed1987.json"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDialectFiles(t *testing.T) {
	d := DefaultDialect()
	if d.Name() != "ISO 8583:1987, ASCII" || !d.RefundsByReference {
		t.Errorf("built in: %q, refunds by reference %v", d.Name(), d.RefundsByReference)
	}
	path := filepath.Join(t.TempDir(), "ours.json")
	// as an editor saves it
	if err := os.WriteFile(path, append([]byte("\ufeff"), ascii1987...), 0o600); err != nil {
		t.Fatal(err)
	}
	if loaded, err := LoadDialect(path); err != nil || loaded.Field != d.Field {
		t.Errorf("a copy of the file that is built in: %v", err)
	}
	if packed := packedDialect(t); packed.Name() != "ISO 8583:1987, packed digits" || packed.RefundsByReference || packed.Field.Code != 61 {
		t.Errorf("packed digits: %+v", packed.section)
	}
	if _, err := LoadDialect(filepath.Join(t.TempDir(), "none.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// Each file has one defect; the error says where it is and what to do.
func TestDialectFilesThatCannotBeUsed(t *testing.T) {
	for _, c := range []struct {
		name, old, now string
		says           []string
	}{
		{"empty", string(ascii1987), "", []string{"ends too early"}},
		{"not an object", string(ascii1987), "[]", []string{"not one JSON object"}},
		{"a comma too many", `"counted": false},`, `"counted": false},,`, []string{"line 40", "not JSON"}},
		{"text after it", "  }\n}\n", "  }\n}\n{}\n", []string{"line 109", "take it out"}},
		{"cut", "  }\n}\n", "  }\n", []string{"ends too early"}},
		{"a member twice", `"stan": 11,`, `"stan": 11, "Stan": 12,`, []string{"line 46", "nightdrop.place.Stan", "line 46 already"}},
		{"a field twice", `"3": {`, `"3": {"type": "String", "length": 6, "enc": "ASCII", "prefix": "ASCII.Fixed"}, "3": {`, []string{"line 7", "fields.3"}},
		{"a member unknown", `"stan": 11,`, `"trace": 11,`, []string{`"trace"`, "correct its name"}},
		{"null", `"stan": 11,`, `"stan": null,`, []string{"line 46", "nightdrop.place.stan", "leave the member out"}},
		{"a string for a number", `"stan": 11,`, `"stan": "11",`, []string{"line 46", "stan", "string"}},
		{"a fraction", `"stan": 11,`, `"stan": 11.5,`, []string{"line 46", "stan"}},
		{"no section", `"nightdrop": {`, `"other": {`, []string{`"other"`}},
		{"no name", `"name": "ISO 8583:1987, ASCII"`, `"name": ""`, []string{`"name"`}},
		{"a field's number", `"97": {`, `"097": {`, []string{"line 37", "fields.097", "0 to 128"}},
		{"a field beyond two bitmaps", `"97": {`, `"129": {`, []string{"line 37", "0 to 128"}},
		{"a type that is not taken", `"66": {"type": "String"`, `"66": {"type": "Composite"`, []string{"line 26", "Composite", `"String"`}},
		{"an encoding unknown", `"length": 1, "description": "Settlement code", "enc": "ASCII"`, `"length": 1, "enc": "ascii"`, []string{"line 26", "fields.66", "EBCDIC"}},
		{"a prefix unknown", `"Primary account number", "enc": "ASCII", "prefix": "ASCII.LL"`, `"", "enc": "ASCII", "prefix": "LLVAR"`, []string{"line 6", "fields.2", "ASCII.LL"}},
		{"no bitmap", `    "1": {"type": "Bitmap", "length": 8, "description": "Bitmap", "enc": "HexToASCII", "prefix": "Hex.Fixed"},` + "\n", "", []string{"field 1 is missing"}},
		{"one bitmap of all", `"type": "Bitmap", "length": 8`, `"type": "Bitmap", "length": 16`, []string{"line 5", "length 8"}},
		{"a length of none", `"length": 12, "description": "Amount"`, `"length": 0, "description": "Amount"`, []string{"line 8", "fields.4"}},
		{"an amount too short", `"length": 12, "description": "Amount"`, `"length": 10, "description": "Amount"`, []string{"line 8", "amount", "fixed length 12"}},
		{"a code of fixed length", `"Card security code", "enc": "ASCII", "prefix": "ASCII.LLL"`, `"", "enc": "ASCII", "prefix": "ASCII.Fixed"`, []string{"line 22", "code", "ASCII.LL"}},
		{"letters packed", `"Retrieval reference number", "enc": "ASCII"`, `"", "enc": "BCD"`, []string{"line 16", "rrn", "letters"}},
		{"digits as bytes", `"Systems trace audit number", "enc": "ASCII"`, `"", "enc": "Binary"`, []string{"line 10", "stan", "BCD"}},
		{"a fixed length of hex", `"Currency", "enc": "ASCII", "prefix": "ASCII.Fixed"`, `"", "enc": "ASCII", "prefix": "Hex.Fixed"`, []string{"line 23", "Hex.Fixed"}},
		{"a message type of three", `"0": {"type": "String", "length": 4`, `"0": {"type": "String", "length": 3`, []string{"line 4", "message type"}},
		{"a place that is no field", `"stan": 11,`, `"stan": 9,`, []string{"line 46", "nightdrop.place.stan", "2 to 128"}},
		{"a place missing", `"stan": 11,`, ``, []string{"line 41", "nightdrop.place.stan"}},
		{"a place taken twice", `"stan": 11,`, `"stan": 12,`, []string{"field 12 holds the stan already"}},
		{"a header of two digits", `"form": "binary"`, `"form": "ascii"`, []string{"line 40", "nightdrop.header"}},
		{"a header of three bytes", `"bytes": 2`, `"bytes": 3`, []string{"line 40", "2 or 4"}},
		{"a message type with a letter", `"answer": "0230"`, `"answer": "023A"`, []string{"line 88", "nightdrop.messages.capture", "four digits"}},
		{"an answer of another class", `"answer": "0230"`, `"answer": "0430"`, []string{"line 88", "the same in request"}},
		{"an answer that is the request", `"answer": "0230"`, `"answer": "0221"`, []string{"line 88", "must not be"}},
		{"no repeat", `"repeat": "0221", `, ``, []string{"line 88", "repeat"}},
		{"a repeat of a comparison", `"request": "0500", `, `"request": "0500", "repeat": "0501", `, []string{"repeat"}},
		{"a processing code short", `"answer": "0230", "processing": "000000"`, `"answer": "0230", "processing": "00"`, []string{"line 88", "six digits"}},
		{"a processing code of a reversal", `"repeat": "0421", "answer": "0430"`, `"repeat": "0421", "answer": "0430", "processing": "000000"`, []string{"line 89", "original's"}},
		{"a network code short", `"sign-on": "001"`, `"sign-on": "1"`, []string{"line 91", "sign-on", "three digits"}},
		{"no code that undoes", `"compared":`, `"undone": [], "compared":`, []string{"nightdrop.undone", "at least one"}},
		{"two words on reversals", `"compared":`, `"undone": ["00"], "compared":`, []string{"line 106", "nightdrop.undone", `"stands"`}},
		{"an approval of nothing", `{"00": "whole"}`, `{"00": "whole", "10": "half"}`, []string{"line 96", "approve.10", `"whole" or a "part"`}},
		{"a part for 00", `{"00": "whole"}`, `{"00": "part"}`, []string{"line 96", "approve.00", "00 the whole"}},
		{"a code both ways", `{"00": "whole"}`, `{"00": "whole", "51": "whole"}`, []string{"line 97", "requests.decline", "51 is in nightdrop.answers.requests.approve already"}},
		{"00 declines", `"01", "02"`, `"00", "02"`, []string{"line 97", "requests.decline", "00 is in"}},
		{"no refusals", `"decline"`, `"declines"`, []string{`"declines"`, "correct its name"}},
		{"a code of three", `"duplicate": ["94"]`, `"duplicate": ["940"]`, []string{"line 103", "captures.duplicate", "two of"}},
		{"00 to a person", `"person": ["12", "13", "14", "25", "30"]`, `"person": ["00"]`, []string{"line 103", "captures.person", "00 is in"}},
		{"00 to a person alone", `{"stands": ["00"], "duplicate": ["94"], "person": ["12", "13", "14", "25", "30"]}`, `{"stands": [], "person": ["00"]}`, []string{"line 103", "captures.person", "take it out"}},
		{"nobody named", `, "person": ["12", "13", "14", "25", "30"]`, ``, []string{"line 103", "captures.person", "write []"}},
		{"a person and a duplicate", `"duplicate": ["94"]`, `"duplicate": ["12"]`, []string{"line 103", "captures.person", "12 is in nightdrop.answers.captures.duplicate already"}},
		{"a code of one", `["00", "95"]`, `["0"]`, []string{"nightdrop.compared", "two of"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(string(ascii1987), c.old, c.now, 1)
			if text == string(ascii1987) {
				t.Fatal("the defect is not in the file")
			}
			path := filepath.Join(t.TempDir(), "theirs.json")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := LoadDialect(path)
			if !errors.Is(err, ErrDialect) {
				t.Fatalf("error %v, want ErrDialect", err)
			}
			for _, part := range append(c.says, path) {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

func TestConstantsOfADialect(t *testing.T) {
	packed, err := os.ReadFile(filepath.Join("testdata", "packed1987.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, old, now, says string }{
		{"of a field unknown", `"32": "123456"`, `"33": "123456"`, "constants.33"},
		{"of a place", `"32": "123456"`, `"37": "123456789012"`, "field 37 holds the rrn already"},
		{"longer than the field", `"32": "123456"`, `"32": "123456789012"`, "constants.32"},
		{"shorter than a fixed field", `"25": "08"`, `"25": "8"`, "constants.25"},
		{"a letter among digits", `"32": "123456"`, `"32": "12345A"`, "encoding"},
		{"of chip data", `"32": "123456"`, `"55": "123456"`, "fields.55"},
	} {
		text := strings.Replace(string(packed), c.old, c.now, 1)
		if _, err := parseDialect([]byte(text)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that says %q", c.name, err, c.says)
		}
	}
}

// FuzzDialect: a file is refused, or makes a dialect whose requests can be written and read.
func FuzzDialect(f *testing.F) {
	packed, err := os.ReadFile(filepath.Join("testdata", "packed1987.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ascii1987)
	f.Add(packed)
	f.Add([]byte(`{"name":"x","fields":{"0":null},"nightdrop":{}}`))
	f.Add([]byte(`{"name":"x","fields":{"1":{"type":"Bitmap","length":8,"enc":"Binary","prefix":"Binary.Fixed"}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := parseDialect(raw)
		if err != nil {
			return
		}
		totals := acquirer.Totals{Trace: goldenTrace(), Batch: 7, Currency: "USD"}
		r := newTotals(d, totals)
		out, err := frame(d, r.message)
		if err != nil || r.err != nil {
			t.Fatalf("the dialect is taken and cannot be written: %v %v", err, r.err)
		}
		if _, whole := unpack(d, out[d.Header.Bytes:]); !whole {
			t.Fatal("what was written is read as something else")
		}
	})
}
