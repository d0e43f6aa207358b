package main

import (
	"context"
	"fmt"
)

// compareBooks holds the vault's ledger against the acquirer's own book, payment by payment.
func (d *demo) compareBooks(ctx context.Context) error {
	book, err := d.site.ReadHostBook(ctx)
	if err != nil {
		return err
	}
	moved := map[string]int64{} // amount by retrieval reference number, of credits below 0
	for _, t := range book.Transactions {
		if t.Answer != "00" || t.Reversed || t.Kind == "hold" {
			continue
		}
		if t.Kind == "refund" {
			t.Amount = -t.Amount
		}
		moved[t.RRN] += t.Amount
	}
	payments, err := d.allPayments(ctx)
	if err != nil {
		return err
	}
	same, lost, more := compare(payments, moved, func(p vaultPayment) string {
		if p.Trace == nil || p.Operation == "authorize" {
			return ""
		}
		return p.Trace.RRN
	})
	d.say("The acquirer's own book has %d sales, %d holds, %d captures and %d refunds; %d were declined, %d reversed.", book.Sales,
		book.Holds, book.Captures, book.Refunds, book.Declined, book.Reversed)
	d.say("Held against the ledger, payment by payment: %d the same, %d settled ones missing there, %d too many or twice.", same, lost, more+len(book.Doubled))
	d.tally.lost += lost
	d.tally.duplicated += more + len(book.Doubled)
	if same != book.Charged+book.Credited {
		return fmt.Errorf("%d card payments are settled but the acquirer's book has %d charges and %d credits", same, book.Charged, book.Credited)
	}
	return nil
}

// compareBank does the same with the bank's book of the settlement files.
func (d *demo) compareBank(ctx context.Context) error {
	book, err := d.site.ReadBankBook(ctx)
	if err != nil {
		return err
	}
	moved := map[string]int64{} // amount by trace number
	for _, f := range book.List {
		for _, e := range f.Entries {
			if e.Credit {
				e.Amount = -e.Amount
			}
			moved[e.Trace] += e.Amount
		}
	}
	payments, err := d.allPayments(ctx)
	if err != nil {
		return err
	}
	same, lost, more := compare(payments, moved, func(p vaultPayment) string { return p.Entry })
	d.say("  The bank's book of %d files has %d entries, %d returned: %d the same, %d missing there, %d too many or twice.",
		len(book.List), book.Entries, book.Returned, same, lost, more+len(book.Doubled))
	d.tally.lost += lost
	d.tally.duplicated += more + len(book.Doubled)
	return nil
}

func (d *demo) allPayments(ctx context.Context) (all []vaultPayment, err error) {
	for _, shop := range d.shops {
		payments, err := d.payments(ctx, shop)
		if err != nil {
			return nil, err
		}
		all = append(all, payments...)
	}
	return all, nil
}

// compare counts the settled payments that a book has with the same amount, those that it has not,
// and what else is in it. key names a payment as the book does, "" where it has no business there.
func compare(payments []vaultPayment, moved map[string]int64, key func(vaultPayment) string) (same, lost, more int) {
	for _, p := range payments {
		name := key(p)
		if name == "" {
			continue
		}
		amount, ok := moved[name]
		delete(moved, name)
		want := p.Amount
		if p.credit() {
			want = -want
		}
		switch {
		case p.moved() && ok && amount == want:
			same++
		case p.moved():
			lost++
		case ok:
			more++
		}
	}
	return same, lost, more + len(moved)
}
