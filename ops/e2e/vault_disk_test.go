//go:build root

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightdrop/ops/site"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
	"nightdrop/shared/waittest"
)

const vaultVolume = 128 << 20 // of which a twentieth is the reserve

// TestRootVaultWithoutRoom gives the vault a volume of its own. With less than the reserve orders
// wait and go on by themselves; with none at all the process ends at once, and after there is room
// again nothing is lost or doubled.
func TestRootVaultWithoutRoom(t *testing.T) {
	dir := t.TempDir()
	volume := filepath.Join(dir, "vault")
	if err := os.MkdirAll(volume, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", volume, "tmpfs", 0, "size=128m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(volume, syscall.MNT_DETACH) })
	s := running(t, site.Options{Dir: dir}, "bookshop")
	shop := newShop(t, s, "bookshop")
	var chain storefront.Chain
	if got := sellAndWait(t, shop, &chain, "room", 100); got != envelope.StatusApproved {
		t.Fatalf("with room: %s", got)
	}

	filler := filepath.Join(volume, "filler")
	fill(t, filler)
	// half of the reserve
	if err := os.Truncate(filler, sizeOf(t, filler)-vaultVolume/40); err != nil {
		t.Fatal(err)
	}
	waittest.For(t, "the status to name what waits", func() bool { return strings.Contains(statusText(t, s), "no bag is taken") })
	sealed, err := shop.sell(t.Context(), "it waits", 200)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shop.Post(t.Context(), sealed.Note); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	if b := readBook(t, s); b.Charged != 1 || !s.Vault.Running() {
		t.Fatalf("without room the host charged %d sales; the vault runs: %t", b.Charged, s.Vault.Running())
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	final := map[string]envelope.Status{}
	if err := shop.readAll(t.Context(), &chain, final, []storefront.Sealed{sealed}); err != nil || final[sealed.Digest] != envelope.StatusApproved {
		t.Errorf("with room again: %s, %v", final[sealed.Digest], err)
	}

	fill(t, filler)
	waittest.For(t, "a vault that cannot write to end", func() bool {
		for _, storage := range []string{"on", "off"} {
			_, _ = s.VaultRun(t.Context(), "merchant", "policy", "bookshop", "--storage", storage, "--reason", "a test")
		}
		return !s.Vault.Running()
	})
	if err := s.Vault.Stop(); err == nil || !strings.Contains(err.Error(), "exit status 1 ") {
		t.Errorf("it ended with %v", err)
	}
	if err := s.StartVault(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := statusText(t, s); !strings.Contains(text, "locked") || !strings.Contains(text, "disk of the ledger") {
		t.Errorf("the next start says %s", text)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := s.Unlock(t.Context(), 1, 3); err != nil {
		t.Fatal(err)
	}
	if err := s.AwaitMerchant(t.Context(), "bookshop"); err != nil {
		t.Fatal(err)
	}
	if got := sellAndWait(t, shop, &chain, "after", 300); got != envelope.StatusApproved {
		t.Errorf("after it: %s", got)
	}
	if b := readBook(t, s); b.Charged != 3 || len(b.Doubled) != 0 {
		t.Errorf("the host charged %d sales, twice %v", b.Charged, b.Doubled)
	}
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func statusText(t *testing.T, s *site.Site) string {
	t.Helper()
	text, err := s.VaultRun(t.Context(), "status")
	if err != nil {
		t.Fatal(err)
	}
	return text
}
