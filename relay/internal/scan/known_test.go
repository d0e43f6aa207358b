package scan

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/uuid"
)

const (
	// 30 days in nanoseconds: passes Luhn, and has a brand's prefix and length
	age       = "2592000000000000"
	maestro12 = "500000000009"
	someID    = "0198c0de-77aa-7000-8000-00000000000a"
)

// record is one of a JetStream block.
func record(sequence uint64, subject, headers string, message []byte, hash uint64) []byte {
	body := []byte(subject)
	length := uint32(recordHead + len(subject) + len(message) + recordHash)
	if headers != "" {
		length = (length + 4 + uint32(len(headers))) | recordHeaders
		body = append(binary.LittleEndian.AppendUint32(body, uint32(len(headers))), headers...)
	}
	out := binary.LittleEndian.AppendUint32(nil, length)
	out = binary.LittleEndian.AppendUint64(out, sequence)
	out = binary.LittleEndian.AppendUint64(out, 1764541000000000000+sequence*7919*1e6)
	out = binary.LittleEndian.AppendUint16(out, uint16(len(subject)))
	return binary.LittleEndian.AppendUint64(append(append(out, body...), message...), hash)
}

// store is a block as use makes it: notes and sealed entries, with random contents.
func store(records int, seed byte) []byte {
	source := rand.NewChaCha8([32]byte{seed})
	random := func(n int) []byte {
		b := make([]byte, n)
		_, _ = source.Read(b)
		return b
	}
	var block []byte
	for i := range records {
		hash := source.Uint64()
		headers := fmt.Sprintf("NATS/1.0\r\nNats-Msg-Id: %x\r\n\r\n", random(32))
		var id uuid.UUID
		copy(id[:], random(16))
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
		note := []byte(`nightdrop/result/v1` + "\n" + `{"id":"` + id.String() + `","sealed":"` + base64.StdEncoding.EncodeToString(random(200)) + "\"}\n")
		switch n := uint64(i + 1); i % 4 {
		case 0:
			block = append(block, record(n, "res.shop-one."+fmt.Sprint(n)+"."+id.String(), headers, note, hash)...)
		case 1:
			block = append(block, record(n, "bag.relay-one", "", note, hash)...)
		case 2:
			block = append(block, record(n, "journal.1", headers, random(300+i%100), hash)...)
		default:
			block = append(block, record(n, "notice.position", headers, note, hash)...)
		}
	}
	return block
}

func TestAStoreIsClean(t *testing.T) {
	settings := `{"Created":"2026-11-30T22:14:36.78364374Z","name":"RESULTS","max_bytes":4398046511104,"max_age":` + age +
		`,"max_msgs_per_subject":1,"duplicate_window":120000000000}`
	for name, data := range map[string]string{"settings": settings, "settings with spaces": strings.ReplaceAll(settings, ":", " : ")} {
		if found := findings(t, New(), data); len(found) != 0 {
			t.Errorf("%s: found %v", name, found)
		}
	}
	for seed := range byte(4) {
		if found := findings(t, New(), string(store(12_000, seed))); len(found) != 0 {
			t.Errorf("block %d: found %v", seed, found)
		}
	}
}

// TestNumbersBesideWhatIsKnown has true numbers where the rules for a clean store apply.
func TestNumbersBesideWhatIsKnown(t *testing.T) {
	packed := bcd(t, "0"+amex)
	in := func(message string) string {
		filler := string(record(1, "bag.relay-one", "", []byte("text and text and text and text and text and text and text\n"), 0x1122334455667788))
		return filler + string(record(2, "bag.relay-one", "", []byte(message), 0x1234567812345678)) + filler
	}
	tests := map[string]string{
		"a number as another member":        `{"number":` + age + `}`,
		"a number in quotes":                `{"max_age":"` + age + `"}`,
		"a number of no whole seconds":      `{"max_age":` + visa + `}`,
		"a member whose name only ends so":  `{"x_max_age":` + age + `}`,
		"a text that only mentions the age": `max_age:` + age,
		"behind a UUID":                     someID + " " + visa,
		"before a UUID":                     visa + " " + someID,
		"beside a UUID in JSON":             `{"id":"` + someID + `","number":"4242-4242-4242-4242"}`,
		"joined to a UUID":                  visa + "-" + someID,
		"a UUID of digits alone":            "00000000-0000-4000-8000-" + maestro12,
		"what only looks like a UUID":       "0198c0de-77aa-0000-8000-" + maestro12,
		"a record's message":                in("pan " + visa + "\n"),
		"a record's message, grouped":       in("pan 4242 4242 4242 4242\n"),
		"BCD in a record":                   in("pan: \xff" + packed + "\xff\n"),
		"BCD at a record's beginning":       in(packed + "\xff, some more text and more text and more text"),
		"BCD at a record's end":             in("some text and more text and more text and more\xff" + packed),
		"base64 in a record":                in(base64.StdEncoding.EncodeToString([]byte(`"` + visa + `"`))),
		"a frame of another subject":        strings.ReplaceAll(in("\xff"+packed), "bag.", "gab."),
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			// control: without the frame's rule the hash hides the number
			if name == "a frame of another subject" {
				if found := findings(t, New(), data); len(found) != 0 {
					t.Errorf("found %v", found)
				}
				return
			}
			if found := findings(t, New(), data); len(found) != 1 {
				t.Errorf("found %v, want one", found)
			}
		})
	}
}

// TestNumbersAsTheyLeak has each form at the beginning, in the middle and at the end, and across
// the windows' borders.
func TestNumbersAsTheyLeak(t *testing.T) {
	forms := map[string]string{
		"JSON string":     `{"number":"` + visa + `"}`,
		"JSON integer":    `{"number":` + visa + `,"expiry":"2029-01"}`,
		"form field":      "amount=1999&card=" + visa + "&code=123",
		"CSV":             "2026-11-30," + visa + ",1999",
		"log line":        `time=2026-11-30T22:14:36Z level=INFO msg="charged ` + visa + `"`,
		"XML":             "<pan>" + visa + "</pan>",
		"spaces":          "4242 4242 4242 4242",
		"dashes":          "4242-4242-4242-4242",
		"Amex":            "3782 822463 10005",
		"UTF-16":          wide(visa, false),
		"BCD":             "\xff" + bcd(t, visa) + "\xff",
		"base64":          base64.StdEncoding.EncodeToString([]byte(`"` + visa + `"`)),
		"base64, grouped": base64.StdEncoding.EncodeToString([]byte("4242 4242 4242 4242")),
		"track 2":         ";" + visa + "=29012011000012300000?",
	}
	filler := bytes.Repeat([]byte{'.'}, 2*windowBytes+3*marginBytes)
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			for _, at := range []int{0, 100, windowBytes - len(form)/2, windowBytes + marginBytes - len(form)/2,
				windowBytes + marginBytes, windowBytes + 2*marginBytes - len(form)/2, len(filler) - len(form)} {
				data := bytes.Clone(filler)
				copy(data[at:], form)
				found := 0
				if err := New().Reader(context.Background(), "input", bytes.NewReader(data), func(Finding) { found++ }); err != nil {
					t.Fatal(err)
				}
				if found != 1 {
					t.Errorf("at %d: %d findings, want one", at, found)
				}
			}
		})
	}
}
