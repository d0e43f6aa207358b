package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// sale is one line of testdata/payments.csv.
type sale struct {
	merchant, reference, amount, currency, number, expiry, name, code, descriptor, defect string
}

// readSales reads the day's sales.
func readSales(path string) ([]sale, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var sales []sale
	for _, r := range records[1:] {
		sales = append(sales, sale{r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9]})
	}
	if len(sales) == 0 {
		return nil, fmt.Errorf("%s holds no sales", path)
	}
	return sales, nil
}

func merchantsOf(sales []sale) []string {
	var ids []string
	for _, s := range sales {
		if !slices.Contains(ids, s.merchant) {
			ids = append(ids, s.merchant)
		}
	}
	slices.Sort(ids)
	return ids
}

// currenciesOf lists the currencies that a merchant sells in.
func currenciesOf(sales []sale, merchant string) []string {
	var codes []string
	for _, s := range sales {
		if s.merchant == merchant && !slices.Contains(codes, s.currency) {
			codes = append(codes, s.currency)
		}
	}
	slices.Sort(codes)
	return codes
}

// writeShopFile writes a merchant's good sales as the CSV file that its shop would have.
func writeShopFile(dir, merchant string, sales []sale) (path string, count int, err error) {
	rows := [][]string{{"reference", "amount", "currency", "number", "expiry", "name", "code", "descriptor"}}
	for _, s := range sales {
		if s.merchant == merchant && s.defect == "" {
			rows = append(rows, []string{s.reference, s.amount, s.currency, s.number, s.expiry, s.name, s.code, s.descriptor})
		}
	}
	path = filepath.Join(dir, "sales.csv")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", 0, err
	}
	if err := csv.NewWriter(f).WriteAll(rows); err != nil {
		return "", 0, err
	}
	return path, len(rows) - 1, f.Close()
}
