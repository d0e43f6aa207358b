package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/shared/seal"
	"nightdrop/vault/internal/audit"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/keyring/keyringtest"
	"nightdrop/vault/internal/merkle"
)

const (
	origin = "vault.example"
	shop   = "shop-1"
)

// vault writes a real log, as a ledger does, under real keys. Its owner can also write what a
// ledger would not.
type vault struct {
	t       testing.TB
	rows    *merkle.Memory
	ring    *keyring.Ring
	signer  *note.Signer
	key     merkle.Key
	tail    merkle.Tail
	wraps   map[string][]byte // by "number auditor"
	state   *book.State
	now     time.Time
	opening bytes.Buffer // signed state at the auditor's first entry
	anna    *keyring.Auditor
	long    bool // a run of events that history need not keep
	pays    int
	batch   uint32
	history []logged // what the log holds; not kept in a long run
}

// logged is one entry before it is sealed.
type logged struct {
	event book.Event
	facts []byte
	key   merkle.Key
}

// newVault is a vault with one merchant, added before the auditor anna.
func newVault(t testing.TB) *vault {
	t.Helper()
	v := &vault{t: t, wraps: map[string][]byte{}, state: book.NewMemory(), rows: new(merkle.Memory), now: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)}
	v.ring, _ = keyringtest.New(t, t.TempDir(), origin, time.Now)
	v.signer = v.ring.Signer()
	v.begin()
	v.do("", book.VaultCreated{Vault: origin, Generation: 1, Signer: v.signer.Verifier().String()})
	v.do(shop, book.MerchantAdded{Name: "Shop", Acceptor: "ACCEPTOR1", Currencies: []string{"USD"}})
	var err error
	v.anna, err = keyring.NewAuditor("anna")
	v.must(err)
	v.open()
	v.begin(v.anna)
	v.do("", book.AuditorAdded{Name: "anna", Key: v.anna.Line()})
	v.do(shop, book.BatchOpened{Batch: 1, Method: book.MethodCard})
	v.batch = 1
	return v
}

func (v *vault) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

// open signs the state as it is.
func (v *vault) open() {
	v.t.Helper()
	s, err := NewState(origin)
	v.must(err)
	defer s.Close()
	for _, table := range book.Tables {
		v.must(table.Records(v.state, func(_ book.Place, record any) error {
			text, err := json.Marshal(record)
			return errors.Join(err, table.Load(s.state.State, text))
		}))
	}
	s.Size, s.Root, s.Time = v.tail.Size(), v.tail.Root(), envelope.At(v.now)
	v.opening.Reset()
	v.must(s.SaveOpening(&v.opening, v.signer))
}

// record is the vault's own record.
func (v *vault) record() book.Vault {
	r, err := v.state.Vault()
	v.must(err)
	return r
}

// begin begins the next log key.
func (v *vault) begin(auditors ...*keyring.Auditor) {
	v.t.Helper()
	number := v.key.Number + 1
	wrapped, box, err := v.ring.NewBox(keyring.LogKeyPurpose(number))
	v.must(err)
	for _, a := range auditors {
		to, err := seal.ParseAuditor(a.Line())
		v.must(err)
		wrap, err := v.ring.WrapLogKey(number, wrapped, to)
		v.must(err)
		v.wraps[fmt.Sprintf("%d %s", number, a.Name())] = wrap
	}
	v.key = merkle.Key{Number: number, Box: box}
}

// do folds and logs an event.
func (v *vault) do(merchant string, body book.Body) *book.Issued {
	v.t.Helper()
	e := v.event(merchant, body)
	issued, err := book.Apply(v.state, e)
	v.must(err)
	v.log(e, issued)
	return issued
}

func (v *vault) event(merchant string, body book.Body) book.Event {
	v.now = v.now.Add(time.Second)
	return book.Event{Time: envelope.At(v.now), Actor: "vault", Origin: "host", Merchant: merchant, Body: body}
}

