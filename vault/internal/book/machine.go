package book

import (
	"slices"

	"nightdrop/shared/envelope"
)

// Stage is where a payment stands.
type Stage string

// The stages of a payment.
const (
	StageReceived    Stage = "received"    // taken, nothing sent
	StageRejected    Stage = "rejected"    // final
	StageAuthorising Stage = "authorising" // trace committed; the request may have left
	StageDeclined    Stage = "declined"    // final
	StageApproved    Stage = "approved"    // a card sale or refund that waits for its batch
	StageAuthorised  Stage = "authorised"  // the money is held and may be captured
	StageCompleted   Stage = "completed"   // an authorisation that was captured whole; final
	StageExpired     Stage = "expired"     // an authorisation of which no more is captured; final
	StageCapturing   Stage = "capturing"   // trace committed; the advice may have left
	StageCaptured    Stage = "captured"    // a capture that waits for its batch
	StageWaiting     Stage = "waiting"     // a void whose payment is being taken back
	StageVoiding     Stage = "voiding"     // a void takes it back; a reversal is under way
	StageVoided      Stage = "voided"      // final
	StageUnknown     Stage = "unknown"     // no answer; a reversal is under way
	// no answer to reversal or capture either, for hours: a person decides
	StageManual Stage = "manual"
	// it stands though its merchant was told otherwise; a reversal is under way
	StageCorrecting Stage = "correcting"
	StageReversed   Stage = "reversed" // final
	StageAccepted   Stage = "accepted" // a bank entry that waits for a file
	// its trace number is committed; the file may have been written
	StageFiling   Stage = "filing"
	StageSettled  Stage = "settled"  // final, but that a bank entry may come back
	StageReturned Stage = "returned" // final
	StageDone     Stage = "done"     // a void, store, update or forget that had its effect; final
)

// Stages lists them all, in the order in which a payment has them.
var Stages = [...]Stage{StageReceived, StageRejected, StageAuthorising, StageDeclined, StageApproved, StageAuthorised, StageCompleted, StageExpired,
	StageCapturing, StageCaptured, StageWaiting, StageVoiding, StageVoided, StageUnknown, StageManual, StageCorrecting, StageReversed, StageAccepted, StageFiling, StageSettled,
	StageReturned, StageDone}

// Working lists the stages that the engine polls; waiting bank entries are read by their batch.
var Working = [...]Stage{StageReceived, StageAuthorising, StageAuthorised, StageCapturing, StageVoiding, StageUnknown, StageManual, StageCorrecting}

// Flow is the course that a payment takes through the stages.
type Flow string

// The flows.
const (
	FlowSale      Flow = "sale"      // by card
	FlowAuthorise Flow = "authorize" // by card
	FlowCapture   Flow = "capture"
	FlowRefund    Flow = "refund" // to a card
	FlowEntry     Flow = "entry"  // a bank account's sale, refund or payout
	FlowVoid      Flow = "void"
	FlowKeep      Flow = "keep" // store, update, forget
)

var flows = [...]Flow{FlowSale, FlowAuthorise, FlowCapture, FlowRefund, FlowEntry, FlowVoid, FlowKeep}

// Flow is the payment's; "" of one whose order could not be read.
func (p Payment) Flow() Flow {
	switch p.Operation {
	case envelope.OpVoid:
		return FlowVoid
	case envelope.OpStore, envelope.OpUpdate, envelope.OpForget:
		return FlowKeep
	case envelope.OpCapture:
		return FlowCapture
	case envelope.OpAuthorize:
		return FlowAuthorise
	case envelope.OpSale, envelope.OpRefund, envelope.OpPayout:
		switch {
		case p.Method == MethodBank:
			return FlowEntry
		case p.Operation == envelope.OpRefund:
			return FlowRefund
		}
		return FlowSale
	}
	return ""
}

// Credit reports whether the money goes to the account: of refunds and payouts.
func (p Payment) Credit() bool {
	return p.Operation == envelope.OpRefund || p.Operation == envelope.OpPayout
}

// transition is one step that the machine allows: an event of a kind takes a payment of a flow from
// one stage to others. An event about a payment's capture, refund or void is written FLOW/KIND.
type transition struct {
	Flow  Flow
	From  Stage
	Event string
	To    []Stage
}

// moves is the state machine of payments: nothing else happens. A test walks every pair of stage
// and event, and ops/docs/payments.md is drawn from it.
var moves = slices.Concat(moneyMoves[:], correctionMoves[:])

