package control

import (
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// PaymentQuery selects payments; zero members do not restrict.
type PaymentQuery struct {
	Merchant string
	Stage    book.Stage
	Batch    uint32
	After    uint64 // number of the last payment of the page before
	Limit    int    // at most MaxPage
}

// MaxPage bounds one answer of payments.
const MaxPage = 1000

// Payment is a payment as operators see it: never more of its account than the masked number.
type Payment struct {
	Merchant  string             `json:"merchant"`
	ID        string             `json:"id"`
	Number    uint64             `json:"number"` // in the vault, in the order of arrival
	Digest    string             `json:"digest"`
	Stage     book.Stage         `json:"stage"`
	Code      envelope.Code      `json:"code,omitempty"`
	Operation envelope.Operation `json:"operation,omitempty"`
	Amount    int64              `json:"amount"`
	Currency  string             `json:"currency,omitempty"`
	Reference string             `json:"reference,omitempty"`
	Masked    string             `json:"masked,omitempty"`
	Brand     string             `json:"brand,omitempty"`
	Method    book.Method        `json:"method,omitempty"`
	Of        string             `json:"of,omitempty"`    // the payment that a capture, refund or void is of
	Token     string             `json:"token,omitempty"` // the stored account that it uses, made or changed
	Captured  int64              `json:"captured,omitempty"`
	Refunded  int64              `json:"refunded,omitempty"`
	Void      string             `json:"void,omitempty"`     // id of the void that takes it back
	Standard  string             `json:"standard,omitempty"` // of a bank entry: WEB, PPD or CCD
	Entry     string             `json:"entry,omitempty"`    // of a bank entry: its trace number, 15 digits
	File      string             `json:"file,omitempty"`     // of a bank entry: the settlement file
	Notice    string             `json:"notice,omitempty"`   // of a bank entry: code of the newest notice of change
	Acked     bool               `json:"acknowledged,omitempty"`
	Notices   []string           `json:"notices,omitempty"`  // of a bank entry: codes of the notices that its merchant was told, oldest first
	Withheld  envelope.Code      `json:"withheld,omitempty"` // of a refund that was not sent: why its sale came back, ach-RNN
	Approval  string             `json:"approval,omitempty"`
	Batch     uint32             `json:"batch,omitempty"`
	Received  envelope.Time      `json:"received"`
	Changed   envelope.Time      `json:"changed"`
	Trace     *book.Trace        `json:"trace,omitempty"`
	Reversal  *book.Trace        `json:"reversal,omitempty"`
	Tries     int                `json:"tries,omitempty"`
	Answer    envelope.Code      `json:"answer,omitempty"` // iso-XX: the newest answer to its capture or reversal, where it settled nothing
	Results   []uint64           `json:"results,omitempty"`

	RepeatedSince envelope.Time `json:"repeatedSince,omitzero"` // of a capture or reversal without an answer: when it was first sent, or sent again by a person
	Repeats       int           `json:"repeats,omitempty"`      // how often it was sent since then

	Resolutions []envelope.Status `json:"resolutions,omitempty"` // of a manual payment: what a person may say became of it

	Decisions   []book.Decision   `json:"decisions,omitempty"`   // what people said became of it, who and why, oldest first
	AtHost      bool              `json:"atHost,omitempty"`      // by a person's word it stands at the host, though its merchant was told otherwise
	Corrections []envelope.Status `json:"corrections,omitempty"` // of one payment shown: what a person may say against an earlier word

	Operations []Payment `json:"operations,omitempty"` // of one payment shown: its captures, refunds and voids, oldest first
}

// Resolution is a person's word on a manual payment, or on a bank entry that came back.
type Resolution struct {
	Merchant string          `json:"merchant,omitempty"` // may be left out where only one merchant has a manual payment of that id
	ID       string          `json:"id"`
	As       envelope.Status `json:"as"`
	Correct  bool            `json:"correct,omitempty"`  // it corrects an earlier word
	Reverse  bool            `json:"reverse,omitempty"`  // with correct: it is to be reversed at the host though its batch is closed
	Evidence string          `json:"evidence,omitempty"` // hex SHA-256 of what proves it
	Code     envelope.Code   `json:"code,omitempty"`     // ach-RNN of a bank entry that came back (as returned)
}

// Import tells what a file of the bank did.
type Import struct {
	Name             string `json:"name"`
	Digest           string `json:"digest"`  // hex SHA-256
	Already          bool   `json:"already"` // it was taken before, and nothing more of it could be done
	Returns          int    `json:"returns"`
	Changes          int    `json:"changes"`
	Acknowledgements int    `json:"acknowledgements"`
	Repeats          int    `json:"repeats"` // answers that were told before; they changed nothing

	Left      []book.AnswerLeft `json:"left,omitempty"`      // the first 200 entries that were not applied
	LeftCount int               `json:"leftCount,omitempty"` // how many there are
}