// log appends an event as it is, with the result of somebody's choice.
func (v *vault) log(e book.Event, issued *book.Issued) {
	v.t.Helper()
	text, err := json.Marshal(e)
	v.must(err)
	var facts []byte
	if issued != nil {
		facts, err = envelope.EncodeFacts(issued.Facts)
		v.must(err)
	}
	_, err = merkle.Append(v.rows, &v.tail, origin, v.key, text, facts)
	v.must(err)
	if !v.long {
		v.history = append(v.history, logged{e, facts, v.key})
	}
}

// rewritten is the same vault with another history, written by one who owns all of its keys.
func (v *vault) rewritten(history []logged) *vault {
	v.t.Helper()
	w := *v
	w.tail, w.history, w.rows = merkle.Tail{}, history, new(merkle.Memory)
	s, err := LoadState(bytes.NewReader(v.opening.Bytes()), v.signer.Verifier(), v.anna)
	v.must(err)
	defer s.Close()
	for _, l := range history {
		if w.tail.Size() == s.Size {
			s.Root = w.tail.Root()
		}
		text, err := json.Marshal(l.event)
		v.must(err)
		_, err = merkle.Append(w.rows, &w.tail, origin, l.key, text, l.facts)
		v.must(err)
	}
	w.opening = bytes.Buffer{}
	v.must(s.SaveOpening(&w.opening, v.signer))
	return &w
}

