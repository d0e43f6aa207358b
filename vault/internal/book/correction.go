package book

import (
	"maps"
	"slices"

	"nightdrop/shared/envelope"
)

// Decision is what a person decided became of a payment at the acquirer.
type Decision struct {
	Time     envelope.Time   `json:"time"`
	Actor    string          `json:"actor"` // "user:NAME"
	As       envelope.Status `json:"as"`
	Reason   string          `json:"reason"`
	Evidence string          `json:"evidence,omitempty"` // hex SHA-256 of what proves it
	Corrects bool            `json:"corrects,omitempty"` // it corrects an earlier decision
}

// Decided is what people decided about a payment, and where that differs from its results.
type Decided struct {
	Decisions []Decision `json:"decisions,omitempty"` // oldest first
	// it stands at the host, though its merchant was told otherwise
	AtHost bool `json:"atHost,omitempty"`
	// its batch's fixed totals count it, though its merchant was told otherwise since
	InTotals bool `json:"inTotals,omitempty"`
}

// MaxDecisions bounds Decided.Decisions: who needs more needs the acquirer's help, not an event.
const MaxDecisions = 16

// Way is what a card batch is agreed with its acquirer by.
type Way string

// The ways.
const (
	ByTotals  Way = "0500"    // the host compares control totals
	ByListing Way = "listing" // the acquirer's listing of the batch is the same, payment by payment
	ByWord    Way = "none"    // a person says so
)

// Adjustment is one line of a batch: a difference, accepted by a person, between its fixed totals
// and what stands at the acquirer.
type Adjustment struct {
	Time  envelope.Time `json:"time"`
	Actor string        `json:"actor"`
	// what the acquirer has more; less where it is negative
	Total    Total  `json:"total"`
	Payment  string `json:"payment,omitempty"` // id
	Reason   string `json:"reason"`
	Evidence string `json:"evidence,omitempty"` // hex SHA-256 of what proves it
	Corrects bool   `json:"corrects,omitempty"` // it comes of a payment-corrected
}

// MaxAdjustments bounds Batch.Lines, which stand in the batch's record.
const MaxAdjustments = 500

// MayAdjust reports whether the batch has room for another line.
func (b Batch) MayAdjust() bool { return len(b.Lines) < MaxAdjustments }

// Expected is what the ledger expects at the acquirer: the batch's totals and its adjustment lines,
// by currency, sorted.
func (b Batch) Expected() []Total {
	if len(b.Lines) == 0 {
		return b.Totals
	}
	by := map[string]Total{}
	for _, t := range b.Totals {
		by[t.Currency] = t
	}
	for _, l := range b.Lines {
		by[l.Total.Currency] = sum(by[l.Total.Currency], l.Total)
	}
	var expected []Total
	for _, currency := range slices.Sorted(maps.Keys(by)) {
		if t := by[currency]; t != (Total{Currency: currency}) {
			expected = append(expected, t)
		}
	}
	return expected
}

func sum(a, b Total) Total {
	return Total{Currency: b.Currency, Count: a.Count + b.Count, Amount: a.Amount + b.Amount, Credits: a.Credits + b.Credits,
		CreditAmount: a.CreditAmount + b.CreditAmount}
}

// MayTake reports whether the batch's totals stay possible with another line: nothing below zero,
// and no sums of no payments.
func (b Batch) MayTake(difference Total) bool {
	b.Lines = append(slices.Clip(b.Lines), Adjustment{Total: difference})
	t, still := totalOf(b.Expected(), difference.Currency)
	return !still || t.possible()
}

// possible reports whether so much can stand anywhere.
func (t Total) possible() bool {
	return t.Count >= 0 && t.Credits >= 0 && t.Amount >= t.Count && t.CreditAmount >= t.Credits &&
		(t.Count > 0 || t.Amount == 0) && (t.Credits > 0 || t.CreditAmount == 0)
}

// Fixed reports whether the batch's content is fixed for ever.
func (b Batch) Fixed() bool {
	return b.Stage == BatchFixed || b.Stage == BatchDiffers || b.Stage == BatchDone
}

