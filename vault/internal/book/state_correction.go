package book

import (
	"maps"
	"slices"

	"nightdrop/shared/envelope"
)

// Decision is a person's word on what became of a payment at the acquirer.
type Decision struct {
	Time     envelope.Time   `json:"time"`
	Actor    string          `json:"actor"` // "user:NAME"
	As       envelope.Status `json:"as"`
	Reason   string          `json:"reason"`
	Evidence string          `json:"evidence,omitempty"` // hex SHA-256 of what proves it
	Corrects bool            `json:"corrects,omitempty"` // it corrects an earlier word
}

// MaxDecisions bounds Payment.Decisions: who is wrong more often than this needs the acquirer's help, not another event.
const MaxDecisions = 16

// Way is what a card batch is agreed with its acquirer by.
type Way string

// The ways.
const (
	ByTotals  Way = "0500"    // the host compares control totals
	ByListing Way = "listing" // the acquirer's listing of the batch is the same, payment by payment
	ByWord    Way = "none"    // a person says so
)

// Adjustment is one line of a batch: a difference between its fixed totals and what stands at the acquirer, that a person has accepted.
type Adjustment struct {
	Time     envelope.Time `json:"time"`
	Actor    string        `json:"actor"`
	Total    Total         `json:"total"`             // what the acquirer has more; less where it is negative
	Payment  string        `json:"payment,omitempty"` // id
	Reason   string        `json:"reason"`
	Evidence string        `json:"evidence,omitempty"` // hex SHA-256 of what proves it
	Corrects bool          `json:"corrects,omitempty"` // it comes of a payment-corrected
}

// MaxAdjustments bounds Batch.Lines, which stand in the batch's record.
const MaxAdjustments = 500

// MayAdjust tells whether the batch has room for another line.
func (b Batch) MayAdjust() bool { return len(b.Lines) < MaxAdjustments }

// Expected is what stands at the acquirer by what the ledger knows: the batch's totals and its adjustment lines, by currency, sorted.
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

// sum adds two totals of a currency.
func sum(a, b Total) Total {
	return Total{Currency: b.Currency, Count: a.Count + b.Count, Amount: a.Amount + b.Amount, Credits: a.Credits + b.Credits,
		CreditAmount: a.CreditAmount + b.CreditAmount}
}

// MayTake tells whether the batch can come to what it comes to with another line: no less than nothing, and no sums of no payments.
func (b Batch) MayTake(difference Total) bool {
	b.Lines = append(slices.Clip(b.Lines), Adjustment{Total: difference})
	t, still := totalOf(b.Expected(), difference.Currency)
	return !still || t.possible()
}

// possible tells whether so much can stand anywhere.
func (t Total) possible() bool {
	return t.Count >= 0 && t.Credits >= 0 && t.Amount >= t.Count && t.CreditAmount >= t.Credits &&
		(t.Count > 0 || t.Amount == 0) && (t.Credits > 0 || t.CreditAmount == 0)
}

// Fixed tells whether the batch's content is fixed for ever.
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

// fellAs is what the merchant is told, or was told, of a card payment that does not stand, and where it then is.
func (p Payment) fellAs() (envelope.Status, Stage) {
	switch {
	case p.Flow() == FlowCapture:
		return envelope.StatusDeclined, StageDeclined
	case p.Void != "":
		return envelope.StatusVoided, StageVoided
	}
	return envelope.StatusReversed, StageReversed
}

// Corrections lists what a person may say in correction of what a person said of p. void is the payment that takes p back, the zero Payment
// where there is none. What the acquirer itself answered is not corrected: a batch that differs because of it is adjusted.
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

// MayReverse tells whether a person may order that p is taken back at the host: by its word it stands there, though its merchant was told
// otherwise.
func (p Payment) MayReverse() bool {
	_, at := p.fellAs()
	return p.AtHost && p.Stage == at
}

// decided tells whether a person said what became of p. Logs of before decisions were remembered tell it by the code alone.
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
