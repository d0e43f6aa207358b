package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"nightdrop/ops/site"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
	"nightdrop/shared/waittest"
)

// badCard fails Luhn: its orders are answered at once, and by the vault alone.
const badCard = `{"card":{"number":"4242424242424241","expiry":"2033-11"}}`

// flood posts so many orders, which are all rejected.
func (s shop) flood(t *testing.T, count int) {
	t.Helper()
	posts, ctx := errgroup.WithContext(t.Context())
	posts.SetLimit(16)
	for n := range count {
		posts.Go(func() error {
			order := envelope.Order{Operation: envelope.OpSale, Reference: fmt.Sprintf("flood %d", n), Amount: 100, Currency: "EUR"}
			sealed, err := s.Seal(ctx, storefront.Payment{Order: order, Account: []byte(badCard), Code: []byte(testCode)})
			if err != nil {
				return err
			}
			_, err = s.Post(ctx, sealed.Note)
			return err
		})
	}
	if err := posts.Wait(); err != nil {
		t.Fatal(err)
	}
}

// listsResult reports whether a table of results has a serial.
func listsResult(table string, serial int) bool {
	return regexp.MustCompile(fmt.Sprintf(`(?m)^ *%d `, serial)).MatchString(table)
}

// resultsIssued is how many results the vault has for a merchant.
func resultsIssued(t *testing.T, s *site.Site, merchant string) int {
	t.Helper()
	out, err := s.VaultRun(t.Context(), "merchant", "show", merchant, "--json")
	if err != nil {
		t.Fatal(err)
	}
	var m struct{ Results int }
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		t.Fatal(err)
	}
	return m.Results
}

// TestOneMerchantFillsResultsForItselfOnly: a merchant is sent more results than RESULTS holds.
// Another is answered meanwhile; the first is told by their serials which of its own are missing,
// and has them all once the vault's operator published them again, page by page.
func TestOneMerchantFillsResultsForItselfOnly(t *testing.T) {
	const orders = 1800 // of which RESULTS, 10 MiB, holds some 1,300
	s := running(t, site.Options{EnvelopeBytes: 20 << 20, ChannelBytes: 40 << 20}, "bookshop")
	if err := s.Enrol(t.Context(), site.Merchant{ID: "velo-works", Currencies: []string{"EUR"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.AwaitMerchant(t.Context(), "velo-works"); err != nil {
		t.Fatal(err)
	}
	loud, quiet := newShop(t, s, "bookshop"), newShop(t, s, "velo-works")
	var chain storefront.Chain
	if got := sellAndWait(t, quiet, &chain, "before", 1999); got != envelope.StatusApproved {
		t.Fatalf("a sale became %s", got)
	}
	loud.flood(t, 5)
	waittest.For(t, "the loud shop's first results", func() bool {
		out, err := s.ShopRun(t.Context(), "bookshop", "results", "--wait", "5s")
		if err != nil {
			t.Fatal(err)
		}
		return listsResult(out, 5)
	})
	loud.flood(t, orders)
	waittest.For(t, "all results", func() bool { return resultsIssued(t, s, "bookshop") == orders+5 })
	for n := range 3 {
		if got := sellAndWait(t, quiet, &chain, fmt.Sprintf("after-%d", n), 2000); got != envelope.StatusApproved {
			t.Fatalf("the quiet shop's sale became %s", got)
		}
	}
	if err := chain.MissingError(); err != nil {
		t.Errorf("the quiet shop: %v", err)
	}

	out, err := s.ShopRun(t.Context(), "bookshop", "results")
	if err == nil || !strings.Contains(err.Error(), "results are missing: 6 to ") || !strings.Contains(err.Error(), "vault results resend") {
		t.Fatalf("the loud shop's results: %v", err)
	}
	waittest.For(t, "the loud shop's newest result", func() bool {
		if !listsResult(out, orders+5) {
			// what is missing is told each time
			more, _ := s.ShopRun(t.Context(), "bookshop", "results")
			out += more
		}
		return listsResult(out, orders+5)
	})
	healed(t, s, "bookshop")
}

// healed has missing results published again until the shop has read them.
func healed(t *testing.T, s *site.Site, merchant string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	box, err := storefront.OpenOutbox(s.Outbox(merchant))
	if err != nil {
		t.Fatal(err)
	}
	for pages := 0; ; pages++ {
		chain, err := box.Chain()
		if err != nil {
			t.Fatal(err)
		}
		if len(chain.Missing) == 0 {
			if pages == 0 {
				t.Error("nothing was missing")
			}
			break
		}
		g := chain.Missing[0]
		if _, err := s.VaultRun(ctx, "results", "resend", merchant, "--from", strconv.FormatUint(g.From, 10),
			"--count", strconv.FormatUint(g.Through-g.From+1, 10), "--reason", "they are missing"); err != nil || pages > 20 {
			t.Fatalf("page %d: %v", pages, err)
		}
		_, _ = s.ShopRun(ctx, merchant, "results") // exit code 7 while some are missing
	}
	if _, err := s.ShopRun(ctx, merchant, "results"); err != nil {
		t.Errorf("the chain is whole, and: %v", err)
	}
}
