// Package settle moves the money of the payments that intake took: it asks the acquirer's host for
// approval, captures, reverses and expires, closes batches, reconciles card batches with the host,
// puts bank entries into files for the bank, and takes the bank's answers. What may happen to a
// payment is the state machine of package payment; ops/docs/payments.md draws it.
//
// Every request to the host is committed to the ledger, with its trace number, before it leaves,
// and its outcome before anything else is done with it. So at any moment a crash leaves one of
// three things: an intent that may have been sent (the next start calls it unknown), an outcome, or
// nothing. A request for approval is sent once: no answer is never "try again", it is reversed.
// Captures and reversals are advices: they are repeated under their trace until they stand, for a
// day, and then a person decides (Resolve, Resend). New requests wait while the host answers
// nothing (breaker).
//
// A file for the bank is treated alike: its name, trace numbers and digest are committed before it
// appears whole in the outbox, and the same entries always give the same bytes. So it appears once,
// as it stands in the log, or not at all.
//
//	Run        lanes of requests, captures and reversals (lane.go, request.go, capture.go, reversal.go); what the clock asks for (clock.go)
//	            what is repeated (advice.go, timetable.go), and a host that is silent (observe.go, breaker.go)
//	Recover    what a stop left outstanding (recover.go)
//	CloseBatch, Settle     close.go; settlement.go, reconcile.go for cards, filing.go and filing_content.go for bank accounts
//	ImportAnswers, Compare, Resolve, DropParts, Odd        what operators, the bank, the keys and the host's mistakes ask for
package settle
