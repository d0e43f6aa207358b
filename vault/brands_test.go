package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"nightdrop/ops/simulator/host"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

// TestCardsOfOtherBrandsGoToTheAcquirer: a scheme that the vault has no table of is the acquirer's
// business, as testdata/cases/brands.csv says.
func TestCardsOfOtherBrandsGoToTheAcquirer(t *testing.T) {
	file, err := os.Open(filepath.Join("..", "testdata", "cases", "brands.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil || len(rows) < 4 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	s := newSite(t)
	stop := s.serve()
	s.enrol()
	var drafts []draft
	for _, row := range rows[1:] {
		order := fmt.Sprintf(`{"operation":"sale","reference":%q,"amount":%s,"currency":%q}`, row[0], row[1], row[2])
		drafts = append(drafts, draft{order: order,
			account: fmt.Sprintf(`{"card":{"number":%q,"expiry":%q}}`, row[3], row[4])})
	}
	for i, id := range s.send(drafts...) {
		s.wait("the host's answer to "+rows[i+1][0], func() bool {
			var p control.Payment
			if code, _ := s.command("payment", "show", "shop-1/"+id); code != 0 {
				return false
			}
			s.json(&p, "payment", "show", "shop-1/"+id)
			if p.Status == book.StageRejected {
				t.Fatalf("%s is rejected: %s", rows[i+1][0], p.Code)
			}
			return p.Status == book.StageApproved && p.Brand == "other"
		})
	}
	stop()
	s.checkLedger()
	if st, err := host.ReadBook(s.book); err != nil || st.Charged != len(drafts) {
		t.Errorf("the host's book: %+v %v", st, err)
	}
}
