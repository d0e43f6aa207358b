package book

import "nightdrop/shared/envelope"

// PaymentCorrected is a person's word against an earlier one of a person. While the payment's batch is open it moves
// the payment; what stands at the host though its merchant was told otherwise is reversed there. Afterwards totals
// stand, and it is an adjustment line of the batch. Nobody who was told that a payment does not stand is ever told that
// it does.
type PaymentCorrected struct { //nolint:revive // named as its permanent kind
	ID     string          `json:"id"`
	As     envelope.Status `json:"as"`     // see Corrections
	Reason string          `json:"reason"` // 1 to 200 printable ASCII
	// Reverse orders that what stands at the host is taken back there though its batch is closed.
	Reverse bool `json:"reverse,omitempty"`
}

// Kind implements Body.
func (PaymentCorrected) Kind() string { return "payment-corrected" }

// BatchAdjusted accepts a named difference between a closed card batch and what stands at the acquirer.
type BatchAdjusted struct {
	Batch   uint32 `json:"batch"`
	Total   Total  `json:"total"`             // what the acquirer has more than the ledger; less where it is negative
	Payment string `json:"payment,omitempty"` // id of the payment that it is about; none where it is about no one of ours
	Reason  string `json:"reason"`            // 1 to 200 printable ASCII
}

// Kind implements Body.
func (BatchAdjusted) Kind() string { return "batch-adjusted" }

// BatchAgreed stands in place of a host's 0510: a listing of the acquirer that agrees, whose digest is the event's
// evidence, or a person's word.
type BatchAgreed struct {
	Batch  uint32  `json:"batch"`
	By     Way     `json:"by"`
	Totals []Total `json:"totals"`           // what stands at the acquirer, by currency, sorted
	Reason string  `json:"reason,omitempty"` // of a person's word: 1 to 200 printable ASCII
}

// Kind implements Body.
func (BatchAgreed) Kind() string { return "batch-agreed" }
