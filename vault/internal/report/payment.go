package report

import (
	"slices"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// Payment is a payment as people and scripts see it, in answers, reports and an auditor's files:
// never more of its account than the masked number. PaymentOf makes it.
type Payment struct {
	Name     string        `json:"payment"` // MERCHANT/ID, as commands take it
	Merchant string        `json:"merchant"`
	ID       string        `json:"id"`
	Number   uint64        `json:"number"` // in the vault, in the order of arrival
	Digest   string        `json:"digest"`
	Status   book.Stage    `json:"status"`
	Code     envelope.Code `json:"code,omitempty"`
	// of the code limit: which, where its log says so
	Limit     book.Exceeded      `json:"limit,omitempty"`
	Operation envelope.Operation `json:"operation,omitempty"`
	Amount    int64              `json:"amount"`           // minor units
	Credit    bool               `json:"credit,omitempty"` // the money goes to the account
	// it counts in its batch's control totals
	Stands    bool        `json:"stands,omitempty"`
	Currency  string      `json:"currency,omitempty"`
	Reference string      `json:"reference,omitempty"`
	Masked    string      `json:"masked,omitempty"`
	Brand     string      `json:"brand,omitempty"`
	Method    book.Method `json:"method,omitempty"`
	// the payment that a capture, refund or void is of, MERCHANT/ID
	Of       string `json:"of,omitempty"`
	Token    string `json:"token,omitempty"` // the stored account that it uses, made or changed
	Captured int64  `json:"captured,omitempty"`
	Refunded int64  `json:"refunded,omitempty"`
	Void     string `json:"void,omitempty"`     // the void that takes it back, MERCHANT/ID
	Standard string `json:"standard,omitempty"` // of a bank entry: WEB, PPD or CCD
	// of a bank entry: its trace number, 15 digits
	Entry  string `json:"entry,omitempty"`
	File   string `json:"file,omitempty"`   // of a bank entry: the settlement file
	Notice string `json:"notice,omitempty"` // of a bank entry: code of the newest notice of change
	Acked  bool   `json:"acknowledged,omitempty"`
	// of a bank entry: codes of the notices that its merchant was told, oldest first
	Notices []string `json:"notices,omitempty"`
	// of a refund that was not sent: why its sale came back, ach-RNN
	Withheld envelope.Code `json:"withheld,omitempty"`
	Approval string        `json:"approval,omitempty"`
	Batch    string        `json:"batch,omitempty"` // card-000017, as commands take it
	Received envelope.Time `json:"received"`
	Changed  envelope.Time `json:"changed"`
	Trace    *book.Trace   `json:"trace,omitempty"`
	Reversal *book.Trace   `json:"reversal,omitempty"`
	Tries    int           `json:"tries,omitempty"`
	// iso-XX: the newest answer to its capture or reversal, where it settled nothing
	Answer  envelope.Code `json:"answer,omitempty"`
	Results []uint64      `json:"results,omitempty"`

	// of a capture or reversal without an answer: when it was first sent, or sent again by a person
	RepeatedSince envelope.Time `json:"repeatedSince,omitzero"`
	Repeats       int           `json:"repeats,omitempty"` // how often it was sent since then

	// of a manual payment: what a person may say became of it
	Resolutions []envelope.Status `json:"resolutions,omitempty"`

	// what people said became of it, who and why, oldest first
	Decisions []book.Decision `json:"decisions,omitempty"`
	// by a person's word it stands at the host, though its merchant was told otherwise
	AtHost bool `json:"atHost,omitempty"`
	// of one payment shown: what a person may say against an earlier word
	Corrections []envelope.Status `json:"corrections,omitempty"`

	// of one payment shown: its captures, refunds and voids, oldest first
	Operations []Payment `json:"operations,omitempty"`
	// of one payment shown: what happened to it, oldest first
	Timeline []Step `json:"timeline,omitempty"`
}

// PaymentOf is the view of p. Corrections and Operations need more than p, and are the caller's.
func PaymentOf(p book.Payment) Payment {
	v := Payment{Name: p.Name(), Merchant: p.Merchant, ID: p.ID, Number: p.Number, Digest: p.Digest, Status: p.Stage, Code: p.Code, Limit: p.Limit, Operation: p.Operation,
		Amount: p.Amount, Credit: p.Credit(), Stands: stands(p), Currency: p.Currency, Reference: p.Reference, Masked: p.Masked, Brand: p.Brand,
		Approval: p.Approval, Method: p.Method, Of: NameOf(p.Merchant, p.Of), Token: p.Token, Captured: p.Captured, Refunded: p.Refunded, Void: NameOf(p.Merchant, p.Void),
		Standard: p.Standard, Entry: p.Entry, File: p.File, Notice: p.Notice, Notices: p.Notices, Withheld: p.Withheld(), Acked: p.Acked,
		Received: p.Received, Changed: p.Changed, Trace: p.Trace, Reversal: p.Reversal, Tries: p.Tries, Answer: p.Answer,
		Results: p.Results, Resolutions: p.Resolutions(), Decisions: p.Decisions, AtHost: p.AtHost}
	if len(v.Resolutions) > 0 {
		v.RepeatedSince, v.Repeats = p.Repeated()
	}
	if p.Batch != 0 {
		v.Method = p.Way() // which an older log does not say
		v.Batch = book.BatchID(v.Method, p.Batch)
	}
	return v
}

// NameOf is the name of a merchant's payment, "" where there is no id.
func NameOf(merchant, id string) string {
	if id == "" {
		return ""
	}
	return book.Key{Merchant: merchant, ID: id}.String()
}

// LinesOf are adjustment lines whose payments have the names that commands take.
func LinesOf(b book.Batch) []book.Adjustment {
	lines := slices.Clone(b.Lines)
	for i := range lines {
		lines[i].Payment = NameOf(b.Merchant, lines[i].Payment)
	}
	return lines
}
