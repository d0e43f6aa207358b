package iso8583_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/account"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/acquirer/iso8583"
)

// accountData matches the test sale's number, in part too, and its security code as a word: a port
// may contain such digits.
var accountData = regexp.MustCompile(`42424242|\b123\b`)

// crookedHost signs on properly and answers a 0200 with the frames that its script makes of a good
// answer.
type crookedHost struct {
	listener net.Listener
	answers  func(good string) []string // texts without their length; nil: silence
	signOn   string                     // field 39 of 0810
	totals   func(asked string) string  // what a 0500 is answered with; nil: silence
	mu       sync.Mutex
	lines    int
	echoes   int
	conns    []net.Conn
}

func newCrookedHost(t *testing.T, answers func(good string) []string) *crookedHost {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &crookedHost{listener: listener, answers: answers, signOn: "00"}
	t.Cleanup(func() { _ = listener.Close(); h.hangUp() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.lines++
			h.conns = append(h.conns, conn)
			h.mu.Unlock()
			go h.serve(conn)
		}
	}()
	return h
}

func (h *crookedHost) hangUp() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		_ = c.Close()
	}
	h.conns = nil
}

func (h *crookedHost) count() (lines, echoes int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lines, h.echoes
}

func (h *crookedHost) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	for {
		asked, err := readText(r)
		if err != nil {
			return
		}
		switch asked[:4] {
		case "0800":
			// type, two bitmaps, fields 7, 11 and 70
			h.mu.Lock()
			if strings.HasSuffix(asked, "301") {
				h.echoes++
			}
			code := h.signOn
			h.mu.Unlock()
			if code != "" {
				writeText(conn, "0810"+"82200000020000000400000000000000"+asked[36:52]+code+asked[52:])
			}
		case "0500":
			if h.totals != nil {
				writeText(conn, h.totals(asked))
			}
		case "0200":
			for _, a := range h.answers(goodAnswer(asked)) {
				writeText(conn, a)
			}
		}
	}
}

// Offsets in the answer that goodAnswer makes: type 4, bitmap 16, then 4, 7, 11, 37, 38, 39, 41,
// 42, 49.
const (
	atAmount   = 20
	atSTAN     = atAmount + 12 + 10
	atRRN      = atSTAN + 6
	atApproval = atRRN + 12
	atCode     = atApproval + 6
	atTerminal = atCode + 2
	atAcceptor = atTerminal + 8
	atCurrency = atAcceptor + 15
)

// goodAnswer approves a 0200 as the dialect's tests send it: with 16 digits in field 2 and a code.
func goodAnswer(asked string) string {
	const head = 4 + 16 // one bitmap: the last field is 60
	// LL + 16 digits, 3, 4, 7, 11, 12, 13, 14, 22, 25, 37, 41, 42, 43, 48, 49, 60
	fields := asked[head:]
	amount := fields[24:36] // after 18 and 6
	sent := fields[36:46]
	stan := fields[46:52]
	rrn := fields[71:83] // after 12, 13, 14, 22, 25: 6+4+4+3+2
	terminal := fields[83:91]
	acceptor := fields[91:106]
	currency := fields[106+40+3+3 : 106+40+3+3+3]
	return "0210" + "122000000EC08000" + amount + sent + stan + rrn + "A1B2C3" + "00" + terminal + acceptor + currency
}

func readText(r io.Reader) (string, error) {
	var header [2]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return "", err
	}
	raw := make([]byte, binary.BigEndian.Uint16(header[:]))
	_, err := io.ReadFull(r, raw)
	return string(raw), err
}

func writeText(w io.Writer, text string) {
	_, _ = w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(text))), text...))
}

func replace(s string, at int, with string) string { return s[:at] + with + s[at+len(with):] }

