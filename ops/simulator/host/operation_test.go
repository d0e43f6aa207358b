package host

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// of names an earlier request in field 90.
func of(mti string, stan int) string {
	return mti + fmt.Sprintf("%06d", stan) + "1122170000" + strings.Repeat("0", 22)
}

func hold(stan int, amount int64) map[int]string { return without(sale(stan, amount), 60) }

func capture(stan, holdSTAN int, amount int64) map[int]string {
	return with(without(sale(stan, amount), 2, 14, 22, 25, 48), 90, of("0100", holdSTAN))
}

func refund(stan int, mti string, original int, amount int64) map[int]string {
	return with(with(without(sale(stan, amount), 2, 14, 48), 3, "200000"), 90, of(mti, original))
}

func refundByNumber(stan int, amount int64) map[int]string {
	return with(without(sale(stan, amount), 14, 48), 3, "200000")
}

// undo is the reversal of a request, whatever its type.
func undo(mti string, original map[int]string, stan int) map[int]string {
	r := without(sale(stan, 0), 2, 14, 22, 25, 48)
	for _, id := range []int{3, 4, 37, 60} {
		r[id] = original[id]
	}
	if r[60] == "" {
		delete(r, 60)
	}
	r[90] = mti + original[11] + original[7] + strings.Repeat("0", 22)
	return r
}

// step is one request and its answer.
type step struct {
	mti    string
	fields map[int]string
	code   string
}

func walk(t *testing.T, a asker, steps []step) {
	t.Helper()
	for i, s := range steps {
		want := answerTypes[s.mti]
		if answered, code, _ := a.ask(s.mti, s.fields); answered != want || code != s.code {
			t.Errorf("step %d, %s: answered %s %s, want %s %s", i, s.mti, answered, code, want, s.code)
		}
	}
}

