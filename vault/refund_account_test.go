package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

// needsNumbers has the vault speak the built-in dialect to a host that wants the card's number
// again for a refund.
func (s *site) needsNumbers() {
	s.t.Helper()
	builtIn, err := os.ReadFile(filepath.Join("internal", "acquirer", "iso8583", "ascii1987.json"))
	s.must(err)
	asks := bytes.Replace(builtIn, []byte(`"refunds-by-reference": true`), []byte(`"refunds-by-reference": false`), 1)
	if bytes.Equal(asks, builtIn) {
		s.t.Fatal("the built-in dialect does not say that it refunds by reference")
	}
	path := filepath.Join(s.t.TempDir(), "dialect.json")
	s.must(os.WriteFile(path, asks, 0o600))
	s.configure(map[string]string{`dialect = ""`: fmt.Sprintf("dialect = %q", path)})
}

// settledSale sells for 19.99 USD by 4242424242424242, settles it, and returns the sale's id.
func (s *site) settledSale() string {
	s.t.Helper()
	s.post(1999)
	var payments []control.Payment
	s.wait("an approval", func() bool {
		s.json(&payments, "payment", "list", "--merchant", "shop-1", "--status", "approved")
		return len(payments) == 1
	})
	var closed []control.Batch
	s.json(&closed, "batch", "close", "--merchant", "shop-1", "--reason", "end of day")
	var settled control.Settlement
	s.json(&settled, "batch", "settle", "--all")
	if settled.Payments != 1 {
		s.t.Fatalf("settled %+v", settled)
	}
	return payments[0].ID
}

// guess sends refunds of a payment to n card numbers behind 424242******4242, the first after so
// many, and counts how they are rejected.
func (s *site) guess(of string, after, n int) map[envelope.Code]int {
	s.t.Helper()
	var drafts []draft
	for hidden := 0; len(drafts) < after+n; hidden++ {
		number := fmt.Sprintf("424242%06d4242", hidden)
		if envelope.Luhn([]byte(number)) && number != "4242424242424242" {
			order := fmt.Sprintf(`{"operation":"refund","reference":"try %d","of":%q,"amount":1}`, hidden, of)
			drafts = append(drafts, draft{order: order,
				account: fmt.Sprintf(`{"card":{"number":%q,"expiry":"2031-12"}}`, number)})
		}
	}
	asked := map[string]bool{}
	for some := range slices.Chunk(drafts[after:], 125) {
		for _, id := range s.send(some...) {
			asked[id] = true
		}
	}
	counts := map[envelope.Code]int{}
	s.wait("an answer to every refund", func() bool {
		var payments []control.Payment
		s.json(&payments, "payment", "list", "--merchant", "shop-1", "--status", "rejected", "--all")
		clear(counts)
		answered := 0
		for _, p := range payments {
			if asked[p.ID] {
				counts[p.Code]++
				answered++
			}
		}
		return answered == n
	})
	return counts
}

// TestRefundIsNoOracle: whoever holds a shop's signing key tries 1,500 numbers behind a masked
// result. Three are compared; the count outlives a restart of the vault, and what it wrote replays.
func TestRefundIsNoOracle(t *testing.T) {
	s := newSite(t)
	s.needsNumbers()
	stop := s.serve()
	s.enrol()
	sale := s.settledSale()
	got := s.guess(sale, 0, 750)
	if got[envelope.CodeBadAccount] != book.MaxMismatches || got[envelope.CodeLimit] != 750-book.MaxMismatches {
		t.Errorf("refunds to guessed numbers are answered %v", got)
	}
	stop()
	stop = s.serve()
	if got := s.guess(sale, 750, 750); got[envelope.CodeLimit] != 750 {
		t.Errorf("after a restart, refunds to guessed numbers are answered %v", got)
	}
	right := s.send(draft{order: fmt.Sprintf(`{"operation":"refund","reference":"right","of":%q,"amount":1}`, sale),
		account: `{"card":{"number":"4242424242424242","expiry":"2031-12"}}`})[0]
	s.wait("an answer to the refund to the right number", func() bool {
		var p control.Payment
		code, _ := s.command("payment", "show", "shop-1/"+right)
		if code == 0 {
			s.json(&p, "payment", "show", "shop-1/"+right)
		}
		return p.Status == book.StageRejected && p.Code == envelope.CodeLimit && p.Limit == book.ExceededComparisons
	})
	if _, out := s.command("payment", "show", "shop-1/"+right); !strings.Contains(unfolded(out), book.ExceededComparisons.Means()) {
		t.Errorf("shown as %s", out)
	}
	var st control.Status
	s.json(&st, "status")
	if st.Findings[book.FindingMismatches] != 1 {
		t.Errorf("findings %v", st.Findings)
	}
	s.verifyLog()
	stop()
	s.checkLedger()
}

// TestRefundByReferenceTakesNoAccount: where the acquirer needs no number, none is compared: the
// right one is refused like any other.
func TestRefundByReferenceTakesNoAccount(t *testing.T) {
	s := newSite(t)
	stop := s.serve()
	s.enrol()
	sale := s.settledSale()
	if got := s.guess(sale, 0, 20); got[envelope.CodeBadOrder] != 20 {
		t.Errorf("refunds that name an account are answered %v", got)
	}
	right := s.send(draft{order: fmt.Sprintf(`{"operation":"refund","reference":"right","of":%q,"amount":1}`, sale),
		account: `{"card":{"number":"4242424242424242","expiry":"2031-12"}}`},
		draft{order: fmt.Sprintf(`{"operation":"refund","reference":"none","of":%q,"amount":1}`, sale)})
	for i, want := range []book.Stage{book.StageRejected, book.StageApproved} {
		s.wait("the refund to be "+string(want), func() bool {
			var p control.Payment
			code, _ := s.command("payment", "show", "shop-1/"+right[i])
			if code == 0 {
				s.json(&p, "payment", "show", "shop-1/"+right[i])
			}
			return p.Status == want && (want != book.StageRejected || p.Code == envelope.CodeBadOrder)
		})
	}
	stop()
	s.checkLedger()
}
