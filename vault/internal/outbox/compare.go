package outbox

import (
	"context"
	"errors"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/vault/internal/ledger"
)

// Times of comparing RESULTS with what was published.
const (
	// republishEvery bounds what a lying broker can cause: of each merchant the last 30 days are
	// published again once in this time, at most.
	republishEvery = 24 * time.Hour
	// ageMargin is how far the broker's clock may be ahead before what has aged out by it is taken
	// for lost.
	ageMargin = time.Hour
	// quietSpan is how long nothing need have been published 30 days ago, for the oldest result to
	// be so much younger than that.
	quietSpan = 12 * time.Hour
)

// look is what one look at RESULTS showed, and what was known just before.
type look struct {
	room  channel.Room
	acked channel.Acked
	again uint64 // results that had taken the place of others by then
}

// gone is how many messages that the stream had are there no more.
func (s look) gone() uint64 { return s.room.Last - min(s.room.Messages, s.room.Last) }

// difference is why RESULTS is not as it should be; the zero value where it is.
type difference struct {
	why  string
	lost uint64 // messages that nothing explains, where they can be counted
}

// compare holds RESULTS against what was published, and has what is missing published again. It
// looks at the stream as a whole, and only where that differs at what is there of each merchant.
// Its error is the ledger's.
func (o *Outbox) compare(ctx context.Context, s look) error {
	var hint ledger.ResultsHint
	err := o.Ledger.View(func(tx *ledger.Tx) (err error) {
		hint, err = tx.ResultsHint()
		return err
	})
	if err != nil {
		return err
	}
	differs := o.differs(hint, s)
	next := hint
	next.Created, next.Last, next.First, next.Oldest, next.Gone = s.room.Created, s.room.Last, s.room.First, s.room.Oldest, s.gone()
	if due := !hint.Due.IsZero() && !o.Now().Before(hint.Due); differs.why != "" || due {
		found, due, err := o.missing(ctx, hint, differs)
		if errors.Is(err, errUnseen) {
			return nil // the next look tries again
		}
		if err != nil {
			return err
		}
		if next.Due, err = o.republish(ctx, differs, found, due); err != nil {
			return err
		}
	}
	o.losses.compared(s, next)
	if same(hint, next) {
		return nil
	}
	return o.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		now, err := tx.ResultsHint()
		if err != nil {
			return err
		}
		next.Floors = now.Floors
		if next.Created.Equal(now.Created) && differs.why == "" {
			next.Last = max(next.Last, now.Last) // acks that came since
		}
		return tx.SetResultsHint(next)
	})
}

// same reports whether two hints say the same of the stream.
func same(a, b ledger.ResultsHint) bool {
	return a.Created.Equal(b.Created) && a.Oldest.Equal(b.Oldest) && a.Due.Equal(b.Due) && a.Last == b.Last && a.First == b.First && a.Gone == b.Gone
}

// differs says why RESULTS is not as what was published leaves it.
func (o *Outbox) differs(hint ledger.ResultsHint, s look) difference {
	old := o.Now().Add(-ResultsKept + ageMargin) // what was stored before this may have aged out
	switch {
	case hint.Created.IsZero():
		return difference{why: "it was not compared before"}
	case !s.room.Created.Equal(hint.Created):
		return difference{why: "it was made anew"}
	case s.room.Last < max(hint.Last, s.acked.Last), o.losses.rewound(s.acked):
		return difference{why: "it lost its newest messages"}
	}
	grown := s.gone() - min(hint.Gone, s.gone())
	explained := o.losses.since()
	if !hint.Oldest.IsZero() && hint.Oldest.Before(old) {
		explained += s.room.First - min(hint.First, s.room.First)
	}
	switch {
	case grown > explained:
		return difference{why: "messages are missing in it", lost: grown - explained}
	case s.room.First > hint.First && hint.Oldest.Before(old) && s.room.Oldest.After(old.Add(quietSpan)):
		return difference{why: "its oldest messages are missing"}
	}
	return difference{}
}
