package report

import (
	"cmp"
	"slices"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// StepKind is what a [Step] is.
type StepKind string

// The kinds of steps, in their order within one second; results come after what they answer.
const (
	StepReceived StepKind = "received"     // the vault took the envelope, or refused it
	StepRequest  StepKind = "request-sent" // the first message to the acquirer's host
	StepResult   StepKind = "result"       // what the merchant was answered
	// a capture, refund or void of the payment was received
	StepOperation   StepKind = "operation"
	StepDecision    StepKind = "decided"       // a person's word on what became of it
	StepSentAgain   StepKind = "sent-again"    // a person had its message sent again
	StepReversal    StepKind = "reversal-sent" // the first reversal to the acquirer's host
	StepBatchClosed StepKind = "batch-closed"
	// a line of its batch names it: the acquirer has it otherwise
	StepAdjusted     StepKind = "adjusted"
	StepFile         StepKind = "file-written" // the settlement file with the bank entry
	StepBatchSettled StepKind = "batch-settled"
)

var stepOrder = []StepKind{StepReceived, StepRequest, StepResult, StepOperation, StepDecision, StepSentAgain, StepReversal, StepBatchClosed, StepAdjusted, StepFile, StepBatchSettled}

// Step is one thing that happened to a payment. Members that its kind has not are absent.
type Step struct {
	Time envelope.Time `json:"time"`
	Kind StepKind      `json:"step"`
	// index in the log of the event that it comes from, where the ledger has it: of results
	Entry     *uint64            `json:"entry,omitempty"`
	Payment   string             `json:"payment,omitempty"` // MERCHANT/ID of the operation
	Operation envelope.Operation `json:"operation,omitempty"`
	Amount    int64              `json:"amount,omitempty"` // minor units
	Currency  string             `json:"currency,omitempty"`
	Result    uint64             `json:"result,omitempty"` // serial in the merchant's chain
	// that the result has, or that was decided
	Status   envelope.Status `json:"status,omitempty"`
	Code     envelope.Code   `json:"code,omitempty"`
	Approval string          `json:"approval,omitempty"`
	Trace    *book.Trace     `json:"trace,omitempty"` // of the message that was sent
	Tries    int             `json:"tries,omitempty"` // before it was sent again
	Actor    string          `json:"actor,omitempty"` // who decided
	Reason   string          `json:"reason,omitempty"`
	Evidence string          `json:"evidence,omitempty"` // hex SHA-256
	Corrects bool            `json:"corrects,omitempty"` // the decision corrects an earlier one
	Batch    string          `json:"batch,omitempty"`    // as commands take it
	File     string          `json:"file,omitempty"`
}

// Around is what stands elsewhere about a payment.
type Around struct {
	Results    []Step         // as they were issued
	Operations []book.Payment // its captures, refunds and voids
	Batch      book.Batch     // that it is in; zero where there is none
	File       book.File      // that its entry is in; zero where there is none
}

// Timeline is what happened to p, oldest first: to the second, as the ledger knows it.
func Timeline(p book.Payment, around Around) []Step {
	steps := []Step{{Time: p.Received, Kind: StepReceived, Operation: p.Operation, Amount: p.Amount, Currency: p.Currency}}
	add := func(s Step) {
		if !s.Time.IsZero() {
			steps = append(steps, s)
		}
	}
	for kind, trace := range map[StepKind]*book.Trace{StepRequest: p.Trace, StepReversal: p.Reversal} {
		if trace != nil {
			add(Step{Time: trace.Sent, Kind: kind, Trace: trace})
		}
	}
	for _, result := range around.Results {
		add(result)
	}
	for _, o := range around.Operations {
		add(Step{Time: o.Received, Kind: StepOperation, Payment: o.Name(), Operation: o.Operation,
			Amount: o.Amount, Currency: o.Currency, Code: o.Code})
	}
	for _, d := range p.Decisions {
		add(Step{Time: d.Time, Kind: StepDecision, Status: d.As, Actor: d.Actor, Reason: d.Reason, Evidence: d.Evidence, Corrects: d.Corrects})
	}
	if p.Resent != nil {
		add(Step{Time: p.Resent.At, Kind: StepSentAgain, Tries: p.Resent.Tries})
	}
	if b := around.Batch; b.Number != 0 {
		add(Step{Time: b.Closed, Kind: StepBatchClosed, Batch: b.ID()})
		for _, l := range b.Lines {
			if l.Payment == p.ID {
				add(Step{Time: l.Time, Kind: StepAdjusted, Actor: l.Actor, Reason: l.Reason, Evidence: l.Evidence, Corrects: l.Corrects, Batch: b.ID()})
			}
		}
		add(Step{Time: b.Settled, Kind: StepBatchSettled, Batch: b.ID()})
	}
	add(Step{Time: around.File.Written, Kind: StepFile, File: around.File.Name})
	slices.SortStableFunc(steps, func(a, b Step) int {
		return cmp.Or(a.Time.Compare(b.Time.Time), cmp.Compare(a.order(), b.order()))
	})
	return steps
}

// order is a step's position within one second.
func (s Step) order() int {
	place := func(kind StepKind) int { return 2 * slices.Index(stepOrder, kind) }
	if s.Kind == StepResult {
		switch s.Status {
		case envelope.StatusReversed:
			return place(StepReversal) + 1
		case envelope.StatusSettled, envelope.StatusRefunded, envelope.StatusPaidOut:
			return place(StepFile) + 1
		}
	}
	return place(s.Kind)
}
