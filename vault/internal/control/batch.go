package control

import (
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// Batch is a batch as operators see it.
type Batch struct {
	ID        string          `json:"id"`
	Number    uint32          `json:"number"`
	Merchant  string          `json:"merchant"`
	Method    book.Method     `json:"method"`
	Status    book.BatchStage `json:"status"`
	Opened    envelope.Time   `json:"opened"`
	Closed    *envelope.Time  `json:"closed,omitempty"`
	SettledAt *envelope.Time  `json:"settled,omitempty"`
	Totals    []book.Total    `json:"totals"`
	HashTotal uint64          `json:"hashTotal"`
	Host      []book.Total    `json:"host,omitempty"` // the acquirer's, where they differ
	// what it was agreed by, where not by the host's 0510
	By book.Way `json:"by,omitempty"`

	// what the acquirer has otherwise, and why that is accepted; oldest first
	Lines []book.Adjustment `json:"lines,omitempty"`
	// with lines: what stands at the acquirer then
	Expected []book.Total `json:"expected,omitempty"`

	// bank: entries whose account could not be opened for the file
	Failed      []book.Total `json:"failed,omitempty"`
	File        *File        `json:"file,omitempty"` // bank: the settlement file
	Outstanding int64        `json:"outstanding"`
	Unresolved  int64        `json:"unresolved"`
	Done        int64        `json:"done"` // payments settled
}

// File is a settlement file as operators see it.
type File struct {
	Name      string         `json:"name"`
	Status    book.FileStage `json:"status"`
	Digest    string         `json:"digest,omitempty"` // hex SHA-256, once the content is fixed
	Effective string         `json:"effective"`        // YYYY-MM-DD
	Entries   int            `json:"entries"`
	Debits    int64          `json:"debits"`  // minor units
	Credits   int64          `json:"credits"` // minor units
	EntryHash uint64         `json:"entryHash"`
	Batches   []string       `json:"batches"` // as commands take them
}

// BatchQuery selects batches; zero members do not restrict.
type BatchQuery struct {
	Merchant string
	Method   book.Method
}

// Settlement is what a settle did.
type Settlement struct {
	Batches  []Batch `json:"batches"`
	Payments int     `json:"payments"`        // settled by this run
	Files    []File  `json:"files,omitempty"` // that hold its bank batches
}

// ReportQuery asks for a report: of one batch, or of all batches closed on days of a period.
type ReportQuery struct {
	Batch    uint32 // 0: of the period
	From, To string // UTC dates, YYYY-MM-DD, both inclusive
	Merchant string // of a period: only this merchant's batches
	Rows     bool   // give the payments too
}

// Adjustment takes a named difference into a batch.
type Adjustment struct {
	Total book.Total `json:"total"` // what the acquirer has more; less where it is negative
	// id of the payment of the batch's merchant that it is about
	Payment  string `json:"payment,omitempty"`
	Evidence string `json:"evidence,omitempty"` // hex SHA-256 of what proves it
}

// Comparison is an acquirer's listing held against a batch, payment by payment.
type Comparison struct {
	Batch       Batch      `json:"batch"`
	Ours        int        `json:"ours"`   // payments that stand in the batch
	Theirs      int        `json:"theirs"` // lines of the listing
	Differences []Compared `json:"differences"`
}

// Compared is a payment that the listing and the batch do not have alike.
type Compared struct {
	Problem string  `json:"problem"`           // missing-here, missing-there, differs or twice
	Payment string  `json:"payment,omitempty"` // MERCHANT/ID of ours, where we have it
	Line    int     `json:"line,omitempty"`    // of the listing, from 1
	Ours    *Listed `json:"ours,omitempty"`    // where we have it
	Theirs  *Listed `json:"theirs,omitempty"`  // where they have it
}

// Listed is a payment as a listing names it.
type Listed struct {
	RRN      string `json:"rrn"`
	STAN     uint32 `json:"stan"`
	Terminal string `json:"terminal"`
	Kind     string `json:"kind"` // sale, capture or refund
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}
