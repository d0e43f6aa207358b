package e2e

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"nightdrop/ops/site"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
)

// checkout is a shop that posts one order at a time and waits for what becomes of it.
type checkout struct {
	t       *testing.T
	site    *site.Site
	shop    shop
	chain   storefront.Chain
	results map[string][]storefront.Opened // results by digest, oldest first
}

func newCheckout(t *testing.T, s *site.Site, merchant string) *checkout {
	t.Helper()
	return &checkout{t: t, site: s, shop: newShop(t, s, merchant), results: map[string][]storefront.Opened{}}
}

// give posts an order and returns its id and digest.
func (c *checkout) give(order envelope.Order, account string) storefront.Sealed {
	c.t.Helper()
	p := storefront.Payment{Order: order}
	if p.Order.Reference == "" {
		p.Order.Reference = string(order.Operation)
	}
	if account != "" {
		p.Account = []byte(account)
	}
	sealed, err := c.shop.keep(c.t.Context(), p)
	if err != nil {
		c.t.Fatalf("%s: %v", order.Operation, err)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	if _, err := c.shop.Post(ctx, sealed.Note); err != nil {
		c.t.Fatalf("%s: %v", order.Operation, err)
	}
	return sealed
}

// await waits until the newest result of an envelope has the status and the code, and fails when it
// has another one that is final.
func (c *checkout) await(s storefront.Sealed, status envelope.Status, code envelope.Code) envelope.Facts {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	for {
		if results := c.results[s.Digest]; len(results) > 0 {
			newest := results[len(results)-1].Facts
			if newest.Status == status && newest.Code == code {
				return newest
			}
		}
		page, err := c.shop.Results(ctx, &c.chain, 5*time.Second)
		if ctx.Err() != nil {
			c.t.Fatalf("want %s with %s, have %v", status, code, statuses(c.results[s.Digest]))
		}
		if err != nil {
			c.t.Fatal(err)
		}
		for _, r := range page {
			c.results[r.Result.Digest] = append(c.results[r.Result.Digest], r)
		}
	}
}

func statuses(results []storefront.Opened) (all []string) {
	for _, r := range results {
		all = append(all, string(r.Facts.Status)+" "+string(r.Facts.Code))
	}
	return all
}

// do gives an order and awaits its end.
func (c *checkout) do(order envelope.Order, account string, status envelope.Status, code envelope.Code) (storefront.Sealed, envelope.Facts) {
	c.t.Helper()
	sealed := c.give(order, account)
	return sealed, c.await(sealed, status, code)
}

// settled is what `vault batch settle --json` prints.
type settled struct {
	Payments int
	Batches  []struct{ ID, Method, Status string }
	Files    []struct{ Name, Digest string }
}

// settle closes and settles every batch.
func (c *checkout) settle() (s settled) {
	c.t.Helper()
	if _, err := c.site.VaultRun(c.t.Context(), "batch", "close", "--all"); err != nil {
		c.t.Fatal(err)
	}
	out, err := c.site.VaultRun(c.t.Context(), "batch", "settle", "--all", "--json")
	if err != nil {
		c.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		c.t.Fatal(err)
	}
	return s
}
