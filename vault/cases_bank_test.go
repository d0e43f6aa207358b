package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

// cases are small inputs that failed once; its README says what is right.
const cases = "../testdata/cases"

// ownCase is a bank's file of the cases, written for entries of our own: each return is of a sale
// of its amount, in the name of our bank, for us, of our company. What names an entry of another
// system goes on to name none. It returns the sales that come back, too.
func (r *returns) ownCase(name string) (file []byte, ids []string) {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(cases, name))
	r.must(err)
	lines := strings.Split(strings.ReplaceAll(string(text), "1337818896", "1234567890"), "\n")
	lines[0] = strings.Replace(lines[0], "1987654321 123456780", " 121042882 231380104", 1)
	for i, line := range lines {
		if !strings.HasPrefix(line, "799") {
			continue
		}
		trace := "231380109999999"
		if !strings.Contains(line, "123456789999999") {
			amount, err := strconv.ParseInt(lines[i-1][29:39], 10, 64)
			r.must(err)
			at := slices.IndexFunc(r.sales, func(p control.Payment) bool { return p.Amount == amount })
			if at < 0 {
				r.t.Fatalf("%s: no sale of %d is left", name, amount)
			}
			trace, ids = r.sales[at].Entry, append(ids, r.sales[at].ID)
			r.sales = slices.Delete(r.sales, at, at+1)
		}
		lines[i] = line[:6] + trace + line[21:]
	}
	return []byte(strings.Join(lines, "\n")), ids
}

// TestCasesOfBankFiles imports each bank's file of the cases by the command line.
func TestCasesOfBankFiles(t *testing.T) {
	r, stop := newReturnsOf(t, 1006, 1006, 1007, 1008, 1014, 1015)
	paths, err := filepath.Glob(filepath.Join(cases, "*.ach"))
	if err != nil || len(paths) != 4 {
		t.Fatalf("the cases have the bank's files %v, %v", paths, err)
	}
	for _, path := range paths {
		name := filepath.Base(path)
		file, ids := r.ownCase(name)
		wantCode, wantLeft := 0, 0
		if name == "returns-one-entry-of-another-system.ach" {
			wantCode, wantLeft = 1, 1
		}
		code, told := r.importing(file)
		if code != wantCode || told.Returns != len(ids) || len(ids) == 0 || told.LeftCount != wantLeft {
			t.Errorf("%s: exit code %d, %+v, want %d returns", name, code, told, len(ids))
		}
		for _, id := range ids {
			if p := r.payment(id); p.Status != book.StageReturned {
				t.Errorf("%s: a sale is %s", name, p.Status)
			}
		}
	}
	stop()
	r.checkLedger()
}

// TestCasesOfBankAccounts sells from the accounts of the cases: first digits of a routing number
// that no bank has, and a number of four digits.
func TestCasesOfBankAccounts(t *testing.T) {
	m := newMonth(t)
	stop := m.begin()
	f, err := os.Open(filepath.Join(cases, "routing-prefixes.csv"))
	m.must(err)
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) < 9 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	sale := order("sale", `,"amount":151,"currency":"USD"`)
	for _, row := range rows[1:] {
		account := `{"bank":{"routing":"` + row[3] + `","account":"` + row[4] + `","type":"` + row[5] + `","name":"` + row[6] + `"}}`
		id := m.send(draft{order: sale, account: account})[0]
		if row[3] == "610000005" {
			m.reaches(id, book.StageAccepted)
			continue
		}
		m.reaches(id, book.StageRejected)
		if p := m.payment(id); p.Code != "routing" {
			t.Errorf("%s is answered %s", row[3], p.Code)
		}
	}
	short, err := os.ReadFile(filepath.Join(cases, "mask-bank-4-digits.json"))
	m.must(err)
	id := m.send(draft{order: sale, account: strings.TrimSpace(string(short))})[0]
	m.reaches(id, book.StageAccepted)
	if p := m.payment(id); p.Masked != "******34" {
		t.Errorf("masked %s", p.Masked)
	}
	stop()
	m.checkLedger()
}
