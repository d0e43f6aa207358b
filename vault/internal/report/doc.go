// Package report computes what batches came to: control totals, hash totals, differences, volume by
// day, outcomes and returns, and one row a payment. It does no I/O but writing: a [Builder] is fed
// what the ledger holds, and a [Report] is written as text, CSV or one self-contained HTML page. A
// row is a [Payment], the one view of a payment that operators, scripts and auditors have; it shows
// no more of an account than its masked number.
package report

import (
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// Report is what one batch came to, or all batches closed in a period.
type Report struct {
	Vault string        `json:"vault"`
	Made  envelope.Time `json:"made"`
	// a batch's name, or what the batches have in common
	Subject  string `json:"message"`
	Merchant string `json:"merchant,omitempty"` // the only one whose batches were asked for
	// of a period: the first UTC day on which its batches were closed, YYYY-MM-DD
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"` // the last

	Replayed *Replayed `json:"replayed,omitempty"` // by whom, where not by the vault

	Batches []Batch `json:"batches"` // in order of their numbers
	// what came of it after refunds and returns, by currency
	Nets      []Net        `json:"nets"`
	Totals    []book.Total `json:"totals"`    // of what stands in all of them, by currency
	HashTotal uint64       `json:"hashTotal"` // of the batches' hash totals, modulo 10^10
	// how many have a row: those that stand, and those that came to nothing
	Payments    int64        `json:"payments"`
	Differences []Difference `json:"differences"` // none when everything adds up
	// what stands by the UTC day on which it was accepted
	Days     []Day        `json:"days"`
	Outcomes []Outcome    `json:"outcomes"` // the most frequent first
	Returned []book.Total `json:"returned"` // of the bank entries that came back, by currency
	Returns  []Payment    `json:"returns"`  // those entries, the first MaxReturns
}

// Replayed records that an auditor, and not the vault, made a report, from the events of a log.
type Replayed struct {
	By      string `json:"by"`
	Entries int64  `json:"entries"` // of the log, from its beginning
	Root    string `json:"root"`    // of the tree of these
}

// MaxReturns bounds Report.Returns; the rows of the rest are among the payments.
const MaxReturns = 1000

// Batch is one batch of a report.
type Batch struct {
	ID        string          `json:"id"`
	Number    uint32          `json:"number"`
	Merchant  string          `json:"merchant"`
	Method    book.Method     `json:"method"`
	Status    book.BatchStage `json:"status"`
	Opened    envelope.Time   `json:"opened"`
	Closed    *envelope.Time  `json:"closed,omitempty"`
	Settled   *envelope.Time  `json:"settled,omitempty"`
	Totals    []book.Total    `json:"totals"`
	HashTotal uint64          `json:"hashTotal"`
	File      *File           `json:"file,omitempty"` // bank: the settlement file that holds it
	// what it was agreed by, where not by the host's 0510
	By book.Way `json:"by,omitempty"`

	// what the acquirer has otherwise, and why that is accepted; oldest first
	Lines []book.Adjustment `json:"lines,omitempty"`
}

// File is a settlement file as a report names it.
type File struct {
	Name      string `json:"name"`
	Digest    string `json:"digest,omitempty"` // hex SHA-256, once its content is fixed
	Effective string `json:"effective"`        // YYYY-MM-DD
}

// Gap is what a difference is between.
type Gap string

// The gaps.
const (
	GapAcquirer Gap = "acquirer" // the acquirer's host has other totals
	GapPayments Gap = "payments" // the payments themselves come to something else: check the ledger
	// the hash total is not that of the payments: they are others; check the ledger
	GapHash Gap = "hash"
	GapFile Gap = "file" // entries whose account could not be opened any more are not in the file
)

// Difference is one pair of sums that should be the same and are not.
type Difference struct {
	Batch    string `json:"batch"`
	Currency string `json:"currency,omitempty"` // of sums of money
	Gap      Gap    `json:"gap"`
	// the batch's control total; against the acquirer's, with the batch's adjustment lines
	Ours   book.Total `json:"ours"`
	Theirs book.Total `json:"theirs"` // what it was compared with
}

// Day is the volume of one UTC day.
type Day struct {
	Date   string       `json:"date"` // YYYY-MM-DD
	Totals []book.Total `json:"totals"`
}

// Outcome is how many payments stand at a stage, and the codes of their last results.
type Outcome struct {
	Status book.Stage  `json:"status"`
	Count  int64       `json:"count"`
	Codes  []CodeCount `json:"codes"` // the most frequent first
}

// CodeCount counts one result code.
type CodeCount struct {
	Code  envelope.Code `json:"code"`
	Count int64         `json:"count"`
}