// standsAs is what a person calls a card payment that stands at the host.
func (p Payment) standsAs() envelope.Status {
	if p.Flow() == FlowCapture {
		return envelope.StatusCaptured
	}
	return envelope.StatusApproved
}

// fellAs is the result of a card payment that does not stand, and its stage then.
func (p Payment) fellAs() (envelope.Status, Stage) {
	switch {
	case p.Flow() == FlowCapture:
		return envelope.StatusDeclined, StageDeclined
	case p.Void != "":
		return envelope.StatusVoided, StageVoided
	}
	return envelope.StatusReversed, StageReversed
}

// Corrections lists the corrections that a person may make to what a person said of p. void is the
// payment that takes p back, or the zero Payment. What the acquirer itself answered is not
// corrected: a batch that differs because of it is adjusted.
func (p Payment) Corrections(void Payment) []envelope.Status {
	if p.Way() == MethodBank || !p.decided(void) {
		return nil
	}
	fell, at := p.fellAs()
	switch p.Stage {
	case StageApproved, StageCaptured, StageSettled:
		return []envelope.Status{fell}
	case StageAuthorised:
		if p.Capturing == 0 { // otherwise the captures are corrected
			return []envelope.Status{fell}
		}
	case StageManual:
		if p.AtHost {
			return []envelope.Status{p.standsAs()}
		}
	case at:
		if p.AtHost {
			return []envelope.Status{fell}
		}
		return []envelope.Status{p.standsAs()}
	}
	return nil
}

// MayReverse reports whether a person may order p's reversal at the host: a person said that it
// stands there, though its merchant was told otherwise.
func (p Payment) MayReverse() bool {
	_, at := p.fellAs()
	return p.AtHost && p.Stage == at
}

// decided reports whether a person said what became of p; in older logs the code alone shows it.
func (p Payment) decided(void Payment) bool {
	if len(p.Decisions) > 0 {
		return true
	}
	switch p.Stage {
	case StageReversed, StageDeclined:
		return p.Code == envelope.CodeNoAnswer
	case StageApproved, StageAuthorised, StageCaptured, StageSettled:
		return p.Code == envelope.CodeOK
	case StageVoided:
		return void.Code == envelope.CodeNoAnswer
	}
	return false
}

// PaymentCorrected is a person's correction of an earlier decision. While the payment's batch is
// open it moves the payment, and what stands at the host though its merchant was told otherwise is
// reversed there. Afterwards totals stand, and it is an adjustment line of the batch. No merchant
// that was told that a payment does not stand is ever told that it does.
type PaymentCorrected struct {
	ID     string          `json:"id"`
	As     envelope.Status `json:"as"`     // see Corrections
	Reason string          `json:"reason"` // 1 to 200 printable ASCII
	// Reverse orders the reversal of what stands at the host though its batch is closed.
	Reverse bool `json:"reverse,omitempty"`
}

// Kind implements Body.
func (PaymentCorrected) Kind() string { return "payment-corrected" }

// BatchAdjusted accepts a named difference between a closed card batch and the acquirer.
type BatchAdjusted struct {
	Batch uint32 `json:"batch"`
	// what the acquirer has more than the ledger; less where it is negative
	Total Total `json:"total"`
	// id of the payment that it is about; none where it is about none of ours
	Payment string `json:"payment,omitempty"`
	Reason  string `json:"reason"` // 1 to 200 printable ASCII
}

// Kind implements Body.
func (BatchAdjusted) Kind() string { return "batch-adjusted" }

// BatchAgreed stands for a host's 0510: a listing of the acquirer that agrees, whose digest is the
// event's evidence, or a person's statement.
type BatchAgreed struct {
	Batch  uint32  `json:"batch"`
	By     Way     `json:"by"`
	Totals []Total `json:"totals"`           // what stands at the acquirer, by currency, sorted
	Reason string  `json:"reason,omitempty"` // of a person's statement: 1 to 200 printable ASCII
}

// Kind implements Body.
func (BatchAgreed) Kind() string { return "batch-agreed" }

// decide keeps a person's decision with its payment.
func (f *fold) decide(p *Payment, as envelope.Status, reason string, corrects bool) {
	p.Decisions = append(slices.Clip(p.Decisions), Decision{Time: f.event.Time, Actor: f.event.Actor, As: as, Reason: reason,
		Evidence: f.event.Evidence, Corrects: corrects})
}

