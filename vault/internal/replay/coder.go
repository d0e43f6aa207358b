package replay

import (
	"encoding/binary"
	"errors"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// coder writes values into bytes, or reads them from there: which of them, one list of members says
// for both, so that they cannot differ. Its form is private to one process.
type coder struct {
	reading bool
	buffer  []byte // what was written
	rest    string // what is left to read
	bad     bool   // it ended too early
}

var errCut = errors.New("a record of the replay's own file is cut")

// appendPayment appends a payment to dst.
func appendPayment(dst []byte, p *book.Payment) ([]byte, error) {
	c := coder{buffer: dst}
	c.payment(p)
	return c.buffer, nil
}

// readPayment reads what appendPayment appended.
func readPayment(text string, p *book.Payment) error {
	c := coder{reading: true, rest: text}
	if c.payment(p); c.bad || len(c.rest) > 0 {
		return errCut
	}
	return nil
}

// payment has every member of a payment.
func (c *coder) payment(p *book.Payment) {
	for _, s := range [...]*string{&p.Merchant, &p.ID, &p.Digest, (*string)(&p.Stage), (*string)(&p.Operation), &p.Currency, &p.Reference, &p.Descriptor,
		&p.Masked, &p.Brand, &p.Fingerprint, (*string)(&p.Method), &p.Of, &p.Token, &p.Void, &p.Standard, &p.Entry, &p.File, &p.Notice, (*string)(&p.Code),
		&p.Approval, (*string)(&p.Answer), (*string)(&p.First)} {
		c.string(s)
	}
	for _, t := range [...]*envelope.Time{&p.Received, &p.Changed, &p.Until, &p.Authorised} {
		c.time(t)
	}
	for _, n := range [...]*int64{&p.Amount, &p.Capturing, &p.Captured, &p.Refunded} {
		c.int(n)
	}
	c.uint(&p.Number)
	c.number(&p.Tries)
	c.number(&p.Mismatches)
	c.number32(&p.Batch)
	c.bool(&p.WithCode)
	c.bool(&p.Acked)
	c.trace(&p.Trace)
	c.trace(&p.Reversal)
	c.resent(&p.Resent)
	grow(c, &p.Results)
	for i := range p.Results {
		c.uint(&p.Results[i])
	}
	grow(c, &p.Notices)
	for i := range p.Notices {
		c.string(&p.Notices[i])
	}
	c.bool(&p.AtHost)
	c.bool(&p.InTotals)
	grow(c, &p.Decisions)
	for i := range p.Decisions {
		c.decision(&p.Decisions[i])
	}
	grow(c, &p.Conflicts)
	for i := range p.Conflicts {
		c.string(&p.Conflicts[i].Digest)
		c.uint(&p.Conflicts[i].Serial)
	}
}

func (c *coder) decision(d *book.Decision) {
	c.time(&d.Time)
	for _, s := range [...]*string{&d.Actor, (*string)(&d.As), &d.Reason, &d.Evidence} {
		c.string(s)
	}
	c.bool(&d.Corrects)
}

// optional has the presence of a value, which is made where it is read, and reports whether its
// members follow.
func optional[T any](c *coder, v **T) bool {
	there := *v != nil
	c.bool(&there)
	switch {
	case !c.reading:
	case there:
		*v = new(T)
	default:
		*v = nil
	}
	return there
}

func (c *coder) resent(r **book.Resent) {
	if optional(c, r) {
		c.time(&(*r).At)
		c.number(&(*r).Tries)
	}
}

func (c *coder) trace(t **book.Trace) {
	if !optional(c, t) {
		return
	}
	c.number32(&(*t).STAN)
	c.string(&(*t).RRN)
	c.string(&(*t).Terminal)
	c.string(&(*t).Acceptor)
	c.time(&(*t).Sent)
}

// grow gives a slice that is read its length. An empty one is read as none.
func grow[T any](c *coder, s *[]T) {
	length := uint64(len(*s))
	c.uint(&length)
	if !c.reading {
		return
	}
	*s = nil
	switch {
	case length > uint64(len(c.rest)): // each takes a byte at least
		c.bad = true
	case length > 0:
		*s = make([]T, length)
	}
}

func (c *coder) string(s *string) {
	length := uint64(len(*s))
	c.uint(&length)
	switch {
	case !c.reading:
		c.buffer = append(c.buffer, *s...)
	case length > uint64(len(c.rest)):
		c.bad = true
	default:
		*s, c.rest = c.rest[:length], c.rest[length:]
	}
}

func (c *coder) uint(n *uint64) {
	if !c.reading {
		c.buffer = binary.AppendUvarint(c.buffer, *n)
		return
	}
	*n = 0
	for i := 0; i < len(c.rest) && i < binary.MaxVarintLen64; i++ {
		*n |= uint64(c.rest[i]&0x7f) << (7 * i)
		if c.rest[i] < 0x80 {
			c.rest = c.rest[i+1:]
			return
		}
	}
	c.bad, c.rest = true, ""
}

func (c *coder) int(n *int64) {
	bits := uint64(*n)
	c.uint(&bits)
	if c.reading {
		*n = int64(bits)
	}
}

func (c *coder) number(n *int) {
	wide := int64(*n)
	c.int(&wide)
	if c.reading {
		*n = int(wide)
	}
}

func (c *coder) number32(n *uint32) {
	wide := uint64(*n)
	c.uint(&wide)
	if c.reading {
		*n = uint32(wide)
	}
}

func (c *coder) bool(b *bool) {
	bit := uint64(0)
	if *b {
		bit = 1
	}
	c.uint(&bit)
	if c.reading {
		*b = bit == 1
	}
}

func (c *coder) time(t *envelope.Time) {
	seconds := t.Unix()
	if c.int(&seconds); c.reading {
		*t = envelope.At(time.Unix(seconds, 0))
	}
}