var moneyMoves = [...]transition{
	{FlowSale, StageReceived, "payment-refused", to(StageRejected)},
	{FlowSale, StageReceived, "authorisation-intended", to(StageAuthorising)},
	{FlowSale, StageAuthorising, "authorisation-answered", to(StageApproved, StageDeclined)},
	{FlowSale, StageAuthorising, "authorisation-unanswered", to(StageUnknown)},
	// its request certainly never left
	{FlowSale, StageAuthorising, "payment-refused", to(StageRejected)},
	{FlowSale, StageUnknown, "reversal-intended", to(StageUnknown)},
	{FlowSale, StageUnknown, "reversal-answered", to(StageReversed)},
	{FlowSale, StageUnknown, "reversal-abandoned", to(StageManual)},
	{FlowSale, StageUnknown, "payment-resolved", to(StageReversed, StageApproved)},
	{FlowSale, StageManual, "payment-resolved", to(StageReversed, StageApproved, StageVoided)},
	{FlowSale, StageManual, "payment-resent", to(StageUnknown, StageVoiding, StageCorrecting)},
	{FlowSale, StageApproved, "void/envelope-received", to(StageVoiding)},
	{FlowSale, StageVoiding, "reversal-intended", to(StageVoiding)},
	{FlowSale, StageVoiding, "reversal-answered", to(StageVoided)},
	{FlowSale, StageVoiding, "reversal-abandoned", to(StageManual)},
	{FlowSale, StageVoiding, "payment-resolved", to(StageVoided, StageApproved)},
	{FlowSale, StageApproved, "payment-settled", to(StageSettled)},
	{FlowSale, StageApproved, "refund/envelope-received", to(StageApproved)}, // its batch is closed
	{FlowSale, StageSettled, "refund/envelope-received", to(StageSettled)},

	{FlowAuthorise, StageReceived, "payment-refused", to(StageRejected)},
	{FlowAuthorise, StageReceived, "authorisation-intended", to(StageAuthorising)},
	{FlowAuthorise, StageAuthorising, "authorisation-answered", to(StageAuthorised, StageDeclined)},
	{FlowAuthorise, StageAuthorising, "authorisation-unanswered", to(StageUnknown)},
	// its request certainly never left
	{FlowAuthorise, StageAuthorising, "payment-refused", to(StageRejected)},
	{FlowAuthorise, StageUnknown, "reversal-intended", to(StageUnknown)},
	{FlowAuthorise, StageUnknown, "reversal-answered", to(StageReversed)},
	{FlowAuthorise, StageUnknown, "reversal-abandoned", to(StageManual)},
	{FlowAuthorise, StageUnknown, "payment-resolved", to(StageReversed, StageAuthorised)},
	{FlowAuthorise, StageManual, "payment-resolved", to(StageReversed, StageAuthorised, StageVoided)},
	{FlowAuthorise, StageManual, "payment-resent", to(StageUnknown, StageVoiding, StageCorrecting)},
	{FlowAuthorise, StageAuthorised, "capture/envelope-received", to(StageAuthorised)},
	{FlowAuthorise, StageAuthorised, "capture/capture-answered", to(StageAuthorised, StageCompleted)},
	{FlowAuthorise, StageAuthorised, "authorisation-expired", to(StageExpired)},
	{FlowAuthorise, StageAuthorised, "void/envelope-received", to(StageVoiding)},
	{FlowAuthorise, StageVoiding, "reversal-intended", to(StageVoiding)},
	{FlowAuthorise, StageVoiding, "reversal-answered", to(StageVoided)},
	{FlowAuthorise, StageVoiding, "reversal-abandoned", to(StageManual)},
	{FlowAuthorise, StageVoiding, "payment-resolved", to(StageVoided, StageAuthorised)},
	{FlowAuthorise, StageAuthorised, "refund/envelope-received", to(StageAuthorised)},
	{FlowAuthorise, StageCompleted, "refund/envelope-received", to(StageCompleted)},
	{FlowAuthorise, StageExpired, "refund/envelope-received", to(StageExpired)},

	{FlowCapture, StageReceived, "payment-refused", to(StageRejected)},
	{FlowCapture, StageReceived, "capture-intended", to(StageCapturing)},
	{FlowCapture, StageCapturing, "capture-intended", to(StageCapturing)},
	// declined only in logs from before: see Retired
	{FlowCapture, StageCapturing, "capture-answered", to(StageCaptured, StageDeclined)},
	{FlowCapture, StageCapturing, "outcome-unknown", to(StageCapturing)},
	{FlowCapture, StageCapturing, "capture-abandoned", to(StageManual)},
	{FlowCapture, StageCapturing, "payment-resolved", to(StageCaptured, StageDeclined)},
	// likewise, at its first try
	{FlowCapture, StageCapturing, "payment-refused", to(StageRejected)},
	{FlowCapture, StageManual, "payment-resolved", to(StageCaptured, StageDeclined)},
	{FlowCapture, StageManual, "payment-resent", to(StageCapturing, StageCorrecting)},
	{FlowCapture, StageCaptured, "payment-settled", to(StageSettled)},

	{FlowRefund, StageReceived, "payment-refused", to(StageRejected)},
	{FlowRefund, StageReceived, "authorisation-intended", to(StageAuthorising)},
	{FlowRefund, StageAuthorising, "authorisation-answered", to(StageApproved, StageDeclined)},
	{FlowRefund, StageAuthorising, "authorisation-unanswered", to(StageUnknown)},
	// its request certainly never left
	{FlowRefund, StageAuthorising, "payment-refused", to(StageRejected)},
	{FlowRefund, StageUnknown, "reversal-intended", to(StageUnknown)},
	{FlowRefund, StageUnknown, "reversal-answered", to(StageReversed)},
	{FlowRefund, StageUnknown, "reversal-abandoned", to(StageManual)},
	{FlowRefund, StageUnknown, "payment-resolved", to(StageReversed, StageApproved)},
	{FlowRefund, StageManual, "payment-resolved", to(StageReversed, StageApproved)},
	{FlowRefund, StageManual, "payment-resent", to(StageUnknown, StageCorrecting)},
	{FlowRefund, StageApproved, "payment-settled", to(StageSettled)},

	{FlowEntry, StageReceived, "entry-accepted", to(StageAccepted)},
	// payment-voided follows at once
	{FlowEntry, StageAccepted, "void/envelope-received", to(StageAccepted)},
	{FlowEntry, StageAccepted, "void/payment-voided", to(StageVoided)},
	{FlowEntry, StageAccepted, "entry-intended", to(StageFiling)},
	// its account cannot be opened for the file
	{FlowEntry, StageAccepted, "payment-refused", to(StageRejected)},
	{FlowEntry, StageFiling, "payment-refused", to(StageRejected)},
	{FlowEntry, StageFiling, "payment-settled", to(StageSettled)},
	{FlowEntry, StageSettled, "payment-returned", to(StageReturned)},
	{FlowEntry, StageSettled, "change-notified", to(StageSettled)},
	{FlowEntry, StageReturned, "change-notified", to(StageReturned)},
	{FlowEntry, StageSettled, "entry-acknowledged", to(StageSettled)},
	{FlowEntry, StageReturned, "entry-acknowledged", to(StageReturned)},
	{FlowEntry, StageSettled, "refund/envelope-received", to(StageSettled)},

	// of a bank entry: at once
	{FlowVoid, StageReceived, "payment-voided", to(StageDone)},
	// of a card payment: the message is on its way
	{FlowVoid, StageWaiting, "outcome-unknown", to(StageWaiting)},
	// the payment's reversal took it back
	{FlowVoid, StageWaiting, "reversal/reversal-answered", to(StageDone)},
	// a person said what became of it
	{FlowVoid, StageWaiting, "reversal/payment-resolved", to(StageDone, StageDeclined)},

	{FlowKeep, StageReceived, "account-stored", to(StageDone)},
	{FlowKeep, StageReceived, "account-updated", to(StageDone)},
	{FlowKeep, StageReceived, "account-forgotten", to(StageDone)},
}

func to(stages ...Stage) []Stage { return stages }

// allowed returns the stages that an event may take a payment to; none where it may not happen.
func allowed(flow Flow, from Stage, event string) []Stage {
	for _, m := range movesFrom[standing{flow, from}] {
		if m.Event == event {
			return m.To
		}
	}
	return nil
}

// standing is where in its flow a payment is.
type standing struct {
	flow Flow
	from Stage
}

// movesFrom are the moves by where they begin.
var movesFrom = func() map[standing][]transition {
	by := map[standing][]transition{}
	for _, m := range moves {
		at := standing{m.Flow, m.From}
		by[at] = append(by[at], m)
	}
	return by
}()
