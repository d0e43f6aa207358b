package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"nightdrop/ops/site"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
)

const (
	killedPayments = 2_000
	killTarget     = 50
)

// TestNothingIsLostOrChargedTwiceWhileEverythingIsKilled posts payments while relay, vault and simulator are killed with SIGKILL at
// random moments and started again, at least 50 times, and then holds the shop's results against the acquirer's own book.
func TestNothingIsLostOrChargedTwiceWhileEverythingIsKilled(t *testing.T) {
	s := running(t, site.Options{AnswerTimeout: time.Second}, "bookshop")
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	shop := newShop(t, s, "bookshop")

	var posted atomic.Int64
	sealed := make([]storefront.Sealed, killedPayments)
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return killAround(groupCtx, t, s, &posted) })
	group.Go(func() error {
		posting, postCtx := errgroup.WithContext(groupCtx)
		posting.SetLimit(8)
		for i := range sealed {
			posting.Go(func() (err error) {
				if sealed[i], err = sellPatiently(postCtx, shop, i); err != nil {
					return err
				}
				_, err = shop.Post(postCtx, sealed[i].Note)
				posted.Add(1)
				return err
			})
			// The posts last as long as the kills, so that each kill falls among them.
			time.Sleep(postPause)
		}
		return posting.Wait()
	})
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	var chain storefront.Chain
	final := map[string]envelope.Status{}
	if err := shop.readAll(ctx, &chain, final, sealed); err != nil {
		t.Fatal(err)
	}
	compare(t, s, sealed, final)
}

// postPause spreads the posts over the time that 50 kills and restarts take.
const postPause = 20 * time.Millisecond

// sellPatiently seals; the directory that it needs may be out of reach while the relay is down.
func sellPatiently(ctx context.Context, s shop, i int) (storefront.Sealed, error) {
	for {
		sealed, err := s.sell(ctx, fmt.Sprintf("order-%d", i), int64(1000+i))
		if err == nil || ctx.Err() != nil {
			return sealed, errors.Join(err, ctx.Err())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// killAround kills one of the three at a time until there were enough kills and all is posted.
func killAround(ctx context.Context, t *testing.T, s *site.Site, posted *atomic.Int64) error {
	kills := map[string]int{}
	total := 0
	for posted.Load() < killedPayments || total < killTarget {
		time.Sleep(time.Duration(50+rand.IntN(400)) * time.Millisecond)
		victim := []string{"relay", "vault", "simulator"}[rand.IntN(3)]
		if err := killAndRestart(ctx, s, victim); err != nil {
			return fmt.Errorf("kill %d (%s): %w", total+1, victim, err)
		}
		kills[victim]++
		total++
		if ctx.Err() != nil {
			return fmt.Errorf("%d payments posted after %d kills: %w", posted.Load(), total, ctx.Err())
		}
	}
	t.Logf("kills: %v", kills)
	for _, victim := range []string{"relay", "vault", "simulator"} {
		if kills[victim] < 5 {
			return fmt.Errorf("%s was killed %d times only", victim, kills[victim])
		}
	}
	return nil
}

func killAndRestart(ctx context.Context, s *site.Site, victim string) error {
	switch victim {
	case "relay":
		s.Relay.Kill()
		return s.StartRelay(ctx)
	case "simulator":
		s.Simulator.Kill()
		return s.StartSimulator(ctx)
	}
	s.Vault.Kill()
	if err := s.StartVault(ctx); err != nil {
		return err
	}
	return s.Unlock(ctx, 1+rand.IntN(2), 3)
}

// compare holds what the shop was told against what the acquirer booked.
func compare(t *testing.T, s *site.Site, sealed []storefront.Sealed, final map[string]envelope.Status) {
	t.Helper()
	statuses := map[envelope.Status]int{}
	for _, one := range sealed {
		statuses[final[one.Digest]]++
	}
	b := readBook(t, s)
	t.Logf("the shop was told %v; the acquirer took %d sales, charged %d, reversed %d", statuses, b.Sales, b.Charged, b.Reversed)
	if statuses[envelope.StatusApproved] != b.Charged {
		t.Errorf("%d payments were approved but %d charged", statuses[envelope.StatusApproved], b.Charged)
	}
	if len(b.Doubled) > 0 || b.Sales > len(sealed) {
		t.Errorf("%d payments became %d sales; charged twice: %v", len(sealed), b.Sales, b.Doubled)
	}
	if sum := statuses[envelope.StatusApproved] + statuses[envelope.StatusReversed]; sum != len(sealed) {
		t.Errorf("of %d payments %d are neither approved nor reversed", len(sealed), len(sealed)-sum)
	}
}
