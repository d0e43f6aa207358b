package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"nightdrop/ops/site"
)

const (
	killedPayments = 2_000
	killTarget     = 50
)

// TestNothingIsLostOrMovedTwiceWhileEverythingIsKilled posts sales, authorisations, captures, voids
// and bank debits while relay, vault and simulator are killed with SIGKILL at random moments and
// started again, at least 50 times; then it settles, killing the vault on the way, and holds the
// shop's results against the books of the acquirer and the bank.
func TestNothingIsLostOrMovedTwiceWhileEverythingIsKilled(t *testing.T) {
	s := running(t, site.Options{AnswerTimeout: time.Second, BothJournals: true}, "bookshop")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	day := newDay(newShop(t, s, "bookshop"))
	var posted atomic.Int64
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return killAround(groupCtx, t, s, &posted) })
	group.Go(func() error {
		posting, postCtx := errgroup.WithContext(groupCtx)
		posting.SetLimit(8)
		for i := range killedPayments {
			posting.Go(func() error {
				defer posted.Add(1)
				return day.begin(postCtx, i)
			})
			// The posts last as long as the kills, so that each kill falls among them.
			time.Sleep(postPause)
		}
		err := posting.Wait()
		day.begun.Store(true)
		return err
	})
	group.Go(func() error { return day.follow(groupCtx) })
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	settleUnderKills(t, ctx, s)
	day.compare(t, s)
}

// postPause spreads the posts over the time that 50 kills and restarts take.
const postPause = 20 * time.Millisecond

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

// settleKills is how often the vault is killed while it settles.
const settleKills = 3

// settleUnderKills closes and settles every batch. The vault is killed a few times on the way;
// whatever was interrupted is run again.
func settleUnderKills(t *testing.T, ctx context.Context, s *site.Site) {
	t.Helper()
	verbs := [][]string{{"batch", "close", "--all"}, {"batch", "settle", "--all"}}
	for kill := range settleKills {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for _, verb := range verbs {
				if _, err := s.VaultRun(ctx, verb...); err != nil {
					return // the vault was killed
				}
			}
		}()
		time.Sleep(time.Duration(30+rand.IntN(300)) * time.Millisecond)
		if err := killAndRestart(ctx, s, "vault"); err != nil {
			t.Fatalf("kill %d while settling: %v", kill+1, err)
		}
		<-ended
	}
	for _, verb := range verbs {
		if _, err := s.VaultRun(ctx, verb...); err != nil {
			t.Fatal(err)
		}
	}
}
