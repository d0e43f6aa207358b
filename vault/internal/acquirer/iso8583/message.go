package iso8583

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/moov-io/iso8583"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/account"
	"nightdrop/vault/internal/acquirer"
)

// maxTotal is the largest number in a count field of ten digits.
const maxTotal = 9_999_999_999

// maxSum is the largest sum of amounts sent or accepted: 2^53-1, the largest safe JSON integer.
const maxSum = 1<<53 - 1

// maxDescriptor is the length of a statement's line. (specification 3)
const maxDescriptor = 22

// request is a message under construction; err is the first broken limit.
type request struct {
	message *iso8583.Message
	dialect *Dialect
	err     error
}

func newMessage(d *Dialect, mti string) *request {
	r := &request{message: iso8583.NewMessage(d.asks), dialect: d}
	r.message.MTI(mti)
	return r
}

// newRequest begins m, or its repeat, with its constants.
func newRequest(d *Dialect, m message, repeat int) *request {
	mti := m.Request
	if repeat > 0 {
		mti = m.Repeat
	}
	r := newMessage(d, mti)
	if m.Processing != "" {
		r.set(d.Field.Processing, m.Processing)
	}
	for id, value := range m.Constants {
		n, _ := strconv.Atoi(id) // checked when the file was read
		r.set(n, value)
	}
	return r
}

// fail records the field that breaks a limit, never its value.
func (r *request) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", acquirer.ErrRequest, what)
	}
}

func (r *request) set(id int, value string) {
	if err := r.message.Field(id, value); err != nil {
		r.fail("field " + strconv.Itoa(id))
	}
}

// setSecret sets a field of account data. The message borrows value until it has been framed.
func (r *request) setSecret(id int, value []byte) {
	if err := r.message.BinaryField(id, value); err != nil {
		r.fail("field " + strconv.Itoa(id))
	}
}

// number sets a zero-padded decimal field.
func (r *request) number(id, width int, value, limit int64, what string) {
	if value < 0 || value > limit {
		r.fail(what)
		return
	}
	r.set(id, fmt.Sprintf("%0*d", width, value))
}

// text sets a field of printable ASCII, padded with spaces where its length is fixed.
func (r *request) text(id int, value, what string) {
	w := r.dialect.widths[id]
	if len(value) > w.length || !printable(value) {
		r.fail(what)
		return
	}
	if w.fixed {
		value = fmt.Sprintf("%-*s", w.length, value)
	}
	r.set(id, value)
}

// trace sets what identifies the request; in a reversal, rrn is the original's.
func (r *request) trace(t acquirer.Trace, rrn string) {
	if t.STAN < 1 || t.STAN > acquirer.MaxSTAN {
		r.fail("trace number")
	}
	if len(rrn) != 12 || !alphanumeric(rrn) {
		r.fail("retrieval reference number")
	}
	if t.Terminal == "" || t.Acceptor == "" || t.Sent.IsZero() {
		r.fail("terminal, acceptor and time sent are required")
	}
	at := r.dialect.Field
	r.number(at.STAN, 6, int64(t.STAN), acquirer.MaxSTAN, "trace number")
	r.set(at.Transmitted, transmitted(t.Sent))
	if at.Time != 0 {
		r.set(at.Time, t.Sent.UTC().Format("150405"))
	}
	if at.Date != 0 {
		r.set(at.Date, t.Sent.UTC().Format("0102"))
	}
	r.set(at.RRN, rrn)
	r.text(at.Terminal, t.Terminal, "terminal")
	r.text(at.Acceptor, t.Acceptor, "acceptor")
}

func (r *request) money(amount int64, currency string) {
	if amount < 1 {
		r.fail("amount")
	}
	r.number(r.dialect.Field.Amount, 12, amount, envelope.MaxAmount, "amount")
	r.currency(currency)
}

func (r *request) currency(code string) {
	// also a withdrawn one, whose payments are still settled
	currency, ok := envelope.KnownCurrency(code)
	if !ok {
		r.fail("currency")
		return
	}
	r.set(r.dialect.Field.Currency, currency.Numeric)
}

func (r *request) batch(batch uint32) {
	if batch < 1 {
		r.fail("batch")
	}
	r.number(r.dialect.Field.Batch, 6, int64(batch), acquirer.MaxBatch, "batch")
}

// original names the original request: its message type, trace number, time of sending, and two
// unused institution codes. (ISO 8583:1987 field 90)
func (r *request) original(own acquirer.Trace, o acquirer.Original) {
	if own.Terminal != o.Terminal || own.Acceptor != o.Acceptor {
		r.fail("terminal and acceptor must be the original's")
	}
	if o.STAN < 1 || o.STAN > acquirer.MaxSTAN || o.Sent.IsZero() {
		r.fail("the original's trace number and time")
	}
	m, ok := r.dialect.message(o.Kind)
	if !ok {
		r.fail("the original's kind")
	}
	r.set(r.dialect.Field.Original, fmt.Sprintf("%s%06d%s%022d", m.Request, o.STAN, transmitted(o.Sent), 0))
}

