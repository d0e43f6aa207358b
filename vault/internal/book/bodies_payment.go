package book

import "nightdrop/shared/envelope"

// Trace names one message to an acquirer host for ever.
type Trace struct {
	STAN     uint32        `json:"stan"`     // ISO 8583 field 11, 1 to 999999, unique per terminal and business day
	RRN      string        `json:"rrn"`      // field 37, 12 characters
	Terminal string        `json:"terminal"` // field 41, 8 characters
	Acceptor string        `json:"acceptor"` // field 42, 1 to 15 characters
	Sent     envelope.Time `json:"sent"`     // fields 7, 12 and 13
}

// AuthorisationIntended is committed, with its trace numbers, before the request leaves.
type AuthorisationIntended struct {
	ID    string `json:"id"`
	Trace Trace  `json:"trace"`
	Batch uint32 `json:"batch,omitempty"` // none of an authorisation
}

// AuthorisationAnswered is the host's word on a sale, authorisation or refund: field 39 and, when approved, field 38.
type AuthorisationAnswered struct {
	ID       string        `json:"id"`
	Code     envelope.Code `json:"code"` // iso-XX
	Approval string        `json:"approval,omitempty"`
	Approved bool          `json:"approved,omitempty"` // another code than iso-00 approved; without it only that one does
}

// AuthorisationUnanswered tells that the outcome is unknown: no answer, a broken connection, a crash in between, or an answer whose code may
// be an approval and was not taken as one.
type AuthorisationUnanswered struct {
	ID   string        `json:"id"`
	Code envelope.Code `json:"code,omitempty"` // iso-XX of such an answer
}

// ReversalIntended is committed before each 0420 or 0421 leaves.
type ReversalIntended struct {
	ID    string `json:"id"`
	Trace Trace  `json:"trace"`
	Try   int    `json:"try"` // from 1: 0420; above: 0421 with the same trace

	Code envelope.Code `json:"code,omitempty"` // iso-XX of the answer to the try before, after which it is to be sent again
}

// ReversalAnswered is the host's 0430.
type ReversalAnswered struct {
	ID   string        `json:"id"`
	Code envelope.Code `json:"code"`
}

// ReversalAbandoned tells that no try was answered, or that the answer was that none can help: a person decides.
type ReversalAbandoned struct {
	ID    string        `json:"id"`
	Tries int           `json:"tries"`
	Code  envelope.Code `json:"code,omitempty"` // iso-XX of the answer to the last try
}

// BatchOpened starts a merchant's batch.
type BatchOpened struct {
	Batch  uint32 `json:"batch"`
	Method Method `json:"method"`
}

// BatchClosing cuts over: no new authorisation joins the batch.
type BatchClosing struct {
	Batch uint32 `json:"batch"`
}

// BatchClosed fixes the batch's content for ever.
type BatchClosed struct {
	Batch     uint32  `json:"batch"`
	Totals    []Total `json:"totals"` // by currency, sorted
	HashTotal uint64  `json:"hashTotal,omitempty"`
}

// Total is one currency's control total, by sign.
type Total struct {
	Currency     string `json:"currency"`
	Count        int64  `json:"count"`                  // of debits: sales and captures
	Amount       int64  `json:"amount"`                 // of debits, minor units
	Credits      int64  `json:"credits,omitempty"`      // number of credits: refunds and payouts
	CreditAmount int64  `json:"creditAmount,omitempty"` // minor units
}

// ReconciliationIntended is committed before each 0500 leaves.
type ReconciliationIntended struct {
	Batch    uint32 `json:"batch"`
	Currency string `json:"currency"`
	Trace    Trace  `json:"trace"`
}

// ReconciliationAnswered is the host's 0510 with its own totals.
type ReconciliationAnswered struct {
	Batch  uint32 `json:"batch"`
	Agreed bool   `json:"agreed"`
	Host   Total  `json:"host"`
}

// PaymentSettled ends an approved sale.
type PaymentSettled struct { //nolint:revive // named as its permanent kind
	ID    string `json:"id"`
	Batch uint32 `json:"batch"`
}

// BatchSettled tells that every payment of the batch is settled.
type BatchSettled struct {
	Batch uint32 `json:"batch"`
}

// CaptureIntended is committed before each 0220 or 0221 leaves.
type CaptureIntended struct {
	ID    string `json:"id"`
	Trace Trace  `json:"trace"`
	Batch uint32 `json:"batch"`
	Try   int    `json:"try"` // from 1: 0220; above: 0221 with the same trace

	Code envelope.Code `json:"code,omitempty"` // iso-XX of the answer to the try before, after which it is to be sent again
}

// CaptureAnswered is the host's 0230 that says that the capture is booked. Logs from before 2026-12 also have it with other codes and without
// Stands: there it declined the capture, which is not written any more (Retired).
type CaptureAnswered struct {
	ID       string        `json:"id"`
	Code     envelope.Code `json:"code"` // iso-XX
	Approval string        `json:"approval,omitempty"`
	Stands   bool          `json:"stands,omitempty"` // another code than iso-00 says that it is booked, as iso-94 of a repeat
}

// CaptureAbandoned tells that no try was answered, or that the answer was that none can help: a person decides.
type CaptureAbandoned struct {
	ID    string        `json:"id"`
	Tries int           `json:"tries"`
	Code  envelope.Code `json:"code,omitempty"` // iso-XX of the answer to the last try
}

