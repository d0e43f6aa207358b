// Package book is the arithmetic of the vault: the events that can happen to merchants, keys, bags,
// payments and batches, their states, and the fold that makes the states from the events. It does
// no I/O, reads no clock and holds no account data, so that the ledger (which commits events as
// they happen) and an auditor's replay (of an exported log) run the same code and reach the same
// totals.
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
