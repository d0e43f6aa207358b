package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightdrop/ops/site"
	"nightdrop/shared/durable/durabletest"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
)

// TestASiteWithoutHardLinks settles a bank sale, from the making of the keys to the bank's
// acknowledgement, where no program can make a hard link and renameat2 knows no flags: as on exFAT.
func TestASiteWithoutHardLinks(t *testing.T) {
	if !durabletest.Alone(t, durabletest.Links) {
		return
	}
	if err := os.Link(binaries, filepath.Join(t.TempDir(), "link")); !os.IsPermission(err) {
		t.Fatalf("a hard link gives %v: this machine shows nothing", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	const merchant = "corner-cafe"
	s := running(t, site.Options{}, merchant)
	shop := newShop(t, s, merchant)
	sale := envelope.Order{Operation: envelope.OpSale, Reference: "table-7", Amount: 1250, Currency: "USD"}
	sealed, err := shop.keep(ctx, storefront.Payment{Order: sale, Account: []byte(testBank)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shop.Post(ctx, sealed.Note); err != nil {
		t.Fatal(err)
	}
	var chain storefront.Chain
	final := map[string]envelope.Status{}
	if err := shop.readAll(ctx, &chain, final, []storefront.Sealed{sealed}); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"batch", "close", "--all"}, {"batch", "settle", "--all"}} {
		if _, err := s.VaultRun(ctx, args...); err != nil {
			t.Fatal(err)
		}
	}
	delete(final, sealed.Digest) // what follows is the settlement's
	if err := shop.readAll(ctx, &chain, final, []storefront.Sealed{sealed}); err != nil {
		t.Fatal(err)
	}
	if final[sealed.Digest] != envelope.StatusSettled {
		t.Errorf("the sale is %s", final[sealed.Digest])
	}
	var files []string
	entries, err := os.ReadDir(s.BankOutbox())
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		files = append(files, entry.Name())
	}
	if len(files) != 1 || !strings.HasSuffix(files[0], ".ach") {
		t.Fatalf("the outbox holds %v", files)
	}
	if info, err := os.Stat(filepath.Join(s.BankOutbox(), files[0])); err != nil || info.Size() == 0 {
		t.Errorf("the settlement file: %v, %v", info, err)
	}
}
