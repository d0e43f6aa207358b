package calls

import (
	"context"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
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
		if r.Merchant == "" {
			if r.Merchant, err = c.ownerAt(r.ID, book.StageManual); err != nil {
				return sent, err
			}
		}
		return control.PaymentsResent{Resent: 1}, p.Engine.Resend(ctx, r.Merchant, r.ID, actor.Purpose, actor)
	})
}

// repeatedStages are those whose message is repeated until it is answered.
var repeatedStages = [...]book.Stage{book.StageUnknown, book.StageVoiding, book.StageCapturing, book.StageCorrecting}

// repeatedKinds are what is repeated in those stages.
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

// ownerAt finds the merchant of the payment of an id that stands at one of these stages.
func (c *Calls) ownerAt(id string, stages ...book.Stage) (string, error) {
	return view(c, func(tx *ledger.Tx) (merchant string, err error) {
		var owners []string
		for _, stage := range stages {
			err = tx.Payments(ledger.Query{Stage: stage}, func(p book.Payment) error {
				if p.ID == id {
					owners = append(owners, p.Merchant)
				}
				return nil
			})
			if err != nil {
				return "", err
			}
		}
		return onlyOwner(owners, either(stages)+" payment", id,
			"see how it stands with `vault payment list`, and which wait for a person with `vault payment list --status manual`")
	})
}

// either lists stages in words.
func either(stages []book.Stage) string {
	text := string(stages[0])
	for i, s := range stages[1:] {
		between := ", "
		if i == len(stages)-2 {
			between = " or "
		}
		text += between + string(s)
	}
	return text
}
