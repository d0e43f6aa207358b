package iso8583

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moov-io/iso8583"
	"github.com/moov-io/iso8583/specs"

	"nightdrop/vault/internal/acquirer"
)

// accountDigits finds a number, or eight digits of one.
var accountDigits = regexp.MustCompile(`[0-9]{8}`)

// packedHost answers messages of packed1987.json as moov-io/iso8583 reads them.
type packedHost struct {
	spec  *iso8583.MessageSpec
	frame header
	code  string // field 39

	mu    sync.Mutex
	heard map[string]int // message type and processing code
}

func newPackedHost(t *testing.T, code string) *packedHost {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "packed1987.json"))
	if err != nil {
		t.Fatal(err)
	}
	spec, err := specs.ImportJSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &packedHost{spec: spec, frame: header{Form: "ascii", Bytes: 4, Counted: true}, code: code, heard: map[string]int{}}
}

func (h *packedHost) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	for {
		raw, err := readFrame(conn, h.frame)
		if err != nil {
			return
		}
		m := iso8583.NewMessage(h.spec)
		if m.Unpack(raw) != nil {
			return
		}
		packed, err := h.answer(m).Pack()
		if err != nil {
			return
		}
		out := append(make([]byte, h.frame.Bytes), packed...)
		h.frame.put(out)
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

func (h *packedHost) answer(m *iso8583.Message) *iso8583.Message {
	mti, _ := m.GetMTI()
	processing, _ := m.GetString(3)
	h.mu.Lock()
	h.heard[mti+" "+processing]++
	h.mu.Unlock()
	out := iso8583.NewMessage(h.spec)
	out.MTI(mti[:2] + map[byte]string{'0': "1", '2': "3"}[mti[2]] + "0")
	for _, id := range []int{4, 7, 11, 37, 41, 42, 49, 62, 70} {
		if value, _ := m.GetString(id); value != "" {
			_ = out.Field(id, value)
		}
	}
	code := h.code
	if mti == "0800" {
		code = "00"
	}
	_ = out.Field(39, code)
	if code == "00" && mti != "0800" {
		_ = out.Field(38, "A1B2C3")
	}
	_ = out.Field(54, "of no concern")
	_ = out.Field(55, "\x9f\x26\x01\x00")
	return out
}

// A host of another dialect: messages, outcomes and refunds follow from the file.
func TestHostOfAnotherDialect(t *testing.T) {
	for _, c := range []struct {
		code                    string
		asked, captured, undone acquirer.Outcome // what the code means to each
	}{
		{"00", acquirer.Approves, acquirer.Stands, acquirer.Stands},
		// the file's "undone"
		{"12", acquirer.Declines, acquirer.Person, acquirer.Stands},
		{"21", acquirer.Doubtful, acquirer.Repeat, acquirer.Repeat},
		{"25", acquirer.Declines, acquirer.Person, acquirer.Repeat},
		{"94", acquirer.Doubtful, acquirer.Stands, acquirer.Stands},
	} {
		h := newPackedHost(t, c.code)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if conn, err := listener.Accept(); err == nil {
				h.serve(conn)
			}
		}()
		a := New(Config{Address: listener.Addr().String(), Dialect: packedDialect(t)})
		sale := goldenSale(t)
		sale.Currency = "AUD" // 036: a leading zero, in three digits of two bytes
		refund := sale
		refund.Kind, refund.Code, refund.Original = acquirer.KindRefund, nil, &acquirer.Original{Trace: sale.Trace, Kind: acquirer.KindSale}
		for _, request := range []acquirer.Request{sale, refund} {
			if answer, err := a.Authorise(t.Context(), request); err != nil || answer.Code != c.code || answer.Outcome != c.asked {
				t.Errorf("%s: answer %+v, error %v, want %s", request.Kind, answer, err, c.code)
			}
		}
		capture := acquirer.Capture{Trace: sale.Trace, Batch: 7, Amount: 1, Currency: "AUD", Repeat: 1,
			Original: acquirer.Original{Trace: sale.Trace, Kind: acquirer.KindAuthorisation}}
		if answer, err := a.Capture(t.Context(), capture); err != nil || answer.Code != c.code || answer.Outcome != c.captured {
			t.Errorf("capture: answer %+v, error %v, want it %s", answer, err, c.captured)
		}
		reversal := acquirer.Reversal{Trace: sale.Trace, Original: *refund.Original, Batch: 7, Amount: sale.Amount, Currency: "AUD"}
		if answer, err := a.Reverse(t.Context(), reversal); err != nil || answer.Code != c.code || answer.Outcome != c.undone {
			t.Errorf("reversal: answer %+v, error %v, want it %s", answer, err, c.undone)
		}
		if a.RefundsByReference() {
			t.Error("the dialect refunds with the number")
		}
		_ = a.Close()
		_ = listener.Close()
		h.mu.Lock()
		for _, heard := range []string{"0200 000000", "0200 200030", "0221 000000", "0420 000000"} {
			if h.heard[heard] != 1 {
				t.Errorf("the host heard %v, want one %s", h.heard, heard)
			}
		}
		h.mu.Unlock()
	}
}

