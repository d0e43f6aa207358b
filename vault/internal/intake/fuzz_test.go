package intake

import (
	"bytes"
	"testing"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/vaulttest"
)

// fuzzing is a fuzz test whose fixture is also used inside its target, where F.Helper is forbidden.
type fuzzing struct{ testing.TB }

// Helper does nothing.
func (fuzzing) Helper() {}

// FuzzMessage opens anything as a bag: the result is a relay's bag or a finding.
func FuzzMessage(f *testing.F) {
	d := newFixture(fuzzing{f})
	good := d.run.Bag(d.sales(3)...)
	f.Add(good.Data)
	f.Add(good.Data[:len(good.Data)-1])
	f.Add([]byte{0, 0, 0, 0})
	keys, err := verifiers(d.State().Relays)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b := openBag(channel.Message{Subject: "bag.relay-1", Data: data}, keys)
		if whole := bytes.Equal(data, good.Data); whole != (b.finding == "") || whole != (len(b.envelopes) == 3) {
			t.Errorf("finding %q, %d envelopes", b.finding, len(b.envelopes))
		}
	})
}

// opening is an opener whose parts open to given plaintexts.
type opening map[envelope.PartName][]byte

func (o opening) OpenPart(part envelope.PartName, _, _ string, _ envelope.Part) ([]byte, error) {
	return bytes.Clone(o[part]), nil
}

// FuzzPlaintexts judges anything in the parts of a well-signed envelope. The verdict is one of the
// codes, and what goes into results and the log holds no account number and can be encoded.
func FuzzPlaintexts(f *testing.F) {
	d := newFixture(fuzzing{f})
	d.permit("shop-1")
	add := func(draft vaulttest.Draft) { f.Add([]byte(draft.Order), []byte(draft.Account), []byte(draft.Code)) }
	add(d.shop.Sale())
	for _, r := range readable() {
		sale := d.shop.Sale()
		r.change(&sale)
		add(sale)
	}
	for _, g := range good(d.shop) {
		add(g.draft)
	}
	add(d.shop.Forget(token))
	add(d.shop.ByToken(envelope.OpSale, token, 1))
	snap := &snapshot{ledger: d.Ledger, merchants: map[string]merchant{}}
	shop, err := snap.merchant("shop-1")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, order, account, code []byte) {
		v := verdict{envelope: envelope.Envelope{Merchant: "shop-1", ID: earlier}}
		for part, plain := range map[**envelope.Part][]byte{&v.envelope.Account: account, &v.envelope.Code: code} {
			if len(plain) > 0 {
				*part = &envelope.Part{}
			}
		}
		i := d.newIntake(nil)
		i.Opener = opening{envelope.PartOrder: order, envelope.PartAccount: account, envelope.PartCode: code}
		if err := i.open(snap, shop, &v); err != nil {
			t.Fatal(err)
		}
		checkVerdict(t, v)
	})
}

func checkVerdict(t *testing.T, v verdict) {
	t.Helper()
	o := v.order
	given := v.envelope.Account != nil && o.Operation != envelope.OpUpdate
	if !v.code.Valid() || v.code == envelope.CodeOK && given && (v.account.masked == "" || v.account.print == "" || v.account.method == "") ||
		(v.stored != nil) != (v.code == envelope.CodeOK && o.Operation == envelope.OpStore) {
		t.Errorf("verdict %q of a %s, masked %q", v.code, o.Operation, v.account.masked)
	}
	line, err := envelope.EncodeFacts(envelope.Facts{Payment: earlier, Status: envelope.StatusRejected, Code: v.code, Amount: o.Amount,
		Currency: o.Currency, Reference: o.Reference, Masked: v.account.masked, Token: o.Token})
	if err != nil {
		t.Errorf("the facts cannot be encoded: %v", err)
	}
	received, err := book.Event{Body: book.EnvelopeReceived{Operation: o.Operation, Amount: o.Amount, Currency: o.Currency,
		Reference: o.Reference, Descriptor: o.Descriptor, Masked: v.account.masked, Brand: v.account.brand, Token: o.Token}}.MarshalJSON()
	if err != nil {
		t.Errorf("the event cannot be written: %v", err)
	}
	for _, text := range [][]byte{line, received} {
		for _, run := range bytes.FieldsFunc(text, func(c rune) bool { return c < '0' || c > '9' }) {
			if 12 <= len(run) && len(run) <= 19 && envelope.Luhn(run) {
				t.Error("what may be an account number is in the facts")
			}
		}
	}
}
