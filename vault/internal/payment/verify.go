package payment

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"nightdrop/shared/envelope"
)

// Verify counts everything that the fold keeps a running total of anew, from the payments alone: control totals and hash totals of
// batches, what is outstanding, unresolved, failed and done in them, and what captures and refunds hold of their payments. It returns the
// first difference, in the order of names.
func (m *Memory) Verify() error {
	counted := map[uint32]*Batch{}
	for number := range m.Batches {
		counted[number] = &Batch{}
	}
	held := map[Key]*Payment{}
	for key := range m.Payments {
		held[key] = &Payment{}
	}
	for key, p := range m.Payments {
		if p.Batch != 0 {
			b, ok := counted[p.Batch]
			if !ok {
				return misfit("payment %s is of batch %d, which is not there", p.ID, p.Batch)
			}
			b.count(p)
		}
		if p.Of == "" || p.Stage == StageRejected && p.Batch == 0 {
			continue
		}
		original, ok := held[Key{key.Merchant, p.Of}]
		if !ok {
			return misfit("%s is of payment %s, which is not there", p.ID, p.Of)
		}
		original.holds(p)
	}
	for _, number := range slices.Sorted(maps.Keys(counted)) {
		if err := m.Batches[number].differs(*counted[number]); err != nil {
			return err
		}
	}
	keys := slices.SortedFunc(maps.Keys(held), func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Merchant, b.Merchant), cmp.Compare(a.ID, b.ID))
	})
	for _, key := range keys {
		p, h := m.Payments[key], held[key]
		if p.Capturing != h.Capturing || p.Captured != h.Captured || p.Refunded != h.Refunded {
			return misfit("payment %s holds %d, captured %d, refunded %d; its operations come to %d, %d, %d",
				p.ID, p.Capturing, p.Captured, p.Refunded, h.Capturing, h.Captured, h.Refunded)
		}
	}
	return nil
}

// count adds p to a batch that is counted anew.
func (b *Batch) count(p Payment) {
	switch p.Stage {
	case StageAuthorising, StageCapturing, StageVoiding:
		b.Outstanding++
	case StageUnknown, StageManual:
		b.Unresolved++
	case StageApproved, StageCaptured, StageAccepted, StageFiling:
		b.stand(p)
	case StageSettled, StageReturned:
		b.stand(p)
		b.Done++
	case StageRejected:
		b.stand(p)
		b.Failed = addTotal(b.Failed, p.total(1))
	case StageReceived, StageDeclined, StageAuthorised, StageCompleted, StageExpired, StageWaiting, StageVoided, StageReversed, StageDone:
	}
}

// holds adds what the operation o holds of its payment.
func (p *Payment) holds(o Payment) {
	switch o.Operation {
	case envelope.OpCapture:
		if o.Stage != StageRejected && o.Stage != StageDeclined {
			p.Capturing += o.Amount
		}
		if o.Stage == StageCaptured || o.Stage == StageSettled {
			p.Captured += o.Amount
		}
	case envelope.OpRefund:
		switch o.Stage {
		case StageRejected, StageDeclined, StageReversed, StageReturned:
		default:
			p.Refunded += o.Amount
		}
	}
}

// differs compares a batch with one that was counted anew.
func (b Batch) differs(c Batch) error {
	if slices.Equal(b.Totals, c.Totals) && slices.Equal(b.Failed, c.Failed) && b.HashTotal == c.HashTotal && b.Outstanding == c.Outstanding &&
		b.Unresolved == c.Unresolved && b.Done == c.Done {
		return nil
	}
	say := func(b Batch) string {
		return fmt.Sprintf("totals %v, failed %v, hash total %d, outstanding %d, unresolved %d, done %d", b.Totals, b.Failed, b.HashTotal, b.Outstanding, b.Unresolved, b.Done)
	}
	return misfit("batch %d has %s; its payments come to %s", b.Number, say(b), say(c))
}