// corrected applies a person's correction of an earlier decision.
func (f *fold) corrected(b PaymentCorrected) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	var void Payment
	if p.Void != "" {
		if void, err = f.known(p.Void); err != nil {
			return err
		}
	}
	stands := b.As == p.standsAs()
	ordered := b.Reverse && stands && p.MayReverse()
	if !ordered && !slices.Contains(p.Corrections(void), b.As) || b.Reverse && !stands || len(p.Decisions) >= MaxDecisions {
		return misfit("payment %s cannot be corrected to %s", p.Name(), b.As)
	}
	batch, _, err := f.Batch(p.Batch) // the zero Batch of an authorisation
	if err != nil {
		return err
	}
	if batch.Fixed() && !batch.MayAdjust() {
		return misfit("batch %d has %d adjustment lines", p.Batch, len(batch.Lines))
	}
	f.decide(&p, b.As, b.Reason, true)
	switch _, at := p.fellAs(); {
	case stands:
		return f.standsAfterAll(p, b.Reverse || !batch.Fixed())
	case p.Stage == at:
		p.AtHost = false // it was put right by hand, or never stood there
		return f.settleLine(p, at)
	}
	return f.fallsAfterAll(p, batch)
}

// standsAfterAll handles a payment that stands at the host though its merchant was told otherwise.
// It issues no result: the payment is reversed there or, where that is too late or was not
// answered, becomes an adjustment line.
func (f *fold) standsAfterAll(p Payment, reverse bool) error {
	p.AtHost = true
	if p.Stage == StageManual {
		if err := f.inCardBatch(p, "", func(b Batch) Batch { b.Unresolved--; return b }); err != nil {
			return err
		}
	} else if reverse {
		p.endReversal()
		if err := f.inCardBatch(p, "", func(b Batch) Batch { b.Unresolved++; return b }); err != nil {
			return err
		}
		return f.settleLine(p, StageCorrecting)
	}
	_, at := p.fellAs()
	return f.settleLine(p, at)
}

// settleLine takes p to a stage without a result, and brings the batch's line about it up to date.
func (f *fold) settleLine(p Payment, at Stage) error {
	if err := f.moveTo(&p, at); err != nil {
		return err
	}
	if err := f.line(p); err != nil {
		return err
	}
	return f.put(p)
}

// fallsAfterAll handles a payment that does not stand at the host though its merchant was told that
// it does, and issues the result that says so.
func (f *fold) fallsAfterAll(p Payment, batch Batch) error {
	if batch.Fixed() {
		p.InTotals = true
		if err := f.inCardBatch(p, "", func(b Batch) Batch { b.Corrected++; b.Done -= settledNow(p); return b }); err != nil {
			return err
		}
		if err := f.line(p); err != nil {
			return err
		}
	} else if err := f.inCardBatch(p, "", func(b Batch) Batch { b.fall(p); return b }); err != nil {
		return err
	}
	if p.Stage == StageSettled {
		if err := f.sold(p, -1); err != nil {
			return err
		}
	}
	if p.Flow() != FlowCapture {
		return f.undone(p, envelope.CodeNoAnswer)
	}
	original, err := f.known(p.Of)
	if err != nil {
		return err
	}
	original.Captured -= p.Amount
	to := original.Stage
	if to == StageCompleted {
		to = StageAuthorised // what is left may be captured again, until it expires
	}
	if err := f.move(&original, "capture/"+f.event.Body.Kind(), to); err != nil {
		return err
	}
	if err := f.put(original); err != nil {
		return err
	}
	return f.notCaptured(p, envelope.CodeNoAnswer)
}

func settledNow(p Payment) int64 {
	if p.Stage == StageSettled {
		return 1
	}
	return 0
}

// tookBack ends the correction of a payment that was reversed at the host: its stage is the one
// that its merchant was told long ago.
func (f *fold) tookBack(p Payment, code envelope.Code) error {
	_, at := p.fellAs()
	p.AtHost, p.Code = false, code
	return f.settleLine(p, at)
}

