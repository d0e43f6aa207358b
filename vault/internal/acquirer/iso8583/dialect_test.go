package iso8583

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"nightdrop/vault/internal/account"
	"nightdrop/vault/internal/acquirer"
)

func goldenSale(t *testing.T) acquirer.Request {
	t.Helper()
	card, err := account.Parse([]byte(`{"card":{"number":"371449635398431","expiry":"2031-09"}}`))
	if err != nil {
		t.Fatal(err)
	}
	code, err := account.ParseCode([]byte(`{"code":"1234"}`))
	if err != nil {
		t.Fatal(err)
	}
	return acquirer.Request{
		Kind:  acquirer.KindSale,
		Trace: goldenTrace(),
		Batch: 7, Amount: 1099, Currency: "JPY", Card: card.Card, Code: code, Descriptor: "BOOKSHOP ONLINE",
	}
}

func goldenTrace() acquirer.Trace {
	return acquirer.Trace{STAN: 42, RRN: "632617000042", Terminal: "TERM01", Acceptor: "BOOKSHOP",
		Sent: time.Date(2026, 11, 22, 18, 4, 5, 0, time.FixedZone("CET", 3600))}
}

// The bytes of every request, field by field.
func TestRequestsOnTheWire(t *testing.T) {
	spec := DefaultDialect()
	sale := goldenSale(t)
	withCode, clearCopy := newAuthorise(spec, sale)
	defer clearCopy()
	bare := sale
	bare.Code, bare.Descriptor = nil, ""
	withoutCode, clearCopy := newAuthorise(spec, bare)
	defer clearCopy()
	reversal := acquirer.Reversal{Trace: sale.Trace, Original: acquirer.Original{Trace: sale.Trace, Kind: sale.Kind}, Batch: 7, Amount: 1099, Currency: "JPY"}
	reversal.STAN, reversal.RRN, reversal.Sent = 43, "632617000043", sale.Sent.Add(time.Minute)
	repeat := reversal
	repeat.Repeat = 1
	totals := acquirer.Totals{Trace: sale.Trace, Batch: 7, Currency: "USD",
		Debits: acquirer.Count{Number: 12, Amount: 120_000}, DebitReversals: acquirer.Count{Number: 2, Amount: 20_000},
		Credits: acquirer.Count{Number: 1, Amount: 200_000}, CreditReversals: acquirer.Count{Number: 0, Amount: 0}}

	const identity = "632617000042|TERM01  |BOOKSHOP       "
	for name, c := range map[string]struct {
		request *request
		want    string
	}{
		"sale": {withCode, "0200|723C048008E18010|15371449635398431|000000|000000001099|1122170405|000042|170405|1122|3109|012|59|" + identity +
			"|BOOKSHOP ONLINE                         |0041234|392|006000007"},
		"sale without code and descriptor": {withoutCode, "0200|723C048008C08010|15371449635398431|000000|000000001099|1122170405|000042|170405|1122|3109|012|59|" +
			identity + "|392|006000007"},
		"reversal": {newReversal(spec, reversal), "0420|B238000008C080100000004000000000|000000|000000001099|1122170505|000043|170505|1122|" + identity +
			"|392|006000007|020000004211221704050000000000000000000000"},
		"reversal repeated": {newReversal(spec, repeat), "0421|B238000008C080100000004000000000|000000|000000001099|1122170505|000043|170505|1122|" + identity +
			"|392|006000007|020000004211221704050000000000000000000000"},
		"totals": {newTotals(spec, totals), "0500|8238000008C080100078078080000000|1122170405|000042|170405|1122|" + identity + "|840|006000007|" +
			"0000000001|0000000000|0000000012|0000000002|0000000000200000|0000000000000000|0000000000120000|0000000000020000|C0000000000100000"},
		"sign-on": {newNetwork(spec, spec.Messages.Network.SignOn, 1, sale.Sent), "0800|82200000000000000400000000000000|1122170405|000001|001"},
	} {
		out, err := frame(spec, c.request.message)
		if err != nil || c.request.err != nil {
			t.Errorf("%s: %v %v", name, err, c.request.err)
			continue
		}
		want := strings.ReplaceAll(c.want, "|", "")
		if got := string(out[2:]); got != want || int(out[0])<<8|int(out[1]) != len(want) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
		m, whole := unpack(spec, out[2:])
		again, err := frame(spec, m)
		if !whole || err != nil || !bytes.Equal(again, out) {
			t.Errorf("%s: what was read packs to other bytes", name)
		}
	}
}

// A message borrows the card's own bytes; the only copy is the frame, which is cleared.
func TestSecretFieldsAreNotCopied(t *testing.T) {
	sale := goldenSale(t)
	r, clearCopy := newAuthorise(DefaultDialect(), sale)
	lent, err := r.message.GetBytes(2)
	if err != nil || &lent[0] != &sale.Card.Digits()[0] {
		t.Error("the message holds a copy of the number")
	}
	lent, err = r.message.GetBytes(48)
	if err != nil || &lent[0] != &sale.Code.Digits()[0] {
		t.Error("the message holds a copy of the code")
	}
	expiry, err := r.message.GetBytes(14)
	if err != nil || string(expiry) != "3109" {
		t.Error("the expiry is not there")
	}
	clearCopy()
	if string(expiry) == "3109" {
		t.Error("the expiry was not cleared")
	}
	if _, err := r.message.Pack(); err == nil {
		t.Error("the library packs secret fields, which leaves copies")
	}
}

// An answer of an impossible length is refused before it is read.
func TestFrameLimits(t *testing.T) {
	for _, header := range []string{"\x00\x00", "\x08\x01", "\xff\xff"} {
		if _, err := readFrame(strings.NewReader(header+strings.Repeat("0", 70_000)), DefaultDialect().Header); err == nil {
			t.Errorf("length %x is read", header)
		}
	}
	if raw, err := readFrame(strings.NewReader("\x00\x040210"), DefaultDialect().Header); err != nil || string(raw) != "0210" {
		t.Errorf("read %q, error %v", raw, err)
	}
}

// FuzzUnpack: reading does not panic, and whole is true only of what packs to the same bytes.
func FuzzUnpack(f *testing.F) {
	for _, seed := range []string{
		"0210122000000EC08000000000001099112217040500004263261700004200A1B2C300TERM01  BOOKSHOP       840",
		"081082200000020000000400000000000000112217040500000100001", "0210", "",
		"0210" + "F23C448008E180100000000000000000" + "15371449635398431",
	} {
		f.Add([]byte(seed))
	}
	packed := packedDialect(f)
	sale, err := hex.DecodeString("02007224048108c0800c150371449635398431000000000000001099112217040500004231090812080612345636333236313730303030343" +
		"25445524d30312020424f4f4b53484f50202020202020200392041234000007")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sale)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) <= maxMessage-4 { // room for a header
			readWhatever(t, DefaultDialect(), raw)
			readWhatever(t, packed, raw)
		}
	})
}

func readWhatever(t *testing.T, spec *Dialect, raw []byte) {
	m, whole := unpack(spec, raw)
	_, _, _ = spec.keyOf(m)
	if !whole {
		return
	}
	out, err := frame(spec, m)
	if err != nil || !bytes.Equal(out[spec.Header.Bytes:], raw) {
		t.Fatal("a whole message packs to other bytes")
	}
	_, _ = spec.readAnswer(m, spec.Answers.Requests.outcome)
	_, _ = spec.readTotals(m, acquirer.Totals{})
}
