package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

type merchant struct {
	id, descriptor string
	currencies     []string
	low, high      int // amounts in minor units
	weight         int // share of the sales
}

var (
	bookshop = merchant{"bookshop", "BOOKSHOP ONLINE", []string{"EUR", "EUR", "GBP"}, 599, 8_900, 30}
	grocer   = merchant{"grocer-north", "GROCER NORTH", []string{"EUR"}, 1_250, 19_900, 25}
	tickets  = merchant{"tickets-live", "TICKETS LIVE", []string{"USD", "GBP"}, 2_500, 45_000, 20}
	teaHouse = merchant{"tea-house", "TEA HOUSE KYOTO", []string{"JPY", "USD", "KWD"}, 480, 24_000, 15}
	velo     = merchant{"velo-works", "VELO WORKS", []string{"USD", "EUR"}, 9_900, 780_000, 10}
)

// outcomes are the card sales that are not simply approved, by the simulator's rules on amounts. A
// dropped connection leaves whatever waits on it without an answer, so those come when nothing does
// on which another order builds.
var outcomes = []struct{ amount, count, round int }{
	// declined
	{900_051, 34, 1}, {900_005, 18, 1}, {900_054, 9, 1}, {900_061, 6, 1}, {900_014, 5, 1},
	// no answer, a late one, a dropped connection
	{900_100, 6, 2}, {900_101, 6, 2}, {900_102, 8, 2},
}

// day collects the rows.
type day struct {
	random *rand.Rand
	rows   []*row
}

// add appends a row, with an id and a reference of its own.
func (d *day) add(m merchant, round int, operation string) *row {
	r := &row{merchant: m.id, round: round, operation: operation, id: d.id(), reference: fmt.Sprintf("%s-%06d", m.id, len(d.rows)+1)}
	d.rows = append(d.rows, r)
	return r
}

// id is a UUID of version 4.
func (d *day) id() string {
	a, b := d.random.Uint64(), d.random.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&0xffffffffffff)
}

// bill gives a row an amount and a currency, within the merchant's range.
func (d *day) bill(r *row, m merchant) *row {
	r.amount, r.currency = m.low+d.random.IntN(m.high-m.low), m.currencies[d.random.IntN(len(m.currencies))]
	return r
}

// sale adds a card sale, or an authorisation, of the first round.
func (d *day) sale(m merchant, operation string) *row {
	r := d.bill(d.add(m, 1, operation), m)
	r.card(d.random)
	r.descriptor = m.descriptor
	return r
}

// follow adds a row about another one.
func (d *day) follow(of *row, m merchant, round int, operation string, amount int) *row {
	r := d.add(m, round, operation)
	r.of, r.amount, r.reference = of.id, amount, of.reference+"-"+operation
	if amount > 0 {
		r.reference += "-" + strconv.Itoa(amount)
	}
	return r
}

// cardSales fills up with sales, some of which have other outcomes, and some are bad.
func (d *day) cardSales(count int) {
	all := []merchant{bookshop, grocer, tickets, teaHouse, velo}
	sales := make([]*row, count)
	for i := range sales {
		sales[i] = d.sale(pick(d.random, all, func(m merchant) int { return m.weight }), "sale")
	}
	for _, o := range outcomes {
		for range o.count {
			sales[0].amount, sales[0].round, sales = o.amount, o.round, sales[1:]
		}
	}
	for range 8 { // security code 999 is declined with N7
		if len(sales[0].code) == 3 {
			sales[0].code = "999"
		}
		sales = sales[1:]
	}
	for _, defect := range defects {
		for range defect.count {
			sales[0].spoil(defect.name, sales[100].number)
			sales = sales[1:]
		}
	}
}