func TestOperations(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []step
		want  Statement // its counts
	}{
		{"a hold charges nothing", []step{{"0100", hold(1, 1000), "00"}}, Statement{Holds: 1, Approved: 1}},
		{"captures up to the whole", []step{
			{"0100", hold(1, 1000), "00"}, {"0220", capture(2, 1, 400), "00"}, {"0220", capture(3, 1, 600), "00"}, {"0220", capture(4, 1, 1), "13"},
		}, Statement{Holds: 1, Captures: 3, Approved: 3, Declined: 1, Charged: 2}},
		{"a capture repeated is one", []step{
			{"0100", hold(1, 1000), "00"}, {"0221", capture(2, 1, 600), "00"}, {"0220", capture(2, 1, 600), "00"}, {"0221", capture(2, 1, 600), "00"},
		}, Statement{Holds: 1, Captures: 1, Approved: 2, Charged: 1, Repeats: 2}},
		{"a capture of nothing", []step{{"0220", capture(2, 1, 600), "25"}, {"0221", capture(2, 1, 600), "25"}}, Statement{Captures: 1, Declined: 1, Repeats: 1}},
		{"a capture of a hold declined", []step{{"0100", hold(1, 900_051), "51"}, {"0220", capture(2, 1, 600), "25"}}, Statement{Holds: 1, Captures: 1, Declined: 2}},
		{"a capture declined by its amount", []step{{"0100", hold(1, 1_000_000), "00"}, {"0220", capture(2, 1, 900_005), "05"}, {"0220", capture(3, 1, 1_000_000), "00"}},
			Statement{Holds: 1, Captures: 2, Approved: 2, Declined: 1, Charged: 1}},
		{"a capture in another currency", []step{{"0100", hold(1, 1000), "00"}, {"0220", with(capture(2, 1, 600), 49, "978"), "12"}},
			Statement{Holds: 1, Captures: 1, Approved: 1, Declined: 1}},
		{"a capture by another acceptor", []step{{"0100", hold(1, 1000), "00"}, {"0220", with(capture(2, 1, 600), 42, "OTHER          "), "25"}},
			Statement{Holds: 1, Captures: 1, Approved: 1, Declined: 1}},
		{"a hold released", []step{{"0100", hold(1, 1000), "00"}, {"0420", undo("0100", hold(1, 1000), 9), "00"}, {"0220", capture(2, 1, 600), "25"}},
			Statement{Holds: 1, Captures: 1, Approved: 1, Reversed: 1, Declined: 1, Reversals: 1}},
		{"a capture reversed frees the hold", []step{
			{"0100", hold(1, 1000), "00"}, {"0220", capture(2, 1, 1000), "00"}, {"0420", undo("0220", capture(2, 1, 1000), 9), "00"},
			{"0421", undo("0220", capture(2, 1, 1000), 9), "00"}, {"0220", capture(3, 1, 1000), "00"},
		}, Statement{Holds: 1, Captures: 2, Approved: 3, Reversed: 1, Charged: 1, Reversals: 2}},
		{"refunds of a sale", []step{
			{"0200", sale(1, 1000), "00"}, {"0200", refund(2, "0200", 1, 400), "00"}, {"0200", refund(3, "0200", 1, 601), "13"}, {"0200", refund(4, "0200", 1, 600), "00"},
			{"0200", refund(5, "0200", 1, 1), "13"},
		}, Statement{Sales: 1, Refunds: 4, Approved: 3, Declined: 2, Charged: 1, Credited: 2}},
		{"a refund of a capture", []step{{"0100", hold(1, 1000), "00"}, {"0220", capture(2, 1, 600), "00"}, {"0200", refund(3, "0220", 2, 601), "13"}, {"0200", refund(4, "0220", 2, 600), "00"}},
			Statement{Holds: 1, Captures: 1, Refunds: 2, Approved: 3, Declined: 1, Charged: 1, Credited: 1}},
		{"refunds of what was captured of a hold", []step{
			{"0100", hold(1, 1000), "00"}, {"0200", refund(2, "0100", 1, 1), "13"}, {"0220", capture(3, 1, 600), "00"}, {"0200", refund(4, "0100", 1, 601), "13"},
			{"0200", refund(5, "0100", 1, 250), "00"}, {"0220", capture(6, 1, 400), "00"}, {"0200", refund(7, "0100", 1, 751), "13"}, {"0200", refund(8, "0100", 1, 750), "00"},
		}, Statement{Holds: 1, Captures: 2, Refunds: 5, Approved: 5, Declined: 3, Charged: 2, Credited: 2}},
		{"a refund of nothing, and of a refund", []step{{"0200", refund(1, "0200", 7, 1), "25"}, {"0200", refundByNumber(2, 50), "00"}, {"0200", refund(3, "0200", 2, 50), "25"}},
			Statement{Refunds: 3, Approved: 1, Declined: 2, Credited: 1}},
		{"a refund reversed may be made again", []step{
			{"0200", sale(1, 1000), "00"}, {"0200", refund(2, "0200", 1, 1000), "00"}, {"0420", undo("0200", refund(2, "0200", 1, 1000), 9), "00"}, {"0200", refund(3, "0200", 1, 1000), "00"},
		}, Statement{Sales: 1, Refunds: 2, Approved: 3, Reversed: 1, Charged: 1, Credited: 1, Reversals: 1}},
		{"a refund reversed before it came", []step{{"0200", sale(1, 1000), "00"}, {"0420", undo("0200", refund(2, "0200", 1, 1000), 9), "00"}, {"0200", refund(2, "0200", 1, 1000), "12"}},
			Statement{Sales: 1, Refunds: 1, Approved: 1, Declined: 1, Charged: 1, Reversals: 1}},
		{"a sale that was refunded is not reversed", []step{{"0200", sale(1, 1000), "00"}, {"0200", refund(2, "0200", 1, 1), "00"}, {"0420", undo("0200", sale(1, 1000), 9), "12"}},
			Statement{Sales: 1, Refunds: 1, Approved: 2, Charged: 1, Credited: 1, Reversals: 1}},
		{"another request under the same trace", []step{{"0200", sale(1, 1000), "00"}, {"0200", sale(1, 1001), "94"}, {"0200", refundByNumber(1, 1000), "94"}},
			Statement{Sales: 1, Approved: 1, Charged: 1, Conflicts: 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "book")
			h := start(t, path)
			walk(t, dial(t, h), c.steps)
			check := func(when string, st Statement) {
				if len(st.Doubled) != 0 {
					t.Errorf("%s: doubled %v", when, st.Doubled)
				}
				st.Doubled, st.Totals, st.Transactions = nil, nil, nil
				if fmt.Sprint(st) != fmt.Sprint(c.want) {
					t.Errorf("%s: %+v, want %+v", when, st, c.want)
				}
			}
			check("in memory", h.Statement())
			_ = h.Close()
			check("after a restart", start(t, path).Statement())
		})
	}
}

func TestOriginalsAreFollowed(t *testing.T) {
	h := start(t, filepath.Join(t.TempDir(), "book"))
	walk(t, dial(t, h), []step{{"0100", hold(1, 1000), "00"}, {"0220", capture(2, 1, 600), "00"}, {"0200", refund(3, "0220", 2, 250), "00"}})
	list := h.Statement().Transactions
	if list[0].Captured != 600 || list[1].Refunded != 250 {
		t.Errorf("captured %d, refunded %d", list[0].Captured, list[1].Refunded)
	}
	for i, kind := range []Kind{KindHold, KindCapture, KindRefund} {
		if list[i].Kind != kind || list[i].Masked != "424242******4242" || list[i].Answer == codeApproved && list[i].Approval == "" {
			t.Errorf("transaction %d: %+v", i, list[i])
		}
		if i > 0 && (list[i].Original == nil || *list[i].Original != list[i-1].Key) {
			t.Errorf("transaction %d has the original %v", i, list[i].Original)
		}
	}
	listing := h.Statement().Listing("BOOKSHOP", "000007")
	if len(listing) != 2 || listing[0].Kind != KindCapture || listing[1].Kind != KindRefund {
		t.Errorf("the listing holds %+v, want the capture and the refund", listing)
	}
}

