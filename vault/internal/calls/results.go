package calls

import (
	"context"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
)

// ResendResults publishes results of a merchant again.
func (c *Calls) ResendResults(ctx context.Context, actor operator.Actor, q control.ResendQuery, progress operator.Progress) (control.Resent, error) {
	parts, err := c.parts()
	if err != nil {
		return control.Resent{}, err
	}
	err = parts.Ledger.View(func(tx *ledger.Tx) error {
		_, found, err := tx.Merchant(q.Merchant)
		if err == nil && !found {
			err = notFound("merchant", q.Merchant, envelope.ValidMerchant(q.Merchant))
		}
		return err
	})
	if err != nil {
		return control.Resent{}, err
	}
	done, err := parts.Outbox.Resend(ctx, actor.Event(q.Merchant, nil), q.From, q.Count, progress)
	return control.Resent{Merchant: q.Merchant, From: done.From, Through: done.Through, Oldest: done.Oldest,
		Last: done.Last, Next: done.Next}, err
}
