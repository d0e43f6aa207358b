// Package acquirer defines the requests that the vault makes of an acquirer host, and what the
// host's answers and silences mean. Implementations are in packages below; one contract suite runs
// against each.
package acquirer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightdrop/vault/internal/account"
)

// Errors of a request. All but [ErrNotSent] leave the outcome unknown.
var (
	// ErrNotSent is returned when the request certainly did not leave this host: it may be sent
	// again under the same trace.
	ErrNotSent = errors.New("the request was not sent; it may be sent again under the same trace")
	// ErrNoAnswer is returned when the host may have accepted the request: the outcome is unknown
	// until a reversal has been answered. It is never to be sent again as new.
	ErrNoAnswer = errors.New("no answer; the outcome is unknown until a reversal is answered")
	// ErrMalformedAnswer is returned when an answer does not fit this request; it wraps
	// ErrNoAnswer, as the outcome is as unknown as without an answer.
	ErrMalformedAnswer = fmt.Errorf("the answer does not fit the request: %w", ErrNoAnswer)
	// ErrRequest is returned when the request breaks a limit of its fields and cannot be sent; it
	// wraps ErrNotSent, but sending it again does not help.
	ErrRequest = fmt.Errorf("the request breaks a limit of its fields: %w", ErrNotSent)
)

// Approved is the code that approves a request, and accepts an advice, in every dialect. (ISO
// 8583:1987 field 39)
const Approved = "00"

// Outcome is what an answer's code means, by the dialect's table for the class of the message. An
// issuer may refuse a request; an advice says what has happened, so no code refuses it.
type Outcome string

// The outcomes. Only the first three are of requests (Authorise), only the last three of advices
// (Capture, Reverse).
const (
	Approves Outcome = "approves" // a request: it stands
	Declines Outcome = "declines" // a request: it was refused, and nothing is held
	// a request: it may be an approval but does not count as one, or no table lists it; it is to be
	// reversed
	Doubtful Outcome = "doubtful"
	Stands   Outcome = "stands" // an advice: it is done, now or before
	Repeat   Outcome = "repeat" // an advice: it is to be sent again
	Person   Outcome = "person" // an advice: sending it again cannot help, so a person decides
)

// Limits of numbers that identify a request; both wrap to 1. (ISO 8583 fields 11 and 60: six
// digits)
const (
	MaxSTAN  = 999_999
	MaxBatch = 999_999
)

// Acquirer is one line to an acquirer host. All methods may be called concurrently; answers come in
// any order.
//
// A request's trace is committed to the ledger before the call. An implementation sends a request
// at most once a call and never repeats one by itself. An error is [ErrNotSent] or [ErrNoAnswer];
// an answer, whatever it says, is not an error. When ctx ends first, the error is ErrNoAnswer, or
// ErrNotSent where that is certain; an answer that comes later is dropped and counted, and never
// given to another request. No account data appears in an error or a log line, and the caller still
// owns, and clears, the card and the code.
type Acquirer interface {
	// Authorise asks for approval of a sale, an authorisation or a refund and waits for the answer.
	// The host books an approved sale or refund into its batch; an approved authorisation only
	// holds the money, until it is captured.
	Authorise(ctx context.Context, request Request) (Answer, error)
	// Capture advises the host that all or part of an approved authorisation is to be paid. The
	// host books it into its batch. Until it is answered it may be sent any number of times, under
	// its first trace and with Repeat above 0 after the first.
	Capture(ctx context.Context, capture Capture) (Answer, error)
	// Reverse asks the host to undo a request whose outcome is unknown, or an approved one that is
	// not settled. It may be sent again as a capture may. Stands in the answer means that the
	// original does not stand, whether the host knew it or not.
	Reverse(ctx context.Context, reversal Reversal) (Answer, error)
	// Reconcile compares a batch's totals in one currency with the host's. It changes nothing at
	// the host and may be repeated. Where the host refuses to compare, the error is a
	// [RefusedError].
	Reconcile(ctx context.Context, totals Totals) (Reconciliation, error)
	// RefundsByReference reports whether the host refunds by the original's trace alone. Else a
	// refund carries the card.
	RefundsByReference() bool
	// Ready returns nil when the line is up and signed on, else the reason. It does not wait.
	Ready() error
	// Close takes the line down; waiting requests get their error. Closing twice is allowed.
	Close() error
}