// A line may be any net.Conn: an hour of silence is an hour's echo tests.
func TestLineUnderAnotherClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newPackedHost(t, "00")
		var wg sync.WaitGroup
		a := New(Config{Dialect: packedDialect(t), Dial: func(context.Context) (net.Conn, error) {
			here, there := net.Pipe()
			wg.Go(func() { h.serve(there) })
			return here, nil
		}})
		time.Sleep(time.Hour)
		if answer, err := a.Authorise(t.Context(), goldenSale(t)); err != nil || answer.Outcome != acquirer.Approves {
			t.Errorf("answer %+v, error %v", answer, err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if tests := h.heard["0800 "]; tests < 119 || tests > 121 || a.Counts().Connects != 1 {
			t.Errorf("%d network messages on %d lines in an hour, want one sign-on and 119 echo tests", tests, a.Counts().Connects)
		}
	})
}

// Report gets what Counts counts, in order, and a slow Report delays no answer.
func TestOdditiesAreReported(t *testing.T) {
	release := make(chan struct{})
	var kinds []OddityKind
	h := newPackedHost(t, "00")
	strange := func(conn net.Conn, change func(*iso8583.Message)) {
		m := iso8583.NewMessage(h.spec)
		m.MTI("0210")
		for id, value := range map[int]string{4: "000000001099", 7: "1122170405", 11: "000042", 37: "632617000042", 39: "00", 41: "TERM01  ",
			42: "BOOKSHOP       ", 49: "392"} {
			_ = m.Field(id, value)
		}
		change(m)
		packed, err := m.Pack()
		if err != nil {
			t.Error(err)
		}
		out := append(make([]byte, 4), packed...)
		h.frame.put(out)
		_, _ = conn.Write(out)
	}
	here, there := net.Pipe()
	dialled := false
	a := New(Config{Dialect: packedDialect(t), AnswerTimeout: 10 * time.Second,
		Dial: func(context.Context) (net.Conn, error) {
			if dialled {
				return nil, errors.New("no other line")
			}
			dialled = true
			return here, nil
		},
		Report: func(o Oddity) {
			<-release
			kinds = append(kinds, o.Kind)
			if accountDigits.MatchString(o.Detail) {
				t.Errorf("the detail %q shows account data", o.Detail)
			}
		}})
	go h.serve(there)
	if _, err := a.Authorise(t.Context(), goldenSale(t)); err != nil {
		t.Fatal(err)
	}
	// once more
	strange(there, func(*iso8583.Message) {})
	// nobody's
	strange(there, func(m *iso8583.Message) { _ = m.Field(11, "999999"); _ = m.Field(37, "STRANGER0000") })
	// another terminal's
	strange(there, func(m *iso8583.Message) { _ = m.Field(41, "42424242") })
	// cut in its bitmap
	out := []byte("0008\x02\x10\x00\x00")
	_, _ = there.Write(out)
	again := goldenSale(t)
	again.STAN, again.RRN, again.Amount = 43, "632617000043", 5
	if answer, err := a.Authorise(t.Context(), again); err != nil || answer.Outcome != acquirer.Approves {
		t.Errorf("after oddities that nobody has read: answer %+v, error %v", answer, err)
	}
	close(release)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	want := []OddityKind{OddityDuplicate, OddityUnknown, OddityUnknown, OddityMalformed}
	if len(kinds) != len(want) {
		t.Fatalf("reported %v, want %v", kinds, want)
	}
	for i := range want {
		if kinds[i] != want[i] {
			t.Errorf("reported %v, want %v", kinds, want)
			break
		}
	}
	if c := a.Counts(); c.Duplicate != 1 || c.Unknown != 2 || c.Malformed != 1 || c.Late != 0 || c.Unfit != 0 {
		t.Errorf("counted %+v", c)
	}
}
