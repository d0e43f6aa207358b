package intake

import (
	"context"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/vault/internal/ledger"
)

// denier is a broker that claims that bags do not exist or are old, and notes what is purged.
type denier struct {
	bags  map[uint64]channel.Message
	below uint64
}

func (*denier) Bags(context.Context, uint64, func([]channel.Message) error) error { return nil }

func (d *denier) BagAt(_ context.Context, sequence uint64) (channel.Message, error) {
	bag, there := d.bags[sequence]
	if !there {
		return channel.Message{}, channel.ErrNotFound
	}
	bag.Stored = time.Time{}
	return bag, nil
}

func (d *denier) EnvelopesRoom(context.Context) (channel.Room, error) {
	return channel.Room{Bytes: 1 << 20, MaxBytes: 1 << 20, Messages: 1, First: 1}, nil
}

func (d *denier) PurgeBags(_ context.Context, below uint64) error {
	d.below = max(d.below, below)
	return nil
}

// Whatever the broker claims, no bag is purged that was committed within the week.
func TestALookupThatFoundNothingPurgesNothing(t *testing.T) {
	d := newFixture(t)
	bags := d.bags(d.run, 8)
	source := &denier{bags: map[uint64]channel.Message{}}
	taken := func(from, through int) {
		t.Helper()
		for sequence := from; sequence <= through; sequence++ {
			bag := bags[sequence-1]
			bag.Sequence = uint64(sequence)
			source.bags[bag.Sequence] = bag
			if err := d.newIntake(source).Take(t.Context(), []channel.Message{bag}); err != nil {
				t.Fatal(err)
			}
		}
	}
	taken(1, 3)
	d.Clock.Pass(8 * 24 * time.Hour)
	taken(4, 6)
	d.Clock.Pass(24 * time.Hour)
	taken(7, 8)
	i := d.newIntake(source)
	if err := i.purge(t.Context()); err != nil || source.below != 4 {
		t.Fatalf("purged below %d, want 4; %v", source.below, err)
	}
	source.below = 0
	for sequence := range uint64(7) { // all but the bags that were read last
		delete(source.bags, sequence)
	}
	if err := i.purge(t.Context()); err != nil || source.below != 0 {
		t.Errorf("where nothing was found, all below %d went; %v", source.below, err)
	}
	if err := i.relieve(t.Context()); err != nil || source.below != 0 {
		t.Errorf("under pressure, all below %d went; %v", source.below, err)
	}
}

func TestMarksOfIntake(t *testing.T) {
	d := newFixture(t)
	set := func(sequence uint64) {
		t.Helper()
		err := d.Ledger.Commit(t.Context(), func(tx *ledger.Tx) error { return tx.SetBagHint(ledger.Hint{Sequence: sequence, Digest: "d"}) })
		if err != nil {
			t.Fatal(err)
		}
	}
	before := func(age time.Duration) (m ledger.Mark) {
		d.View(func(tx *ledger.Tx) (err error) {
			m, err = tx.MarkedBefore(tx.Now().Add(-age))
			return err
		})
		return m
	}
	for hour := range uint64(24 * 30) {
		set(hour + 1)
		d.Clock.Pass(time.Hour)
	}
	for _, age := range []uint64{1, 24, 7 * 24} {
		got := before(time.Duration(age) * time.Hour).Sequence
		if want := 24*30 - age; got > want+1 || got+13 < want {
			t.Errorf("%d hours ago intake had come to %d, the mark says %d", age, want, got)
		}
	}
	set(0)
	if m := before(0); m.Sequence != 0 {
		t.Errorf("a mark of a channel that is another: %+v", m)
	}
}
