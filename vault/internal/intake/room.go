package intake

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// When ENVELOPES is filling up (specification 8), in percent of its limit: from pressure on,
// committed bags are purged before their week is over, oldest first, down to relieved.
const (
	pressure = 75
	relieved = 65
	// lookLimit bounds one search for bags that may go; the next, after roomEvery, goes on from
	// there.
	lookLimit = 30 * time.Second
)

// Envelopes is the last seen state of the stream ENVELOPES.
type Envelopes struct {
	Room   channel.Room
	Asked  time.Time // when; zero before the first answer
	Error  error     // of the last look; nil where it succeeded
	Oldest time.Time // when the broker stored the oldest bag; zero where unknown
	Purged uint64    // bags purged before their week was over, since the unlock
	// sequence of the bag that keeps newer ones from being purged: above the position, or with an
	// envelope not yet sent or filed; 0: none
	Held uint64
}

type envelopes struct {
	mu       sync.Mutex
	seen     Envelopes
	reported time.Time // when the log last got a finding that nothing can go
}

// Envelopes returns the last seen state of the stream ENVELOPES.
func (i *Intake) Envelopes() Envelopes {
	i.room.mu.Lock()
	defer i.room.mu.Unlock()
	return i.room.seen
}

// relieve checks how full ENVELOPES is, and makes room where it is over three quarters full.
func (i *Intake) relieve(ctx context.Context) error {
	room, err := i.Source.EnvelopesRoom(ctx)
	oldest := i.Envelopes().Oldest
	if err == nil && room.First != i.Envelopes().Room.First {
		oldest = time.Time{}
	}
	if err == nil && room.Messages > 0 && oldest.IsZero() {
		if bag, err := i.Source.BagAt(ctx, room.First); err == nil {
			oldest = bag.Stored
		}
	}
	i.room.mu.Lock()
	if i.room.seen.Error = err; err == nil {
		i.room.seen.Room, i.room.seen.Asked, i.room.seen.Oldest, i.room.seen.Held = room, i.Now(), oldest, 0
	}
	i.room.mu.Unlock()
	if errors.Is(err, channel.ErrUnavailable) {
		return nil // the channel is away, which others report
	}
	if err != nil || !room.Full(pressure) {
		return err
	}
	return i.makeRoom(ctx, room)
}

// makeRoom purges committed bags, oldest first, until ENVELOPES is relieved, or up to a bag that
// must stay: one not committed, above the signed position, or with an envelope not yet sent or
// filed. A standby that takes over needs those.
func (i *Intake) makeRoom(ctx context.Context, room channel.Room) error {
	var hint ledger.Hint
	err := i.Ledger.View(func(tx *ledger.Tx) (err error) {
		hint, err = tx.BagHint()
		return err
	})
	if err != nil {
		return err
	}
	free, err := i.freeable(ctx, room, hint.Sequence)
	if free.bags > 0 { // also after an error: what was seen may go
		if err := i.Source.PurgeBags(ctx, free.below); err != nil {
			return err
		}
	}
	i.noteRoom(free.bags, free.below, err == nil && free.held)
	return err
}

// freeable is what may be purged of ENVELOPES.
type freeable struct {
	below uint64 // every bag with a sequence less than this
	bags  uint64
	held  bool // no more may, and it is too little
}

// freeable looks at the bags below a sequence, oldest first, until enough may go, one must stay or
// is not returned, or lookLimit is over: upkeep has other work, and the broker's first sequence may
// be wrong.
func (i *Intake) freeable(ctx context.Context, room channel.Room, end uint64) (free freeable, err error) {
	excess := room.Bytes - room.MaxBytes/100*relieved
	began := time.Now()
	// the bag that the hint names stays
	for free.below = room.First; excess > 0 && free.below < end; free.below++ {
		if time.Since(began) > lookLimit {
			return free, nil
		}
		bag, err := i.Source.BagAt(ctx, free.below)
		if errors.Is(err, channel.ErrNotFound) {
			break // a broker's answer proves nothing: the bag may have to stay
		}
		if err != nil {
			return free, err
		}
		waits, err := i.waits(bag)
		if err != nil {
			return free, err
		}
		if waits {
			break
		}
		excess -= int64(len(bag.Data))
		free.bags++
	}
	free.held = excess > 0
	return free, nil
}

// noteRoom records what was purged, and logs, at most once an hour, where that is too little.
func (i *Intake) noteRoom(bags, next uint64, tight bool) {
	i.room.mu.Lock()
	defer i.room.mu.Unlock()
	i.room.seen.Purged += bags
	if bags > 0 {
		i.Logger.Info("ENVELOPES is over three quarters full: committed bags were purged before their week was over", "bags", bags, "below", next)
	}
	if !tight {
		return
	}
	i.room.seen.Held = next
	if now := time.Now(); now.Sub(i.room.reported) >= upkeepEvery {
		i.room.reported = now
		i.Logger.Warn("ENVELOPES is over three quarters full and no more can go: a bag has envelopes that are not yet sent or filed, or is not read yet; "+
			"settle what waits, or enlarge the stream", "sequence", next)
	}
}

// waits reports whether a bag is above the signed position, or has an envelope that is not yet sent
// or filed. Envelopes that were never accepted do not count.
func (i *Intake) waits(m channel.Message) (waits bool, err error) {
	head, _, notes, err := envelope.SplitBag(m.Data)
	if err != nil {
		return false, nil // what is not a bag holds nothing to send
	}
	err = i.Ledger.View(func(tx *ledger.Tx) error {
		if waits, err = ahead(tx, head); err != nil || waits {
			return err
		}
		for _, msg := range notes {
			e, err := envelope.Peek[envelope.Envelope](msg)
			if err != nil || !envelope.ValidMerchant(e.Merchant) {
				continue
			}
			p, found, err := tx.Payment(e.Merchant, e.ID)
			if err != nil {
				return err
			}
			if found && unsent(p.Stage) {
				waits = true
				return nil
			}
		}
		return nil
	})
	return waits, err
}

// ahead reports whether a bag is committed above its run's signed position, because one before it
// has not come. Only a bag that the ledger has counts: others could name any number.
func ahead(tx *ledger.Tx, head []byte) (bool, error) {
	claimed, err := envelope.Read[envelope.Bag](head)
	if err != nil {
		return false, nil // not a bag
	}
	b := claimed.Value
	committed, _, err := tx.Bag(b.Relay, b.Run, b.Number)
	if err != nil || !slices.Contains(committed.Digests, claimed.Digest()) {
		return false, err
	}
	run, _, err := tx.Run(b.Relay, b.Run)
	return b.Number > run.Number, err
}

// unsent reports whether a payment of this stage may still have to be sent to the acquirer, or
// filed, from its envelope.
func unsent(stage book.Stage) bool {
	switch stage {
	case book.StageReceived, book.StageAuthorising, book.StageWaiting, book.StageAccepted, book.StageFiling:
		return true
	}
	return false
}
