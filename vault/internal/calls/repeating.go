package calls

import (
	"context"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/operator"
)

// Resend has what is manual be sent again.
func (c *Calls) Resend(ctx context.Context, actor operator.Actor, r control.Resend) (control.PaymentsResent, error) {
	return using(c, func(p Parts) (sent control.PaymentsResent, err error) {
		if r.Merchant != "" {
			if _, err := c.Merchant(ctx, r.Merchant); err != nil {
				return sent, err
			}
		}
		if r.All {
			sent.Resent, err = p.Engine.ResendAll(ctx, r.Merchant, actor.Purpose, actor)
			return sent, err
		}
		if !envelope.ValidID(r.ID) {
			return sent, notFound("payment", r.ID, false)
		}
		return control.PaymentsResent{Resent: 1}, p.Engine.Resend(ctx, r.Merchant, r.ID, actor.Purpose, actor)
	})
}

// repeatedKinds are what is repeated until it is answered, by stage.
var repeatedKinds = map[book.Stage]string{book.StageUnknown: control.RepeatReversals,
	book.StageVoiding: control.RepeatVoids, book.StageCapturing: control.RepeatCaptures,
	book.StageCorrecting: control.RepeatReversals}

// repeated adds a payment to what is being repeated, where it is.
func repeated(s *control.Status, p book.Payment) {
	kind, is := repeatedKinds[p.Stage]
	if !is {
		return
	}
	since, _ := p.Repeated()
	if since.IsZero() {
		since = p.Changed
	}
	r := s.Repeating[kind]
	if r.Payments++; r.Payments == 1 || since.Before(r.Oldest.Time) {
		r.Oldest = since
	}
	if s.Repeating == nil {
		s.Repeating = map[string]control.Repeating{}
	}
	s.Repeating[kind] = r
}
