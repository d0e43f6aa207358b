package envelope

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"acme-shoes": true, "abc": true, "a1-": false, "ab": false, strings.Repeat("a", 32): true, strings.Repeat("a", 33): false,
		"": false, "Acme": false, "1ab": false, "-ab": false, "a--b": true, "a_b": false, "acmé": false, "abc\n": false,
	} {
		if ValidMerchant(name) != ok {
			t.Errorf("merchant %q: want %t", name, ok)
		}
	}
	for name, ok := range map[string]bool{
		"vault.example": true, "vault": true, "a.b.c-d.e1": true, "": false, ".": false, "vault.": false, ".vault": false, "a..b": false, "Vault.example": false,
		"va_ult": false, "-vault": false, "vault-": false, "a.-b": false, "10.0.0.1": false, "1": false, "1password.example": true,
		strings.Repeat("a", 63) + ".example": true, strings.Repeat("a", 64) + ".example": false,
		strings.Repeat("abcdefg.", 31) + "abcde": true, strings.Repeat("abcdefg.", 31) + "abcdef": false, "vault.example+1": false,
	} {
		if ValidVault(name) != ok {
			t.Errorf("vault %q (%d bytes): want %t", name, len(name), ok)
		}
	}
	for id, ok := range map[string]bool{
		envelopeID: true, "3f1c1d5e-8a9b-4c6d-9e0f-112233445566": true, "3f1c1d5e-8a9b-5c6d-9e0f-112233445566": false,
		"3f1c1d5e-8a9b-4c6d-7e0f-112233445566": false, "3f1c1d5e-8a9b-4c6d-be0f-112233445566": true, "3f1c1d5e-8a9b-4c6d-ce0f-112233445566": false,
		"": false, "3f1c1d5e8a9b4c6d9e0f112233445566": false, "3f1c1d5e-8a9b-4c6d-9e0f-11223344556g": false, "3f1c1d5e-8a9b-4c6d-9e0f-11223344556": false,
		"3f1c1d5e08a9b-4c6d-9e0f-112233445566": false, "00000000-0000-0000-0000-000000000000": false,
	} {
		if ValidID(id) != ok {
			t.Errorf("id %q: want %t", id, ok)
		}
	}
}

