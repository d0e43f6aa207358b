package iso8583

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moov-io/iso8583"
	"github.com/moov-io/iso8583/specs"

	"nightdrop/vault/internal/acquirer"
)

// operations are one request of each operation, with the golden card.
func operations(t *testing.T, d *Dialect) map[string]*request {
	t.Helper()
	later := func(minutes int) acquirer.Trace {
		at := goldenTrace()
		at.STAN, at.RRN, at.Sent = 42+uint32(minutes), "63261700004"+string(rune('2'+minutes)), at.Sent.Add(time.Duration(minutes)*time.Minute)
		return at
	}
	of := func(kind acquirer.Kind) acquirer.Original {
		return acquirer.Original{Trace: goldenTrace(), Kind: kind, Approval: "A1B2C3"}
	}
	sale := goldenSale(t)
	hold := sale
	hold.Kind, hold.Batch = acquirer.KindAuthorisation, 0
	original := of(acquirer.KindCapture)
	refund := acquirer.Request{Trace: later(1), Kind: acquirer.KindRefund, Batch: 7, Amount: 99, Currency: "JPY", Card: sale.Card, Original: &original}
	byNumber := refund
	byNumber.Original = nil
	capture := acquirer.Capture{Trace: later(1), Original: of(acquirer.KindAuthorisation), Batch: 7, Amount: 99, Currency: "JPY"}
	repeat := capture
	repeat.Repeat = 3
	reverse := func(kind acquirer.Kind) *request {
		return newReversal(d, acquirer.Reversal{Trace: later(1), Original: of(kind), Batch: 7, Amount: 1099, Currency: "JPY"})
	}
	made := map[string]*request{
		"capture": newCapture(d, capture), "capture repeated": newCapture(d, repeat),
		"reversal of an authorisation": reverse(acquirer.KindAuthorisation), "reversal of a refund": reverse(acquirer.KindRefund),
		"reversal of a capture": reverse(acquirer.KindCapture), "echo": newNetwork(d, d.Messages.Network.Echo, 2, goldenTrace().Sent),
	}
	for name, a := range map[string]acquirer.Request{"sale": sale, "authorisation": hold, "refund": refund, "refund with the number": byNumber} {
		r, clearCopy := newAuthorise(d, a)
		t.Cleanup(clearCopy)
		made[name] = r
	}
	return made
}

const (
	asciiIdentity = "|632617000043|TERM01  |BOOKSHOP       |"
	asciiOriginal = "00004211221704050000000000000000000000"
)

// The bytes of the other operations in the built-in dialect; TestRequestsOnTheWire has the first.
func TestOperationsOnTheWire(t *testing.T) {
	d := DefaultDialect()
	made := operations(t, d)
	for name, want := range map[string]string{
		"authorisation": "0100|723C048008E18000|15371449635398431|000000|000000001099|1122170405|000042|170405|1122|3109|012|59|632617000042|" +
			"TERM01  |BOOKSHOP       |BOOKSHOP ONLINE                         |0041234|392",
		"refund": "0200|B238048008C080100000004000000000|200000|000000000099|1122170505|000043|170505|1122|012|59" + asciiIdentity +
			"392|006000007|0220" + asciiOriginal,
		"refund with the number": "0200|723C048008C08010|15371449635398431|200000|000000000099|1122170505|000043|170505|1122|3109|012|59" + asciiIdentity +
			"392|006000007",
		"capture": "0220|B23800000CC080100000004000000000|000000|000000000099|1122170505|000043|170505|1122|632617000043|A1B2C3|TERM01  |BOOKSHOP       |" +
			"392|006000007|0100" + asciiOriginal,
		"capture repeated": "0221|B23800000CC080100000004000000000|000000|000000000099|1122170505|000043|170505|1122|632617000043|A1B2C3|TERM01  |BOOKSHOP       |" +
			"392|006000007|0100" + asciiOriginal,
		"reversal of an authorisation": "0420|B238000008C080000000004000000000|000000|000000001099|1122170505|000043|170505|1122|632617000042|TERM01  |BOOKSHOP       |" +
			"392|0100" + asciiOriginal,
		"reversal of a refund": "0420|B238000008C080100000004000000000|200000|000000001099|1122170505|000043|170505|1122|632617000042|TERM01  |BOOKSHOP       |" +
			"392|006000007|0200" + asciiOriginal,
		"reversal of a capture": "0420|B238000008C080100000004000000000|000000|000000001099|1122170505|000043|170505|1122|632617000042|TERM01  |BOOKSHOP       |" +
			"392|006000007|0220" + asciiOriginal,
		"echo": "0800|82200000000000000400000000000000|1122170405|000002|301",
	} {
		out, err := frame(d, made[name].message)
		if err != nil || made[name].err != nil {
			t.Errorf("%s: %v %v", name, err, made[name].err)
			continue
		}
		if want = strings.ReplaceAll(want, "|", ""); string(out[2:]) != want {
			t.Errorf("%s:\n got %s\nwant %s", name, out[2:], want)
		}
	}
}

