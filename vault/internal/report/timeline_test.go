package report

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// TestTimelineIsInOrder: also what happened within a second.
func TestTimelineIsInOrder(t *testing.T) {
	began := envelope.At(time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC))
	later := envelope.At(began.Add(time.Hour))
	entry := uint64(7)
	trace := &book.Trace{STAN: 17, RRN: "633510000017", Terminal: "T0000001", Sent: began}
	again := *trace
	again.Sent = later
	p := book.Payment{Merchant: "shop-1", ID: "sale", Received: began, Operation: envelope.OpSale, Amount: 1999, Currency: "USD"}
	p.Trace, p.Reversal = trace, &again
	p.Decisions = []book.Decision{{Time: later, Actor: "user:ann", As: envelope.StatusReversed, Reason: "ticket 1"}}
	p.Resent = &book.Resent{At: later, Tries: 4}
	steps := Timeline(p, Around{
		Results: []Step{{Time: began, Kind: StepResult, Entry: &entry, Result: 1, Status: envelope.StatusUnknown},
			{Time: later, Kind: StepResult, Result: 2, Status: envelope.StatusReversed}, {Time: later, Kind: StepResult, Result: 3, Status: envelope.StatusSettled}},
		Operations: []book.Payment{{Merchant: "shop-1", ID: "void", Received: later, Operation: envelope.OpVoid}},
		// and not settled
		Batch: book.Batch{Number: 3, Method: book.MethodCard, Closed: later,
			Lines: []book.Adjustment{{Time: later, Payment: "another"}, {Time: later, Payment: "sale", Actor: "user:ann", Reason: "case 9"}}},
		File: book.File{Name: "file-1", Written: later},
	})
	var kinds []StepKind
	for _, s := range steps {
		kinds = append(kinds, s.Kind)
	}
	want := []StepKind{StepReceived, StepRequest, StepResult, StepOperation, StepDecision, StepSentAgain, StepReversal, StepResult, StepBatchClosed, StepAdjusted, StepFile, StepResult}
	if !slices.Equal(kinds, want) {
		t.Errorf("steps %v, want %v", kinds, want)
	}
	if !reflect.DeepEqual(steps[1], Step{Time: began, Kind: StepRequest, Trace: trace}) || steps[2].Entry != &entry || steps[3].Payment != "shop-1/void" ||
		steps[4].Reason != "ticket 1" || steps[8].Batch != "card-000003" || steps[9].Reason != "case 9" {
		t.Errorf("steps %+v", steps)
	}
}
