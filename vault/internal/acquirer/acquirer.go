// Package acquirer is the vault's edge to whoever moves the money: the requests that the vault
// makes of an acquirer host, and what the host's answers and silences mean. Implementations are in
// packages below; one contract suite runs against each.
package acquirer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightdrop/vault/internal/account"
)

// Errors of a request. Everything that is not ErrNotSent leaves the outcome open.
var (
	// ErrNotSent is returned when the request certainly did not leave this host: it may be sent
	// again under the same trace.
	ErrNotSent = errors.New("the request was not sent; it may be sent again under the same trace")
	// ErrNoAnswer is returned when the request may have been taken and no answer says so: the
	// outcome is unknown until a reversal has been answered. It is never to be sent again as new.
	ErrNoAnswer = errors.New("no answer; the outcome is unknown until a reversal is answered")
	// ErrMalformedAnswer is returned when an answer came that is not one to this request:
	// errors.Is(err, ErrNoAnswer) is true of it, for what the host did remains as unknown as
	// without an answer.
	ErrMalformedAnswer = fmt.Errorf("the answer does not fit the request: %w", ErrNoAnswer)
	// ErrRequest is returned when the request breaks a limit of its own fields, so that it cannot
	// be put on the wire; errors.Is(err, ErrNotSent) is true of it, but sending it again does not
	// help.
	ErrRequest = fmt.Errorf("the request breaks a limit of its fields: %w", ErrNotSent)
)

// Approved is the answer code that approves in every dialect, and says of an advice that it is
// done. (ISO 8583:1987 field 39)
const Approved = "00"

// Outcome is what an answer's code means, by the dialect's table for the class of the message. A
// request may be refused by an issuer; an advice says what has happened, so that no code refuses
// it.
type Outcome string

// The outcomes. Only the first three are of requests (Authorise), only the last three of advices
// (Capture, Reverse).
const (
	Approves Outcome = "approves" // a request: it stands
	Declines Outcome = "declines" // a request: it was refused, and nothing is held
	// a request: it may be an approval and is not taken as one, or no table lists it; it is to be
	// reversed
	Doubtful Outcome = "doubtful"
	Stands   Outcome = "stands" // an advice: it is done, now or before
	Repeat   Outcome = "repeat" // an advice: it is to be sent again
	Person   Outcome = "person" // an advice: sending it again cannot help, and a person decides
)

// Limits of numbers that identify a request; both wrap to 1. (ISO 8583 field 11: six digits; field
// 60 as the dialect uses it)
const (
	MaxSTAN  = 999_999
	MaxBatch = 999_999
)

// Acquirer is one line to an acquirer host. All methods may be called concurrently, and many
// requests may wait for their answers at once; answers come in any order.
//
// A request's trace is committed to the ledger before the call. An implementation sends a request
// at most once a call and never repeats one by itself. An error is ErrNotSent or ErrNoAnswer; an
// answer, whatever it says, is none. When ctx ends before the answer came, the error is
// ErrNoAnswer, or ErrNotSent where that is certain; an answer that comes later is dropped and
// counted, and never given to another request. No account data appears in an error or a log line,
// and the caller still owns, and clears, the card and the code.
type Acquirer interface {
	// Authorise asks for approval of a sale, an authorisation or a refund and waits for the answer.
	// The host books an approved sale or refund into its batch; an approved authorisation only
	// holds the money, until it is captured.
	Authorise(ctx context.Context, request Request) (Answer, error)
	// Capture advises the host that all or part of an approved authorisation is to be paid. The
	// host books it into its batch. It may be sent any number of times, under its first trace and
	// with Repeat above 0 after the first, until it is answered.
	Capture(ctx context.Context, capture Capture) (Answer, error)
	// Reverse asks the host to undo a request whose outcome is unknown, or to take back an
	// approved one that is not settled. It may be sent any number of times, under its first trace
	// and with Repeat above 0 after the first, until it is answered. Stands in the answer says that
	// the original does not stand, whether the host knew it or not.
	Reverse(ctx context.Context, reversal Reversal) (Answer, error)
	// Reconcile compares a batch's totals in one currency with the host's. It changes nothing at
	// the host and may be repeated. A host that answers that it does not compare is a RefusedError.
	Reconcile(ctx context.Context, totals Totals) (Reconciliation, error)
	// RefundsByReference reports whether the host refunds by the original's trace alone. Where it
	// does not, a refund carries the card.
	RefundsByReference() bool
	// Ready returns nil when the line is up and signed on, and otherwise says why not. It does not
	// wait.
	Ready() error
	// Close takes the line down. Requests that wait get their error. Closing twice is allowed.
	Close() error
}

