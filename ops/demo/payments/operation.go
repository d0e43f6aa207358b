package main

// authorisations are captured in two parts, in one, or taken back; one in three of them is refunded
// in part.
func (d *day) authorisations() {
	for i := range 30 {
		m := []merchant{velo, tickets, teaHouse}[i%3]
		hold := d.sale(m, "authorize")
		switch {
		case i < 10:
			d.follow(hold, m, 2, "capture", hold.amount*6/10)
			d.follow(hold, m, 2, "capture", hold.amount*3/10)
		case i < 16:
			d.follow(hold, m, 2, "capture", hold.amount)
		case i < 18:
			d.follow(hold, m, 2, "void", 0)
		}
		if i < 4 {
			d.follow(hold, m, 3, "refund", hold.amount/5)
		}
	}
}

// storedAccounts are sold to by token, get a new expiry, and are forgotten.
func (d *day) storedAccounts() {
	for i := range 8 {
		m := []merchant{bookshop, tickets}[i%2]
		member := d.add(m, 1, "store")
		member.card(d.random)
		member.code = ""
		for range 1 + i%2 {
			sale := d.bill(d.add(m, 2, "sale"), m)
			sale.token = member.id
		}
		if i < 2 {
			update := d.add(m, 2, "update")
			update.token, update.expiry = member.id, "2034-06"
		}
		if i < 5 {
			d.add(m, 3, "forget").token = member.id
		}
	}
}

// returned are the amounts of bank entries that come back, by the simulator's rule: 900200 and the
// number of the reason.
var returned = []int{900_201, 900_201, 900_203, 900_210, 900_229}

// bankAccounts are charged, paid out to and refunded, in dollars.
func (d *day) bankAccounts() {
	in := func(r *row, low, high int) *row {
		r.amount, r.currency = low+d.random.IntN(high-low), "USD"
		r.bank(d.random)
		return r
	}
	for i := range 60 {
		m := []merchant{velo, tickets, teaHouse}[i%3]
		sale := in(d.add(m, 1, "sale"), 2_000, 250_000)
		switch {
		case i < len(returned):
			sale.amount = returned[i]
		case i < 7:
			d.follow(sale, m, 2, "void", 0)
		case i < 11:
			d.follow(sale, m, 3, "refund", sale.amount/2)
		}
	}
	for i := range 10 {
		payout := in(d.add(velo, 1, "payout"), 10_000, 500_000)
		if i == 0 {
			payout.amount = 900_203
		}
	}
}

// cardRefunds are of sales, in one part or in two; four more sales are voided on the day.
func (d *day) cardRefunds() {
	all := []merchant{bookshop, grocer, tickets, teaHouse, velo}
	for i := range 14 {
		m := all[i%len(all)]
		sale := d.sale(m, "sale")
		d.follow(sale, m, 3, "refund", sale.amount/2)
		if i < 4 {
			d.follow(sale, m, 3, "refund", sale.amount-sale.amount/2)
		}
	}
	for i := range 4 {
		m := all[i%len(all)]
		d.follow(d.sale(m, "sale"), m, 2, "void", 0)
	}
}
