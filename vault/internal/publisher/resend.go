package publisher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// Limits of publishing results again.
const (
	minResend   = 256                    // results in a page while the room in RESULTS is unknown
	maxResend   = 1 << 16                // results in a page: half a gigabyte
	resendChunk = 512                    // results marked in one commit
	resendLook  = 100 * time.Millisecond // between two counts of what was published
	resendQuiet = 30 * time.Second       // without a published result, after which to give up
)

// Errors of Resend.
var (
	// ErrNoResults is returned when the merchant has no such results.
	ErrNoResults = errors.New("there are no such results")
	// ErrResendWaits is returned when the results could not be published yet; they go out as soon
	// as the channel accepts them.
	ErrResendWaits = errors.New("the results wait for the channel: they are sent as soon as it accepts them; there is no need to ask again")
)

// Resent is what [Publisher.Resend] published again.
type Resent struct {
	From, Through uint64 // serials
	// serial of the merchant's oldest result of the last 30 days; older ones are not republished
	Oldest uint64
	Last   uint64 // serial of the merchant's newest result
	Next   uint64 // serial to go on from once the shop has read these; 0: none is left
}

// Resend publishes a merchant's results again, the same bytes under the same serials: at most
// count, from a serial on (0: the oldest of the last 30 days). They are one page, as many as fit
// the merchant's share of RESULTS: more would displace each other before the shop has read them. It
// returns when they are durable in the channel. Repeated calls do no harm; after a crash, those
// that were marked are sent after the next unlock. by is who asks for it. progress may be nil.
func (o *Publisher) Resend(ctx context.Context, by book.Event, from uint64, count int, progress func(done, total int)) (Resent, error) {
	page, err := o.markResend(ctx, by, from, count)
	if err != nil {
		return page, err
	}
	return page, o.awaitResend(ctx, by.Merchant, page, progress)
}

// page returns what is to be published again.
func (o *Publisher) page(tx *ledger.Tx, merchant string, from uint64, count int) (page Resent, err error) {
	page.Oldest, page.Last, err = tx.ResultsSince(merchant, o.Now().Add(-ResultsKept))
	if err != nil {
		return page, err
	}
	page.From = max(from, page.Oldest)
	if page.From > page.Last {
		return page, fmt.Errorf("%w: %s has results up to %d, those of the last 30 days begin with %d", ErrNoResults, merchant, page.Last, page.Oldest)
	}
	wanted := page.Last
	if count > 0 {
		start := from
		if start == 0 {
			start = page.From
		}
		wanted = min(wanted, start+uint64(count)-1)
	}
	if page.From > wanted {
		return page, fmt.Errorf("%w: results %d to %d of %s are over 30 days old; those of the last 30 days begin with %d", ErrNoResults,
			from, wanted, merchant, page.Oldest)
	}
	page.Through = min(wanted, page.From+o.shares.maxPage()-1)
	if page.Through < wanted {
		page.Next = page.Through + 1
	}
	return page, nil
}

// maxPage returns how many of one merchant's results may be republished at once: its share, or what
// is free where that is more.
func (s *shares) maxPage() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	share := s.share()
	if share == 0 {
		return minResend
	}
	free := max(0, (s.room.MaxBytes/100*pressure-s.room.Bytes)/ResultBytes)
	return min(max(share, uint64(free)), maxResend)
}

// markResend appends the event of what is republished, and marks it: the first commit has both the
// event and the first results.
func (o *Publisher) markResend(ctx context.Context, by book.Event, from uint64, count int) (page Resent, err error) {
	err = o.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		if page, err = o.page(tx, by.Merchant, from, count); err != nil {
			return err
		}
		event := by
		event.Body = book.ResultsResent{From: page.From, Through: page.Through}
		if _, err := tx.Append(event); err != nil {
			return err
		}
		return markRange(tx, by.Merchant, page.From, page.Through)
	})
	if err != nil {
		return page, err
	}
	for next := page.From + resendChunk; next <= page.Through; next += resendChunk {
		err := o.Ledger.Commit(ctx, func(tx *ledger.Tx) error { return markRange(tx, by.Merchant, next, page.Through) })
		if err != nil {
			return page, err
		}
	}
	return page, nil
}

// markRange marks at most a chunk of results.
func markRange(tx *ledger.Tx, merchant string, from, through uint64) error {
	for serial := from; serial <= min(through, from+resendChunk-1); serial++ {
		if err := tx.ResendResult(merchant, serial); err != nil {
			return err
		}
	}
	return nil
}

// awaitResend waits until a page is durable in the channel. A merchant's results go out in order.
func (o *Publisher) awaitResend(ctx context.Context, merchant string, page Resent, progress func(done, total int)) error {
	next, moved := page.From, time.Now()
	for {
		before := next
		err := o.Ledger.View(func(tx *ledger.Tx) error {
			for ; next <= page.Through; next++ {
				if _, unsent, err := tx.SealedResult(merchant, next); err != nil || unsent {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if progress != nil {
			progress(int(next-page.From), int(page.Through-page.From+1))
		}
		switch {
		case next > page.Through:
			return nil
		case next > before:
			moved = time.Now()
		case time.Since(moved) > resendQuiet || !o.Channel.Connected():
			return fmt.Errorf("results %d to %d of %s: %w: %w", next, page.Through, merchant, ErrResendWaits, channel.ErrUnavailable)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(resendLook):
		}
	}
}
