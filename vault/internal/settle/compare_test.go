package settle

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"nightdrop/vault/internal/book"
)

// listing is the acquirer's, as its simulator prints it.
func (c *counter) listing(batch uint32) string {
	c.t.Helper()
	var out strings.Builder
	out.WriteString(listingHeader + "\n")
	for _, t := range c.statement().Listing("ACCEPTOR1", fmt.Sprintf("%06d", batch)) {
		fmt.Fprintf(&out, "%s,%s,%s,%s,%d,%s\n", t.RRN, t.STAN, t.Terminal, t.Kind, t.Amount, t.Currency)
	}
	return out.String()
}

func (c *counter) compare(listing string) []string {
	c.t.Helper()
	compared, err := c.engine(nil).Compare(c.t.Context(), 1, strings.NewReader(listing))
	c.must(err)
	var all []string
	for _, d := range compared.Differences {
		all = append(all, fmt.Sprintf("%d %s %s %d/%d", d.Line, d.Problem, d.ID, d.Ours.Amount, d.Theirs.Amount))
	}
	return all
}

// TestCompare holds a batch of every kind of payment against the acquirer's listing, and finds what
// was done to it.
func TestCompare(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	e := c.engine(nil)
	hold, first := c.send(c.shop.Authorize(3000)), c.send(c.bigSale(1000))
	c.finish(e)
	capture := c.send(c.shop.Capture(hold, 2000))
	c.finish(e)
	refund := c.send(c.shop.Refund(hold, 500))
	c.finish(e)
	listing := c.listing(1)
	if got := c.compare(listing); len(got) != 0 || strings.Count(listing, "\n") != 4 {
		t.Errorf("of the same: %v\n%s", got, listing)
	}
	lines := strings.SplitAfter(listing, "\n")
	line := func(id string) string {
		for _, l := range lines {
			if strings.HasPrefix(l, c.Payment("shop-1", id).Trace.RRN) {
				return l
			}
		}
		t.Fatalf("no line for %s", id)
		return ""
	}
	stranger := "632800990001,990001,ND000001,sale,77,USD\n"
	changed := listingHeader + "\n" + line(first) + stranger + strings.Replace(line(refund), ",500,", ",501,", 1) + line(first)
	want := []string{"3 missing-here  0/77", "4 differs " + refund + " 500/501", "5 twice  0/1000", "0 missing-there " + capture + " 2000/0"}
	if got := c.compare(changed); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("differences\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := c.compare(strings.ReplaceAll(listing, "840", "USD")); len(got) != 0 {
		t.Errorf("in letters: %v", got)
	}
	if got := c.compare(strings.Replace(listing, ",840", ",978", 1)); len(got) != 1 || !strings.Contains(got[0], "differs") {
		t.Errorf("in another currency: %v", got)
	}
	c.endOfDay(e)
	if got := c.compare(listing); len(got) != 0 {
		t.Errorf("after settling: %v", got)
	}
}

func TestListingsRefusedWhole(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	c.send(c.shop.Sale())
	c.finish(c.engine(nil))
	good := "632800990001,990001,ND000001,sale,77,USD\n"
	for name, test := range map[string]struct{ listing, why string }{
		"empty":            {"", "line 1"},
		"another header":   {"rrn,stan,terminal,type,amount,currency\n" + good, "line 1"},
		"a missing field":  {listingHeader + "\n" + good + "632800990002,990002,ND000001,sale,77\n", "line 3"},
		"a quote":          {listingHeader + "\n632800990001,99\"0001,ND000001,sale,77,USD\n", "line 2"},
		"Latin-1":          {listingHeader + "\n" + good + "\n" + strings.Replace(good, "ND000001", "CAF\xc9", 1), "line 4 is not UTF-8"},
		"a header in 16":   {"\xff\xfer\x00r\x00n\x00", "UTF-16"},
		"a short rrn":      {listingHeader + "\n" + strings.Replace(good, "632800990001", "63280099001", 1), "line 2: rrn"},
		"a stan of 0":      {listingHeader + "\n" + strings.Replace(good, ",990001,", ",0,", 1), "line 2: stan"},
		"no terminal":      {listingHeader + "\n" + strings.Replace(good, "ND000001", "", 1), "line 2: terminal"},
		"another kind":     {listingHeader + "\n" + good + strings.Replace(good, "sale", "hold", 1), "line 3: kind"},
		"a decimal amount": {listingHeader + "\n" + strings.Replace(good, "77", "0.77", 1), "line 2: amount"},
		"an unknown money": {listingHeader + "\n" + strings.Replace(good, "USD", "XXX", 1), "line 2: currency"},
	} {
		_, err := c.engine(nil).Compare(t.Context(), 1, strings.NewReader(test.listing))
		if !errors.Is(err, ErrListing) || !strings.Contains(err.Error(), test.why) {
			t.Errorf("%s: %v, want %q", name, err, test.why)
		}
	}
	if _, err := c.engine(nil).Compare(t.Context(), 2, strings.NewReader(good)); !errors.Is(err, ErrNotFound) {
		t.Errorf("a batch that is not there: %v", err)
	}
	c.send(c.shop.BankSale(100))
	if _, err := c.engine(nil).Compare(t.Context(), 2, strings.NewReader(good)); !errors.Is(err, ErrConflict) {
		t.Errorf("a bank batch: %v", err)
	}
}

