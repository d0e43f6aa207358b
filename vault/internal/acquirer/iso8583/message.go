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

// maxTotal is the largest number of transactions that a count field of ten digits holds.
const maxTotal = 9_999_999_999

// maxDescriptor is how much of field 43 a statement's line shows. (INTERFACES 3)
const maxDescriptor = 22

// request is a message under construction: the first broken limit stays in err.
type request struct {
	message *iso8583.Message
	err     error
}

func newRequest(spec *iso8583.MessageSpec, mti string) *request {
	r := &request{message: iso8583.NewMessage(spec)}
	r.message.MTI(mti)
	return r
}

// fail names the field that breaks a limit, never its value.
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

// setSecret lends value to the message until it has been framed.
func (r *request) setSecret(id int, value []byte) {
	if err := r.message.BinaryField(id, value); err != nil {
		r.fail("field " + strconv.Itoa(id))
	}
}

// number sets a field of decimal digits with zeros before.
func (r *request) number(id, places int, value, limit int64, what string) {
	if value < 0 || value > limit {
		r.fail(what)
		return
	}
	r.set(id, fmt.Sprintf("%0*d", places, value))
}

// text sets a field of printable ASCII with spaces behind.
func (r *request) text(id, places int, value, what string) {
	if len(value) > places || !printable(value) {
		r.fail(what)
		return
	}
	r.set(id, fmt.Sprintf("%-*s", places, value))
}

// trace sets what identifies the request; rrn is the field 37 to be named, which in a reversal is the original's.
func (r *request) trace(t acquirer.Trace, rrn string) {
	if t.STAN < 1 || t.STAN > acquirer.MaxSTAN {
		r.fail("trace number")
	}
	if len(rrn) != 12 || !alphanumeric(rrn) {
		r.fail("retrieval reference number")
	}
	if t.Terminal == "" || t.Acceptor == "" || t.Sent.IsZero() {
		r.fail("terminal, acceptor and time sent must be there")
	}
	r.number(fieldSTAN, 6, int64(t.STAN), acquirer.MaxSTAN, "trace number")
	r.set(fieldTransmitted, transmitted(t.Sent))
	r.set(fieldTime, t.Sent.UTC().Format("150405"))
	r.set(fieldDate, t.Sent.UTC().Format("0102"))
	r.set(fieldRRN, rrn)
	r.text(fieldTerminal, 8, t.Terminal, "terminal")
	r.text(fieldAcceptor, 15, t.Acceptor, "acceptor")
}

func (r *request) money(amount int64, currency string) {
	if amount < 1 {
		r.fail("amount")
	}
	r.number(fieldAmount, 12, amount, envelope.MaxAmount, "amount")
	r.currency(currency)
}

func (r *request) currency(code string) {
	currency, ok := envelope.LookupCurrency(code)
	if !ok {
		r.fail("currency")
		return
	}
	r.set(fieldCurrency, currency.Numeric)
}

func (r *request) batch(batch uint32) {
	if batch < 1 {
		r.fail("batch")
	}
	r.number(fieldBatch, 6, int64(batch), acquirer.MaxBatch, "batch")
}

// newAuthorise builds a 0100 or 0200. The returned clear overwrites the one copy made here, the expiry's.
func newAuthorise(spec *iso8583.MessageSpec, s acquirer.Request) (r *request, clearCopy func()) {
	r = newRequest(spec, requestType(s.Kind))
	if s.Card == nil && s.Original == nil || s.Card != nil && len(s.Card.Digits()) == 0 {
		r.fail("a request needs a card that has not been cleared")
		s.Card = new(account.Card)
	}
	var expiry [4]byte
	if s.Card != nil {
		expiry = s.Card.ExpiryYYMM()
		r.setSecret(fieldNumber, s.Card.Digits())
		r.setSecret(fieldExpiry, expiry[:])
	}
	if s.Code != nil {
		r.setSecret(fieldCode, s.Code.Digits())
	}
	r.trace(s.Trace, s.RRN)
	r.money(s.Amount, s.Currency)
	if s.Kind != acquirer.KindAuthorisation {
		r.batch(s.Batch)
	}
	if s.Original != nil {
		r.original(s.Trace, *s.Original)
	}
	r.set(fieldProcessing, processingCode(s.Kind))
	r.set(fieldEntryMode, entryKeyed)
	r.set(fieldCondition, conditionECommerce)
	if len(s.Descriptor) > maxDescriptor {
		r.fail("descriptor")
	}
	if s.Descriptor != "" {
		r.text(fieldDescriptor, 40, s.Descriptor, "descriptor")
	}
	return r, func() { clear(expiry[:]) }
}

