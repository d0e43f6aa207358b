package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"nightdrop/ops/site"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
	"nightdrop/shared/waittest"
)

// sharesOf asks `relay status` who has how much in the channel.
func sharesOf(t *testing.T, s *site.Site) (bytes int64, over int) {
	t.Helper()
	out, err := s.Run(t.Context(), "relay", "status", "--admin", strings.TrimPrefix(s.Admin(), "http://"), "--json")
	if err != nil {
		t.Fatal(err)
	}
	var state struct {
		Shares struct {
			Bytes int64 `json:"bytes"`
			Over  int   `json:"over"`
		} `json:"shares"`
	}
	if err := json.Unmarshal([]byte(out), &state); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return state.Shares.Bytes, state.Shares.Over
}

// TestOneMerchantFillsOnlyItsShare floods a relay while the vault is locked, in which time nothing
// is committed.
func TestOneMerchantFillsOnlyItsShare(t *testing.T) {
	s := running(t, site.Options{EnvelopeBytes: 6 << 20, ChannelBytes: 64 << 20}, "bookshop")
	if err := s.Enrol(t.Context(), site.Merchant{ID: "florist", Currencies: []string{"EUR"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.AwaitMerchant(t.Context(), "florist"); err != nil {
		t.Fatal(err)
	}
	loud, quiet := newShop(t, s, "bookshop"), newShop(t, s, "florist")
	if _, err := s.VaultRun(t.Context(), "lock"); err != nil {
		t.Fatal(err)
	}
	client := httpClient(t, s)
	post := func(from shop, reference string) (int, storefront.Sealed) {
		t.Helper()
		sealed, err := from.sell(t.Context(), reference, 100)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Post(s.Origin()+"/v1/envelopes", envelope.MediaType, bytes.NewReader(sealed.Note))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode, sealed
	}
	taken, status := 0, 0
	for ; taken < 2000; taken++ {
		if status, _ = post(loud, fmt.Sprint(taken)); status != http.StatusAccepted {
			break
		}
	}
	if status != http.StatusTooManyRequests || taken < 100 {
		t.Fatalf("after %d envelopes a loud merchant gets %d, want 429", taken, status)
	}
	status, sealed := post(quiet, "quiet")
	if status != http.StatusAccepted {
		t.Errorf("another merchant gets %d", status)
	}
	if held, over := sharesOf(t, s); held == 0 || over != 1 {
		t.Errorf("relay status tells of %d bytes and %d merchants over their share", held, over)
	}
	if err := s.Unlock(t.Context(), 1, 2); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var chain storefront.Chain
	final := map[string]envelope.Status{}
	if err := quiet.readAll(ctx, &chain, final, []storefront.Sealed{sealed}); err != nil || final[sealed.Digest] != envelope.StatusApproved {
		t.Errorf("the quiet merchant's sale: %s, %v", final[sealed.Digest], err)
	}
	waittest.For(t, "the vault's position to free the share", func() bool { held, _ := sharesOf(t, s); return held == 0 })
	if status, _ := post(loud, "later"); status != http.StatusAccepted {
		t.Errorf("after the vault has committed a loud merchant gets %d", status)
	}
}