// A listing that a spreadsheet wrote is as one without its mark and its empty rows.
func TestListingsOfSpreadsheets(t *testing.T) {
	marked, err := os.ReadFile("../../../testdata/cases/listing-with-bom.csv")
	if err != nil {
		t.Fatal(err)
	}
	plain, found := strings.CutPrefix(string(marked), "\ufeff")
	if !found {
		t.Fatal("the case has no mark")
	}
	want, err := readListing(t.Context(), strings.NewReader(plain))
	if err != nil || len(want) < 2 || want[0].line != 2 || want[1].line != 3 {
		t.Fatalf("without the mark: %d lines, %v", len(want), err)
	}
	first, rest, _ := strings.Cut(plain, "\n")
	for name, listing := range map[string]string{"with its mark": string(marked), "with empty rows": first + "\n\n,,,,,\n , ,\n" + rest + "\n,,\n",
		"quoted": strings.ReplaceAll(string(marked), "sale", `"sale"`)} {
		got, err := readListing(t.Context(), strings.NewReader(listing))
		if err != nil || len(got) != len(want) {
			t.Errorf("%s: %d lines, %v", name, len(got), err)
			continue
		}
		for i := range got {
			if shifted := name == "with empty rows"; got[i].Listed != want[i].Listed || !shifted && got[i].line != want[i].line || shifted && got[i].line != want[i].line+3 {
				t.Errorf("%s: %+v, want %+v", name, got[i], want[i])
			}
		}
	}
}

func FuzzReadListing(f *testing.F) {
	f.Add([]byte(listingHeader + "\n632800990001,990001,ND000001,sale,77,USD\n"))
	f.Add([]byte(listingHeader + "\r\n\"632800990001\",1,A,refund,9223372036854775807,EUR"))
	f.Fuzz(func(t *testing.T, listing []byte) {
		lines, err := readListing(t.Context(), strings.NewReader(string(listing)))
		if err != nil && !errors.Is(err, ErrListing) {
			t.Fatalf("another error: %v", err)
		}
		for _, l := range lines {
			if len(l.RRN) != 12 || l.STAN < 1 || l.STAN > 999_999 || l.Amount < 1 || len(l.Currency) != 3 {
				t.Fatalf("taken: %+v", l)
			}
		}
	})
}

// TestTextsFromOutside: what of them stands in findings and in the entries of a file.
func TestTextsFromOutside(t *testing.T) {
	if quotable(strings.Repeat("a", 300)) != strings.Repeat("a", maxText) {
		t.Error("a long text is not cut")
	}
	if got := quotable("ref 17 4242-4242-4242-4242"); got != "" {
		t.Errorf("a text with a number is quoted as %q", got)
	}
	if p := (book.Payment{Number: 17, Reference: " table 7 "}); identification(p) != "table 7" {
		t.Errorf("identification %q", identification(p))
	}
	for _, reference := range []string{"", "   ", "0123456789ABCDEF", "424242424242 4242"} {
		if got := identification(book.Payment{Number: 17, Reference: reference}); got != "17" {
			t.Errorf("identification of %q: %q", reference, got)
		}
	}
}
