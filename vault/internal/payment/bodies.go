package payment

import "nightdrop/shared/envelope"

// VaultCreated is the log's first entry.
type VaultCreated struct {
	Vault      string `json:"vault"`      // DNS name, the log's origin
	Generation uint64 `json:"generation"` // from 1
	Signer     string `json:"signer"`     // vkey
}

// VaultUnlocked tells that k custodians opened the vault.
type VaultUnlocked struct {
	Version string `json:"version"`          // of the binary
	Shares  []int  `json:"shares,omitempty"` // numbers of the shares that were given
}

// VaultLocked tells that the vault forgot its keys.
type VaultLocked struct{}

// KeysChanged tells which sealing keys were made and which destroyed.
type KeysChanged struct {
	Created   []KeySchedule      `json:"created,omitempty"`
	Destroyed []envelope.KeyName `json:"destroyed,omitempty"`
}

// KeySchedule is the published life of one sealing key.
type KeySchedule struct {
	Name  envelope.KeyName `json:"name"`
	From  envelope.Time    `json:"from"`
	Until envelope.Time    `json:"until"`
	Dies  envelope.Time    `json:"dies"`
}

// RelaysSet names the relays whose bags count, by vkey.
type RelaysSet struct {
	Relays []string `json:"relays"`
}

// DirectoryIssued tells that a directory note with this serial was signed; Evidence is its digest.
type DirectoryIssued struct {
	Serial uint64 `json:"serial"`
}

// MembersIssued tells that a members note with this serial was signed; Evidence is its digest.
type MembersIssued struct {
	Serial uint64 `json:"serial"`
}

// Finding is a kind of integrity finding.
type Finding string

// The findings of intake and of the clock.
const (
	FindingBagMissing      Finding = "bag-missing"      // a number of a run never came
	FindingBagForked       Finding = "bag-forked"       // two bags of one run and number, or a broken chain
	FindingBagAltered      Finding = "bag-altered"      // signature, count or body hash do not hold
	FindingRestart         Finding = "restart"          // a run began without naming the end of the one before
	FindingUnknownRelay    Finding = "unknown-relay"    // signed by no relay of the directory
	FindingForgedEnvelope  Finding = "forged-envelope"  // in a relay's bag, but not signed by its merchant
	FindingBadEnvelope     Finding = "bad-envelope"     // in a relay's bag, but not an envelope
	FindingUnknownMerchant Finding = "unknown-merchant" // of a merchant that the vault does not have
	FindingSequence        Finding = "sequence-reused"  // the channel lost its tail and reused sequences
	FindingClockForward    Finding = "clock-forward"    // the clock jumped ahead; destruction of keys is suspended
	FindingClockConfirmed  Finding = "clock-confirmed"  // custodians confirmed the clock
	FindingTotalsDiffer    Finding = "totals-differ"    // the acquirer's totals are not ours
)

// IntegrityFound is evidence against a relay, the channel, the clock or the acquirer. It never stops the rest.
type IntegrityFound struct {
	Finding Finding `json:"finding"`
	Relay   string  `json:"relay,omitempty"`
	Run     string  `json:"run,omitempty"`
	Number  uint64  `json:"number,omitempty"`
	Through uint64  `json:"through,omitempty"` // of bag-missing: the last number of the range that never came
	Index   int     `json:"index,omitempty"`   // place among the bag's envelopes
	Detail  string  `json:"detail,omitempty"`
}

// MerchantAdded enrols a merchant.
type MerchantAdded struct {
	Name       string   `json:"name"`
	Verifiers  []string `json:"verifiers"`  // vkeys of the storefront's signing keys
	ReplyKeys  []string `json:"replyKeys"`  // KEYNAME+BASE64, newest last
	Acceptor   string   `json:"acceptor"`   // card acceptor id, ISO 8583 field 42, 1 to 15 of A-Z0-9
	Currencies []string `json:"currencies"` // ISO 4217 codes that it may sell in
}

// MerchantSuspended stops a merchant's new envelopes.
type MerchantSuspended struct{}

// MerchantResumed lets them in again.
type MerchantResumed struct{}

// BagCommitted tells that all of a bag's envelopes have had their effect.
type BagCommitted struct {
	Relay    string           `json:"relay"`
	Run      string           `json:"run"`
	Number   uint64           `json:"number"`
	Previous string           `json:"previous"`
	After    *envelope.BagRef `json:"after,omitempty"`
	Window   int              `json:"window"`
	Received int              `json:"received"` // envelopes taken for the first time
	Repeated int              `json:"repeated"` // that were here already
	Rejected int              `json:"rejected"` // of which the merchant was told so
	Ignored  int              `json:"ignored"`  // forged or not envelopes at all
}

// EnvelopeReceived takes a storefront's instruction: from now on (merchant, id) is this digest for ever.
type EnvelopeReceived struct {
	ID          string             `json:"id"`
	Digest      string             `json:"digest"`
	Until       envelope.Time      `json:"until"`
	Operation   envelope.Operation `json:"operation"`
	Amount      int64              `json:"amount"`
	Currency    string             `json:"currency"`
	Reference   string             `json:"reference"`
	Descriptor  string             `json:"descriptor,omitempty"`
	Masked      string             `json:"masked"`
	Brand       string             `json:"brand,omitempty"`
	Fingerprint string             `json:"fingerprint,omitempty"` // keyed, hex: useless without the merchant's key
	WithCode    bool               `json:"withCode,omitempty"`
}

