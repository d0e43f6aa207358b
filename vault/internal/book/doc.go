// Package book is the arithmetic of the vault: the events that can happen to merchants, keys, bags,
// payments and batches, the states that these have, and the fold that turns the one into the other.
// It does no I/O, reads no clock and holds no account data, so that the ledger (which commits
// events as they happen) and an auditor's replay (which reads them back from an exported log) run
// the very same code and must reach the same totals.
//
// The way of a card sale:
//
//	envelope-received        received
//	authorisation-intended   authorising    trace numbers committed before anything is sent
//	authorisation-answered   approved | declined
//	  or -unanswered         unknown        never sent again; a reversal follows
//	reversal-intended        unknown        0420, then 0421 until it is answered
//	reversal-answered        reversed
//	payment-settled          settled        after the host's totals agreed with the batch's
package book
