// Package iso8583 speaks ISO 8583 over TCP to an acquirer host: moov-io/iso8583 packs and reads the
// fields, moov-io/iso8583-connection runs the socket's loops, and this package defines the messages
// and what silence means.
//
// # The dialect
//
// A dialect is a file ([LoadDialect]): a specification of fields as moov-io/iso8583 reads it, and a
// section "nightdrop" with which field holds what, the message types and processing codes, the
// length header, constant fields, and what the codes of field 39 mean for each class of message
// (see ops/docs/dialect.md). The built-in one, ascii1987.json, is ISO 8583:1987: two big-endian
// bytes of length, then ASCII: the message type, the bitmaps in upper-case hex, the fields. There
// 0800 signs on (field 70 001) and asks for an echo (301); 0100 is an authorisation, 0200 a sale or
// a refund, 0220 and 0221 a capture, 0420 and 0421 a reversal, 0500 a batch's totals. An answer has
// the class of the request's type, and its terminal and trace number.
//
// Written values have the whole length of their field, so a file's padding is never needed; and an
// answer that does not pack to the very bytes that it was read from is refused.
package iso8583

import (
	_ "embed" // the dialect that is built in
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/moov-io/iso8583"

	"nightdrop/shared/text"
	"nightdrop/vault/internal/acquirer"
)

// ErrDialect is returned when a dialect file cannot be used. It names the file, the line or member,
// and what to change.
var ErrDialect = errors.New("the dialect file cannot be used")

// maxDialect bounds a dialect file in bytes; a whole specification has some 30 KB.
const maxDialect = 1 << 20

//go:embed ascii1987.json
var ascii1987 []byte

// Dialect is how an acquirer's host writes ISO 8583. It is immutable and may be shared.
type Dialect struct {
	name        string
	asks, reads *iso8583.MessageSpec // of messages written and read
	widths      map[int]width
	section
}

// width is the length of a field that this package writes.
type width struct {
	length int // characters; the maximum where it is not fixed
	fixed  bool
}

// section is the member "nightdrop" of a dialect file.
type section struct {
	Header   header       `json:"header"`
	Field    fieldNumbers `json:"place"`
	Messages messages     `json:"messages"`
	// else a refund carries the number and names no original
	RefundsByReference bool    `json:"refunds-by-reference"`
	Answers            answers `json:"answers,omitzero"`
	// of files without Answers: codes of an answered reversal that stand
	Undone   []string `json:"undone,omitempty"`
	Compared []string `json:"compared"` // codes of a 0510 that say that totals were compared
}

// header is the length before a message.
type header struct {
	Form    string `json:"form"`    // "binary" (big-endian), "bcd" or "ascii"
	Bytes   int    `json:"bytes"`   // 2 or 4
	Counted bool   `json:"counted"` // the length counts the header too
}

// fieldNumbers may be 0, for none, in Time, Date, Descriptor and SettlementCurrency.
type fieldNumbers struct {
	Number      int `json:"number"`     // account number
	Processing  int `json:"processing"` // processing code
	Amount      int `json:"amount"`     // minor units
	Transmitted int `json:"transmitted"`
	STAN        int `json:"stan"`
	Time        int `json:"time,omitempty"` // hhmmss, UTC
	Date        int `json:"date,omitempty"` // MMDD, UTC
	Expiry      int `json:"expiry"`         // YYMM
	RRN         int `json:"rrn"`
	Approval    int `json:"approval"`
	Answer      int `json:"answer"` // response code
	Terminal    int `json:"terminal"`
	Acceptor    int `json:"acceptor"`
	Descriptor  int `json:"descriptor,omitempty"`
	Code        int `json:"code"`       // the card security code, nothing else
	Currency    int `json:"currency"`   // ISO 4217 number
	Batch       int `json:"batch"`      // private: six digits
	Settlement  int `json:"settlement"` // 1: the totals agree, 2: they do not
	Network     int `json:"network"`    // what a network message asks for
	// type, trace number and field 7 of the original, and two institution codes of zeros
	Original int `json:"original"`
	Net      int `json:"net"` // C or D and the net amount

	// of an answer to a reconciliation, instead of currency
	SettlementCurrency int `json:"settlement-currency,omitempty"`

	Credits         total `json:"credits"`
	CreditReversals total `json:"credit-reversals"`
	Debits          total `json:"debits"`
	DebitReversals  total `json:"debit-reversals"`
}

// total is the fields of one total of a 0500.
type total struct {
	Number int `json:"number"`
	Sum    int `json:"sum"`
}

// messages are the types of message, with their constants.
type messages struct {
	Authorisation  message `json:"authorisation"`
	Sale           message `json:"sale"`
	Refund         message `json:"refund"`
	Capture        message `json:"capture"`
	Reversal       message `json:"reversal"`
	Reconciliation message `json:"reconciliation"`
	Network        network `json:"network"`
}

type message struct {
	Request string `json:"request"`          // message type
	Repeat  string `json:"repeat,omitempty"` // when it is repeated; of a capture and a reversal
	Answer  string `json:"answer"`           // message type
	// processing code; a reversal has its original's, a reconciliation none
	Processing string            `json:"processing,omitempty"`
	Constants  map[string]string `json:"constants,omitempty"` // field number to value
}

type network struct {
	Request string `json:"request"`
	Answer  string `json:"answer"`
	SignOn  string `json:"sign-on"`
	Echo    string `json:"echo"`
}

// LoadDialect reads a dialect file. Errors wrap [ErrDialect], or are the file system's.
func LoadDialect(path string) (*Dialect, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read dialect: %w", err)
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, maxDialect+1))
	if err != nil {
		return nil, fmt.Errorf("read dialect: %w", err)
	}
	raw, err = text.Clean(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDialect, path, err)
	}
	d, err := parseDialect(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDialect, path, err)
	}
	return d, nil
}

// DefaultDialect returns the built-in dialect: ISO 8583:1987, ASCII.
func DefaultDialect() *Dialect {
	d, err := parseDialect(ascii1987)
	if err != nil {
		panic("iso8583: the built-in dialect: " + err.Error()) // a test reads it
	}
	return d
}

// Name returns the dialect's name.
func (d *Dialect) Name() string { return d.name }

// message returns the messages of kind. ok is false for an unknown kind.
func (d *Dialect) message(kind acquirer.Kind) (m message, ok bool) {
	switch kind {
	case acquirer.KindAuthorisation:
		return d.Messages.Authorisation, true
	case acquirer.KindSale:
		return d.Messages.Sale, true
	case acquirer.KindRefund:
		return d.Messages.Refund, true
	case acquirer.KindCapture:
		return d.Messages.Capture, true
	}
	return message{}, false
}

// answerType returns the message type that answers mti, or "".
func (d *Dialect) answerType(mti string) string {
	if mti == d.Messages.Network.Request {
		return d.Messages.Network.Answer
	}
	for _, m := range d.Messages.all() {
		if mti == m.Request || mti == m.Repeat {
			return m.Answer
		}
	}
	return ""
}

// all returns the messages about payments and batches.
func (m messages) all() []message {
	return []message{m.Authorisation, m.Sale, m.Refund, m.Capture, m.Reversal, m.Reconciliation}
}

// totals pairs the fields of a 0500 with t's totals.
func (p fieldNumbers) totals(t *acquirer.Totals) [4]totalField {
	return [4]totalField{
		{p.Credits, &t.Credits}, {p.CreditReversals, &t.CreditReversals},
		{p.Debits, &t.Debits}, {p.DebitReversals, &t.DebitReversals},
	}
}

type totalField struct {
	at    total
	count *acquirer.Count
}
