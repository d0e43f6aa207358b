package main

import (
	"fmt"
	"math/rand/v2"
)

type brand struct {
	prefix string
	length int
	code   int // digits of the security code
	weight int
}

// brands follow the issuers' published ranges (ISO/IEC 7812).
var brands = []brand{
	{"4", 16, 3, 44}, {"51", 16, 3, 9}, {"53", 16, 3, 9}, {"55", 16, 3, 9}, {"2221", 16, 3, 4}, {"34", 15, 4, 4}, {"37", 15, 4, 5},
	{"6011", 16, 3, 4}, {"36", 14, 3, 2}, {"3530", 16, 3, 3}, {"6212", 16, 3, 3}, {"6759", 16, 3, 2}, {"4", 19, 3, 2},
}

var givenNames = []string{"Ada", "Bram", "Chika", "Dario", "Elif", "Femi", "Greta", "Hugo", "Ines", "Jun", "Kaja", "Luca", "Mira", "Noor", "Otto", "Priya"}
var familyNames = []string{"Abele", "Berg", "Castro", "Dvorak", "Eriksen", "Fontaine", "Garcia", "Haas", "Ito", "Jansen", "Kowalska", "Lindt", "Moreau", "Nakamura", "Okafor", "Petrov"}

func holder(random *rand.Rand) string {
	return givenNames[random.IntN(len(givenNames))] + " " + familyNames[random.IntN(len(familyNames))]
}

// card gives a row a card, without a security code in one case of ten.
func (r *row) card(random *rand.Rand) {
	b := pick(random, brands, func(b brand) int { return b.weight })
	r.number, r.expiry, r.name = cardNumber(random, b), fmt.Sprintf("%d-%02d", 2029+random.IntN(4), 1+random.IntN(12)), holder(random)
	if random.IntN(10) > 0 {
		r.code = fmt.Sprintf("%0*d", b.code, random.IntN(990))
	}
}

// bank gives a row a bank account of 12 to 17 digits: shorter ones are found everywhere by chance.
func (r *row) bank(random *rand.Rand) {
	r.routing = routing(random)
	r.account = fmt.Sprint(1 + random.IntN(9))
	for range 11 + random.IntN(6) {
		r.account += fmt.Sprint(random.IntN(10))
	}
	r.accountType, r.name = "checking", holder(random)
	if random.IntN(4) == 0 {
		r.accountType = "savings"
	}
}

func pick[T any](random *rand.Rand, from []T, weight func(T) int) T {
	total := 0
	for _, one := range from {
		total += weight(one)
	}
	n := random.IntN(total)
	for _, one := range from {
		if n -= weight(one); n < 0 {
			return one
		}
	}
	return from[0]
}

func cardNumber(random *rand.Rand, b brand) string {
	digits := []byte(b.prefix)
	for len(digits) < b.length-1 {
		digits = append(digits, byte('0'+random.IntN(10)))
	}
	return string(append(digits, checkDigit(digits)))
}

// checkDigit is ISO/IEC 7812-1 annex B (Luhn) over the digits before it.
func checkDigit(digits []byte) byte {
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return byte('0' + (10-sum%10)%10)
}

// routing is a number of the form of the ABA's, nine digits of which the weighted sum is a multiple
// of ten. The first two, 80, were given to issuers of traveller's cheques, who have no accounts.
func routing(random *rand.Rand) string {
	digits := fmt.Sprintf("80%d%05d", 1+random.IntN(8), random.IntN(1_000_000)/10)
	sum := 0
	for i, weight := range []int{3, 7, 1, 3, 7, 1, 3, 7} {
		sum += weight * int(digits[i]-'0')
	}
	return fmt.Sprintf("%s%d", digits, (10-sum%10)%10)
}
