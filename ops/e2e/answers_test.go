package e2e

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"nightdrop/ops/simulator/byhand"
	"nightdrop/ops/site"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
	"nightdrop/shared/waittest"
)

// configured starts everything with the vault's configuration changed before, and enrols the
// bookshop.
func configured(t *testing.T, o site.Options, change func(toml string) string) *site.Site {
	t.Helper()
	s := newSite(t, o)
	path := s.Path("vault", "vault.toml")
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(change(string(text))), 0o600)
	}
	err = errors.Join(err, s.Launch(t.Context(), site.Merchant{ID: "bookshop", Currencies: []string{"EUR", "USD"}}))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// quick is a site whose vault waits for an answer, and between two tries, no longer than it must.
var quick = site.Options{AnswerTimeout: 500 * time.Millisecond, ReversalRetry: 20 * time.Millisecond, RepeatFor: 3 * time.Second}

// approvalCase is a line of the cases: what is asked for, and the code that the simulator answers
// by the amount.
type approvalCase struct {
	reference, code string
	order           envelope.Order
	account         string
}

func approvalCases(t *testing.T) (cases []approvalCase) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "testdata", "cases", "iso-approval-codes.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, row := range rows[1:] {
		amount, err := strconv.ParseInt(row[2], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, approvalCase{row[0], fmt.Sprintf("%02d", amount-900_000),
			envelope.Order{Operation: envelope.Operation(row[1]), Reference: row[0], Amount: amount, Currency: row[3]},
			fmt.Sprintf(`{"card":{"number":%q,"expiry":%q}}`, row[4], row[5])})
	}
	return cases
}

// become gives every order and awaits the status that is due to its code.
func become(t *testing.T, s *site.Site, due func(code string) envelope.Status) {
	t.Helper()
	c := newCheckout(t, s, "bookshop")
	given := map[string]storefront.Sealed{}
	cases := approvalCases(t)
	for _, order := range cases {
		given[order.reference] = c.give(order.order, order.account)
	}
	for _, order := range cases {
		status, code := due(order.code), envelope.ISOCode(order.code)
		before := []string(nil)
		if status == envelope.StatusReversed {
			before = []string{"unknown iso-" + order.code}
			if code = approved; order.code == "94" {
				code = envelope.ISOCode("94") // the reversal has the sale's amount, too
			}
		}
		c.await(given[order.reference], status, code)
		if got := statuses(c.results[given[order.reference].Digest]); !slices.Equal(got, append(before, fmt.Sprintf("%s %s", status, code))) {
			t.Errorf("%s was told %v", order.reference, got)
		}
	}
}

// TestApprovalsOtherThan00: what may be an approval and is not taken as one is taken back; nothing
// stays at the host that the shop was not told of.
func TestApprovalsOtherThan00(t *testing.T) {
	approving := []string{"08", "10", "11", "16", "85"}
	t.Run("a dialect that does not list them", func(t *testing.T) {
		s := running(t, quick, "bookshop")
		become(t, s, func(code string) envelope.Status {
			if code == "91" || code == "96" {
				return envelope.StatusDeclined
			}
			return envelope.StatusReversed
		})
		if b := readBook(t, s); b.Charged != 0 || b.Reversed != 6 || len(b.Doubled) != 0 {
			t.Errorf("the host charged %d, reversed %d of six approvals", b.Charged, b.Reversed)
		}
	})
	t.Run("a dialect that lists them", func(t *testing.T) {
		dialect := filepath.Join(t.TempDir(), "theirs.json")
		text, err := os.ReadFile(filepath.Join("..", "..", "vault", "internal", "acquirer", "iso8583", "ascii1987.json"))
		if err != nil {
			t.Fatal(err)
		}
		listed := strings.Replace(string(text), `{"00": "whole"}`, `{"00": "whole", "08": "whole", "10": "part", "11": "whole", "16": "whole", "85": "whole"}`, 1)
		if err := os.WriteFile(dialect, []byte(listed), 0o600); err != nil {
			t.Fatal(err)
		}
		s := configured(t, quick, func(toml string) string {
			return strings.Replace(toml, "[acquirer]\n", fmt.Sprintf("[acquirer]\ndialect = %q\n", dialect), 1)
		})
		become(t, s, func(code string) envelope.Status {
			switch {
			case slices.Contains(approving, code):
				return envelope.StatusApproved
			case code == "91" || code == "96":
				return envelope.StatusDeclined
			}
			return envelope.StatusReversed
		})
		c := newCheckout(t, s, "bookshop")
		// half of it was approved
		c.do(sale(900_300, "EUR"), testCard, envelope.StatusReversed, approved)
		if b := readBook(t, s); b.Charged != 5 || len(b.Doubled) != 0 {
			t.Errorf("the host charged %d", b.Charged)
		}
		if done := c.settle(); done.Payments != 5 {
			t.Errorf("settled %d payments, want the five sales that were approved", done.Payments)
		}
	})
}

// TestACaptureThatTheHostHas is booked, its answer lost, and its repeat answered with 94, duplicate
// transmission: the shop hears that it is captured, what is left of the authorisation is what is
// left, and the batches agree.
func TestACaptureThatTheHostHas(t *testing.T) {
	s := running(t, quick, "bookshop")
	c := newCheckout(t, s, "bookshop")
	hold, _ := c.do(envelope.Order{Operation: envelope.OpAuthorize, Amount: 1_000_000, Currency: "EUR"}, testCard, envelope.StatusApproved, approved)
	twice, _ := c.do(of(envelope.OpCapture, hold, 900_094), "", envelope.StatusCaptured, envelope.ISOCode("94"))
	c.do(of(envelope.OpCapture, hold, 900_094), "", envelope.StatusRejected, envelope.CodeOverAuthorised)
	c.do(of(envelope.OpCapture, hold, 99_906), "", envelope.StatusCaptured, approved)
	if got := statuses(c.results[twice.Digest]); len(got) != 1 {
		t.Errorf("of the capture was told %v", got)
	}
	if b := readBook(t, s); b.Captures != 2 || b.Charged != 2 || len(b.Doubled) != 0 {
		t.Errorf("the host took %d captures and charged %d, twice %v", b.Captures, b.Charged, b.Doubled)
	}
	if done := c.settle(); done.Payments != 2 {
		t.Errorf("settled %d payments, want two captures", done.Payments)
	}
}

