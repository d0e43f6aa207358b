package e2e

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightdrop/ops/site"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
	"nightdrop/shared/waittest"
)

// TestVaultThatCannotWriteEndsAtOnce lets no write of the running vault succeed any more, as on a
// disk that is gone: the process ends within a second with exit code 1, though an answer is
// outstanding, and the next one loses and doubles nothing.
func TestVaultThatCannotWriteEndsAtOnce(t *testing.T) {
	s := running(t, site.Options{}, "bookshop")
	shop := newShop(t, s, "bookshop")
	var chain storefront.Chain
	if got := sellAndWait(t, shop, &chain, "before", 100); got != envelope.StatusApproved {
		t.Fatalf("before: %s", got)
	}
	silent, err := shop.sell(t.Context(), "never answered", 900_100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shop.Post(t.Context(), silent.Note); err != nil {
		t.Fatal(err)
	}
	waittest.For(t, "the outstanding request", func() bool {
		status, err := s.Status(t.Context())
		working, _ := status["working"].(map[string]any)
		return err == nil && working["authorising"] == 1.0
	})
	if err := unix.Prlimit(s.Vault.Pid(), unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 0, Max: unix.RLIM_INFINITY}, nil); err != nil {
		t.Fatal(err)
	}
	sale, err := shop.sell(t.Context(), "it cannot be written", 200)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shop.Post(t.Context(), sale.Note); err != nil {
		t.Fatal(err)
	}
	// a second, and the way to the vault
	if !waittest.Within(2*time.Second, func() bool { return !s.Vault.Running() }) {
		t.Fatal("the vault stays up though it cannot write")
	}
	if err := s.Vault.Stop(); err == nil || !strings.Contains(err.Error(), "exit status 1 ") {
		t.Errorf("it ended with %v", err)
	}

	if err := s.StartVault(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Unlock(t.Context(), 1, 3); err != nil {
		t.Fatal(err)
	}
	final := map[string]envelope.Status{}
	if err := shop.readAll(t.Context(), &chain, final, []storefront.Sealed{silent, sale}); err != nil {
		t.Fatal(err)
	}
	if final[silent.Digest] != envelope.StatusReversed || final[sale.Digest] != envelope.StatusApproved {
		t.Errorf("the outstanding one is %s, the one that came then %s", final[silent.Digest], final[sale.Digest])
	}
	if b := readBook(t, s); b.Charged != 2 || len(b.Doubled) != 0 {
		t.Errorf("the host charged %d sales, twice %v", b.Charged, b.Doubled)
	}
}
