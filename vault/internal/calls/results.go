package calls

import (
	"context"

	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/operator"
	"nightdrop/vault/internal/publisher"
)

// ResendResults publishes results of a merchant again.
func (c *Calls) ResendResults(ctx context.Context, actor operator.Actor, q control.ResendQuery, progress operator.Progress) (control.Resent, error) {
	if _, err := c.Merchant(ctx, q.Merchant); err != nil {
		return control.Resent{}, err
	}
	done, err := using(c, func(p Parts) (publisher.Resent, error) {
		return p.Publisher.Resend(ctx, actor.Event(q.Merchant, nil), q.From, q.Count, progress)
	})
	return control.Resent{Merchant: q.Merchant, From: done.From, Through: done.Through, Oldest: done.Oldest,
		Last: done.Last, Next: done.Next}, err
}
