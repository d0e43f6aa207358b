package e2e

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightdrop/ops/site"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
	"nightdrop/shared/waittest"
)

// TestAStolenKeyMeansNoNewMerchant: the shop makes new keys from its file, the vault's operator
// adds them and retires the stolen ones in one call. Relay and results refuse the old key from then
// on, the new one sells under the same id, and the chain of results goes on.
func TestAStolenKeyMeansNoNewMerchant(t *testing.T) {
	ctx := t.Context()
	s := running(t, site.Options{}, "bookshop")
	thief := newShop(t, s, "bookshop")
	before, err := thief.sell(ctx, "before", 1000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := thief.Post(ctx, before.Note); err != nil {
		t.Fatal(err)
	}
	final, chain := map[string]envelope.Status{}, storefront.Chain{}
	if err := thief.readAll(ctx, &chain, final, []storefront.Sealed{before}); err != nil || final[before.Digest] != envelope.StatusApproved {
		t.Fatalf("%v, %v", final, err)
	}

	old, fresh := s.Identity("bookshop"), filepath.Join(t.TempDir(), "fresh.key")
	lines, err := s.Run(ctx, "storefront", "keygen", "--from", old, "--out", fresh)
	if err != nil {
		t.Fatal(err)
	}
	added, stolen := filepath.Join(t.TempDir(), "fresh.pub"), thief.Identity
	if err := os.WriteFile(added, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := s.VaultRun(ctx, "merchant", "update", "bookshop", "--add-verifier", "@"+added, "--retire-verifier", stolen.Verifier().String(),
		"--add-reply-key", "@"+added, "--retire-reply-key", stolen.ReplyLine(), "--reason", "key stolen")
	if err != nil || !strings.Contains(out, "bookshop updated; the relays' channel has it") {
		t.Fatalf("%q, %v", out, err)
	}

	// The thief made it before; the relay hears of the retired key with the members note.
	forged, err := thief.sell(ctx, "forged", 2000)
	if err != nil {
		t.Fatal(err)
	}
	waittest.For(t, "the relay to refuse the stolen key", func() bool {
		_, err := thief.Results(ctx, &storefront.Chain{}, 0)
		refused, ok := errors.AsType[*storefront.Refused](err)
		return ok && refused.Status == http.StatusUnauthorized
	})
	_, err = thief.Post(ctx, forged.Note)
	if refused, ok := errors.AsType[*storefront.Refused](err); !ok || refused.Status != http.StatusUnauthorized || refused.Code != "unknown-signer" {
		t.Errorf("the relay said to the thief: %v", err)
	}

	if err := os.Rename(old, old+".stolen"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, old); err != nil {
		t.Fatal(err)
	}
	shop := newShop(t, s, "bookshop")
	// What the old key signed and nobody took: it is not posted, and not yet to be paid anew.
	if _, err := shop.Post(ctx, forged.Note); !errors.Is(err, storefront.ErrOtherKey) {
		t.Errorf("posting what the old key signed: %v", err)
	}
	if x, err := shop.Explain(ctx, thief.outbox, forged.ID); err != nil || x.Outcome != storefront.OutcomeNoReceipt || !strings.Contains(x.Next, "says lapsed") {
		t.Errorf("it is %s; %s (%v)", x.Outcome, x.Next, err)
	}
	if x, err := shop.Explain(ctx, thief.outbox, before.ID); err != nil || x.Outcome != storefront.OutcomeAnswered {
		t.Errorf("what was taken before is %s (%v)", x.Outcome, err)
	}
	after, err := shop.sell(ctx, "after", 3000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shop.Post(ctx, after.Note); err != nil {
		t.Fatal(err)
	}
	serial := chain.Serial
	if err := shop.readAll(ctx, &chain, final, []storefront.Sealed{after}); err != nil || final[after.Digest] != envelope.StatusApproved {
		t.Errorf("%v, %v", final, err)
	}
	if chain.Serial != serial+1 || len(chain.Missing) != 0 {
		t.Errorf("the chain went from %d to %d, missing %v", serial, chain.Serial, chain.Missing)
	}
	// What was sealed to the old reply key opens with the new file, from the first result on.
	again := storefront.ChainFrom(1)
	page, err := shop.Results(ctx, &again, time.Second)
	if err != nil || len(page) != int(chain.Serial) || page[0].Result.Digest != before.Digest ||
		page[0].Result.Sealed.Key == page[len(page)-1].Result.Sealed.Key {
		t.Errorf("%d results, %v", len(page), err)
	}
	if book := readBook(t, s); book.Sales != 2 {
		t.Errorf("the acquirer has %d sales, want 2", book.Sales)
	}
}