// OutcomeUnknown gives a capture or void whose message is on its way its first result, unknown: it is due within an hour, and after a stop
// before any other result (specification 4).
type OutcomeUnknown struct {
	ID   string        `json:"id"`
	Code envelope.Code `json:"code,omitempty"` // iso-XX of the newest answer to it, where there was one
}

// AuthorisationExpired ends an authorisation after Authorised + AuthorisationLife.
type AuthorisationExpired struct {
	ID string `json:"id"`
}

// PaymentResolved is a person's word on a payment that no reversal or advice settled.
type PaymentResolved struct { //nolint:revive // named as its permanent kind
	ID     string          `json:"id"`
	As     envelope.Status `json:"as"`     // see Resolutions
	Reason string          `json:"reason"` // 1 to 200 printable ASCII
	// Remembered tells that the payment keeps who decided and why; older logs do not say so, and theirs do not.
	Remembered bool `json:"remembered,omitempty"`
}

// PaymentVoided takes a bank entry back that waits for its file. ID is the void's.
type PaymentVoided struct { //nolint:revive // named as its permanent kind
	ID string `json:"id"`
}

// EntryAccepted puts a bank entry into its batch.
type EntryAccepted struct {
	ID       string `json:"id"`
	Batch    uint32 `json:"batch"`
	Standard string `json:"standard"` // WEB, PPD, CCD
}

// FileBegun fixes a settlement file's name and which batches it settles.
type FileBegun struct {
	Name      string   `json:"name"`
	Day       string   `json:"day"` // file header field 5, YYYY-MM-DD
	Modifier  int      `json:"modifier"`
	Effective string   `json:"effective"`
	Batches   []uint32 `json:"batches"`
}

// EntryIntended gives a bank entry its trace number, before the file that holds it appears.
type EntryIntended struct {
	ID       string `json:"id"`
	File     string `json:"file"`
	Trace    string `json:"trace"` // 15 digits
	Sequence uint32 `json:"sequence"`
	Company  string `json:"company,omitempty"` // identification under which the bank gets it; older logs do not say

	// Masked and Fingerprint are of the account that it goes to, where an update has put another in the place of the stored one since.
	Masked      string `json:"masked,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
}

// FileIntended puts a settlement file's digest into the log before the file appears.
type FileIntended struct {
	Name      string `json:"name"`
	Digest    string `json:"digest"` // hex SHA-256
	Entries   int    `json:"entries"`
	Debits    int64  `json:"debits"`  // minor units
	Credits   int64  `json:"credits"` // minor units
	EntryHash uint64 `json:"entryHash"`
}

// FileWritten tells that the file is in the outbox under its name.
type FileWritten struct {
	Name string `json:"name"`
}

// AnswerTaken tells that what is ours of an answer file of the bank was applied: its returns, changes and acknowledgements are the events beside
// it. A file of which something was left may be taken again, for what could not be applied may be later.
type AnswerTaken struct {
	Name      string        `json:"name"` // as the operator gave it, without directories
	Digest    string        `json:"digest"`
	Created   envelope.Time `json:"created"`
	Items     int           `json:"items"`               // answers to our entries that it holds
	Left      []AnswerLeft  `json:"left,omitempty"`      // the first MaxAnswersLeft of what was not applied
	LeftCount int           `json:"leftCount,omitempty"` // how many that were
}

// MaxAnswersLeft bounds AnswerTaken.Left, so that an event fits where the log goes. The file, by its digest, has the others.
const MaxAnswersLeft = 200

// AnswerLeft is an entry of an answer file that was not applied.
type AnswerLeft struct {
	Record  int    `json:"record"`          // place in the file, from 1
	Trace   string `json:"trace,omitempty"` // 15 digits, where it is a number of our bank
	Code    string `json:"code,omitempty"`  // R01 to R99, C01 to C99
	Problem string `json:"problem"`         // why, in words
}

// PaymentReturned is the bank's return of an entry.
type PaymentReturned struct { //nolint:revive // named as its permanent kind
	ID   string        `json:"id"`
	Code envelope.Code `json:"code"` // ach-RNN

	// Reason is a person's, who recorded a return that came otherwise than in a file: 1 to 200 printable ASCII. The event's evidence proves it.
	Reason string `json:"reason,omitempty"`
}

// ChangeNotified is the bank's word that an account's particulars have changed; what they are now is not kept.
type ChangeNotified struct {
	ID   string `json:"id"`
	Code string `json:"code"`           // C01 to C99
	Told bool   `json:"told,omitempty"` // the merchant gets a result, and its stored account makes no entry until it is updated; older logs: neither
}

// EntryAcknowledged is the receiving bank's acknowledgement.
type EntryAcknowledged struct {
	ID string `json:"id"`
}

// AccountStored answers a store.
type AccountStored struct {
	ID         string `json:"id"`
	Token      string `json:"token"`
	Uncompared bool   `json:"uncompared,omitempty"` // a bank account that was not held against the block list
}

// AccountUpdated answers an update.
type AccountUpdated struct {
	ID    string `json:"id"`
	Whole bool   `json:"whole,omitempty"` // a bank account took the place of the stored one; else a card got another expiry

	Uncompared bool `json:"uncompared,omitempty"` // as in AccountStored, of a whole account
}

// AccountForgotten answers a forget: the account's key is destroyed next.
type AccountForgotten struct {
	ID string `json:"id"`
}

// MerchantPolicySet replaces a merchant's policy.
type MerchantPolicySet struct {
	Policy Policy `json:"policy"`
}