// newAuthorise builds the request for a sale, an authorisation or a refund. clearCopy overwrites
// the one copy made here, the expiry's.
func newAuthorise(d *Dialect, a acquirer.Request) (r *request, clearCopy func()) {
	m, ok := d.message(a.Kind)
	r = newRequest(d, m, 0)
	if !ok || a.Kind == acquirer.KindCapture {
		r.fail("kind")
	}
	if a.Kind != acquirer.KindRefund && a.Original != nil {
		r.fail("only a refund has an original")
	}
	clearCopy = func() {}
	// then no account data leaves this host
	byReference := a.Original != nil && d.RefundsByReference
	if !byReference {
		clearCopy = r.card(a.Card, a.Code)
	}
	r.trace(a.Trace, a.RRN)
	r.money(a.Amount, a.Currency)
	if a.Kind != acquirer.KindAuthorisation {
		r.batch(a.Batch)
	}
	if byReference {
		r.original(a.Trace, *a.Original)
	}
	if len(a.Descriptor) > maxDescriptor || !printable(a.Descriptor) {
		r.fail("descriptor")
	}
	if a.Descriptor != "" && d.Field.Descriptor != 0 {
		r.text(d.Field.Descriptor, a.Descriptor, "descriptor")
	}
	return r, clearCopy
}

// card sets the fields of account data.
func (r *request) card(card *account.Card, code *account.Code) (clearCopy func()) {
	if card == nil || len(card.Digits()) == 0 {
		r.fail("a card that has not been cleared is required")
		return func() {}
	}
	expiry := card.ExpiryYYMM()
	r.setSecret(r.dialect.Field.Number, card.Digits())
	r.setSecret(r.dialect.Field.Expiry, expiry[:])
	if code != nil {
		r.setSecret(r.dialect.Field.Code, code.Digits())
	}
	return func() { clear(expiry[:]) }
}

func newCapture(d *Dialect, c acquirer.Capture) *request {
	r := newRequest(d, d.Messages.Capture, c.Repeat)
	r.trace(c.Trace, c.RRN)
	r.money(c.Amount, c.Currency)
	r.batch(c.Batch)
	if c.Original.Kind != acquirer.KindAuthorisation {
		r.fail("only an authorisation is captured")
	}
	if !alphanumeric(c.Original.Approval) {
		r.fail("approval")
	}
	if c.Original.Approval != "" {
		r.text(d.Field.Approval, c.Original.Approval, "approval")
	}
	r.original(c.Trace, c.Original)
	return r
}

func newReversal(d *Dialect, rev acquirer.Reversal) *request {
	r := newRequest(d, d.Messages.Reversal, rev.Repeat)
	r.trace(rev.Trace, rev.Original.RRN)
	r.money(rev.Amount, rev.Currency)
	if rev.Original.Kind != acquirer.KindAuthorisation {
		r.batch(rev.Batch)
	}
	if m, ok := d.message(rev.Original.Kind); ok {
		r.set(d.Field.Processing, m.Processing)
	}
	r.original(rev.Trace, rev.Original)
	return r
}

func newTotals(d *Dialect, t acquirer.Totals) *request {
	r := newRequest(d, d.Messages.Reconciliation, 0)
	r.trace(t.Trace, t.RRN)
	r.currency(t.Currency)
	r.batch(t.Batch)
	for _, f := range d.Field.totals(&t) {
		r.number(f.at.Number, 10, int64(f.count.Number), maxTotal, "a number of transactions")
		r.number(f.at.Sum, 16, f.count.Amount, maxSum, "a sum of amounts")
	}
	r.set(d.Field.Net, netAmount(t))
	return r
}

// netAmount returns D where debits are at least credits, else C, and the difference. (ISO 8583:1987
// field 97)
func netAmount(t acquirer.Totals) string {
	amount := t.Standing().Amount - t.StandingCredits().Amount
	if amount < 0 {
		return fmt.Sprintf("C%016d", -amount)
	}
	return fmt.Sprintf("D%016d", amount)
}

func newNetwork(d *Dialect, function string, stan uint32, now time.Time) *request {
	r := newMessage(d, d.Messages.Network.Request)
	r.set(d.Field.Transmitted, transmitted(now))
	r.number(d.Field.STAN, 6, int64(stan), acquirer.MaxSTAN, "trace number")
	r.set(d.Field.Network, function)
	return r
}

// transmitted returns field 7.
func transmitted(t time.Time) string { return t.UTC().Format("0102150405") }

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e })
}

func alphanumeric(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return (r < '0' || r > '9') && (r < 'A' || r > 'Z') })
}

// digits reports whether s is one or more decimal digits.
func digits(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}