// EnvelopeRejected answers an envelope that was not taken. Remembered tells whether (merchant, id) is this digest for
// ever: so for everything whose signature verifies, but not for a stranger's signature nor for a second digest of an id.
type EnvelopeRejected struct {
	ID         string             `json:"id"`
	Digest     string             `json:"digest"`
	Code       envelope.Code      `json:"code"`
	Remembered bool               `json:"remembered"`
	Operation  envelope.Operation `json:"operation,omitempty"`
	Amount     int64              `json:"amount,omitempty"`
	Currency   string             `json:"currency,omitempty"`
	Reference  string             `json:"reference,omitempty"`
	Masked     string             `json:"masked,omitempty"`
}

// PaymentRefused ends a received payment before anything was sent: its time or its key ran out while it waited.
type PaymentRefused struct { //nolint:revive // named as its permanent kind
	ID   string        `json:"id"`
	Code envelope.Code `json:"code"`
}

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
	Batch uint32 `json:"batch"`
}

// AuthorisationAnswered is the host's word on a sale: field 39 and, when approved, field 38.
type AuthorisationAnswered struct {
	ID       string        `json:"id"`
	Code     envelope.Code `json:"code"` // iso-XX
	Approval string        `json:"approval,omitempty"`
}

// AuthorisationUnanswered tells that the outcome is unknown: no answer, a broken connection, or a crash in between.
type AuthorisationUnanswered struct {
	ID string `json:"id"`
}

// ReversalIntended is committed before each 0420 or 0421 leaves.
type ReversalIntended struct {
	ID    string `json:"id"`
	Trace Trace  `json:"trace"`
	Try   int    `json:"try"` // from 1: 0420; above: 0421 with the same trace
}

// ReversalAnswered is the host's 0430.
type ReversalAnswered struct {
	ID   string        `json:"id"`
	Code envelope.Code `json:"code"`
}

// ReversalAbandoned tells that no try was answered: a person decides.
type ReversalAbandoned struct {
	ID    string `json:"id"`
	Tries int    `json:"tries"`
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
	Batch  uint32  `json:"batch"`
	Totals []Total `json:"totals"` // by currency, sorted
}

// Total is one currency's control total.
type Total struct {
	Currency string `json:"currency"`
	Count    int64  `json:"count"`
	Amount   int64  `json:"amount"` // minor units
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

// The names of kinds are permanent.

// Kind implements Body.
func (VaultCreated) Kind() string { return "vault-created" }

// Kind implements Body.
func (VaultUnlocked) Kind() string { return "vault-unlocked" }

// Kind implements Body.
func (VaultLocked) Kind() string { return "vault-locked" }

// Kind implements Body.
func (KeysChanged) Kind() string { return "keys-changed" }

// Kind implements Body.
func (RelaysSet) Kind() string { return "relays-set" }

// Kind implements Body.
func (DirectoryIssued) Kind() string { return "directory-issued" }

// Kind implements Body.
func (MembersIssued) Kind() string { return "members-issued" }

// Kind implements Body.
func (IntegrityFound) Kind() string { return "integrity-found" }

// Kind implements Body.
func (MerchantAdded) Kind() string { return "merchant-added" }

// Kind implements Body.
func (MerchantSuspended) Kind() string { return "merchant-suspended" }

// Kind implements Body.
func (MerchantResumed) Kind() string { return "merchant-resumed" }

// Kind implements Body.
func (BagCommitted) Kind() string { return "bag-committed" }

// Kind implements Body.
func (EnvelopeReceived) Kind() string { return "envelope-received" }

// Kind implements Body.
func (EnvelopeRejected) Kind() string { return "envelope-rejected" }

// Kind implements Body.
func (PaymentRefused) Kind() string { return "payment-refused" }

// Kind implements Body.
func (AuthorisationIntended) Kind() string { return "authorisation-intended" }

// Kind implements Body.
func (AuthorisationAnswered) Kind() string { return "authorisation-answered" }

// Kind implements Body.
func (AuthorisationUnanswered) Kind() string { return "authorisation-unanswered" }

// Kind implements Body.
func (ReversalIntended) Kind() string { return "reversal-intended" }

// Kind implements Body.
func (ReversalAnswered) Kind() string { return "reversal-answered" }

// Kind implements Body.
func (ReversalAbandoned) Kind() string { return "reversal-abandoned" }

// Kind implements Body.
func (BatchOpened) Kind() string { return "batch-opened" }

// Kind implements Body.
func (BatchClosing) Kind() string { return "batch-closing" }

// Kind implements Body.
func (BatchClosed) Kind() string { return "batch-closed" }

// Kind implements Body.
func (ReconciliationIntended) Kind() string { return "reconciliation-intended" }

// Kind implements Body.
func (ReconciliationAnswered) Kind() string { return "reconciliation-answered" }

// Kind implements Body.
func (PaymentSettled) Kind() string { return "payment-settled" }

// Kind implements Body.
func (BatchSettled) Kind() string { return "batch-settled" }