func testSale(t *testing.T, stan uint32) acquirer.Request {
	t.Helper()
	card, err := account.Parse([]byte(`{"card":{"number":"4242424242424242","expiry":"2031-09"}}`))
	if err != nil {
		t.Fatal(err)
	}
	code, err := account.ParseCode([]byte(`{"code":"123"}`))
	if err != nil {
		t.Fatal(err)
	}
	return acquirer.Request{
		Kind: acquirer.KindSale,
		Trace: acquirer.Trace{STAN: stan, RRN: fmt.Sprintf("R%011d", stan), Terminal: "TERM0001", Acceptor: "BOOKSHOP",
			Sent: time.Date(2026, 11, 22, 17, 4, 5, 0, time.UTC)},
		Batch: 7, Amount: 1099, Currency: "USD", Card: card.Card, Code: code, Descriptor: "BOOKSHOP ONLINE",
	}
}

func TestAnswersThatDoNotFit(t *testing.T) {
	for _, c := range []struct {
		name  string
		crook func(good string) []string
		want  error // nil: the good answer
	}{
		{"as it should be", func(s string) []string { return []string{s} }, nil},
		{"another amount", one(func(s string) string { return replace(s, atAmount, "000000001100") }), acquirer.ErrMalformedAnswer},
		{"another reference", one(func(s string) string { return replace(s, atRRN, "X") }), acquirer.ErrMalformedAnswer},
		{"another acceptor", one(func(s string) string { return replace(s, atAcceptor, "X") }), acquirer.ErrMalformedAnswer},
		{"another currency", one(func(s string) string { return replace(s, atCurrency, "978") }), acquirer.ErrMalformedAnswer},
		{"a type of its class", one(func(s string) string { return replace(s, 0, "0212") }), acquirer.ErrMalformedAnswer},
		{"the request itself come back", one(func(s string) string { return replace(s, 0, "0200") }), acquirer.ErrMalformedAnswer},
		{"a code in lower case", one(func(s string) string { return replace(s, atCode, "0a") }), acquirer.ErrMalformedAnswer},
		{"a code of spaces", one(func(s string) string { return replace(s, atCode, "  ") }), acquirer.ErrMalformedAnswer},
		{"an approval with a dash", one(func(s string) string { return replace(s, atApproval, "A1-2C3") }), acquirer.ErrMalformedAnswer},
		{"bytes after its end", one(func(s string) string { return s + "00" }), acquirer.ErrMalformedAnswer},
		{"cut in its last field", one(func(s string) string { return s[:len(s)-1] }), acquirer.ErrMalformedAnswer},
		{"another trace number", one(func(s string) string { return replace(s, atSTAN, "999999") }), acquirer.ErrNoAnswer},
		{"another terminal", one(func(s string) string { return replace(s, atTerminal, "TERM0002") }), acquirer.ErrMalformedAnswer},
		{"another terminal and reference", one(func(s string) string { return replace(replace(s, atTerminal, "TERM0002"), atRRN, "X") }), acquirer.ErrNoAnswer},
		{"a type of another class", one(func(s string) string { return replace(s, 0, "0430") }), acquirer.ErrNoAnswer},
		{"cut in its bitmap", one(func(s string) string { return s[:10] }), acquirer.ErrNoAnswer},
		{"a field that the dialect has not", one(func(s string) string { return replace(s, 4, "F") }), acquirer.ErrNoAnswer},
		{"not ASCII", one(func(s string) string { return replace(s, atSTAN, "\xff") }), acquirer.ErrNoAnswer},
		{"of no length", func(string) []string { return []string{""} }, acquirer.ErrNoAnswer},
		{"of an impossible length", func(string) []string { return []string{strings.Repeat("0", 4000)} }, acquirer.ErrNoAnswer},
		{"twice", func(s string) []string { return []string{s, s} }, nil},
		{"after a stranger's", func(s string) []string { return []string{replace(s, atSTAN, "999999"), s} }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newCrookedHost(t, c.crook)
			a := iso8583.New(iso8583.Config{Address: h.listener.Addr().String(), AnswerTimeout: 400 * time.Millisecond})
			defer func() { _ = a.Close() }()
			answer, err := a.Authorise(t.Context(), testSale(t, 1))
			if c.want == nil {
				if err != nil || answer != (acquirer.Answer{Code: "00", Approval: "A1B2C3", Outcome: acquirer.Approves}) {
					t.Errorf("answer %+v, error %v", answer, err)
				}
				return
			}
			if !errors.Is(err, c.want) || !errors.Is(err, acquirer.ErrNoAnswer) || errors.Is(err, acquirer.ErrNotSent) {
				t.Errorf("answer %+v, error %v, want %v", answer, err, c.want)
			}
			if err != nil && accountData.MatchString(err.Error()) {
				t.Error("the error shows account data")
			}
			if unfit := a.Counts().Unfit; (unfit == 1) != errors.Is(c.want, acquirer.ErrMalformedAnswer) {
				t.Errorf("%d answers counted that do not fit", unfit)
			}
		})
	}
}

