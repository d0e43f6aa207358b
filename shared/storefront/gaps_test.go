package storefront

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront/relaytest"
)

// shelf is a relay's results of a merchant: those that it still has, by serial from 1.
type shelf struct {
	*relaytest.Relay
	all []string
}

// has makes the relay have these results only, and ask anew for what is missing.
func (s shelf) has(c *Client, serials ...int) {
	s.Chain = slices.Repeat([]string{""}, len(s.all))
	for _, n := range serials {
		s.Chain[n-1] = s.all[n-1]
	}
	c.askedMissing = time.Time{}
}

func span(from, through int) (serials []int) {
	for n := from; n <= through; n++ {
		serials = append(serials, n)
	}
	return serials
}

// drain reads until there is nothing new, and returns the serials that came.
func drain(t *testing.T, c *Client, chain *Chain) (serials []uint64) {
	t.Helper()
	for range 20 {
		page, err := c.Results(context.Background(), chain, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return serials
		}
		for _, o := range page {
			serials = append(serials, o.Result.Serial)
		}
	}
	t.Fatal("there is always something new")
	return nil
}

// Results that left the channel are a gap that is named, and a chain that is whole again once they
// came, in whatever pieces.
func TestAGapIsNamedAndFilled(t *testing.T) {
	r := relaytest.New(t)
	i := identity(t, "bookshop")
	c := client(t, r, i)
	s := shelf{r, approvals(r, i, 60)}
	var chain Chain
	s.has(c, span(1, 11)...)
	drain(t, c, &chain)
	s.has(c, span(41, 60)...)
	if came := drain(t, c, &chain); len(came) != 20 || chain.Serial != 60 {
		t.Fatalf("after the gap came %v", came)
	}
	err := chain.MissingError()
	if !errors.Is(err, ErrMissing) || errors.Is(err, ErrChain) || !strings.Contains(err.Error(), "missing: 12 to 40.") ||
		!strings.Contains(err.Error(), "vault results resend MERCHANT --from 12 --count 29") {
		t.Fatalf("the gap is told as %v", err)
	}
	whole := Chain{Serial: 60, Created: time.Now().Add(300 * time.Hour), First: 1, Began: time.Now().Add(-time.Hour)}
	silent := whole
	silent.Missing = chain.Missing
	if created := time.Now().Add(-time.Second); !whole.ProvesSilence(created, created) || silent.ProvesSilence(created, created) {
		t.Error("a chain with a gap proves silence")
	}
	if old := time.Now().Add(-time.Hour); !silent.hides(time.Now()) || silent.hides(old.Add(2*time.Hour)) {
		t.Error("a gap hides what came after it, or does not hide what it may hold")
	}
	for _, step := range []struct {
		has     []int
		missing string
	}{
		{append(span(20, 25), span(41, 60)...), "12 to 19, 26 to 40"},
		{append(span(38, 40), 50), "12 to 19, 26 to 37"},
		{span(12, 18), "19, 26 to 37"},
		{append([]int{19}, span(26, 37)...), ""},
	} {
		s.has(c, step.has...)
		drain(t, c, &chain)
		if got := chain.missingText(); got != step.missing {
			t.Fatalf("missing %q, want %q", got, step.missing)
		}
	}
	if err := chain.MissingError(); err != nil || chain.Serial != 60 {
		t.Errorf("the chain is not whole again: %v", err)
	}
}

// What is missing is asked for now and then, not with each page: a page of a gap is mostly of what
// was read.
func TestMissingResultsAreAskedForNowAndThen(t *testing.T) {
	r := relaytest.New(t)
	i := identity(t, "bookshop")
	c := client(t, r, i)
	s := shelf{r, approvals(r, i, 9)}
	var chain Chain
	s.has(c, 1)
	drain(t, c, &chain)
	s.has(c, span(5, 9)...)
	drain(t, c, &chain)
	s.Chain = s.all
	if came := drain(t, c, &chain); len(came) != 0 {
		t.Errorf("asked again at once: %v", came)
	}
	now := time.Now().Add(gapsWait + time.Second)
	c.now = func() time.Time { return now }
	if came := drain(t, c, &chain); !reflect.DeepEqual(came, []uint64{2, 3, 4}) {
		t.Errorf("later came %v", came)
	}
}

// What comes late is checked against both its neighbours: another history does not fit.
func TestAFalsePastDoesNotFillAGap(t *testing.T) {
	r := relaytest.New(t)
	i := identity(t, "bookshop")
	c := client(t, r, i)
	s := shelf{r, approvals(r, i, 8)}
	other := shelf{r, approvals(r, i, 8)}
	var chain Chain
	s.has(c, 1, 2, 6, 7, 8)
	drain(t, c, &chain)
	for name, page := range map[string][]string{
		"the first of another past": {other.all[2]},
		"the last of another past":  {other.all[4]},
		"altered":                   {strings.Replace(s.all[3], `"serial":4`, `"serial":3`, 1)},
		"another's":                 {approvals(r, identity(t, "velo-works"), 3)[2]},
	} {
		before := chain
		c.askedMissing = time.Time{}
		r.Page = page
		_, err := c.Results(context.Background(), &chain, 0)
		if !errors.Is(err, ErrChain) && !errors.Is(err, ErrUnverified) && !errors.Is(err, ErrLog) {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(chain, before) {
			t.Errorf("%s: the chain moved", name)
		}
	}
	r.Page = nil
	s.has(c, span(1, 8)...)
	drain(t, c, &chain)
	if err := chain.MissingError(); err != nil {
		t.Errorf("the true past after the false ones: %v", err)
	}
}

// A relay that withholds every other result does not fill the reader's memory.
func TestGapsAreBounded(t *testing.T) {
	chain := Chain{Serial: 1, Digest: envelope.ZeroDigest}
	for n := range maxGaps + 1 {
		o := Opened{Result: envelope.Result{Serial: uint64(3 + 2*n)}}
		err := chain.skip(o)
		if full := n == maxGaps; full != errors.Is(err, ErrChain) {
			t.Fatalf("gap %d: %v", n, err)
		}
		chain.Serial = o.Result.Serial
	}
	if text := chain.missingText(); !strings.Contains(text, "and 251 more ranges") {
		t.Errorf("told as %s", text)
	}
}

// Of many gaps a few are asked for at a time, and all come to their turn.
func TestManyGapsAreAskedForByTurns(t *testing.T) {
	r := relaytest.New(t)
	i := identity(t, "bookshop")
	c := client(t, r, i)
	s := shelf{r, approvals(r, i, 41)}
	var chain Chain
	var odd []int
	for n := 1; n <= 41; n += 2 {
		odd = append(odd, n)
	}
	s.has(c, odd...)
	drain(t, c, &chain)
	if len(chain.Missing) != 20 {
		t.Fatalf("%d gaps", len(chain.Missing))
	}
	s.has(c, append(odd, 40)...) // the last gap
	for range 3 {
		c.askedMissing = time.Time{}
		drain(t, c, &chain)
	}
	if len(chain.Missing) != 19 || chain.missing(40) >= 0 {
		t.Errorf("the last gap is not filled: %s", chain.missingText())
	}
}
