package intake

import (
	"testing"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// A thief of a relay's signing key can repeat storefronts' envelopes in any bags, runs and forks:
// no sale comes twice, no merchant gets a new result, and there are findings.
func TestStolenRelayKeyRepeatsEverything(t *testing.T) {
	d := newFixture(t)
	// with a history of more than a window: a run that names none is no first one
	d.take(d.bags(d.run, 4)...)
	earlier := d.run.Fork()
	sales := d.sales(3)
	genuine := d.run.Bag(sales...)
	d.take(genuine)
	before := len(d.facts())

	thief := d.relay.Start() // names no bag before
	leap := d.relay.Start()
	leap.Number, leap.Previous = 1<<52, envelope.ZeroDigest[:63]+"1"
	fork := earlier // of the genuine bag, and on from there
	d.take(genuine, thief.Bag(sales...), thief.Bag(sales[2], sales[1], sales[0]), leap.Bag(sales...), fork.Bag(sales[0]), fork.Bag(sales...))
	if got := d.payments(); got != 7 {
		t.Errorf("%d payments of 7 sales", got)
	}
	if got := len(d.facts()); got != before {
		t.Errorf("%d results, there were %d", got, before)
	}
	d.expectFound(findings{book.FindingRestart: 1, book.FindingBagMissing: 1, book.FindingBagForked: 1})
}

// A stolen relay key cannot make an envelope: every change is a forgery or malformed, and the
// genuine one still counts.
func TestStolenRelayKeyAltersEnvelopes(t *testing.T) {
	d := newFixture(t)
	genuine := d.sale()
	var altered [][]byte
	for at := 0; at < len(genuine); at += 7 {
		b := append([]byte(nil), genuine...)
		b[at] ^= 0x01
		altered = append(altered, b)
	}
	for from := 0; from < len(altered); from += envelope.MaxBagEnvelopes {
		d.take(d.run.Bag(altered[from:min(from+envelope.MaxBagEnvelopes, len(altered))]...))
	}
	if got := d.payments(); got != 0 {
		t.Fatalf("%d altered envelopes were taken", got)
	}
	d.take(d.run.Bag(genuine))
	if got := d.payments(); got != 1 {
		t.Errorf("the genuine envelope was not taken: %d payments", got)
	}
	for _, facts := range d.facts() {
		if facts.Code != envelope.CodeUnknownSigner {
			t.Errorf("a forgery was answered %s", facts.Code)
		}
	}
}

// Endless runs of one relay cost each bag the same, and displace no other relay in the position.
func TestStolenRelayKeyStartsRunsWithoutEnd(t *testing.T) {
	d := newFixture(t)
	relays := d.SetRelays("relay-1", "relay-2")
	honest := relays[1].Start()
	d.take(honest.Bag(d.sale()))
	sale := d.sale()
	last := relays[0].Start()
	last.Bag(sale)
	var flood []channel.Message
	for range 2 * maxPositions {
		next := last.Restart()
		first, second := next.Bag(sale), next.Bag(sale)
		flood = append(flood, second, first)
		last = next
	}
	d.take(flood...)
	d.take(honest.Bag(d.sale()))
	found := false
	for _, e := range d.position().Relays {
		found = found || e.Relay == "relay-2" && e.Run == honest.ID && e.Number == 2
	}
	if !found || d.payments() != 3 {
		t.Errorf("%d payments; the honest relay's run is in the position: %v", d.payments(), found)
	}
}
