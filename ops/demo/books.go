package main

import (
	"context"
	"encoding/json"
	"fmt"
)

// hostBook is what `simulator book --json` tells.
type hostBook struct {
	Sales, Charged, Reversed, Declined int
	Doubled                            []string
	Transactions                       []struct {
		RRN, Answer string
		Amount      int64
		Reversed    bool
	}
}

// compareBooks holds the vault's ledger against the acquirer's own book, payment by payment.
func (d *demo) compareBooks(ctx context.Context) error {
	out, err := d.site.Run(ctx, "simulator", "book", "--book", d.site.Book(), "--json")
	if err != nil {
		return err
	}
	var book hostBook
	if err := json.Unmarshal([]byte(out), &book); err != nil {
		return err
	}
	charged := map[string]int64{} // amount by retrieval reference number
	for _, t := range book.Transactions {
		if t.Answer == "00" && !t.Reversed {
			charged[t.RRN] += t.Amount
		}
	}
	d.tally.duplicated = len(book.Doubled)
	for _, shop := range d.shops {
		payments, err := d.payments(ctx, shop)
		if err != nil {
			return err
		}
		for _, p := range payments {
			if p.Trace == nil {
				continue
			}
			amount, ok := charged[p.Trace.RRN]
			delete(charged, p.Trace.RRN)
			switch {
			case p.Stage == "settled" && (!ok || amount != p.Amount):
				d.tally.lost++
			case p.Stage != "settled" && ok:
				d.tally.duplicated++
			}
		}
	}
	d.tally.duplicated += len(charged) // charged, but no payment of ours
	d.say("The acquirer's own book: %d sales taken, %d declined, %d reversed, %d charged. Held against the ledger one by one:", book.Sales, book.Declined, book.Reversed, book.Charged)
	d.say("  %d settled payments that were not charged, %d charges too many.", d.tally.lost, d.tally.duplicated)
	if book.Charged != d.tally.settled {
		return fmt.Errorf("%d payments are settled but %d were charged", d.tally.settled, book.Charged)
	}
	return nil
}
