package nacha_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nightdrop/vault/internal/account"
	"nightdrop/vault/internal/acquirer/nacha"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// odfi is the originating bank of these tests; 09100001 9 is its routing number.
const odfi = "09100001"

var ourBank = nacha.Bank{
	ImmediateDestination: "091000019", DestinationName: "NORTHERN CLEARING BANK", ImmediateOrigin: "1987654321", OriginName: "NIGHTDROP VAULT", ODFI: odfi,
}

func bank(t testing.TB, routing, number, kind, name string) *account.Bank {
	t.Helper()
	a, err := account.Parse(fmt.Appendf(nil, `{"bank":{"routing":%q,"account":%q,"type":%q,"name":%q}}`, routing, number, kind, name))
	if err != nil {
		t.Fatal(err)
	}
	return a.Bank
}

func day(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// oneBatch is a plan of one batch of WEB debits, and one entry that fits it.
func oneBatch(t testing.TB) (nacha.Plan, nacha.Entry) {
	plan := nacha.Plan{
		Bank: ourBank, Created: time.Date(2026, 11, 23, 16, 5, 59, 0, time.UTC), Modifier: 'A',
		Batches: []nacha.Batch{{
			Company: nacha.Company{Name: "CORNER CAFE", ID: "1234567890"}, Standard: nacha.WEB, Description: nacha.Purchase, Effective: day(2026, 11, 24), Number: 1,
		}},
	}
	return plan, nacha.Entry{
		Trace: nacha.TraceNumber(odfi, 1), Amount: 1250, Identification: "TABLE-7", Bank: bank(t, "011000015", "12345678901234567", "checking", "Ada Lovelace"),
	}
}

func write(plan nacha.Plan, batches ...[]nacha.Entry) ([]byte, nacha.Sums, error) {
	var file bytes.Buffer
	sums, err := writeTo(&file, plan, batches...)
	return file.Bytes(), sums, err
}

func writeTo(out io.Writer, plan nacha.Plan, batches ...[]nacha.Entry) (nacha.Sums, error) {
	w, err := nacha.NewWriter(out, plan)
	if err != nil {
		return nacha.Sums{}, err
	}
	defer w.Clear()
	for _, entries := range batches {
		if err := w.Next(); err != nil {
			return nacha.Sums{}, err
		}
		for _, e := range entries {
			if err := w.Add(e); err != nil {
				return nacha.Sums{}, err
			}
		}
	}
	return w.Close()
}

// golden compares with a file under testdata, which -update rewrites.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what is written now; read both, and run with -update if the new one is right:\n%s", path, got)
	}
}
