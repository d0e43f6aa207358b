package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// order is one line of testdata/payments.csv.
type order struct {
	merchant  string
	round     int    // 1: the day's first; 2: needs their answers; 3: needs the settlement
	operation string // "": sale
	id        string
	token     string // id of the order that stores the account
	reference string
	amount    string
	currency  string
	number    string // of a card
	expiry    string
	account   string // of a bank
	defect    string // kind of a bad one; "" of a good one

	cells []string // the line's columns that a shop's own file has
}

// byHand reports whether no honest storefront would make the order's envelope.
func (o order) byHand() bool { return answers[o.defect].byHand }

// ours are the columns that only this file has.
var ours = []string{"merchant", "round", "defect"}

// readOrders reads the day's orders, and the header of the shops' own files.
func readOrders(path string) (orders []order, header []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil || len(records) < 2 {
		return nil, nil, fmt.Errorf("%s holds no orders that can be read: %w", path, err)
	}
	for _, record := range records[1:] {
		cell := map[string]string{}
		var o order
		for i, name := range records[0] {
			cell[name] = record[i]
			if !slices.Contains(ours, name) {
				o.cells = append(o.cells, record[i])
			}
		}
		o.merchant, o.operation, o.id, o.token, o.reference = cell["merchant"], cell["operation"], cell["id"], cell["token"], cell["reference"]
		o.amount, o.currency, o.number, o.expiry, o.account = cell["amount"], cell["currency"], cell["number"], cell["expiry"], cell["account"]
		o.defect = cell["defect"]
		if o.round, err = strconv.Atoi(cell["round"]); err != nil {
			return nil, nil, fmt.Errorf("%s: the round of %s is no number", path, o.id)
		}
		orders = append(orders, o)
	}
	header = slices.DeleteFunc(slices.Clone(records[0]), func(name string) bool { return slices.Contains(ours, name) })
	return orders, header, nil
}

func merchantsOf(orders []order) []string {
	var ids []string
	for _, o := range orders {
		if !slices.Contains(ids, o.merchant) {
			ids = append(ids, o.merchant)
		}
	}
	slices.Sort(ids)
	return ids
}

// currenciesOf lists the currencies that a merchant sells in.
func currenciesOf(orders []order, merchant string) []string {
	var codes []string
	for _, o := range orders {
		if o.merchant == merchant && o.currency != "" && !slices.Contains(codes, o.currency) {
			codes = append(codes, o.currency)
		}
	}
	slices.Sort(codes)
	return codes
}

// numbersOf lists the account numbers of some orders, of cards and of banks, each once.
func numbersOf(orders []order, some func(order) bool) []string {
	var numbers []string
	for _, o := range orders {
		if !some(o) {
			continue
		}
		for _, number := range []string{o.number, o.account} {
			if number != "" {
				numbers = append(numbers, number)
			}
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// operationsOf counts a round's orders for a sentence, the most frequent first.
func operationsOf(orders []order, round int) string {
	counts := map[string]int{}
	for _, o := range orders {
		if o.round == round {
			counts[o.operation]++
		}
	}
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int { return counts[y]*1000 - counts[x]*1000 + strings.Compare(x, y) })
	for i, name := range names {
		names[i] = fmt.Sprintf("%d %s", counts[name], name)
	}
	return strings.Join(names, ", ")
}

// writeShopFile writes a merchant's orders of a round as the CSV file that its shop would have,
// with the tokens that the vault has given.
func (d *demo) writeShopFile(merchant string, round int) (path string, count int, err error) {
	records := [][]string{d.header}
	token := slices.Index(d.header, "token")
	for _, o := range d.orders {
		if o.merchant != merchant || o.round != round || o.byHand() {
			continue
		}
		if o.token != "" {
			o.cells = slices.Clone(o.cells)
			if o.cells[token] = d.tokens[o.token]; o.cells[token] == "" {
				return "", 0, fmt.Errorf("%s: the vault has given no token for order %s", merchant, o.token)
			}
		}
		records = append(records, o.cells)
	}
	path = filepath.Join(d.site.Path("shops", merchant), fmt.Sprintf("orders-%d.csv", round))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", 0, err
	}
	if err := csv.NewWriter(f).WriteAll(records); err != nil {
		return "", 0, err
	}
	return path, len(records) - 1, f.Close()
}
