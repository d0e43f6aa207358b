package publisher

import (
	"context"
	"errors"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/vault/internal/ledger"
)

// Times of comparing RESULTS with what was published.
const (
	// republishEvery bounds what a lying broker can cause: each merchant's last 30 days are
	// published again at most once in this time.
	republishEvery = 24 * time.Hour
	// ageMargin is how far the broker's clock may be ahead before what has aged out by it counts as
	// lost.
	ageMargin = time.Hour
	// quietSpan is how much younger than 30 days the oldest result may be: nothing may have been
	// published then.
	quietSpan = 12 * time.Hour
)

// observation is the state of RESULTS, and what was known just before.
type observation struct {
	room  channel.Room
	acked channel.Acked
	again uint64 // results that had replaced others by then
}

// gone returns how many of the stream's messages are no longer in it.
func (s observation) gone() uint64 { return s.room.Last - min(s.room.Messages, s.room.Last) }

// difference is why RESULTS is not as it should be; zero: it is.
type difference struct {
	why  string
	lost uint64 // unexplained missing messages, where they can be counted
}

// compare compares RESULTS with what was published, and republishes what is missing. It looks at
// the stream as a whole, and only where that differs at each merchant's results. Its error is the
// ledger's.
func (o *Publisher) compare(ctx context.Context, s observation) error {
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

// same reports whether two hints are equal but for their floors.
func same(a, b ledger.ResultsHint) bool {
	return a.Created.Equal(b.Created) && a.Oldest.Equal(b.Oldest) && a.Due.Equal(b.Due) && a.Last == b.Last && a.First == b.First && a.Gone == b.Gone
}

// differs returns how RESULTS differs from what was published.
func (o *Publisher) differs(hint ledger.ResultsHint, s observation) difference {
	old := o.Now().Add(-ResultsKept + ageMargin) // what was stored before this may have aged out
	switch {
	case hint.Created.IsZero():
		return difference{why: "it was not compared before"}
	case !s.room.Created.Equal(hint.Created):
		return difference{why: "it was created again"}
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
		return difference{why: "messages are missing from it", lost: grown - explained}
	case s.room.First > hint.First && hint.Oldest.Before(old) && s.room.Oldest.After(old.Add(quietSpan)):
		return difference{why: "its oldest messages are missing"}
	}
	return difference{}
}
