package e2e

import (
	"os"
	"testing"

	"nightdrop/ops/site"
	"nightdrop/shared/envelope"
)

// TestARelayThatDiesInItsFirstBagEverIsNoFinding cuts a relay's power when its first bag is durable
// in the channel and the head file, which would name it, is not on disk yet. Its next run names no
// bag before; nothing can be missing, and nothing is found.
func TestARelayThatDiesInItsFirstBagEverIsNoFinding(t *testing.T) {
	s := running(t, site.Options{}, "bookshop")
	shop := newCheckout(t, s, "bookshop")
	first := shop.give(envelope.Order{Operation: envelope.OpSale, Amount: 1250, Currency: "EUR"}, testCard)
	s.Relay.Kill()
	// as OpenHead made it, which is what was synced last
	if err := os.Truncate(s.Path("relay", "relay.head"), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.StartRelay(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.AwaitRelay(t.Context()); err != nil {
		t.Fatal(err)
	}
	shop.await(first, envelope.StatusApproved, "iso-00")
	shop.do(envelope.Order{Operation: envelope.OpSale, Amount: 900, Currency: "EUR"}, testCard, envelope.StatusApproved, "iso-00")
	status, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if findings, _ := status["findings"].(map[string]any); len(findings) != 0 {
		t.Errorf("findings: %v", findings)
	}
}
