package intake

import (
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

func TestPosition(t *testing.T) {
	d := newFixture(t)
	gone := d.relay.Start()
	d.take(d.bags(gone, 1)...)
	d.Clock.Pass(positionSpan + time.Hour)
	d.Tick()
	d.run.After = gone.End()
	d.take(d.bags(d.run, 3)...)
	missing := d.run.Restart()
	missing.After.Number = 5
	d.take(d.bags(missing, 2)...)
	p := d.position()
	if p.Vault != vaulttest.Name || p.Generation != 1 || !p.Issued.Equal(d.Clock.Now()) || len(p.Relays) != 2 {
		t.Fatalf("position %+v", p)
	}
	for _, e := range p.Relays {
		switch e.Run {
		case d.run.ID:
			if e.Number != 5 || e.Digest != envelope.ZeroDigest {
				t.Errorf("run that ends in a gap: %+v", e)
			}
		case missing.ID:
			if e.Number != 2 || e.Digest != missing.Previous {
				t.Errorf("run in order: %+v", e)
			}
		default:
			t.Errorf("entry %+v", e)
		}
	}
}

func (d *fixture) position() (p envelope.Position) {
	d.TB.Helper()
	d.View(func(tx *ledger.Tx) (err error) {
		p, err = d.intake.Position(tx)
		return err
	})
	return p
}

// Endless runs cannot make the position too long to sign.
func TestPositionIsBounded(t *testing.T) {
	d := newFixture(t)
	var runs []channel.Message
	last := d.run
	for range maxRelayPosition + 10 {
		next := last.Restart()
		if last.Number == 0 {
			next.After = nil
		}
		runs = append(runs, next.Bag(d.sale()))
		last = next
	}
	for _, b := range runs {
		d.Clock.Pass(time.Second)
		d.take(b)
	}
	p := d.position()
	if len(p.Relays) != maxRelayPosition {
		t.Errorf("%d entries", len(p.Relays))
	}
	found := false
	for _, e := range p.Relays {
		found = found || e.Run == last.ID
	}
	if !found {
		t.Error("the newest run is not in the position")
	}
	if _, err := envelope.Sign(p, d.Ring.Signer()); err != nil {
		t.Error(err)
	}
}

func TestOldGapsAreClosed(t *testing.T) {
	d := newFixture(t)
	b := d.bags(d.run, 4)
	d.take(b[0], b[3])
	if err := d.intake.closeOldGaps(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.expectFound(nil)
	d.Clock.Pass(gapPatience + time.Second)
	if err := d.intake.closeOldGaps(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.expectFound(findings{book.FindingBagMissing: 1})
	if n := d.runState(d.run).Number; n != 4 {
		t.Errorf("position %d", n)
	}
}
