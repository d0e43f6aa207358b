// Command payments writes testdata/payments.csv: a day of five merchants, with sales on cards of
// all brands and on bank accounts, authorisations, captures, voids, refunds, payouts and stored
// accounts, with the declines, timeouts, dropped answers and returns that the simulator knows by
// amount, and bad ones of eighteen kinds. The same bytes every time; the numbers are made up, and
// belong to nobody.
//
// Its columns are those of `storefront post --csv`, and two that the demonstration reads: round is
// 1 to 3 (the day's first, what needs their answers, what comes after settlement), defect the kind
// of a bad one. A token's column holds the id of the row that stores the account, until the vault
// has given the token.
package main

import (
	"encoding/csv"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
)

func main() {
	out := flag.String("out", "testdata/payments.csv", "file to write")
	flag.Parse()
	if err := write(*out); err != nil {
		fmt.Fprintln(os.Stderr, "payments:", err)
		os.Exit(1)
	}
}

const rows = 1_000

func write(path string) error {
	d := &day{random: rand.New(rand.NewPCG(8583, 2026))} //nolint:gosec // the same file every time
	d.authorisations()
	d.storedAccounts()
	d.bankAccounts()
	d.cardRefunds()
	d.refusals()
	d.cardSales(rows - len(d.rows))
	if len(d.rows) != rows {
		return fmt.Errorf("the plan has %d rows, not %d", len(d.rows), rows)
	}
	d.random.Shuffle(rows, func(i, j int) { d.rows[i], d.rows[j] = d.rows[j], d.rows[i] })
	slices.SortStableFunc(d.rows, func(x, y *row) int { return x.round - y.round })
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	if err := w.Write(header); err != nil {
		return err
	}
	for _, r := range d.rows {
		if err := w.Write(r.record()); err != nil {
			return err
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	return f.Close()
}

var header = []string{"merchant", "round", "operation", "id", "of", "token", "reference", "amount", "currency", "number", "expiry",
	"routing", "account", "type", "name", "code", "descriptor", "defect"}

// row is one line of the file.
type row struct {
	merchant                      string
	round                         int
	operation, id, of, token      string
	reference                     string
	amount                        int // 0: none
	currency                      string
	number, expiry                string
	routing, account, accountType string
	name, code, descriptor        string
	defect                        string
}

func (r *row) record() []string {
	amount := ""
	if r.amount > 0 {
		amount = fmt.Sprint(r.amount)
	}
	return []string{r.merchant, fmt.Sprint(r.round), r.operation, r.id, r.of, r.token, r.reference, amount, r.currency, r.number, r.expiry,
		r.routing, r.account, r.accountType, r.name, r.code, r.descriptor, r.defect}
}
