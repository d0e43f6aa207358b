package envelope

import (
	"errors"
	"time"

	"nightdrop/shared/note"
)

// Media types and limits of what storefronts post.
const (
	MediaType        = "application/vnd.nightdrop.envelope"
	ReceiptMediaType = "application/vnd.nightdrop.receipt"
	MaxEnvelopeBytes = 32 << 10 // three X-Wing parts of the longest plaintext take 13 KiB
)

// Times of an envelope (specification 4 and 6).
const (
	// until is at most this after created; day keys live a day longer
	MaxLife      = 6 * 24 * time.Hour
	MaxClockSkew = 5 * time.Minute // that created may be ahead of the relay's clock
)

// Errors of [Envelope.CheckTimes].
var (
	// is returned when the sender's clock or arithmetic is off
	ErrClock = errors.New("created or until does not fit the present time")
	ErrLate  = errors.New("until has passed") // is returned when the envelope came too late
)

// Envelope is a storefront's signed instruction (nightdrop/envelope/v1), named by (Merchant, ID).
type Envelope struct {
	Merchant string `json:"merchant"`
	ID       string `json:"id"` // UUID version 4 or 7
	Created  Time   `json:"created"`
	Until    Time   `json:"until"` // the vault does not begin to act on it after this
	Order    Part   `json:"order"`
	Account  *Part  `json:"account,omitempty"`
	Code     *Part  `json:"code,omitempty"`
}

// CheckTimes checks whether a relay accepts the envelope at now: [ErrClock] comes before [ErrLate].
func (e Envelope) CheckTimes(now time.Time) error {
	if e.Created.After(now.Add(MaxClockSkew)) || !e.Until.After(e.Created.Time) || e.Until.Sub(e.Created.Time) > MaxLife {
		return ErrClock
	}
	if now.After(e.Until.Time) {
		return ErrLate
	}
	return nil
}

// Parts calls yield for the order, the account and the code if present; it is an [iter.Seq2].
func (e Envelope) Parts(yield func(PartName, Part) bool) {
	if !yield(PartOrder, e.Order) {
		return
	}
	if e.Account != nil && !yield(PartAccount, *e.Account) {
		return
	}
	if e.Code != nil {
		yield(PartCode, *e.Code)
	}
}

func (Envelope) typeLine() string    { return "nightdrop/envelope/v1" }
func (e Envelope) signedBy() string  { return e.Merchant }
func (Envelope) policy() note.Policy { return note.Policy{MaxBytes: MaxEnvelopeBytes, Single: true} }

// check leaves out times and the parts' form: they have their own answers (clock, late,
// unknown-key, not-sealed).
func (e Envelope) check() error {
	if err := checkIdentity(e.Merchant, e.ID); err != nil {
		return err
	}
	for _, p := range e.Parts {
		if err := p.checkKey(); err != nil {
			return err
		}
	}
	return nil
}

func checkIdentity(merchant, id string) error {
	return first(
		require(ValidMerchant(merchant), "merchant is not a merchant's name"),
		require(ValidID(id), "id is not a UUID of version 4 or 7 in lower case"),
	)
}

// Receipt is a relay's statement that an envelope is durable (nightdrop/receipt/v1).
type Receipt struct {
	Merchant string `json:"merchant"`
	ID       string `json:"id"`
	Digest   string `json:"digest"` // of the envelope
	Relay    string `json:"relay"`
	Run      string `json:"run"`    // of the relay's process, 32 hex digits
	Number   uint64 `json:"number"` // of the bag in its run, from 1
	Index    int    `json:"index"`  // of the envelope in the bag, 0 to 255
	Received Time   `json:"received"`
}

func (Receipt) typeLine() string    { return "nightdrop/receipt/v1" }
func (r Receipt) signedBy() string  { return r.Relay }
func (Receipt) policy() note.Policy { return note.Policy{Single: true} }

func (r Receipt) check() error {
	return first(
		checkIdentity(r.Merchant, r.ID),
		require(validDigest(r.Digest), "digest is not 64 hex digits"),
		checkRun(r.Relay, r.Run, r.Number),
		require(0 <= r.Index && r.Index < MaxBagEnvelopes, "index is not 0 to 255"),
	)
}

func checkRun(relay, run string, number uint64) error {
	return first(
		require(ValidMerchant(relay), "relay is not a relay's name"),
		require(isHex(run, 32), "run is not 32 hex digits"),
		require(number >= 1, "number counts from 1"),
	)
}