// Trace identifies a request: what the ledger commits before sending.
type Trace struct {
	STAN     uint32    // 1..999999, unique per terminal and business day; field 11
	RRN      string    // 12 of 0-9A-Z; field 37
	Terminal string    // 1 to 8 printable ASCII; field 41
	Acceptor string    // 1 to 15 printable ASCII; field 42
	Sent     time.Time // UTC whole seconds; field 7, and 12 and 13
}

// Kind is what an Authorise asks for.
type Kind string

// The kinds of request, with the standard's messages; a dialect's may differ.
const (
	// 0200, processing 00: a purchase, booked when approved
	KindSale          Kind = "sale"
	KindAuthorisation Kind = "authorisation" // 0100, processing 00: the money is held
	KindRefund        Kind = "refund"        // 0200, processing 20: a credit, booked when approved
	KindCapture       Kind = "capture"       // 0220: only of an Original, which Capture has sent
)

// Request asks for approval. Its card and code are used during the call only.
type Request struct {
	Trace
	Kind Kind
	// 1..999999: the host books it into this batch; private field 60. Not used by an authorisation.
	Batch    uint32
	Amount   int64  // minor units, 1..99999999; field 4
	Currency string // ISO 4217 letters; field 49
	Card     *account.Card
	Code     *account.Code // nil: none was given
	// what the cardholder's statement shows, at most 22 printable ASCII; field 43
	Descriptor string
	// of a refund: what is refunded; nil otherwise. With it a refund may have no Card, if
	// [Acquirer.RefundsByReference]
	Original *Original
}

// Original names an earlier request.
type Original struct {
	Trace
	Kind     Kind
	Approval string // field 38 of its answer; may be empty
}

// Capture completes an authorisation, in full or in part (0220, repeated as 0221), without an
// account number.
type Capture struct {
	Trace             // its own STAN, RRN and time; terminal and acceptor are the original's
	Original Original // the authorisation; fields 90 and 38
	Batch    uint32
	Amount   int64 // minor units, at most what is left of the authorisation
	Currency string
	Repeat   int    // how many times it has been sent before; 0: 0220, above: 0221
	First    string // the code that its first try was answered with; "" where it was not
}

// Reversal undoes a request (0420, repeated as 0421), without an account number.
type Reversal struct {
	Trace             // the reversal's own STAN and time; terminal and acceptor are the original's
	Original Original // as it was committed; fields 90 and 37
	Batch    uint32   // the original's; 0 of an authorisation
	Amount   int64    // the original's
	Currency string   // the original's
	Repeat   int      // how many times this reversal has been sent before; 0: 0420, above: 0421
}

// Count is a number of transactions and the sum of their amounts in minor units.
type Count struct {
	Number int   `json:"number"`
	Amount int64 `json:"amount"`
}

// Totals are one batch of one acceptor in one currency (0500). Debits are approved sales and
// captures, Credits approved refunds. A reversed one may be in both Debits and DebitReversals or in
// neither: the host compares Debits less DebitReversals and Credits less CreditReversals, in number
// and amount.
type Totals struct {
	Trace
	Batch           uint32
	Currency        string
	Debits          Count
	Credits         Count
	DebitReversals  Count
	CreditReversals Count
}

// Answer is the host's answer to a request or an advice.
type Answer struct {
	Code     string  // two of 0-9A-Z; field 39
	Approval string  // up to six of 0-9A-Z, only with an answer that approves or stands; field 38
	Outcome  Outcome // what the code means for this message
}

// Reconciliation is the host's comparison of a batch. (field 66)
type Reconciliation struct {
	Agreed bool
	// the host's own totals, with the request's trace; where it agrees without any, the request's
	Host   Totals
	Untold bool // the host gave no totals of its own
}

// Standing returns debits less debit reversals.
func (t Totals) Standing() Count { return less(t.Debits, t.DebitReversals) }

// StandingCredits returns credits less credit reversals.
func (t Totals) StandingCredits() Count { return less(t.Credits, t.CreditReversals) }

func less(all, reversed Count) Count {
	return Count{Number: all.Number - reversed.Number, Amount: all.Amount - reversed.Amount}
}
