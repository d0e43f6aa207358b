package main

// defects are the bad ones that no honest storefront makes; the demonstration knows how to make
// each.
var defects = []struct {
	name  string
	count int
}{
	{"plaintext", 3}, {"foreign-signature", 3}, {"late", 3}, {"unknown-key", 3}, {"oversize", 2}, {"luhn", 3}, {"expired-card", 3},
	{"bad-account", 3}, {"amount", 3}, {"reference", 3}, {"moved-part", 2}, {"id-conflict", 3},
}

// spoil makes a row bad where a row can be; the other defects are made when it is sealed or posted.
func (r *row) spoil(defect, otherNumber string) {
	r.defect = defect
	last := len(r.number) - 1
	switch defect {
	case "luhn":
		r.number = r.number[:last] + string('0'+(r.number[last]-'0'+1)%10)
	case "expired-card":
		r.expiry = "2024-02"
	case "bad-account": // fourteen digits, which no number of this brand has
		r.number = "4" + r.number[1:13]
		r.number += string(checkDigit([]byte(r.number)))
	case "amount":
		r.amount = 100_000_000 // one more than the largest
	case "reference": // a shop that puts the number where it never belongs
		r.reference = "card " + otherNumber
	}
}

// refusals are in perfect order, each by itself, and ask for what may not be: one of each kind,
// named by the code that it must get.
func (d *day) refusals() {
	hold := d.sale(velo, "authorize")
	d.follow(hold, velo, 2, "capture", hold.amount+1).defect = "over-authorised"

	sale := d.sale(grocer, "sale")
	d.follow(sale, grocer, 3, "refund", sale.amount+1).defect = "over-captured"

	settled := d.sale(teaHouse, "sale")
	d.follow(settled, teaHouse, 3, "void", 0).defect = "wrong-state"

	member := d.add(bookshop, 1, "store")
	member.card(d.random)
	member.code = ""
	thief := d.bill(d.add(grocer, 2, "sale"), grocer) // another shop's customer
	thief.token, thief.defect = member.id, "unknown-token"

	payout := d.add(tickets, 1, "payout") // its policy has no payouts
	payout.amount, payout.currency, payout.defect = 12_500, "USD", "not-permitted"
	payout.bank(d.random)

	closed := d.add(velo, 1, "sale")
	closed.amount, closed.currency = 900_202, "USD" // returned: the account is closed
	closed.bank(d.random)
	again := d.add(velo, 3, "sale")
	again.amount, again.currency, again.defect = 4_900, "USD", "blocked-account"
	again.routing, again.account, again.accountType, again.name = closed.routing, closed.account, closed.accountType, closed.name
}
