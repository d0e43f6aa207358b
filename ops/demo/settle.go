package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"nightdrop/shared/envelope"
)

// settlement is what `vault batch settle --json` prints.
type settlement struct {
	Payments int
	Batches  []struct {
		ID, Merchant, Method string
		Totals               []total
	}
	Files []struct {
		Name, Effective string
		Entries         int
		Debits, Credits int64
	}
}

// total is the debits and the credits of a batch in one currency.
type total struct {
	Currency                             string
	Count, Amount, Credits, CreditAmount int64
}

func (t total) String() string {
	text := envelope.FormatSum(t.Count, t.Amount, t.Currency)
	if t.Credits > 0 {
		text += " less " + envelope.FormatSum(t.Credits, t.CreditAmount, t.Currency)
	}
	return text
}

// settleDay closes every shop's batches and settles them: cards against the acquirer's totals, bank
// accounts by a file.
func (d *demo) settleDay(ctx context.Context) error {
	settled, err := d.closeAndSettle(ctx)
	if err != nil {
		return err
	}
	if len(settled.Files) != 1 {
		return fmt.Errorf("the day's bank entries went into %d files", len(settled.Files))
	}
	d.say("The operator closed and settled %d batches; for cards, the acquirer's totals are the same as ours, per shop and currency:", len(settled.Batches))
	for _, b := range settled.Batches {
		if b.Method != "card" {
			continue
		}
		totals := make([]string, len(b.Totals))
		for i, t := range b.Totals {
			totals[i] = t.String()
		}
		d.say("  %s  %-13s %s", b.ID, b.Merchant, strings.Join(totals, ", "))
	}
	f := settled.Files[0]
	d.say("  Bank entries are in %s, effective %s: %d entries, %s debits, %s credits; its digest was logged first.", f.Name, f.Effective,
		f.Entries, envelope.FormatAmount(f.Debits, "USD"), envelope.FormatAmount(f.Credits, "USD"))
	return d.checkFiles(1)
}

// settleNextDay lets the shops refund what was settled and forget accounts, settles that too, and
// then settles nothing.
func (d *demo) settleNextDay(ctx context.Context) error {
	if _, err := d.postRound(ctx, 3); err != nil {
		return err
	}
	if _, err := d.await(ctx); err != nil {
		return err
	}
	settled, err := d.closeAndSettle(ctx)
	if err != nil {
		return err
	}
	if err := d.checkFiles(2); err != nil {
		return err
	}
	again, err := d.closeAndSettle(ctx)
	if err != nil {
		return err
	}
	if again.Payments != 0 || len(again.Files) != 0 {
		return fmt.Errorf("a third settlement settled %d payments with %d files", again.Payments, len(again.Files))
	}
	d.say("After that: %s; in %d batches and a second file. Settling a third time changed nothing.", operationsOf(d.orders, 3), len(settled.Batches))
	return nil
}

func (d *demo) closeAndSettle(ctx context.Context) (s settlement, err error) {
	if _, err := d.site.VaultRun(ctx, "batch", "close", "--all"); err != nil {
		return s, err
	}
	out, err := d.site.VaultRun(ctx, "batch", "settle", "--all", "--json")
	if err != nil {
		return s, err
	}
	err = json.Unmarshal([]byte(out), &s)
	d.tally.settled += s.Payments
	return s, err
}

// checkFiles looks at the settlement files as the vault's host has them. The bank wants account
// numbers in them, so nobody else may read them.
func (d *demo) checkFiles(want int) error {
	files, err := filepath.Glob(filepath.Join(d.site.BankOutbox(), "*.ach"))
	if err != nil || len(files) != want {
		return errors.Join(err, fmt.Errorf("%d settlement files in the outbox, not %d", len(files), want))
	}
	for path, most := range map[string]os.FileMode{d.site.BankOutbox(): 0o700, files[want-1]: 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Mode().Perm()&^most != 0 {
			return fmt.Errorf("%s has mode %#o, more than %#o", path, info.Mode().Perm(), most)
		}
	}
	return nil
}

// importReturns waits for the bank's answer to the day's file and imports it, twice.
func (d *demo) importReturns(ctx context.Context) error {
	answer, err := d.awaitAnswer(ctx)
	if err != nil {
		return err
	}
	var taken [2][]struct {
		Already          bool
		Returns          int
		Acknowledgements int
	}
	for i := range taken {
		out, err := d.site.VaultRun(ctx, "returns", "import", answer, "--json")
		if err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(out), &taken[i]); err != nil || len(taken[i]) != 1 {
			return fmt.Errorf("returns import printed %q: %w", out, err)
		}
	}
	first, again := taken[0][0], taken[1][0]
	if first.Already || first.Returns == 0 || !again.Already {
		return errors.New("the bank's answer was not taken once and only once")
	}
	d.say("The bank's answer returned %d entries (no money, no such account, not authorised ...) and acknowledged %d; imported twice, taken once.",
		first.Returns, first.Acknowledgements)
	return nil
}

// awaitAnswer waits for the bank, which looks for new files every second.
func (d *demo) awaitAnswer(ctx context.Context) (string, error) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		answers, err := filepath.Glob(filepath.Join(d.site.Returns(), "*.ach"))
		if err != nil {
			return "", err
		}
		if len(answers) > 0 {
			return slices.Min(answers), nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return "", errors.New("the bank has not answered the settlement file")
}
