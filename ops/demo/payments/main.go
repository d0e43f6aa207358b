// Command payments writes testdata/payments.csv: a day's card sales of five merchants, all brands, with the declines, timeouts and
// dropped answers that the simulator knows by amount, and bad ones of twelve kinds. The same bytes every time; the numbers are
// made up, and belong to nobody.
package main

import (
	"encoding/csv"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
)

func main() {
	out := flag.String("out", "testdata/payments.csv", "file to write")
	flag.Parse()
	if err := write(*out); err != nil {
		fmt.Fprintln(os.Stderr, "payments:", err)
		os.Exit(1)
	}
}

type merchant struct {
	id, descriptor string
	currencies     []string
	low, high      int // amounts in minor units
	weight         int // share of the sales
}

var merchants = []merchant{
	{"bookshop", "BOOKSHOP ONLINE", []string{"EUR", "EUR", "GBP"}, 599, 8_900, 30},
	{"grocer-north", "GROCER NORTH", []string{"EUR"}, 1_250, 19_900, 25},
	{"tickets-live", "TICKETS LIVE", []string{"USD", "GBP"}, 2_500, 45_000, 20},
	{"tea-house", "TEA HOUSE KYOTO", []string{"JPY", "USD"}, 480, 24_000, 15},
	{"velo-works", "VELO WORKS", []string{"USD", "EUR"}, 9_900, 780_000, 10},
}

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

// outcomes are the sales that are not simply approved, by the simulator's rules on amounts.
var outcomes = []struct {
	amount, count int
}{
	{900_051, 34}, {900_005, 18}, {900_054, 9}, {900_061, 6}, {900_014, 5}, // declined
	{900_100, 6}, {900_101, 6}, {900_102, 8}, // no answer, a late one, a dropped connection
}

// defects are the bad ones; the demonstration knows how to make each.
var defects = []struct {
	name  string
	count int
}{
	{"plaintext", 4}, {"foreign-signature", 4}, {"late", 3}, {"unknown-key", 3}, {"oversize", 2}, {"luhn", 4}, {"expired-card", 4},
	{"bad-account", 3}, {"amount", 3}, {"reference", 4}, {"moved-part", 3}, {"id-conflict", 3},
}

const sales = 1_000

func write(path string) error {
	random := rand.New(rand.NewPCG(8583, 2026)) //nolint:gosec // the same file every time
	rows := make([][]string, 0, sales)
	for i := range sales {
		rows = append(rows, sale(random, i+1))
	}
	next := 0
	for _, o := range outcomes {
		for range o.count {
			rows[next][columnAmount] = strconv.Itoa(o.amount)
			next++
		}
	}
	for range 8 { // security code 999 is declined with N7
		if len(rows[next][columnCode]) == 3 {
			rows[next][columnCode] = "999"
		}
		next++
	}
	for _, d := range defects {
		for range d.count {
			spoil(rows[next], d.name, rows[next+100][columnNumber])
			next++
		}
	}
	random.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	header := []string{"merchant", "reference", "amount", "currency", "number", "expiry", "name", "code", "descriptor", "defect"}
	if err := w.WriteAll(slices.Insert(rows, 0, header)); err != nil {
		return err
	}
	return f.Close()
}

const (
	columnReference = 1
	columnAmount    = 2
	columnNumber    = 4
	columnExpiry    = 5
	columnCode      = 7
	columnDefect    = 9
)

func sale(random *rand.Rand, order int) []string {
	m := pick(random, merchants, func(m merchant) int { return m.weight })
	b := pick(random, brands, func(b brand) int { return b.weight })
	code := ""
	if random.IntN(10) > 0 { // one in ten comes without a security code
		code = fmt.Sprintf("%0*d", b.code, random.IntN(990))
	}
	name := givenNames[random.IntN(len(givenNames))] + " " + familyNames[random.IntN(len(familyNames))]
	return []string{
		m.id, fmt.Sprintf("%s-%06d", m.id, order), strconv.Itoa(m.low + random.IntN(m.high-m.low)),
		m.currencies[random.IntN(len(m.currencies))], number(random, b),
		fmt.Sprintf("%d-%02d", 2029+random.IntN(4), 1+random.IntN(12)), name, code, m.descriptor, "",
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

func number(random *rand.Rand, b brand) string {
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

// spoil makes a row bad where a row can be; the other defects are made when it is sealed or posted.
func spoil(row []string, defect, otherNumber string) {
	row[columnDefect] = defect
	last := len(row[columnNumber]) - 1
	switch defect {
	case "luhn":
		row[columnNumber] = row[columnNumber][:last] + string('0'+(row[columnNumber][last]-'0'+1)%10)
	case "expired-card":
		row[columnExpiry] = "2024-02"
	case "bad-account": // no brand has such numbers
		row[columnNumber] = "9" + row[columnNumber][1:last]
		row[columnNumber] += string(checkDigit([]byte(row[columnNumber])))
	case "amount":
		row[columnAmount] = "100000000" // one more than the largest
	case "reference": // a shop that puts the number where it never belongs
		row[columnReference] = "card " + otherNumber
	}
}