// byHand makes the vault's configuration that of a line to a host whose bytes are written by hand.
func byHand(h *byhand.Host) func(toml string) string {
	return func(toml string) string {
		toml = regexp.MustCompile(`(?m)^address = .*$`).ReplaceAllString(toml, fmt.Sprintf("address = %q", h.Addr()))
		return regexp.MustCompile(`(?s)\[acquirer\.tls\].*?\n\[`).ReplaceAllString(toml, "[")
	}
}

// TestAnswersOfAHostByHand: the real vault against bytes that neither it nor the simulator wrote.
// What is said to each try is by the amount.
func TestAnswersOfAHostByHand(t *testing.T) {
	// by the first three digits of the message type and the amount; "" is no answer
	said := map[string][]string{
		"020/1001": {"08"}, "020/1002": {"10"}, "020/1003": {""}, "042/1003": {"94"}, "020/1004": {""}, "042/1004": {"", "94"},
		"020/1005": {"T3"}, "042/1005": {"91", "96", "05", "00"}, "020/1006": {"51"},
		"022/2001": {"", "94"}, "022/2002": {"91", "96", "00"}, "022/2003": {"05", "", "94"}, "022/2004": {"25"}, "022/2005": {"94"},
	}
	h, err := byhand.Listen(func(m byhand.Message) byhand.Answer {
		words := said[fmt.Sprintf("%s/%d", m.Type[:3], m.Amount)]
		if len(words) == 0 {
			return byhand.Answer{Code: "00", Approval: "A1B2C3"}
		}
		a := byhand.Answer{Code: words[min(m.Times, len(words))-1]}
		if a.Code == "10" {
			a.Amount = m.Amount / 2
		}
		return a
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	s := configured(t, quick, byHand(h))
	c := newCheckout(t, s, "bookshop")
	for amount, want := range map[int64][]string{
		1001: {"unknown iso-08", "reversed iso-00"}, 1002: {"unknown iso-10", "reversed iso-00"}, 1003: {"unknown no-answer", "reversed iso-94"},
		1004: {"unknown no-answer", "reversed iso-94"}, 1005: {"unknown iso-T3", "reversed iso-00"}, 1006: {"declined iso-51"}, 1007: {"approved iso-00"},
	} {
		c.becomes(fmt.Sprintf("a sale of %d", amount), c.give(sale(amount, "EUR"), testCard), want)
	}
	hold, _ := c.do(envelope.Order{Operation: envelope.OpAuthorize, Amount: 50_000, Currency: "EUR"}, testCard, envelope.StatusApproved, approved)
	for amount, want := range map[int64][]string{
		2001: {"captured iso-94"}, 2002: {"captured iso-00"}, 2003: {"captured iso-94"}, 2004: {"unknown iso-25"}, 2005: {"unknown iso-94"}, 2006: {"captured iso-00"},
	} {
		c.becomes(fmt.Sprintf("a capture of %d", amount), c.give(of(envelope.OpCapture, hold, amount), ""), want)
	}
	waittest.For(t, "two captures that wait for a person", func() bool { return len(list(t, s, "manual")) == 2 })
	for _, p := range list(t, s, "manual") {
		said := map[int64]string{2004: "iso-25", 2005: "iso-94"}[p.Amount]
		out, err := s.VaultRun(t.Context(), "payment", "show", "bookshop/"+p.ID)
		if err != nil || !regexp.MustCompile(`last answer +`+said).MatchString(out) {
			t.Errorf("the capture of %d is shown as\n%s(%v), want %s", p.Amount, out, err, said)
		}
	}
	heard := map[string][]string{} // the types of the messages, by class and amount
	traces := map[string]map[string]bool{}
	for _, m := range h.Heard() {
		key := fmt.Sprintf("%s/%d", m.Type[:3], m.Amount)
		heard[key] = append(heard[key], m.Type)
		if traces[key] == nil {
			traces[key] = map[string]bool{}
		}
		traces[key][m.STAN] = true
	}
	for key, want := range map[string]string{
		"042/1001": "0420", "042/1002": "0420", "042/1003": "0420", "042/1004": "0420 0421", "042/1005": "0420 0421 0421 0421", "042/1006": "", "042/1007": "",
		"022/2001": "0220 0221", "022/2002": "0220 0221 0221", "022/2003": "0220 0221 0221", "022/2004": "0220", "022/2005": "0220", "022/2006": "0220",
	} {
		if got := strings.Join(heard[key], " "); got != want || len(traces[key]) > 1 {
			t.Errorf("%s: the host heard %q under %d trace numbers, want %q", key, got, len(traces[key]), want)
		}
	}
}

// becomes waits until an envelope was told the last of these, and checks the others.
func (c *checkout) becomes(what string, s storefront.Sealed, want []string) {
	c.t.Helper()
	status, code, _ := strings.Cut(want[len(want)-1], " ")
	c.await(s, envelope.Status(status), envelope.Code(code))
	if got := statuses(c.results[s.Digest]); !slices.Equal(got, want) {
		c.t.Errorf("of %s was told %v, want %v", what, got, want)
	}
}
