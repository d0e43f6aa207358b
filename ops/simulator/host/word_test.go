package host

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

// Approvals other than 00 are booked as approvals are, and taken back by a reversal. (ISO 8583:1987
// field 39)
func TestOtherApprovalsAreBooked(t *testing.T) {
	for amount, code := range map[int64]string{900_008: "08", 900_010: "10", 900_011: "11", 900_016: "16", 900_085: "85"} {
		h := start(t, filepath.Join(t.TempDir(), "book"))
		a := dial(t, h)
		walk(t, a, []step{{"0200", sale(1, amount), code}, {"0100", hold(2, amount), code}, {"0220", capture(3, 2, 100), "00"}})
		if st := h.Statement(); st.Charged != 2 || st.Declined != 0 || st.Transactions[0].Approval == "" {
			t.Errorf("code %s: %+v", code, st)
		}
		walk(t, a, []step{{"0420", undo("0200", sale(1, amount), 4), "00"}})
		if st := h.Statement(); st.Charged != 1 || st.Reversed != 1 {
			t.Errorf("code %s reversed: %+v", code, st)
		}
	}
	h := start(t, filepath.Join(t.TempDir(), "book"))
	for _, amount := range []int64{900_068, 900_091, 900_094, 900_096, 900_009} {
		walk(t, dial(t, h), []step{{"0200", sale(int(amount), amount), sale(1, amount)[4][10:]}})
	}
	if st := h.Statement(); st.Approved != 0 || st.Declined != 5 {
		t.Errorf("codes that approve nothing: %+v", st)
	}
}

// Half of a sale is approved, charged and named in the answer; its reversal names what was asked
// for.
func TestApprovedForHalf(t *testing.T) {
	h := start(t, filepath.Join(t.TempDir(), "book"))
	a := dial(t, h)
	_, code, m := a.ask("0200", sale(1, amountPart))
	if code != "10" || text(m, 4) != "000000450150" {
		t.Errorf("answered %s for %s", code, text(m, 4))
	}
	if st := h.Statement(); st.Charged != 1 || st.Totals[0].Standing.Amount != 450_150 {
		t.Errorf("booked %+v", st)
	}
	walk(t, a, []step{{"0200", sale(1, amountPart), "10"}, {"0420", undo("0200", sale(1, amountPart), 2), "00"}})
	if st := h.Statement(); st.Charged != 0 || st.Reversed != 1 || st.Repeats != 1 {
		t.Errorf("reversed %+v", st)
	}
}

// The first try of such an advice is taken and not answered; its repeats are answered with 94, and
// nothing is booked twice, after a restart too.
func TestAdviceOf94(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book")
	h := start(t, path)
	a := dial(t, h)
	walk(t, a, []step{{"0100", hold(1, 1_000_000), "00"}, {"0200", sale(2, amountTwice), "94"}})
	silent := func(mti string, fields map[int]string) {
		t.Helper()
		a.send(mti, fields)
		_ = a.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if m, err := readMessage(a.conn, newDialect()); err == nil {
			t.Errorf("%s is answered with %s", mti, text(m, 39))
		}
		_ = a.conn.SetReadDeadline(time.Time{})
	}
	silent("0220", capture(3, 1, amountTwice))
	silent("0420", undo("0200", sale(2, amountTwice), 4))
	walk(t, a, []step{{"0221", capture(3, 1, amountTwice), "94"}, {"0421", undo("0200", sale(2, amountTwice), 4), "94"}})
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = start(t, path)
	walk(t, dial(t, h), []step{{"0221", capture(3, 1, amountTwice), "94"}, {"0421", undo("0200", sale(2, amountTwice), 4), "94"}})
	if st := h.Statement(); st.Charged != 1 || st.Captures != 1 || st.Transactions[0].Captured != amountTwice || len(st.Doubled) != 0 {
		t.Errorf("booked %+v", st)
	}
}

// What the host did, against what it says.
func TestMishapsOfTheCode(t *testing.T) {
	for _, c := range []struct {
		how      Mishap
		sale     string // the code of a sale's answer
		charged  int    // by it
		advices  [2]string
		captured int // by the first of the advices
	}{
		{Inoperative, "91", 0, [2]string{"91", "91"}, 0},
		{Malfunction, "96", 0, [2]string{"96", "96"}, 1},
		{AlreadyThere, "00", 1, [2]string{"00", "94"}, 1},
		{OtherApproval, "", 1, [2]string{"00", "00"}, 1},
		{Unlisted, "", 1, [2]string{"00", "00"}, 1},
	} {
		path := filepath.Join(t.TempDir(), "book")
		h := start(t, path)
		walk(t, dial(t, h), []step{{"0100", hold(1, 1000), "00"}})
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		h, err := Start(Config{Listen: "127.0.0.1:0", Book: path, Adversary: only(c.how)})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", h.Addr())
		if err != nil {
			t.Fatal(err)
		}
		a := asker{t, conn}
		_, code, _ := a.ask("0200", sale(2, 500))
		if c.sale != "" && code != c.sale || c.sale == "" && (code == "00" || approves(code) != (c.how == OtherApproval)) {
			t.Errorf("%s: a sale is answered with %s", c.how, code)
		}
		if got := h.Statement().Charged; got != c.charged {
			t.Errorf("%s: %d charged by a sale", c.how, got)
		}
		walk(t, a, []step{{"0220", capture(3, 1, 400), c.advices[0]}})
		if got := h.Statement().Charged - c.charged; got != c.captured {
			t.Errorf("%s: %d charged by a capture", c.how, got)
		}
		walk(t, a, []step{{"0221", capture(3, 1, 400), c.advices[1]}, {"0420", undo("0220", capture(3, 1, 400), 4), c.advices[0]},
			{"0421", undo("0220", capture(3, 1, 400), 4), c.advices[1]}})
		if st := h.Statement(); st.Charged != c.charged || len(st.Doubled) != 0 || st.Conflicts != 0 {
			t.Errorf("%s: booked %+v", c.how, st)
		}
		_ = h.Close()
	}
}
