package intake

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
)

// verdict is the judgement of one envelope, by a version of the merchant's state.
type verdict struct {
	bag      *bag         // the envelope's, set as it is committed
	index    int          // of the envelope in its bag
	finding  book.Finding // the envelope belongs to no merchant, or is forged
	detail   string       // of the finding
	envelope envelope.Envelope
	digest   string
	version  uint64        // of the merchant's state; 0: no such merchant
	policy   book.Policy   // of the merchant when it was judged
	code     envelope.Code // ok, or the first check that failed
	limit    book.Exceeded // of the code limit
	order    envelope.Order
	account  particulars // of the account part; the transaction sets those of a token or payment
	// of a refund's account part, or of what replaced the stored account, once account is the
	// payment's
	given    particulars
	stored   *stored       // of a store or update: the account, sealed
	noKey    book.Exceeded // why it is not
	mismatch bool          // refused because a refund's account is not its payment's; counted
	compared bool          // its bank account was compared with the block list; counted
}

// particulars are what is kept of an account.
type particulars struct {
	method book.Method
	masked string
	brand  string
	print  string // keyed fingerprint of the number, hex
}

// merchant is a merchant with its keys parsed; enrolled is false where there is none.
type merchant struct {
	book.Merchant
	enrolled bool
	keys     []note.Verifier
}

func parseMerchant(m book.Merchant, enrolled bool) (merchant, error) {
	keys, err := verifiers(m.Verifiers)
	return merchant{m, enrolled, keys}, err
}

// verifiers parses vkeys of the ledger.
func verifiers(vkeys []string) ([]note.Verifier, error) {
	keys := make([]note.Verifier, len(vkeys))
	for n, vkey := range vkeys {
		var err error
		if keys[n], err = note.ParseVerifier(vkey); err != nil {
			return nil, fmt.Errorf("a verifier key in the ledger cannot be read: %w", err)
		}
	}
	return keys, nil
}

// state is what judging reads: a snapshot, or the transaction itself.
type state interface {
	merchant(id string) (merchant, error)
	payment(merchant, id string) (book.Payment, bool, error)
	token(merchant, token string) (book.Token, bool, error)
	stored(merchant, token string) (ledger.Stored, bool, error)
	fingerprint(merchant string, whole []byte) (string, error)
}

// judge checks an envelope in the order of specification 7, up to what only the commit's
// transaction can check: token, payment, state, limit. Its errors say nothing about the envelope:
// the ledger could not be read, or the key ring is locked.
func (i *Intake) judge(st state, msg []byte) (verdict, error) {
	u, err := envelope.Read[envelope.Envelope](msg)
	if err != nil {
		return verdict{finding: book.FindingBadEnvelope, detail: "it is not in the form of an envelope"}, nil
	}
	v := verdict{envelope: u.Value, digest: u.Digest()}
	e := u.Value
	if life := e.Until.Sub(e.Created.Time); life <= 0 || life > envelope.MaxLife {
		// An honest relay refuses this with `clock`, so it has no code.
		v.finding, v.detail = book.FindingBadEnvelope, "its until is not within 6 days after created"
		return v, nil
	}
	m, err := st.merchant(e.Merchant)
	if err != nil {
		return v, err
	}
	v.version, v.policy = m.Version, m.Policy
	if !m.enrolled {
		v.finding, v.detail = book.FindingUnknownMerchant, quotable(e.Merchant)
		return v, nil
	}
	taken, known, err := st.payment(e.Merchant, e.ID)
	if err != nil {
		return v, err
	}
	if known && taken.Digest == v.digest {
		return v, nil // the same instruction again
	}
	_, forged := u.Verify(m.keys...)
	switch {
	case forged != nil:
		v.finding, v.code = book.FindingForgedEnvelope, envelope.CodeUnknownSigner
	case known:
		v.code = envelope.CodeIDConflict
	case m.Status != book.MerchantActive:
		v.code = envelope.CodeMerchantSuspended
	case i.Now().After(e.Until.Time):
		v.code = envelope.CodeLate
	default:
		err = i.open(st, m, &v)
	}
	return v, err
}

