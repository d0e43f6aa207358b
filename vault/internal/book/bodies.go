package book

import "nightdrop/shared/envelope"

// VaultCreated is the log's first entry.
type VaultCreated struct {
	Vault      string `json:"vault"`      // DNS name, the log's origin
	Generation uint64 `json:"generation"` // from 1
	Signer     string `json:"signer"`     // vkey
}

// Kind implements Body.
func (VaultCreated) Kind() string { return "vault-created" }

// VaultUnlocked tells that k custodians opened the vault.
type VaultUnlocked struct {
	Version string `json:"version"`          // of the binary
	Shares  []int  `json:"shares,omitempty"` // numbers of the shares that were given
}

// Kind implements Body.
func (VaultUnlocked) Kind() string { return "vault-unlocked" }

// VaultLocked tells that the vault forgot its keys.
type VaultLocked struct{}

// Kind implements Body.
func (VaultLocked) Kind() string { return "vault-locked" }

// KeysChanged tells which sealing keys were made and which destroyed.
type KeysChanged struct {
	Created   []KeySchedule      `json:"created,omitempty"`
	Destroyed []envelope.KeyName `json:"destroyed,omitempty"`
}

// Kind implements Body.
func (KeysChanged) Kind() string { return "keys-changed" }

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

// Kind implements Body.
func (RelaysSet) Kind() string { return "relays-set" }

// DirectoryIssued tells that a directory note with this serial was signed; Evidence is its digest.
type DirectoryIssued struct {
	Serial uint64 `json:"serial"`
}

// Kind implements Body.
func (DirectoryIssued) Kind() string { return "directory-issued" }

// MembersIssued tells that a members note with this serial was signed; Evidence is its digest.
type MembersIssued struct {
	Serial uint64 `json:"serial"`
}

// Kind implements Body.
func (MembersIssued) Kind() string { return "members-issued" }

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
	FindingMessage         Finding = "acquirer-message" // the acquirer's host sent what it should not
	FindingAnswerFile      Finding = "answer-file"      // a file of the bank was refused
	FindingHostSilent      Finding = "host-silent"      // the acquirer's host takes messages and answers none: new requests wait
	FindingHostAnswers     Finding = "host-answers"     // it answers again: they are sent
	FindingConflicts       Finding = "id-conflicts"     // one id came with more other instructions than are answered
	FindingResultsLost     Finding = "results-lost"     // RESULTS lost what it had taken: it is published again
	FindingMismatches      Finding = "refund-account"   // refunds named other accounts than the payment's, until no more are compared
)

// IntegrityFound is evidence against a relay, the channel, the clock, the acquirer or a storefront. It never stops the rest.
type IntegrityFound struct {
	Finding Finding `json:"finding"`
	Relay   string  `json:"relay,omitempty"`
	Run     string  `json:"run,omitempty"`
	Number  uint64  `json:"number,omitempty"`
	Through uint64  `json:"through,omitempty"` // of bag-missing: the last number of the range that never came
	Index   int     `json:"index,omitempty"`   // place among the bag's envelopes
	Detail  string  `json:"detail,omitempty"`
	Count   uint64  `json:"count,omitempty"` // of findings that this event tells together; absent: one
}

// Kind implements Body.
func (IntegrityFound) Kind() string { return "integrity-found" }

// Times is how many findings the event tells.
func (b IntegrityFound) Times() uint64 { return max(b.Count, 1) }

// MerchantAdded enrols a merchant.
type MerchantAdded struct {
	Name       string   `json:"name"`
	Verifiers  []string `json:"verifiers"`  // vkeys of the storefront's signing keys
	ReplyKeys  []string `json:"replyKeys"`  // KEYNAME+BASE64, newest last
	Acceptor   string   `json:"acceptor"`   // card acceptor id, ISO 8583 field 42, 1 to 15 of A-Z0-9
	Currencies []string `json:"currencies"` // ISO 4217 codes that it may sell in
}

// Kind implements Body.
func (MerchantAdded) Kind() string { return "merchant-added" }

// MerchantSuspended stops a merchant's new envelopes.
type MerchantSuspended struct{}

// Kind implements Body.
func (MerchantSuspended) Kind() string { return "merchant-suspended" }

// MerchantResumed lets them in again.
type MerchantResumed struct{}

// Kind implements Body.
func (MerchantResumed) Kind() string { return "merchant-resumed" }

// ResultsResent tells that a person, or the vault by itself, had results of a merchant published again, the same bytes under the same serials.
type ResultsResent struct {
	From    uint64 `json:"from"`           // serial of the first
	Through uint64 `json:"through"`        // serial of the last
	Lost    uint64 `json:"lost,omitempty"` // how many of them RESULTS had lost, where the vault did so by itself; only they go
}

// Kind implements Body.
func (ResultsResent) Kind() string { return "results-resent" }

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

// Kind implements Body.
func (BagCommitted) Kind() string { return "bag-committed" }

// EnvelopeReceived takes a storefront's instruction: from now on (merchant, id) is this digest for ever.
type EnvelopeReceived struct {
	ID          string             `json:"id"`
	Digest      string             `json:"digest"`
	Until       envelope.Time      `json:"until"`
	Operation   envelope.Operation `json:"operation"`
	Amount      int64              `json:"amount"`
	Currency    string             `json:"currency"` // of a capture or refund: the payment's
	Reference   string             `json:"reference"`
	Descriptor  string             `json:"descriptor,omitempty"`
	Masked      string             `json:"masked"`
	Brand       string             `json:"brand,omitempty"`
	Fingerprint string             `json:"fingerprint,omitempty"` // keyed, hex: useless without the merchant's key
	WithCode    bool               `json:"withCode,omitempty"`
	Method      Method             `json:"method,omitempty"`
	Of          string             `json:"of,omitempty"`
	Token       string             `json:"token,omitempty"`
	Compared    bool               `json:"compared,omitempty"` // a bank account that was given was held against the block list
}

// Kind implements Body.
func (EnvelopeReceived) Kind() string { return "envelope-received" }

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
	Of         string             `json:"of,omitempty"`
	Token      string             `json:"token,omitempty"`
	Mismatch   bool               `json:"mismatch,omitempty"` // a refund's account, or the one that replaced its payment's, is not the one that paid
	Compared   bool               `json:"compared,omitempty"` // as in EnvelopeReceived
}

// Kind implements Body.
func (EnvelopeRejected) Kind() string { return "envelope-rejected" }

// PaymentRefused ends a payment before anything was sent: its time or its key ran out while it waited, or its request, whose trace
// numbers were committed, certainly never left.
type PaymentRefused struct { //nolint:revive // named as its permanent kind
	ID   string        `json:"id"`
	Code envelope.Code `json:"code"`
}

// Kind implements Body.
func (PaymentRefused) Kind() string { return "payment-refused" }