// newReversal builds a 0420, or a 0421 when it has been sent before.
func newReversal(spec *iso8583.MessageSpec, rev acquirer.Reversal) *request {
	mti := mtiReversal
	if rev.Repeat > 0 {
		mti = mtiReversalRepeat
	}
	r := newRequest(spec, mti)
	r.trace(rev.Trace, rev.Original.RRN)
	r.money(rev.Amount, rev.Currency)
	if rev.Original.Kind != acquirer.KindAuthorisation {
		r.batch(rev.Batch)
	}
	r.set(fieldProcessing, processingCode(rev.Original.Kind))
	r.original(rev.Trace, rev.Original)
	return r
}

// newCapture builds a 0220, or a 0221 when it has been sent before.
func newCapture(spec *iso8583.MessageSpec, c acquirer.Capture) *request {
	mti := mtiCapture
	if c.Repeat > 0 {
		mti = mtiCaptureRepeat
	}
	r := newRequest(spec, mti)
	r.trace(c.Trace, c.RRN)
	r.money(c.Amount, c.Currency)
	r.batch(c.Batch)
	r.set(fieldProcessing, processingPurchase)
	if c.Original.Approval != "" {
		r.text(fieldApproval, 6, c.Original.Approval, "approval")
	}
	r.original(c.Trace, c.Original)
	return r
}

// original sets field 90.
func (r *request) original(own acquirer.Trace, o acquirer.Original) {
	if own.Terminal != o.Terminal || own.Acceptor != o.Acceptor {
		r.fail("terminal and acceptor must be the original's")
	}
	if o.STAN < 1 || o.STAN > acquirer.MaxSTAN || o.Sent.IsZero() {
		r.fail("the original's trace number and time")
	}
	r.set(fieldOriginal, fmt.Sprintf("%s%06d%s%022d", requestType(o.Kind), o.STAN, transmitted(o.Sent), 0))
}

// requestType returns the message type that asks for kind.
func requestType(kind acquirer.Kind) string {
	switch kind {
	case acquirer.KindAuthorisation:
		return mtiAuthorise
	case acquirer.KindCapture:
		return mtiCapture
	}
	return mtiSale
}

func processingCode(kind acquirer.Kind) string {
	if kind == acquirer.KindRefund {
		return processingRefund
	}
	return processingPurchase
}

// newTotals builds a 0500.
func newTotals(spec *iso8583.MessageSpec, t acquirer.Totals) *request {
	r := newRequest(spec, mtiReconcile)
	r.trace(t.Trace, t.RRN)
	r.currency(t.Currency)
	r.batch(t.Batch)
	for _, f := range totalFields(&t) {
		r.number(f.number, 10, int64(f.count.Number), maxTotal, "a number of transactions")
		r.number(f.sum, 16, f.count.Amount, maxSum, "a sum of amounts")
	}
	r.set(fieldNet, netAmount(t))
	return r
}

// maxSum is the largest sum of amounts that this package sends or accepts: what JSON integers hold elsewhere, 2^53-1.
const maxSum = 1<<53 - 1

type totalField struct {
	number, sum int
	count       *acquirer.Count
}

func totalFields(t *acquirer.Totals) [4]totalField {
	return [4]totalField{
		{fieldCredits, fieldCreditSum, &t.Credits},
		{fieldCreditReversals, fieldCreditRevSum, &t.CreditReversals},
		{fieldDebits, fieldDebitSum, &t.Debits},
		{fieldDebitReversals, fieldDebitRevSum, &t.DebitReversals},
	}
}

// netAmount returns field 97: D when debits outweigh credits or are as many, else C, and the difference.
func netAmount(t acquirer.Totals) string {
	amount := t.Standing().Amount - t.StandingCredits().Amount
	if amount < 0 {
		return fmt.Sprintf("C%016d", -amount)
	}
	return fmt.Sprintf("D%016d", amount)
}

// newNetwork builds a 0800; a line counts the trace numbers of its own network messages.
func newNetwork(spec *iso8583.MessageSpec, function string, stan uint32, now time.Time) *request {
	r := newRequest(spec, mtiNetwork)
	r.set(fieldTransmitted, transmitted(now))
	r.number(fieldSTAN, 6, int64(stan), acquirer.MaxSTAN, "trace number")
	r.set(fieldNetwork, function)
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
