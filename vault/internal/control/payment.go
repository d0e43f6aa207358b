package control

import (
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/report"
)

// Payment is the one view of a payment, which reports and auditors use too.
type Payment = report.Payment

// Resolution is a person's word on a manual payment, or on a bank entry that came back.
type Resolution struct {
	Merchant string          `json:"merchant"`
	ID       string          `json:"id"`
	As       envelope.Status `json:"as"`
	Correct  bool            `json:"correct,omitempty"` // it corrects an earlier word
	// with correct: it is to be reversed at the host though its batch is closed
	Reverse  bool   `json:"reverse,omitempty"`
	Evidence string `json:"evidence,omitempty"` // hex SHA-256 of what proves it
	// ach-RNN of a bank entry that came back (as returned)
	Code envelope.Code `json:"code,omitempty"`
}

// Import is what a file of the bank did.
type Import struct {
	Name   string `json:"name"`
	Digest string `json:"digest"` // hex SHA-256
	// it was taken before, and nothing more of it could be done
	Already          bool `json:"already"`
	Returns          int  `json:"returns"`
	Changes          int  `json:"changes"`
	Acknowledgements int  `json:"acknowledgements"`
	Repeats          int  `json:"repeats"` // answers that were known; they changed nothing

	// the first 200 entries that were not applied
	Left      []book.AnswerLeft `json:"left,omitempty"`
	LeftCount int               `json:"leftCount,omitempty"` // how many there are
}