// quotable returns a name from outside, or "" where it could contain an account number.
func quotable(name string) string {
	if envelope.CheckReference(name) != nil {
		return ""
	}
	return name
}

// opened are the plaintexts of an envelope's parts.
type opened struct{ order, account, code []byte }

func (o *opened) clear() {
	clear(o.order)
	clear(o.account)
	clear(o.code)
}

// unseal opens all parts. A dead key takes precedence over a part that does not open.
func (i *Intake) unseal(e envelope.Envelope) (o opened, code envelope.Code, err error) {
	code = envelope.CodeOK
	for name, part := range e.Parts {
		plain, err := i.Opener.OpenPart(name, e.Merchant, e.ID, part)
		switch {
		case errors.Is(err, keyring.ErrKeyDead):
			code = envelope.CodeKeyDead
		case errors.Is(err, keyring.ErrCannotOpen):
			if code == envelope.CodeOK {
				code = envelope.CodeCannotOpen
			}
		case err != nil:
			o.clear()
			return o, code, fmt.Errorf("open the %s part of an envelope: %w", name, err)
		}
		switch name {
		case envelope.PartOrder:
			o.order = plain
		case envelope.PartAccount:
			o.account = plain
		case envelope.PartCode:
			o.code = plain
		}
	}
	return o, code, nil
}

// open opens and checks the envelope's parts.
func (i *Intake) open(st state, m merchant, v *verdict) error {
	parts, code, err := i.unseal(v.envelope)
	if err != nil {
		return err
	}
	defer parts.clear()
	order, unread := envelope.Order{}, error(nil)
	if parts.order != nil {
		if order, unread = envelope.DecodeOrder(parts.order); unread == nil {
			v.order = repeatable(order)
		}
	}
	if v.code = code; code != envelope.CodeOK {
		return nil
	}
	if v.code = checkOrder(m, order, unread, v.envelope); v.code != envelope.CodeOK {
		return nil
	}
	if order.Operation == envelope.OpRefund && i.needsNoAccount(m.Merchant, parts.account) {
		v.code = envelope.CodeBadOrder
		return nil
	}
	v.code, err = i.operation(st, m, v, order, parts)
	return err
}

// repeatable returns what of an order may be in results and in the log: not a reference that is
// refused, nor an amount or token that could be an account number (12 digits or more that pass
// Luhn; no such amount is valid, no such token is made).
func repeatable(o envelope.Order) envelope.Order {
	if envelope.CheckReference(o.Reference) != nil {
		o.Reference = ""
	}
	if digits := strconv.FormatInt(o.Amount, 10); len(digits) >= 12 && envelope.Luhn([]byte(digits)) {
		o.Amount = 0
	}
	if envelope.CheckReference(o.Token) != nil {
		o.Token = ""
	}
	return o
}

// checkOrder makes the checks of all operations: bad-order, reference, amount, currency.
func checkOrder(m merchant, o envelope.Order, unread error, e envelope.Envelope) envelope.Code {
	switch {
	case unread != nil, o.CheckMembers(e.Account != nil, e.Code != nil) != nil:
		return envelope.CodeBadOrder
	case envelope.CheckReference(o.Reference) != nil:
		return envelope.CodeReference
	case hasAmount(o.Operation) && (o.Amount < 1 || o.Amount > envelope.MaxAmount):
		return envelope.CodeAmount
	case hasCurrency(o.Operation) && !maySell(m, o.Currency), o.Operation == envelope.OpPayout && o.Currency != bankCurrency:
		return envelope.CodeCurrency
	}
	return envelope.CodeOK
}

func hasAmount(op envelope.Operation) bool {
	return hasCurrency(op) || op == envelope.OpCapture || op == envelope.OpRefund
}

func hasCurrency(op envelope.Operation) bool {
	return op == envelope.OpSale || op == envelope.OpAuthorize || op == envelope.OpPayout
}

// maySell reports whether a currency is of ISO 4217 and one of the merchant's.
func maySell(m merchant, currency string) bool {
	_, listed := envelope.LookupCurrency(currency)
	return listed && slices.Contains(m.Currencies, currency)
}
