package book

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"nightdrop/shared/envelope"
)

// Verify counts everything that the fold keeps a running total of anew, of a state in memory, from
// the payments alone ([Recount]). It returns the first difference, in the order of names.
func (s *State) Verify() error {
	recount := NewRecount()
	for _, p := range Payments.In(s) {
		recount.Add(p)
	}
	if err := recount.Batches(Batches.In(s)); err != nil {
		return err
	}
	return recount.Payments(s.Payment)
}

// Recount counts what the fold keeps running totals of anew, from the payments alone: totals, hash
// totals and counts of batches, and what captures and refunds hold. First Add gets every payment,
// then Batches and Payments compare. Memory grows with batches and payments with operations.
type Recount struct {
	counted map[uint32]*Batch
	held    map[Key]*Held // payments that there are, or seem to be, operations on
}

// NewRecount returns a count of nothing.
func NewRecount() *Recount { return &Recount{counted: map[uint32]*Batch{}, held: map[Key]*Held{}} }

// Add counts a payment.
func (r *Recount) Add(p Payment) {
	if p.Batch != 0 {
		b, ok := r.counted[p.Batch]
		if !ok {
			b = &Batch{}
			r.counted[p.Batch] = b
		}
		b.count(p)
	}
	if p.Capturing != 0 || p.Captured != 0 || p.Refunded != 0 {
		r.of(Key{p.Merchant, p.ID})
	}
	if p.Of != "" && (p.Stage != StageRejected || p.Batch != 0) {
		r.of(Key{p.Merchant, p.Of}).holds(p)
	}
}

// of is where the operations on a payment are counted.
func (r *Recount) of(key Key) *Held {
	h, ok := r.held[key]
	if !ok {
		h = &Held{}
		r.held[key] = h
	}
	return h
}

// Batches compares all batches with the count.
func (r *Recount) Batches(batches map[uint32]Batch) error {
	for _, number := range slices.Sorted(maps.Keys(r.counted)) {
		if _, ok := batches[number]; !ok {
			return misfit("there are payments of batch %d, which is not there", number)
		}
	}
	for _, number := range slices.Sorted(maps.Keys(batches)) {
		counted := r.counted[number]
		if counted == nil {
			counted = &Batch{}
		}
		if err := batches[number].differs(*counted); err != nil {
			return err
		}
	}
	return nil
}

// Payments compares what payments say that operations hold, in the order of names; get is a State's
// Payment.
func (r *Recount) Payments(get func(merchant, id string) (Payment, bool, error)) error {
	keys := slices.SortedFunc(maps.Keys(r.held), func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Merchant, b.Merchant), cmp.Compare(a.ID, b.ID))
	})
	for _, key := range keys {
		p, found, err := get(key.Merchant, key.ID)
		if err != nil {
			return err
		}
		if !found {
			return misfit("there are operations on payment %s, which is not there", key)
		}
		if h := r.held[key]; p.Capturing != h.Capturing || p.Captured != h.Captured || p.Refunded != h.Refunded {
			return misfit("payment %s holds %d, captured %d, refunded %d; its operations come to %d, %d, %d",
				p.Name(), p.Capturing, p.Captured, p.Refunded, h.Capturing, h.Captured, h.Refunded)
		}
	}
	return nil
}

// count adds p to a batch that is counted anew.
func (b *Batch) count(p Payment) {
	if p.InTotals {
		b.stand(p)
		b.Corrected++
	}
	if sign := p.outOfTotals(); sign != 0 {
		b.Lines = append(b.Lines, Adjustment{Total: p.total(sign), Corrects: true})
	}
	switch p.Stage {
	case StageAuthorising, StageCapturing, StageVoiding:
		b.Outstanding++
	case StageUnknown, StageManual, StageCorrecting:
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
func (h *Held) holds(o Payment) {
	if o.AtHost {
		return // it was released when its merchant was told that it does not stand
	}
	switch o.Operation {
	case envelope.OpCapture:
		if o.Stage != StageRejected && o.Stage != StageDeclined {
			h.Capturing += o.Amount
		}
		if o.Stage == StageCaptured || o.Stage == StageSettled {
			h.Captured += o.Amount
		}
	case envelope.OpRefund:
		switch o.Stage {
		case StageRejected, StageDeclined, StageReversed, StageReturned:
		default:
			h.Refunded += o.Amount
		}
	}
}

// differs compares a batch with one that was counted anew.
func (b Batch) differs(c Batch) error {
	if slices.Equal(b.Totals, c.Totals) && slices.Equal(b.Failed, c.Failed) && b.HashTotal == c.HashTotal && b.Outstanding == c.Outstanding &&
		b.Unresolved == c.Unresolved && b.Done == c.Done && b.Corrected == c.Corrected && slices.Equal(b.corrections(), c.corrections()) {
		return nil
	}
	say := func(b Batch) string {
		return fmt.Sprintf("totals %v, failed %v, hash total %d, outstanding %d, unresolved %d, done %d, corrected %d by %v", b.Totals, b.Failed,
			b.HashTotal, b.Outstanding, b.Unresolved, b.Done, b.Corrected, b.corrections())
	}
	return misfit("batch %d has %s; its payments come to %s", b.Number, say(b), say(c))
}

// corrections are what the batch's lines of corrected payments come to, by currency.
func (b Batch) corrections() []Total {
	only := Batch{Lines: slices.DeleteFunc(slices.Clone(b.Lines), func(l Adjustment) bool { return !l.Corrects })}
	return only.Expected()
}