// Trace identifies a request for ever: what the ledger commits before sending.
type Trace struct {
	STAN     uint32    // 1..999999, unique per terminal and business day; field 11
	RRN      string    // 12 of 0-9A-Z; field 37
	Terminal string    // 1 to 8 printable ASCII; field 41
	Acceptor string    // 1 to 15 printable ASCII; field 42
	Sent     time.Time // UTC whole seconds; field 7, and 12 and 13
}

// Kind is what an Authorise asks for.
type Kind string

// The kinds of request. The messages are the standard's; a dialect may say otherwise.
const (
	// 0200, processing 00: a purchase, booked when approved
	KindSale          Kind = "sale"
	KindAuthorisation Kind = "authorisation" // 0100, processing 00: the money is held
	KindRefund        Kind = "refund"        // 0200, processing 20: a credit, booked when approved
	KindCapture       Kind = "capture"       // 0220: only of an Original, which Capture has sent
)

// Request asks for approval. Its card and code are borrowed for the call.
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
	// RefundsByReference
	Original *Original
}

// Original names an earlier request for ever.
type Original struct {
	Trace
	Kind     Kind
	Approval string // field 38 of its answer; may be empty
}

// Capture completes an authorisation, in full or in part (0220, repeated as 0221). It names the
// authorisation by its trace and carries no account number.
type Capture struct {
	Trace             // its own STAN, RRN and time; terminal and acceptor are the original's
	Original Original // the authorisation; fields 90 and 38
	Batch    uint32
	Amount   int64 // minor units, at most what is left of the authorisation
	Currency string
	Repeat   int    // how many times it has been sent before; 0: 0220, above: 0221
	First    string // the code that its first try was answered with; "" where it was not
}

// Reversal undoes a request (0420, repeated as 0421). It names the original by its trace and
// carries no account number.
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
// captures, Credits approved refunds. One that was reversed may be left out of both Debits and
// DebitReversals or stand in both: the host compares what stands, Debits less DebitReversals and
// Credits less CreditReversals, in number and amount.
type Totals struct {
	Trace
	Batch           uint32
	Currency        string
	Debits          Count
	Credits         Count
	DebitReversals  Count
	CreditReversals Count
}

// Answer is what the host said to a request or an advice.
type Answer struct {
	Code     string  // two of 0-9A-Z; field 39
	Approval string  // up to six of 0-9A-Z, only with an answer that approves or stands; field 38
	Outcome  Outcome // what the code means for this message
}

// Reconciliation is the host's view of a batch: what stands there is equal to what was sent, or
// not. (field 66)
type Reconciliation struct {
	Agreed bool
	// the host's own figures, with the request's trace; where it agrees without figures, the
	// request's
	Host   Totals
	Untold bool // the host said only whether it agrees, and gave no figures
}

// Standing returns what remains of debits when those reversed are taken off.
func (t Totals) Standing() Count { return less(t.Debits, t.DebitReversals) }

// StandingCredits returns what remains of credits when those reversed are taken off.
func (t Totals) StandingCredits() Count { return less(t.Credits, t.CreditReversals) }

func less(all, reversed Count) Count {
	return Count{Number: all.Number - reversed.Number, Amount: all.Amount - reversed.Amount}
}