// The same requests in packed digits, with a binary bitmap, another field for the security code,
// fields of the host's own, and a header of ASCII digits that counts itself.
func TestAnotherDialectOnTheWire(t *testing.T) {
	d := packedDialect(t)
	made := operations(t, d)
	text := func(s string) string { return hex.EncodeToString([]byte(s)) }
	const packed = "0000000010991122170405000042"
	for name, want := range map[string]string{
		"sale": text("0092") + "0200|7224048108C0800C|150371449635398431|000000|" + packed + "|3109|0812|08|06123456|" + text("632617000042") +
			text("TERM01  ") + text("BOOKSHOP       ") + "|0392|041234|000007",
		"echo": text("0032") + "0800|82200000000000000400000000000000|1122170405|000002|0270",
		"reversal of a refund": text("0100") + "0420|B220000008C080040000004000000000|200030|000000001099|1122170505|000043|" + text("632617000042") +
			text("TERM01  ") + text("BOOKSHOP       ") + "|0392|000007|020000004211221704050000000000000000000000",
	} {
		out, err := frame(d, made[name].message)
		if err != nil || made[name].err != nil {
			t.Errorf("%s: %v %v", name, err, made[name].err)
			continue
		}
		if want = strings.ToLower(strings.ReplaceAll(want, "|", "")); hex.EncodeToString(out) != want {
			t.Errorf("%s:\n got %x\nwant %s", name, out, want)
		}
	}
	if r := made["refund"]; r.message.GetField(90) != nil || r.message.GetField(2) == nil {
		t.Error("a refund must carry the number and name no original where the dialect says so")
	}
}

// moov-io/iso8583 reads what we write by the same file, and packs it again.
func TestTheLibraryReadsTheSame(t *testing.T) {
	for name, d := range map[string]*Dialect{"ascii1987.json": DefaultDialect(), filepath.Join("testdata", "packed1987.json"): packedDialect(t)} {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := specs.ImportJSON(raw)
		if err != nil {
			t.Fatal(err)
		}
		for operation, r := range operations(t, d) {
			out, err := frame(d, r.message)
			if err != nil || r.err != nil {
				t.Errorf("%s, %s: %v %v", name, operation, err, r.err)
				continue
			}
			body := out[d.Header.Bytes:]
			m := iso8583.NewMessage(spec)
			if err := m.Unpack(body); err != nil {
				t.Errorf("%s, %s: the library does not read it: %v", name, operation, err)
				continue
			}
			again, err := m.Pack()
			if err != nil || !bytes.Equal(again, body) {
				t.Errorf("%s, %s: the library packs\n%x, error %v, want\n%x", name, operation, again, err, body)
			}
			back, err := readFrame(bytes.NewReader(out), d.Header)
			if _, whole := unpack(d, back); err != nil || !whole {
				t.Errorf("%s, %s: it is not read whole again: %v", name, operation, err)
			}
		}
	}
}

func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		header
		bytes string // of a message of 16 bytes
	}{
		{header{"binary", 2, false}, "0010"}, {header{"binary", 2, true}, "0012"}, {header{"binary", 4, false}, "00000010"},
		{header{"bcd", 2, false}, "0016"}, {header{"bcd", 2, true}, "0018"}, {header{"bcd", 4, false}, "00000016"},
		{header{"ascii", 4, false}, "30303136"}, {header{"ascii", 4, true}, "30303230"},
	} {
		out := make([]byte, c.Bytes+16)
		c.put(out)
		if got := hex.EncodeToString(out[:c.Bytes]); got != c.bytes {
			t.Errorf("%+v: written %s, want %s", c.header, got, c.bytes)
		}
		if n, ok := c.length(out[:c.Bytes]); !ok || n != 16 {
			t.Errorf("%+v: read %d, %v, want 16", c.header, n, ok)
		}
	}
	for _, c := range []struct {
		header
		bytes string
	}{
		{header{"binary", 2, false}, "0000"}, {header{"binary", 2, true}, "0001"}, {header{"binary", 2, true}, "0002"},
		{header{"binary", 2, false}, "0801"}, {header{"binary", 4, false}, "ffffffff"}, {header{"bcd", 2, false}, "001a"},
		{header{"bcd", 4, false}, "99999999"}, {header{"ascii", 4, false}, "2b303136"}, {header{"ascii", 4, true}, "30303033"},
	} {
		raw, _ := hex.DecodeString(c.bytes)
		if n, ok := c.length(raw); ok {
			t.Errorf("%+v: %s is read as %d", c.header, c.bytes, n)
		}
	}
}
