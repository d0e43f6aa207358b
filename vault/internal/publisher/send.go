package publisher

import (
	"context"
	"errors"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/vault/internal/ledger"
)

// rounds repeats round; after one of fewer than roundResults it waits for a commit.
func (o *Publisher) rounds(ctx context.Context, round func(context.Context) (n int, err error)) error {
	for {
		committed := o.Ledger.Committed()
		n, err := round(ctx)
		if err != nil {
			return err
		}
		if n == roundResults {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-committed:
		}
	}
}

// sendResults publishes what is sealed and not yet acknowledged.
func (o *Publisher) sendResults(ctx context.Context) error {
	quiet := false // the failure was logged
	return o.rounds(ctx, func(ctx context.Context) (int, error) {
		n, trouble, err := o.sendRound(ctx)
		if err != nil || trouble == nil {
			quiet = false
			return n, err
		}
		if !quiet {
			o.Logger.Warn("results wait for the channel", "error", trouble)
		}
		quiet = true
		return roundResults, o.await(ctx, trouble) // again, whatever is committed
	})
}

// await waits after a failed round: at most a second, and only until there is room where that was
// lacking.
func (o *Publisher) await(ctx context.Context, trouble error) error {
	var freed <-chan struct{} // nil where room was not lacking
	if errors.Is(trouble, channel.ErrFull) {
		freed = o.shares.freed
		notify(o.shares.check)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-freed:
	case <-time.After(retryEvery):
	}
	return nil
}

// sendRound publishes one round, waits for its acks and marks what is durable. A crash before the
// mark means that the same bytes are published again. trouble is the channel's error, err the
// ledger's.
func (o *Publisher) sendRound(ctx context.Context) (n int, trouble, err error) {
	var ready, newest []ledger.Ready
	err = o.Ledger.View(func(tx *ledger.Tx) (err error) {
		if ready, err = tx.UnsentResults(roundResults); err != nil {
			return err
		}
		if newest, err = newestResent(tx, ready); err != nil {
			return err
		}
		return o.losses.findTops(tx, ready)
	})
	if err != nil || len(ready) == 0 {
		return 0, nil, err
	}
	if !o.Channel.Connected() {
		return 0, channel.ErrUnavailable, nil
	}
	all := append(ready[:len(ready):len(ready)], newest...)
	acks := make([]channel.Ack, 0, len(all))
	for _, r := range all {
		if err := o.limit.Wait(ctx); err != nil {
			break // what is in flight is still waited for
		}
		o.losses.countPublished(r)
		acks = append(acks, o.Channel.PublishResult(r.Merchant, r.Serial, r.ID, r.Note))
	}
	var sent []ledger.Ready
	for k, ack := range acks {
		if err := <-ack; err != nil {
			trouble = err
			continue
		}
		sent = append(sent, all[k])
		o.shares.sent(all[k])
	}
	if ctx.Err() != nil && len(sent) == 0 {
		return 0, nil, ctx.Err()
	}
	err = o.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		if err := tx.MarkSent(sent); err != nil {
			return err
		}
		return o.recordAcked(tx)
	})
	return len(ready), trouble, err
}

// newestResent returns, for each merchant of whom only lower results are republished, the newest
// that was sent: relays take what was published last for the end of a merchant's results. It goes
// in the same round, before that is marked, so that a crash repeats both.
func newestResent(tx *ledger.Tx, ready []ledger.Ready) (newest []ledger.Ready, err error) {
	highest := map[string]uint64{}
	var merchants []string
	for _, r := range ready {
		if _, ok := highest[r.Merchant]; !ok {
			merchants = append(merchants, r.Merchant)
		}
		highest[r.Merchant] = max(highest[r.Merchant], r.Serial)
	}
	for _, merchant := range merchants {
		end, _, err := tx.PreviousDigest(merchant)
		if err != nil {
			return nil, err
		}
		if end == highest[merchant] {
			continue
		}
		last, unsent, err := tx.SealedResult(merchant, end)
		if err != nil {
			return nil, err
		}
		if !unsent { // else it comes in a later round
			newest = append(newest, last)
		}
	}
	return newest, nil
}