func id(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func (v *vault) trace() book.Trace {
	v.t.Helper()
	trace, err := v.record().NextTrace([]string{"TERM0001", "TERM0002", "TERM0003"}, "ACCEPTOR1", envelope.At(v.now), nil)
	v.must(err)
	return trace
}

// received takes the next sale.
func (v *vault) received(amount int64) string {
	v.t.Helper()
	v.pays++
	v.do(shop, book.EnvelopeReceived{ID: id(v.pays), Digest: fmt.Sprintf("%064x", v.pays), Until: envelope.At(v.now.Add(time.Hour)), Operation: envelope.OpSale,
		Amount: amount, Currency: "USD", Reference: fmt.Sprintf("order-%d", v.pays), Masked: "424242******4242", Brand: "visa",
		Fingerprint: fmt.Sprintf("%032x", v.pays), Method: book.MethodCard})
	return id(v.pays)
}

// sale is one sale that is approved, or every seventh declined.
func (v *vault) sale(amount int64) string {
	v.t.Helper()
	pay := v.received(amount)
	v.do(shop, book.AuthorisationIntended{ID: pay, Trace: v.trace(), Batch: v.batch})
	code, approval := envelope.ISOCode("00"), "A12345"
	if v.pays%7 == 0 {
		code, approval = envelope.ISOCode("51"), ""
	}
	v.do(shop, book.AuthorisationAnswered{ID: pay, Code: code, Approval: approval})
	return pay
}

// settle closes the batch, agrees with the host and settles it; another is opened.
func (v *vault) settle() {
	v.t.Helper()
	b := book.Batches.In(v.state)[v.batch]
	v.do(shop, book.BatchClosing{Batch: v.batch})
	v.do(shop, book.BatchClosed{Batch: v.batch, Totals: b.Totals, HashTotal: b.HashTotal})
	for _, total := range b.Totals {
		v.do(shop, book.ReconciliationIntended{Batch: v.batch, Currency: total.Currency, Trace: v.trace()})
		v.do(shop, book.ReconciliationAnswered{Batch: v.batch, Agreed: true, Host: total})
	}
	for n := 1; n <= v.pays; n++ {
		p := book.Payments.In(v.state)[book.Key{Merchant: shop, ID: id(n)}]
		if p.Batch == v.batch && p.Stage == book.StageApproved {
			v.do(shop, book.PaymentSettled{ID: p.ID, Batch: v.batch})
		}
	}
	v.do(shop, book.BatchSettled{Batch: v.batch})
	v.batch = v.record().NextBatch
	v.do(shop, book.BatchOpened{Batch: v.batch, Method: book.MethodCard})
}

// refund refunds some of a settled sale, and the host approves.
func (v *vault) refund(of string, amount int64) string {
	v.t.Helper()
	v.pays++
	pay := id(v.pays)
	v.do(shop, book.EnvelopeReceived{ID: pay, Digest: fmt.Sprintf("%064x", v.pays), Until: envelope.At(v.now.Add(time.Hour)), Operation: envelope.OpRefund,
		Amount: amount, Currency: "USD", Reference: "back", Masked: "424242******4242", Of: of, Method: book.MethodCard})
	v.do(shop, book.AuthorisationIntended{ID: pay, Trace: v.trace(), Batch: v.batch})
	v.do(shop, book.AuthorisationAnswered{ID: pay, Code: envelope.ISOCode("00"), Approval: "B12345"})
	return pay
}

// month is some weeks of a shop: sales of which some are declined, settled batches, a refund, a
// sale of unknown outcome that is reversed.
func (v *vault) month() {
	v.t.Helper()
	for range 3 {
		var last string
		for n := range 30 {
			last = v.sale(int64(1000 + n))
		}
		v.settle()
		v.refund(last, 300)
	}
	pay := v.received(777)
	v.do(shop, book.AuthorisationIntended{ID: pay, Trace: v.trace(), Batch: v.batch})
	v.do(shop, book.AuthorisationUnanswered{ID: pay})
	v.do(shop, book.ReversalIntended{ID: pay, Trace: v.trace(), Try: 1})
	v.do(shop, book.ReversalAnswered{ID: pay, Code: envelope.ISOCode("00")})
	v.do("", book.IntegrityFound{Finding: book.FindingMessage, Detail: "an answer to nothing"})
}

func (v *vault) checkpoint() []byte {
	v.t.Helper()
	signed, err := proof.SignCheckpoint(proof.Checkpoint{Origin: origin, Size: v.tail.Size(), Root: v.tail.Root()}, v.signer)
	v.must(err)
	return signed
}

// export writes the log into a new directory.
func (v *vault) export() string {
	v.t.Helper()
	dir := v.t.TempDir()
	x := audit.Exporter{View: func(fn func(merkle.Rows) error) error { return fn(v.rows) }, Vault: v.signer.Verifier(), Checkpoint: v.checkpoint(), Wraps: func(fn func(uint32, string, []byte) error) error {
		for name, wrap := range v.wraps {
			var number uint32
			var auditor string
			if _, err := fmt.Sscanf(name, "%d %s", &number, &auditor); err != nil {
				return err
			}
			if err := fn(number, auditor, wrap); err != nil {
				return err
			}
		}
		return nil
	}}
	_, err := x.Export(context.Background(), dir)
	v.must(err)
	return dir
}

// given is what a replay may be given beside the export.
type given struct {
	from       []byte // nil: the vault's opening
	who        audit.Identity
	statements *Statements
	watch      func(Step) error
}

// replay replays an export; the state is where it ended.
func (v *vault) replay(dir string, g given) (*Report, *State, error) {
	v.t.Helper()
	report, state, err := v.run(dir, g)
	if state != nil {
		v.t.Cleanup(func() { _ = state.Close() })
	}
	return report, state, err
}

// run is replay of a state that the caller closes.
func (v *vault) run(dir string, g given) (*Report, *State, error) {
	v.t.Helper()
	x, err := audit.OpenExport(dir, v.signer.Verifier())
	if err != nil {
		return nil, nil, err
	}
	if g.from == nil {
		g.from = v.opening.Bytes()
	}
	if g.who == nil {
		g.who = v.anna
	}
	state, err := LoadState(bytes.NewReader(g.from), v.signer.Verifier(), v.anna)
	if err != nil {
		return nil, nil, err
	}
	report, err := Run(v.t.Context(), Options{Export: x, Identity: g.who, From: state, Statements: g.statements, Watch: g.watch})
	return report, state, err
}
