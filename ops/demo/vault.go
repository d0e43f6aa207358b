package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// vaultPayment is what `vault payment list --json` shows of a payment, as far as the demonstration
// looks.
type vaultPayment struct {
	ID, Digest, Status, Code, Operation, Method, Currency string
	Of, Entry, File                                       string
	Amount                                                int64
	Trace                                                 *struct{ RRN string }
}

// credit reports whether the money goes to the account.
func (p vaultPayment) credit() bool { return p.Operation == "refund" || p.Operation == "payout" }

// moved reports whether the payment was settled, even if the bank sent it back afterwards.
func (p vaultPayment) moved() bool { return p.Status == "settled" || p.Status == "returned" }

// answered is the status that the newest result of the payment's own envelope must have. A void's
// result stands under the void's envelope.
func (p vaultPayment) answered() string {
	switch p.Status {
	case "authorised", "completed":
		return "approved"
	case "voided":
		if p.Method == "bank" {
			return "accepted"
		}
		return "approved"
	case "settled":
		switch {
		case p.Method == "bank" && p.Operation == "payout":
			return "paid-out"
		case p.Method == "bank" && p.Operation == "refund":
			return "refunded"
		}
	case "done":
		return map[string]string{"store": "stored", "update": "updated", "forget": "forgotten", "void": "voided"}[p.Operation]
	}
	return p.Status
}

// working are the stages of payments without an outcome.
var working = []string{"received", "authorising", "unknown", "capturing", "voiding", "waiting"}

// patience bounds waiting for the vault: the timeouts of the unanswered and their reversals, with a
// wide margin.
const patience = 2 * time.Minute

// authorise waits until every order of the morning has an outcome, and reads the tokens of the
// stored accounts.
func (d *demo) authorise(ctx context.Context) error {
	began := time.Now()
	stages, err := d.await(ctx)
	if err != nil {
		return err
	}
	d.say("The vault pulled the bags, opened each part only to transact, and asked the acquirer: after %.1f s", time.Since(began).Seconds())
	d.say("  %s.", counted(stages))
	return d.readTokens(ctx)
}

// followUp posts what needs the morning's answers.
func (d *demo) followUp(ctx context.Context) error {
	if _, err := d.postRound(ctx, 2); err != nil {
		return err
	}
	if _, err := d.await(ctx); err != nil {
		return err
	}
	d.say("Then what builds on those answers: %s. Sales of unknown outcome (no answer, a late one,", operationsOf(d.orders, 2))
	d.say("  a broken line) are never charged again: each was reversed. Captures and voids are repeated until they are answered.")
	return nil
}

// await waits until the vault has taken every receipt's envelope and every payment has an outcome,
// and returns how many are in each stage.
func (d *demo) await(ctx context.Context) (stages map[string]int, err error) {
	for deadline := time.Now().Add(patience); ; {
		if stages, err = d.stages(ctx); err != nil {
			return nil, err
		}
		waiting, all := 0, 0
		for stage, n := range stages {
			all += n
			if slices.Contains(working, stage) {
				waiting += n
			}
		}
		if all == d.expectedPayments() && waiting == 0 {
			return stages, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("after %s the vault has %d of %d payments, %d without an outcome: %s", patience, all, d.expectedPayments(), waiting, counted(stages))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// expectedPayments is how many the ledger must hold: every receipt but the second envelopes of an
// id.
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
	payments, err := d.allPayments(ctx)
	if err != nil {
		return nil, err
	}
	stages := map[string]int{}
	for _, p := range payments {
		stages[p.Status]++
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

// report leaves the day's report as a page.
func (d *demo) report(ctx context.Context) error {
	now := time.Now().UTC()
	_, err := d.site.VaultRun(ctx, "batch", "report", "--from", now.AddDate(0, 0, -1).Format(time.DateOnly), "--to", now.Format(time.DateOnly),
		"--html", d.site.Path("report.html"))
	return err
}
