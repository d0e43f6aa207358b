package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"nightdrop/shared/envelope"
)

// vaultPayment is what `vault payment list --json` tells of a payment, as far as the demonstration looks.
type vaultPayment struct {
	ID, Digest, Stage, Code, Currency string
	Amount                            int64
	Trace                             *struct{ RRN string }
}

// working are the stages that are not final.
var working = []string{"received", "authorising", "unknown"}

// patience bounds waiting for the vault: the timeouts of the unanswered and their reversals, with a wide margin.
const patience = 2 * time.Minute

// authorise waits until the vault has taken every receipt's envelope and every payment has an outcome.
func (d *demo) authorise(ctx context.Context) error {
	began, deadline := time.Now(), time.Now().Add(patience)
	for {
		stages, err := d.stages(ctx)
		if err != nil {
			return err
		}
		waiting, all := 0, 0
		for stage, n := range stages {
			all += n
			if slices.Contains(working, stage) {
				waiting += n
			}
		}
		if all == d.expectedPayments() && waiting == 0 {
			d.say("The vault pulled the bags, opened each part only to transact, and asked the acquirer: after %.1f s", time.Since(began).Seconds())
			d.say("  %s.", counted(stages))
			d.say("  Unknown outcomes (no answer, a late one, a broken line) are never charged again: each was reversed.")
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %s the vault has %d of %d payments, %d without an outcome: %s", patience, all, d.expectedPayments(), waiting, counted(stages))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// expectedPayments is how many the ledger must hold: every receipt but the second envelopes of an id.
func (d *demo) expectedPayments() int {
	n := d.tally.posted
	for _, bad := range d.bad {
		if bad.refused != "" || bad.defect == "id-conflict" {
			n--
		}
	}
	return n
}

func (d *demo) stages(ctx context.Context) (map[string]int, error) {
	stages := map[string]int{}
	for _, shop := range d.shops {
		payments, err := d.payments(ctx, shop)
		if err != nil {
			return nil, err
		}
		for _, p := range payments {
			stages[p.Stage]++
		}
	}
	return stages, nil
}

func (d *demo) payments(ctx context.Context, shop string) ([]vaultPayment, error) {
	out, err := d.site.VaultRun(ctx, "payment", "list", "--merchant", shop, "--all", "--json")
	if err != nil {
		return nil, err
	}
	var payments []vaultPayment
	return payments, json.Unmarshal([]byte(out), &payments)
}

func counted(of map[string]int) string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%d %s", of[what], what))
	}
	return strings.Join(parts, ", ")
}

// settle closes every shop's batch and settles it against the acquirer's totals, then does both again.
func (d *demo) settle(ctx context.Context) error {
	if _, err := d.site.VaultRun(ctx, "batch", "close", "--all"); err != nil {
		return err
	}
	settled, err := d.settleAll(ctx)
	if err != nil {
		return err
	}
	d.tally.settled = settled.Payments
	d.say("The operator closed and settled %d batches; the acquirer's totals are the same as ours, per shop and currency:", len(settled.Batches))
	for _, b := range settled.Batches {
		var totals []string
		for _, t := range b.Totals {
			totals = append(totals, fmt.Sprintf("%d sales %s", t.Count, envelope.FormatAmount(t.Amount, t.Currency)))
		}
		d.say("  %s  %-13s %s", b.ID, b.Merchant, strings.Join(totals, ", "))
	}
	if _, err := d.site.VaultRun(ctx, "batch", "close", "--all"); err != nil {
		return err
	}
	again, err := d.settleAll(ctx)
	if err != nil {
		return err
	}
	if again.Payments != 0 {
		return fmt.Errorf("a second settlement settled %d payments", again.Payments)
	}
	d.say("  Closing and settling a second time changed nothing.")
	return nil
}

type settlement struct {
	Payments int
	Batches  []struct {
		ID, Merchant string
		Totals       []struct {
			Currency      string
			Count, Amount int64
		}
	}
}

func (d *demo) settleAll(ctx context.Context) (settlement, error) {
	var s settlement
	out, err := d.site.VaultRun(ctx, "batch", "settle", "--all", "--json")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(out), &s)
}

// verifyLog exports the sealed log and checks it from the files alone.
func (d *demo) verifyLog(ctx context.Context) error {
	if _, err := d.site.VaultRun(ctx, "audit", "export", d.site.Path("audit")); err != nil {
		return err
	}
	out, err := d.site.Run(ctx, "vault", "audit", "verify", d.site.Path("audit"), "--verifier", d.site.Verifier, "--json")
	if err != nil {
		return err
	}
	var report struct{ Size int64 }
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		return err
	}
	d.say("The sealed log was exported and verified from its files alone: %d entries, one Merkle tree, signed.", report.Size)
	return nil
}