func TestRequestsWithoutWhatTheirKindNeeds(t *testing.T) {
	a := dial(t, start(t, filepath.Join(t.TempDir(), "book")))
	for name, s := range map[string]step{
		"a hold without a number":           {"0100", without(hold(1, 1), 2), "30"},
		"a hold of another processing":      {"0100", with(hold(1, 1), 3, "200000"), "30"},
		"a capture without original":        {"0220", without(capture(1, 2, 1), 90), "30"},
		"a capture of a sale":               {"0220", with(capture(1, 2, 1), 90, of("0200", 2)), "30"},
		"a capture without batch":           {"0220", without(capture(1, 2, 1), 60), "30"},
		"a refund without anything":         {"0200", without(refundByNumber(1, 1), 2), "30"},
		"a refund of a reversal":            {"0200", refund(1, "0420", 2, 1), "30"},
		"a refund with a torn original":     {"0200", with(refundByNumber(1, 1), 90, strings.Repeat("X", 42)), "30"},
		"a reversal of a reversal":          {"0420", with(reversal(1, 1), 90, of("0420", 1)), "30"},
		"a reversal without an amount":      {"0420", without(reversal(1, 1), 4), "30"},
		"totals whose net is not their sum": {"0500", totals(Total{}, "D0000000000000001"), "30"},
	} {
		if answered, code, _ := a.ask(s.mti, s.fields); code != s.code || answered != answerTypes[s.mti] {
			t.Errorf("%s: answered %s %s, want %s", name, answered, code, s.code)
		}
	}
}

// totals is a 0500 of these figures.
func totals(t Total, net string) map[int]string {
	fields := totalFields(t, false)
	for id, value := range map[int]string{7: "1122170000", 11: "000099", 37: "RRNTOTALS001", 41: "TERM0001", 42: "BOOKSHOP       ", 49: "840", 60: "000007", 97: net} {
		fields[id] = value
	}
	return without(fields, 39, 66)
}

func TestTotalsWithCredits(t *testing.T) {
	a := dial(t, start(t, filepath.Join(t.TempDir(), "book")))
	walk(t, a, []step{
		{"0100", hold(1, 5000), "00"}, {"0220", capture(2, 1, 100), "00"}, {"0200", sale(3, 50), "00"}, {"0200", refundByNumber(4, 400), "00"},
		{"0200", refundByNumber(5, 7), "00"}, {"0420", undo("0200", refundByNumber(5, 7), 9), "00"}, {"0200", sale(6, 900_051), "51"},
	})
	standing := Total{Debits: Count{2, 150}, Credits: Count{1, 400}}
	for _, c := range []struct {
		name string
		ours Total
		net  string
		code string
	}{
		{"what stands", standing, "C0000000000000250", "00"},
		{"with the one reversed", Total{Debits: Count{2, 150}, Credits: Count{2, 407}, CreditsReversed: Count{1, 7}}, "C0000000000000250", "00"},
		{"another credit", Total{Debits: Count{2, 150}, Credits: Count{1, 401}}, "C0000000000000251", "95"},
		{"the same net of other sums", Total{Debits: Count{2, 250}, Credits: Count{1, 500}}, "C0000000000000250", "95"},
		{"no credits", Total{Debits: Count{2, 150}}, "D0000000000000150", "95"},
	} {
		answered, code, m := a.ask("0500", totals(c.ours, c.net))
		if answered != "0510" || code != c.code {
			t.Errorf("%s: answered %s %s, want %s", c.name, answered, code, c.code)
		}
		for id, want := range map[int]string{74: "0000000002", 75: "0000000001", 86: "0000000000000407", 87: "0000000000000007", 76: "0000000002", 88: "0000000000000150", 97: "C0000000000000250"} {
			if got := text(m, id); got != want {
				t.Errorf("%s: field %d is %s, want %s", c.name, id, got, want)
			}
		}
	}
}

// Amounts that make the host misbehave do so whatever is asked for.
func TestSilenceToEveryKind(t *testing.T) {
	h := start(t, filepath.Join(t.TempDir(), "book"))
	a := dial(t, h)
	a.send("0100", hold(1, amountSilent))
	a.send("0100", hold(2, 2_000_000))
	if m, err := readMessage(a.conn, newDialect()); err != nil || text(m, 11) != "000002" {
		t.Fatalf("the answer that comes: %v", err)
	}
	a.send("0220", capture(3, 2, amountSilent))
	a.send("0200", refundByNumber(4, amountSilent))
	a.send("0420", undo("0200", refundByNumber(4, amountSilent), 9))
	if m, err := readMessage(a.conn, newDialect()); err != nil || text(m, 11) != "000009" || text(m, 39) != "00" {
		t.Fatalf("the reversal is answered: %v", err)
	}
	if st := h.Statement(); st.Holds != 2 || st.Charged != 1 || st.Reversed != 1 || st.Credited != 0 {
		t.Errorf("statement %+v", st)
	}
	a.send("0220", capture(5, 2, amountDrop))
	if _, err := readMessage(a.conn, newDialect()); err == nil {
		t.Error("the connection goes on")
	}
}