// one scripts one crooked answer.
func one(crook func(string) string) func(string) []string {
	return func(good string) []string { return []string{crook(good)} }
}

func TestAnAnswerInPiecesIsOneAnswer(t *testing.T) {
	h := newCrookedHost(t, nil)
	h.answers = func(good string) []string {
		h.mu.Lock()
		conn := h.conns[0]
		h.mu.Unlock()
		for _, b := range append(binary.BigEndian.AppendUint16(nil, uint16(len(good))), good...) {
			_, _ = conn.Write([]byte{b})
		}
		return nil
	}
	a := client(t, h.listener.Addr().String())
	if answer, err := a.Authorise(t.Context(), testSale(t, 1)); err != nil || answer.Outcome != acquirer.Approves {
		t.Errorf("answer %+v, error %v", answer, err)
	}
}

func TestLateAndDoubledAnswersAreCounted(t *testing.T) {
	h := newCrookedHost(t, func(s string) []string { return []string{s, s, "0210"} })
	a := client(t, h.listener.Addr().String())
	for stan := range uint32(3) {
		if _, err := a.Authorise(t.Context(), testSale(t, stan+1)); err != nil {
			t.Fatal(err)
		}
	}
	waittest.For(t, "3 duplicates and 3 malformed on 1 line", func() bool {
		c := a.Counts()
		return c.Duplicate == 3 && c.Malformed == 3 && c.Connects == 1
	})
}

func TestAnswerAfterTheWaitIsLate(t *testing.T) {
	h := newCrookedHost(t, func(s string) []string {
		time.Sleep(200 * time.Millisecond)
		return []string{s}
	})
	a := iso8583.New(iso8583.Config{Address: h.listener.Addr().String(), AnswerTimeout: 50 * time.Millisecond})
	defer func() { _ = a.Close() }()
	if _, err := a.Authorise(t.Context(), testSale(t, 1)); !errors.Is(err, acquirer.ErrNoAnswer) {
		t.Fatalf("error %v, want ErrNoAnswer", err)
	}
	waittest.For(t, "the late answer", func() bool { return a.Counts().Late == 1 })
	if c := a.Counts(); c.Duplicate != 0 || c.Unknown != 0 || c.Connects != 1 {
		t.Errorf("counted %+v", c)
	}
}

func TestTheSameTraceWaitingTwice(t *testing.T) {
	h := newCrookedHost(t, func(string) []string { return nil })
	a := iso8583.New(iso8583.Config{Address: h.listener.Addr().String(), AnswerTimeout: 500 * time.Millisecond})
	defer func() { _ = a.Close() }()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := a.Authorise(t.Context(), testSale(t, 1)); !errors.Is(err, acquirer.ErrNoAnswer) || errors.Is(err, acquirer.ErrNotSent) {
				t.Errorf("error %v: one of the two has been sent, so neither may be sent as new", err)
			}
		})
	}
	wg.Wait()
}
