package host

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moov-io/iso8583"

	"nightdrop/ops/simulator/book"
)

func start(t *testing.T, path string) *Host {
	t.Helper()
	h, err := Start(Config{Listen: "127.0.0.1:0", Book: path, Now: func() time.Time { return time.Date(2026, 11, 22, 17, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// asker is one connection to a host that asks one thing at a time.
type asker struct {
	t    *testing.T
	conn net.Conn
}

func dial(t *testing.T, h *Host) asker {
	t.Helper()
	conn, err := net.Dial("tcp", h.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	return asker{t, conn}
}

func (a asker) send(mti string, fields map[int]string) {
	a.t.Helper()
	m := iso8583.NewMessage(newDialect())
	m.MTI(mti)
	for id, value := range fields {
		if err := m.Field(id, value); err != nil {
			a.t.Fatal(err)
		}
	}
	packed, err := m.Pack()
	if err != nil {
		a.t.Fatal(err)
	}
	a.raw(packed)
}

func (a asker) raw(message []byte) {
	a.t.Helper()
	if _, err := a.conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)); err != nil {
		a.t.Fatal(err)
	}
}

// ask sends a request and returns its answer's type and field 39.
func (a asker) ask(mti string, fields map[int]string) (answered, code string, m *iso8583.Message) {
	a.t.Helper()
	a.send(mti, fields)
	m, err := readMessage(a.conn, newDialect())
	if err != nil || m == nil {
		a.t.Fatalf("no answer to %s: %v", mti, err)
	}
	answered, _ = m.GetMTI()
	return answered, text(m, 39), m
}

func sale(stan int, amount int64) map[int]string {
	return map[int]string{
		2: "4242424242424242", 3: "000000", 4: fmt.Sprintf("%012d", amount), 7: "1122170000", 11: fmt.Sprintf("%06d", stan),
		12: "170000", 13: "1122", 14: "3109", 22: "012", 25: "59", 37: fmt.Sprintf("RRN%09d", stan), 41: "TERM0001",
		42: "BOOKSHOP       ", 48: "123", 49: "840", 60: "000007",
	}
}

func reversal(stan int, amount int64) map[int]string {
	s := sale(stan, amount)
	for _, id := range []int{2, 14, 22, 25, 48} {
		delete(s, id)
	}
	s[90] = "0200" + s[11] + s[7] + strings.Repeat("0", 22)
	s[11] = fmt.Sprintf("%06d", stan+1000)
	return s
}

func without(fields map[int]string, ids ...int) map[int]string {
	for _, id := range ids {
		delete(fields, id)
	}
	return fields
}

func with(fields map[int]string, id int, value string) map[int]string {
	fields[id] = value
	return fields
}

func TestRule(t *testing.T) {
	for _, c := range []struct {
		amount int64
		secret string
		code   string
		how    Mishap
	}{
		{1, "123", "00", ""}, {899_999, "", "00", ""}, {900_000, "", "00", ""}, {900_005, "", "05", ""},
		{900_051, "123", "51", ""}, {900_099, "", "99", ""}, {900_100, "", "00", DropAnswer}, {900_101, "", "00", Late},
		{900_102, "", "00", HangUp}, {900_103, "", "00", ""}, {100, "999", "N7", ""}, {900_051, "999", "N7", ""},
		{900_100, "999", "N7", DropAnswer}, {900_094, "", "94", ""}, {900_085, "", "85", ""},
	} {
		if code, how := rule(Key{Type: "0200"}, c.amount, c.secret); code != c.code || how != c.how {
			t.Errorf("amount %d with code %q: %s in manner %q, want %s in %q", c.amount, c.secret, code, how, c.code, c.how)
		}
	}
}

func TestBookSurvivesRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book")
	h := start(t, path)
	a := dial(t, h)
	_, _, first := a.ask("0200", sale(1, 1099))
	a.ask("0200", sale(2, 900_051))
	a.ask("0200", sale(3, 500))
	a.ask("0420", reversal(3, 500))
	a.ask("0420", reversal(4, 700)) // of a sale that has not come
	before := h.Statement()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	torn, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := torn.WriteString(`{"kind":"transaction","transaction":{"termi`); err != nil {
		t.Fatal(err)
	}
	_ = torn.Close()

	h = start(t, path)
	if got := h.Statement(); fmt.Sprint(got) != fmt.Sprint(before) {
		t.Errorf("after restart %+v, before %+v", got, before)
	}
	a = dial(t, h)
	_, code, again := a.ask("0200", sale(1, 1099))
	if code != "00" || text(again, 38) != text(first, 38) {
		t.Errorf("the sale come again is answered %s %s, want as before", code, text(again, 38))
	}
	if _, code, _ := a.ask("0200", sale(4, 700)); code != "12" {
		t.Errorf("a sale reversed before the restart is answered %s, want 12", code)
	}
	st := h.Statement()
	if st.Sales != 4 || st.Charged != 1 || st.Reversed != 1 || st.Declined != 2 || st.Repeats != 1 || st.Reversals != 2 {
		t.Errorf("statement %+v", st)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	onDisk, err := ReadBook(path)
	if err != nil || fmt.Sprint(onDisk) != fmt.Sprint(st) {
		t.Errorf("on disk %+v, error %v, want %+v", onDisk, err, st)
	}
}

func TestBookHoldsNoAccountData(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book")
	a := dial(t, start(t, path))
	a.ask("0200", with(sale(1, 1099), 48, "987"))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte("424242******4242")) {
		t.Error("the masked number is not there: nothing was tested")
	}
	for _, secret := range []string{"4242424242424242", `"987"`, "3109"} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("the book holds %q", secret)
		}
	}
}

func TestBookThatCannotBeOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book")
	h := start(t, path)
	if _, err := Start(Config{Listen: "127.0.0.1:0", Book: path}); !errors.Is(err, book.ErrLocked) {
		t.Errorf("a second host on one book: %v, want ErrLocked", err)
	}
	_ = h.Close()
	if err := os.WriteFile(path, []byte("{\"kind\":\"totals\"}\nnot a line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Config{Listen: "127.0.0.1:0", Book: path}); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a damaged book: %v, want an error that names line 2", err)
	}
	if _, err := ReadBook(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a book that is not there: %v", err)
	}
}

func TestReadingChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book")
	content := []byte(`{"kind":"totals","at":"2026-11-22T17:00:00Z"}` + "\n" + `{"kind":"sa`)
	if err := os.WriteFile(path, content, 0o400); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat(path)
	if _, err := ReadBook(path); err != nil {
		t.Fatal(err)
	}
	after, _ := os.Stat(path)
	if got, _ := os.ReadFile(path); !bytes.Equal(got, content) || !after.ModTime().Equal(before.ModTime()) {
		t.Error("reading the book has changed it")
	}
}

// Without its book the host answers nothing and stops.
func TestBookThatCannotBeWritten(t *testing.T) {
	h := start(t, filepath.Join(t.TempDir(), "book"))
	a := dial(t, h)
	_ = h.writer.book.Close()
	a.send("0200", sale(1, 1099))
	if err := h.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "write book") {
		t.Errorf("run ended with %v, want why", err)
	}
	if m, err := readMessage(a.conn, newDialect()); err == nil {
		t.Errorf("answered %v although nothing was booked", m)
	}
}

func TestRequestsThatAreNotOfTheDialect(t *testing.T) {
	a := dial(t, start(t, filepath.Join(t.TempDir(), "book")))
	for name, fields := range map[string]map[int]string{
		"no number": without(sale(1, 1), 2), "no amount": without(sale(1, 1), 4), "amount 0": sale(1, 0), "no batch": without(sale(1, 1), 60),
		"no expiry": without(sale(1, 1), 14), "no reference": without(sale(1, 1), 37), "no acceptor": without(sale(1, 1), 42),
		"no currency": without(sale(1, 1), 49), "another processing": with(sale(1, 1), 3, "300000"), "a number of letters": with(sale(1, 1), 2, "ABCDEFGHIJKLMNOP"),
		"an amount of letters": with(sale(1, 1), 4, "00000000001O"),
	} {
		if answered, code, _ := a.ask("0200", fields); answered != "0210" || code != "30" {
			t.Errorf("%s: answered %s %s, want 0210 30", name, answered, code)
		}
	}
	if _, code, _ := a.ask("0420", with(reversal(1, 1), 90, strings.Repeat("0", 42))); code != "30" {
		t.Errorf("a reversal of nothing: %s, want 30", code)
	}
	if _, code, _ := a.ask("0500", map[int]string{11: "000001", 42: "BOOKSHOP       ", 49: "840", 60: "000007"}); code != "30" {
		t.Errorf("totals without figures: %s, want 30", code)
	}
	a.raw([]byte("0200not a message"))
	a.send("0600", map[int]string{11: "000001"})
	if answered, code, _ := a.ask("0800", map[int]string{7: "1122170000", 11: "000001", 70: "301"}); answered != "0810" || code != "00" {
		t.Errorf("after messages that are dropped: %s %s, want an echo", answered, code)
	}
	if _, err := a.conn.Write([]byte{0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	if _, err := readMessage(a.conn, newDialect()); err == nil {
		t.Error("the connection goes on after an impossible length")
	}
}

func TestReversalOfAnotherAmountUndoesNothing(t *testing.T) {
	h := start(t, filepath.Join(t.TempDir(), "book"))
	a := dial(t, h)
	a.ask("0200", sale(1, 1099))
	if _, code, _ := a.ask("0420", reversal(1, 1098)); code != "13" || h.Statement().Charged != 1 {
		t.Errorf("answered %s, %d charged", code, h.Statement().Charged)
	}
}

// The book is the witness against double charges: two sales under one reference are one too many.
func TestDoubleChargeShows(t *testing.T) {
	h := start(t, filepath.Join(t.TempDir(), "book"))
	a := dial(t, h)
	a.ask("0200", sale(1, 1099))
	if st := h.Statement(); len(st.Doubled) != 0 {
		t.Fatalf("doubled %v after one sale", st.Doubled)
	}
	a.ask("0200", with(sale(2, 1099), 37, "RRN000000001"))
	if st := h.Statement(); len(st.Doubled) != 1 || st.Doubled[0] != "RRN000000001" {
		t.Errorf("doubled %v, want the reference", st.Doubled)
	}
}

func TestHangUpDeliversWhatWasAnswered(t *testing.T) {
	h := start(t, filepath.Join(t.TempDir(), "book"))
	a := dial(t, h)
	a.send("0200", sale(1, 1099))
	a.send("0200", sale(2, amountDrop))
	m, err := readMessage(a.conn, newDialect())
	if err != nil || text(m, 11) != "000001" {
		t.Fatalf("the answer before: %v", err)
	}
	if _, err := readMessage(a.conn, newDialect()); err == nil {
		t.Error("the connection goes on")
	}
	if st := h.Statement(); st.Charged != 2 {
		t.Errorf("%d charged, want both taken", st.Charged)
	}
}