func TestKeyNames(t *testing.T) {
	name := MakeKeyName(KindDay, 0x0a1b2c3d, SuiteXWing)
	if name != "day-0a1b2c3d-xwing" || name.Kind() != KindDay || name.ID() != 0x0a1b2c3d || name.Suite() != SuiteXWing {
		t.Errorf("%s is of kind %s, id %x, suite %s", name, name.Kind(), name.ID(), name.Suite())
	}
	for text, ok := range map[string]bool{
		"day-0a1b2c3d-xwing": true, "code-00000000-x25519": true, "reply-ffffffff-xwing": true,
		"": false, "day": false, "day-0a1b2c3d": false, "day-0a1b2c3d-": false, "day--xwing": false, "day-0A1B2C3D-xwing": false, "day-0a1b2c3d-XWING": false,
		"day-0a1b2c3d0-xwing": false, "night-0a1b2c3d-xwing": false, "day-0a1b2c3d-xwing-": false, " day-0a1b2c3d-xwing": false,
	} {
		if got, err := ParseKeyName(text); (err == nil) != ok || ok && string(got) != text || !ok && got != "" {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	for _, c := range []struct {
		key  KeyName
		part PartName
	}{{"day-00000001-xwing", PartOrder}, {"day-00000001-xwing", PartAccount}, {"code-00000001-xwing", PartCode}, {"reply-00000001-xwing", PartResult}} {
		for _, part := range []PartName{PartOrder, PartAccount, PartCode, PartResult} {
			want := part == c.part || c.key.Kind() == KindDay && (part == PartOrder || part == PartAccount)
			if c.key.Serves(part) != want {
				t.Errorf("%s serves %s: want %t", c.key, part, want)
			}
		}
	}
}

func TestTimeIsWholeSecondsInUTC(t *testing.T) {
	zone := time.FixedZone("", 3600)
	got := At(time.Date(2026, 11, 20, 10, 30, 0, 999, zone))
	if got != At(moment) || got.String() != "2026-11-20T09:30:00Z" {
		t.Errorf("got %s", got)
	}
	text, err := json.Marshal(got)
	var back Time
	if err != nil || string(text) != `"2026-11-20T09:30:00Z"` || json.Unmarshal(text, &back) != nil || back != got {
		t.Errorf("marshals as %s and back as %v, %v", text, back, err)
	}
	if _, err := At(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)).MarshalText(); !errors.Is(err, ErrMalformed) {
		t.Errorf("the year 10000: %v", err)
	}
}

// TestPartInfoBytes pins the HPKE info to bytes made by hand from PASETO's definition of PAE.
func TestPartInfoBytes(t *testing.T) {
	want := "0500000000000000" + "1100000000000000" + hex.EncodeToString([]byte("nightdrop/part/v1"))
	for _, f := range []struct{ length, text string }{
		{"05", "order"}, {"0a", "acme-shoes"}, {"24", envelopeID}, {"12", "day-0a1b2c3d-xwing"},
	} {
		want += f.length + "00000000000000" + hex.EncodeToString([]byte(f.text))
	}
	if got := hex.EncodeToString(PartInfo(PartOrder, "acme-shoes", envelopeID, "day-0a1b2c3d-xwing")); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestPadding(t *testing.T) {
	for length, want := range map[int]int{0: 256, 1: 256, 256: 256, 257: 512, 2048: 2048} {
		text := bytes.Repeat([]byte("x"), length)
		padded, err := Pad(text)
		if err != nil || len(padded) != want {
			t.Errorf("%d bytes pad to %d, %v", length, len(padded), err)
		}
		if back, err := Unpad(padded); err != nil || !bytes.Equal(back, text) {
			t.Errorf("%d bytes do not come back: %v", length, err)
		}
	}
	if _, err := Pad(make([]byte, 2049)); !errors.Is(err, ErrMalformed) {
		t.Errorf("2,049 bytes: %v", err)
	}
	for _, length := range []int{0, 1, 255, 257, 2047, 2304, 4096} {
		if _, err := Unpad(bytes.Repeat([]byte(" "), length)); !errors.Is(err, ErrMalformed) {
			t.Errorf("unpadding %d bytes: %v", length, err)
		}
	}
}

// TestPartForm is what a relay answers not-sealed to.
func TestPartForm(t *testing.T) {
	const key = KeyName("day-0a1b2c3d-xwing")
	change := func(at int, to byte) Part {
		p := Part{key, sealedBytes(key, 512)}
		p.Sealed[at] = to
		return p
	}
	for name, c := range map[string]struct {
		part Part
		ok   bool
	}{
		"256 bytes":             {Part{key, sealedBytes(key, 256)}, true},
		"2,048 bytes":           {Part{key, sealedBytes(key, 2048)}, true},
		"nothing padded":        {Part{key, sealedBytes(key, 0)}, false},
		"2,304 bytes":           {Part{key, sealedBytes(key, 2304)}, false},
		"one byte more":         {Part{key, append(sealedBytes(key, 256), 0)}, false},
		"one byte less":         {Part{key, sealedBytes(key, 256)[1:]}, false},
		"the length of x25519":  {Part{key, append([]byte{1, 0x0a, 0x1b, 0x2c, 0x3d}, make([]byte, 53-5+256)...)}, false},
		"a result's length":     {Part{key, sealedBytes(key, ResultBytes)}, false},
		"no Tink prefix":        {change(0, 0), false},
		"another key's id":      {change(4, 0x3e), false},
		"a plaintext":           {Part{key, []byte(`{"operation":"sale","reference":"r"}`)}, false},
		"a padded plaintext":    {Part{key, bytes.Repeat([]byte(" "), 256)}, false},
		"nothing":               {Part{key, nil}, false},
		"a key name of no form": {Part{"day-xwing", sealedBytes(key, 256)}, false},
	} {
		if err := c.part.CheckForm(PartOrder); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	const reply = KeyName("reply-0a1b2c3d-x25519")
	if err := (Part{reply, sealedBytes(reply, ResultBytes)}).CheckForm(PartResult); err != nil {
		t.Errorf("a result: %v", err)
	}
	if err := (Part{reply, sealedBytes(reply, 2048)}).CheckForm(PartResult); !errors.Is(err, ErrMalformed) {
		t.Errorf("a result of another length: %v", err)
	}
}

func TestDateText(t *testing.T) {
	// November still, in UTC
	in := Time{time.Date(2026, 12, 1, 0, 30, 0, 0, time.FixedZone("", 3600))}
	for _, likely := range []string{"", "2026-11-30", "2026-12-01", "2026-11"} {
		if day, month := in.DateText(likely), in.MonthText(likely); day != "2026-11-30" || month != "2026-11" {
			t.Errorf("%s, %s", day, month)
		}
	}
}

func TestEnvelopeTimes(t *testing.T) {
	for name, c := range map[string]struct {
		created, until time.Duration
		err            error
	}{
		"fresh":                    {0, time.Hour, nil},
		"5 minutes ahead":          {5 * time.Minute, time.Hour, nil},
		"over 5 minutes ahead":     {5*time.Minute + time.Second, time.Hour, ErrClock},
		"6 days":                   {0, MaxLife, nil},
		"over 6 days":              {0, MaxLife + time.Second, ErrClock},
		"until at created":         {0, 0, ErrClock},
		"until before created":     {0, -time.Hour, ErrClock},
		"until now":                {-time.Hour, 0, nil},
		"until a second ago":       {-time.Hour, -time.Second, ErrLate},
		"long ago and over 6 days": {-8 * 24 * time.Hour, -time.Hour, ErrClock},
	} {
		e := Envelope{Created: at(c.created), Until: at(c.until)}
		if err := e.CheckTimes(moment); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMasks(t *testing.T) {
	for digits, want := range map[string]string{"4242424242424242": "424242******4242", "371449635398431": "371449*****8431", "4000000000000000006": "400000*********0006",
		"36006666333344": "**********3344", "4222222222222": "*********2222", "501800000009": "********0009"} {
		if got := MaskCard([]byte(digits)); got != want || !validMasked(got) {
			t.Errorf("%s is masked %s, want %s", digits, got, want)
		}
	}
	for digits, want := range map[string]string{"1234": "******34", "12345": "******45", "123456": "******456", "1234567": "******567", "12345678": "******5678",
		"12345678901234567": "******4567"} {
		if got := MaskBank([]byte(digits)); got != want || !validMasked(got) {
			t.Errorf("%s is masked %s, want %s", digits, got, want)
		}
	}
	for _, whole := range []string{"", "4242424242424242", "******", "******1", "******12345", "4242424*****4242", "***********4242", "424242*****42", "*****1234", "42424********4242"} {
		if validMasked(whole) {
			t.Errorf("%q counts as masked", whole)
		}
	}
}
