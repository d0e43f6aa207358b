// Package bagtest makes bags as a relay does, for tests of those who read them.
package bagtest

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"nightdrop/relay/internal/bagger"
	"nightdrop/shared/note"
)

// The bagger's limits, a relay's defaults.
const (
	window         = 4
	queueEnvelopes = 4096
	queueBytes     = 64 << 20
)

// Relay makes bags of one run. It is safe for concurrent use.
type Relay struct {
	bags *bagger.Bagger
	head *bagger.Head
}

// Start begins a run after the bag that the head file names, and publishes by p.
func Start(head string, signer *note.Signer, p bagger.Publisher, logger *slog.Logger) (*Relay, error) {
	h, err := bagger.OpenHead(head, time.Now, logger)
	if err != nil {
		return nil, err
	}
	bags, err := bagger.Open(bagger.Config{Relay: signer.Name(), Signer: signer, Publisher: p, Head: h, Window: window,
		QueueEnvelopes: queueEnvelopes, QueueBytes: queueBytes, Now: time.Now, Logger: logger, Observer: unobserved{}})
	if err != nil {
		return nil, fmt.Errorf("%w; the head file: %w", err, h.Close())
	}
	return &Relay{bags, h}, nil
}

// Post puts envelopes into bags and returns when all are durable.
func (r *Relay) Post(ctx context.Context, merchant string, notes ...[]byte) error {
	var all errgroup.Group
	for _, envelope := range notes {
		all.Go(func() error {
			text, err := note.Text(envelope)
			if err != nil {
				return err
			}
			_, err = r.bags.Submit(ctx, bagger.Envelope{Merchant: merchant, Digest: note.Digest(text), Note: envelope})
			return err
		})
	}
	return all.Wait()
}

// Close ends the run as a relay that stops does.
func (r *Relay) Close(ctx context.Context) error {
	err := r.bags.Close(ctx)
	if closed := r.head.Close(); closed != nil {
		return closed
	}
	return err
}

type unobserved struct{}

func (unobserved) BagAcked(int, int, time.Duration) {}
func (unobserved) BagFailed(error)                  {}