// line brings the batch's line about p up to date: none where totals and host agree about it.
func (f *fold) line(p Payment) error {
	if p.Batch == 0 {
		return nil
	}
	word := p.Decisions[len(p.Decisions)-1]
	return f.inCardBatch(p, "", func(b Batch) Batch {
		b.Lines = slices.DeleteFunc(slices.Clone(b.Lines), func(l Adjustment) bool { return l.Corrects && l.Payment == p.ID })
		if sign := p.outOfTotals(); sign != 0 {
			b.Lines = append(b.Lines, Adjustment{Time: word.Time, Actor: word.Actor, Total: p.total(sign), Payment: p.ID, Reason: word.Reason,
				Evidence: word.Evidence, Corrects: true})
		}
		b.held()
		return b
	})
}

// outOfTotals is 1 of a payment that stands at the host and not in its batch's totals, -1 the other
// way round, and 0 where they agree or a reversal will make them agree.
func (p Payment) outOfTotals() int64 {
	switch {
	case p.AtHost == p.InTotals, p.Stage == StageCorrecting, p.Stage == StageManual:
		return 0
	case p.AtHost:
		return 1
	}
	return -1
}

// held compares the host's totals with the batch's lines: those that are now expected are agreed,
// others are asked for again.
func (b *Batch) held() {
	if b.Stage != BatchFixed && b.Stage != BatchDiffers {
		return
	}
	expected := b.Expected()
	agreed := slices.DeleteFunc(append(slices.Clone(b.Agreed), b.Host...), func(t Total) bool { return !slices.Contains(expected, t) })
	host := slices.DeleteFunc(slices.Clone(b.Host), func(t Total) bool {
		_, still := totalOf(expected, t.Currency)
		return !still || slices.Contains(agreed, t)
	})
	b.Agreed, b.Host = nil, host
	for _, t := range agreed {
		b.Agreed = addTotal(b.Agreed, t)
	}
	b.Stage = BatchDiffers
	if len(host) == 0 {
		b.Host, b.Stage = nil, BatchFixed
	}
}

// unsettled reads a closed card batch of the event's merchant that is not settled.
func (f *fold) unsettled(number uint32) (Batch, error) {
	b, ok, err := f.Batch(number)
	if err != nil {
		return b, err
	}
	if !ok || b.Method != MethodCard || b.Merchant != f.event.Merchant || !b.Fixed() || b.Stage == BatchDone {
		return b, misfit("batch %d is not an unsettled, closed card batch of %s", number, f.event.Merchant)
	}
	return b, nil
}

func (f *fold) adjusted(b BatchAdjusted) error {
	batch, err := f.unsettled(b.Batch)
	if err != nil {
		return err
	}
	if b.Payment != "" {
		if _, err := f.known(b.Payment); err != nil {
			return err
		}
	}
	if !envelope.ValidCurrency(b.Total.Currency) { // by its form: the fold reads no table
		return misfit("%s is not a currency", b.Total.Currency)
	}
	if !batch.MayAdjust() || !batch.MayTake(b.Total) || b.Total == (Total{Currency: b.Total.Currency}) {
		return misfit("batch %d has %d adjustment lines, and not this one too", b.Batch, len(batch.Lines))
	}
	batch.Lines = append(slices.Clip(batch.Lines), Adjustment{Time: f.event.Time, Actor: f.event.Actor, Total: b.Total, Payment: b.Payment, Reason: b.Reason,
		Evidence: f.event.Evidence})
	batch.held()
	return Batches.Put(f.State, batch)
}

// agreed accepts a listing or a person's statement instead of a host's 0510.
func (f *fold) agreed(b BatchAgreed) error {
	batch, err := f.unsettled(b.Batch)
	if err != nil {
		return err
	}
	if b.By != ByListing && b.By != ByWord || !slices.Equal(b.Totals, batch.Expected()) {
		return misfit("totals of batch %d that are not the ledger's cannot be agreed", b.Batch)
	}
	batch.Agreed, batch.Host, batch.By, batch.Stage = batch.Expected(), nil, b.By, BatchFixed
	return Batches.Put(f.State, batch)
}
