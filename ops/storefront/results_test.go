package main

import (
	"strings"
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
)

// A refund's result names the refund and the payment that it is of: two refunds of one payment are
// told apart.
func TestTheTableShowsARefundsOwnID(t *testing.T) {
	const sale, refund = "6f0c2d7e-9c0b-4a5e-8f1d-000000000001", "6f0c2d7e-9c0b-4a5e-8f1d-000000000002"
	of := func(id string, status envelope.Status) storefront.Opened {
		return storefront.Opened{Result: envelope.Result{Serial: 1, ID: id}, Facts: envelope.Facts{Payment: sale, Status: status, Code: envelope.ISOCode("00"),
			Amount: 100, Currency: "EUR", Reference: "order-1"}}
	}
	var out strings.Builder
	if err := newResultPrinter(resultsOptions{}, &out).page([]storefront.Opened{of(sale, envelope.StatusApproved), of(refund, envelope.StatusRefunded)}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if len(lines) != 9 || strings.Count(lines[3], sale) != 1 || strings.Count(lines[5], sale) != 1 || strings.TrimSpace(lines[6]) != refund {
		t.Errorf("the table is\n%s", out.String())
	}
}
