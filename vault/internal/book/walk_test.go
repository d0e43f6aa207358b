package book

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"nightdrop/shared/envelope"
)

// The walk is about payment 1. What it is about is payment 100; what is about it are a void 200, a
// capture 201 and a refund 202.
const (
	subject, original    = 1, 100
	aVoid, aCap, aRefund = 200, 201, 202
	aToken               = "tok_aaaaaaaaaaaaaaaaaaaaaaaaaa"
	bToken               = "tok_bbbbbbbbbbbbbbbbbbbbbbbbbb"
	aFile                = "nightdrop-20261120-A.ach"
)

func order(n int, op envelope.Operation, amount int64, of int) EnvelopeReceived {
	b := EnvelopeReceived{ID: id(n), Digest: "digest " + id(n), Operation: op, Amount: amount, Reference: "r", Fingerprint: "ff"}
	if amount > 0 {
		b.Currency = "USD"
	}
	if of > 0 {
		b.Of = id(of)
	}
	return b
}

func bankOrder(n int, op envelope.Operation, of int) EnvelopeReceived {
	b := order(n, op, 100, of)
	b.Method = MethodBank
	return b
}

func (b *book) payment(n int) Payment { return Payments.In(b.State)[Key{shop, id(n)}] }

// try applies what surrounds the event under test, where it fits.
func (b *book) try(bodies ...Body) {
	for _, body := range bodies {
		merchant := shop
		switch body.(type) {
		case FileBegun, FileIntended, FileWritten:
			merchant = ""
		}
		before := b.clone()
		if _, err := b.apply(merchant, body); err != nil {
			b.State = before
		}
	}
}

// copied are rows of their own with what h has now, in memory.
func (h *held[K, V]) copied() any {
	return &held[K, V]{maps.Clone(h.Rows.(inMemory[K, V]))}
}

func (b *book) clone() *State {
	c := NewMemory()
	for i, rows := range b.rows {
		if rows != nil {
			c.rows[i] = rows.(interface{ copied() any }).copied()
		}
	}
	return c
}

func (b *book) card(n int, op envelope.Operation, of int) {
	b.try(order(n, op, 100, of), AuthorisationIntended{ID: id(n), Trace: b.trace(), Batch: b.batchFor(op)}, AuthorisationAnswered{ID: id(n), Code: "iso-00"})
}

func (b *book) batchFor(op envelope.Operation) uint32 {
	if op == envelope.OpAuthorize {
		return 0
	}
	b.try(BatchOpened{Batch: b.vault().NextBatch, Method: MethodCard})
	return Merchants.In(b.State)[shop].OpenBatch
}

// closeAll closes the shop's open batches, has the host agree, and puts a file out as far as that
// can be.
func (b *book) closeAll() {
	for _, number := range slices.Sorted(maps.Keys(Batches.In(b.State))) {
		b.try(BatchClosing{Batch: number})
		batch := Batches.In(b.State)[number]
		b.try(BatchClosed{Batch: number, Totals: batch.Totals, HashTotal: batch.HashTotal})
		if batch.Method == MethodBank {
			b.try(FileBegun{Name: aFile, Day: "2026-11-20", Modifier: 1, Effective: "2026-11-23", Batches: []uint32{number}})
			continue
		}
		for _, total := range batch.Totals {
			b.try(ReconciliationAnswered{Batch: number, Agreed: true, Host: total})
		}
	}
}

func (b *book) fileOut() {
	b.closeAll()
	file := Files.In(b.State)[aFile]
	var debits, credits int64
	for _, number := range file.Batches {
		for _, t := range Batches.In(b.State)[number].Totals {
			debits, credits = debits+t.Amount, credits+t.CreditAmount
		}
	}
	b.try(FileIntended{Name: aFile, Digest: fmt.Sprintf("%064d", 1), Entries: file.Entries, Debits: debits, Credits: credits}, FileWritten{Name: aFile})
}

// beginnings are the ways in which payment 1 comes to be, by flow.
func beginnings() map[string]func(b *book) {
	stored := func(b *book) {
		b.try(order(original, envelope.OpStore, 0, 0), AccountStored{ID: id(original), Token: aToken})
	}
	return map[string]func(b *book){
		"sale":      func(b *book) { b.try(order(subject, envelope.OpSale, 100, 0)) },
		"authorize": func(b *book) { b.try(order(subject, envelope.OpAuthorize, 100, 0)) },
		"capture, the whole": func(b *book) {
			b.card(original, envelope.OpAuthorize, 0)
			b.try(order(subject, envelope.OpCapture, 100, original))
		},
		"refund of a sale": func(b *book) {
			b.card(original, envelope.OpSale, 0)
			b.closeAll()
			b.try(order(subject, envelope.OpRefund, 60, original))
		},
		"bank sale":   func(b *book) { b.try(bankOrder(subject, envelope.OpSale, 0)) },
		"bank payout": func(b *book) { b.try(bankOrder(subject, envelope.OpPayout, 0)) },
		"bank refund": func(b *book) {
			b.try(bankOrder(original, envelope.OpSale, 0), BatchOpened{Batch: 1, Method: MethodBank}, EntryAccepted{ID: id(original), Batch: 1, Standard: "WEB"})
			b.closeAll()
			b.try(EntryIntended{ID: id(original), File: aFile, Trace: "123456780000001", Sequence: 1})
			b.fileOut()
			b.try(PaymentSettled{ID: id(original), Batch: 1}, bankOrder(subject, envelope.OpRefund, original))
		},
		"void of a sale": func(b *book) {
			b.card(original, envelope.OpSale, 0)
			b.try(order(subject, envelope.OpVoid, 0, original))
		},
		"void of an authorisation": func(b *book) {
			b.card(original, envelope.OpAuthorize, 0)
			b.try(order(subject, envelope.OpVoid, 0, original))
		},
		"void of an entry": func(b *book) {
			b.try(bankOrder(original, envelope.OpSale, 0), BatchOpened{Batch: 1, Method: MethodBank}, EntryAccepted{ID: id(original), Batch: 1, Standard: "WEB"})
			b.try(order(subject, envelope.OpVoid, 0, original))
		},
		"store": func(b *book) { b.try(order(subject, envelope.OpStore, 0, 0)) },
		"update": func(b *book) {
			stored(b)
			o := order(subject, envelope.OpUpdate, 0, 0)
			o.Token = aToken
			b.try(o)
		},
		"forget": func(b *book) {
			stored(b)
			o := order(subject, envelope.OpForget, 0, 0)
			o.Token = aToken
			b.try(o)
		},
	}
}

// step is one event, under the label of the table of moves.
type step struct {
	label string
	body  func(b *book) Body // and what surrounds it
}

// reversalOf makes a reversal of n stand, as far as that can be.
func (b *book) reversalOf(n int) {
	t := b.trace()
	if p := b.payment(n); p.Reversal != nil {
		t = *p.Reversal
	}
	b.try(ReversalIntended{ID: id(n), Trace: t, Try: b.payment(n).Tries + 1})
}

func (b *book) captureOf(n int) Body {
	t := b.trace()
	p := b.payment(n)
	if p.Flow() == FlowCapture && p.Trace != nil {
		t = *p.Trace
	}
	batch := p.Batch
	if batch == 0 {
		batch = b.batchFor(envelope.OpCapture)
	}
	return CaptureIntended{ID: id(n), Trace: t, Batch: batch, Try: p.Tries + 1}
}

func steps() []step {
	always := func(body Body) func(*book) Body { return func(*book) Body { return body } }
	one := id(subject)
	all := []step{
		{"envelope-received", always(order(subject, envelope.OpSale, 100, 0))},
		{"payment-refused", func(b *book) Body { b.closeAll(); return PaymentRefused{ID: one, Code: envelope.CodeLate} }},
		{"authorisation-intended", func(b *book) Body {
			return AuthorisationIntended{ID: one, Trace: b.trace(), Batch: b.batchFor(b.payment(subject).Operation)}
		}},
		{"authorisation-answered", always(AuthorisationAnswered{ID: one, Code: "iso-00"})},
		{"authorisation-answered", always(AuthorisationAnswered{ID: one, Code: "iso-05"})},
		{"authorisation-unanswered", always(AuthorisationUnanswered{ID: one})},
		{"authorisation-expired", func(b *book) Body { b.now = b.now.Add(AuthorisationLife); return AuthorisationExpired{ID: one} }},
		{"reversal-intended", func(b *book) Body {
			t := b.trace()
			if p := b.payment(subject); p.Reversal != nil {
				t = *p.Reversal
			}
			return ReversalIntended{ID: one, Trace: t, Try: b.payment(subject).Tries + 1}
		}},
		{"reversal-answered", func(b *book) Body { b.reversalOf(subject); return ReversalAnswered{ID: one, Code: "iso-00"} }},
		{"reversal-abandoned", always(ReversalAbandoned{ID: one, Tries: 6})},
		{"capture-intended", func(b *book) Body { return b.captureOf(subject) }},
		{"capture-answered", always(CaptureAnswered{ID: one, Code: "iso-00"})},
		{"capture-answered", always(CaptureAnswered{ID: one, Code: "iso-05"})},
		{"capture-abandoned", always(CaptureAbandoned{ID: one, Tries: 6})},
		{"outcome-unknown", always(OutcomeUnknown{ID: one})},
		{"payment-resent", always(PaymentResent{ID: one, Reason: "r"})},
		{"payment-voided", always(PaymentVoided{ID: one})},
		{"entry-accepted", func(b *book) Body {
			b.try(BatchOpened{Batch: b.vault().NextBatch, Method: MethodBank})
			return EntryAccepted{ID: one, Batch: Merchants.In(b.State)[shop].OpenBank, Standard: "WEB"}
		}},
		{"entry-intended", func(b *book) Body {
			b.closeAll()
			if f := b.payment(subject).Batch; f != 1 {
				b.try(FileBegun{Name: "b", Day: "2026-11-20", Modifier: 2, Effective: "2026-11-23", Batches: []uint32{f}})
			}
			next := b.vault().NextSequence()
			return EntryIntended{ID: one, File: Batches.In(b.State)[b.payment(subject).Batch].File, Trace: fmt.Sprintf("12345678%07d", next), Sequence: next}
		}},
		{"payment-settled", func(b *book) Body {
			b.fileOut()
			if f := Files.In(b.State)["b"]; f.Entries > 0 {
				b.try(FileIntended{Name: "b", Digest: fmt.Sprintf("%064d", 2), Entries: 1, Credits: 100}, FileWritten{Name: "b"})
			}
			return PaymentSettled{ID: one, Batch: b.payment(subject).Batch}
		}},
		{"payment-returned", always(PaymentReturned{ID: one, Code: "ach-R02"})},
		{"change-notified", always(ChangeNotified{ID: one, Code: "C01"})},
		{"entry-acknowledged", always(EntryAcknowledged{ID: one})},
		{"account-stored", always(AccountStored{ID: one, Token: bToken})},
		{"account-updated", always(AccountUpdated{ID: one})},
		{"account-forgotten", always(AccountForgotten{ID: one})},
		{"void/envelope-received", always(order(aVoid, envelope.OpVoid, 0, subject))},
		{"void/payment-voided", func(b *book) Body {
			if b.payment(subject).Flow() == FlowEntry {
				b.try(order(aVoid, envelope.OpVoid, 0, subject))
			}
			return PaymentVoided{ID: id(aVoid)}
		}},
		{"capture/envelope-received", always(order(aCap, envelope.OpCapture, 40, subject))},
		{"refund/envelope-received", func(b *book) Body { b.closeAll(); return order(aRefund, envelope.OpRefund, 40, subject) }},
		{"reversal/reversal-answered", func(b *book) Body { b.reversalOf(original); return ReversalAnswered{ID: id(original), Code: "iso-00"} }},
	}
	for _, amount := range []int64{40, 100} { // in part, the whole
		all = append(all, step{"capture/capture-answered", func(b *book) Body {
			b.try(order(aCap, envelope.OpCapture, amount, subject))
			b.try(b.captureOf(aCap))
			return CaptureAnswered{ID: id(aCap), Code: "iso-00"}
		}})
	}
	for _, as := range []envelope.Status{envelope.StatusReversed, envelope.StatusApproved, envelope.StatusVoided, envelope.StatusCaptured, envelope.StatusDeclined} {
		all = append(all, corrections(as)...)
		all = append(all, step{"payment-resolved", always(PaymentResolved{ID: one, As: as, Reason: "r"})})
		all = append(all, step{"reversal/payment-resolved", func(b *book) Body {
			b.reversalOf(original)
			b.try(ReversalAbandoned{ID: id(original), Tries: 1})
			return PaymentResolved{ID: id(original), As: as, Reason: "r"}
		}})
	}
	return all
}

// TestEveryPairOfStageAndEvent takes payments of every flow to every stage that they can reach, and
// has every event happen there: what the table of moves allows happens, and nothing else does; and
// after each event the running totals are what the payments come to.
func TestEveryPairOfStageAndEvent(t *testing.T) {
	begin, happen := beginnings(), steps()
	made := map[string]bool{}
	pairs := 0
	for _, name := range slices.Sorted(maps.Keys(begin)) {
		paths := [][]int{{}} // each a way to another stage
		reached := map[string]bool{}
		for len(paths) > 0 {
			path := paths[0]
			paths = paths[1:]
			for i, s := range happen {
				b := newBook(t)
				b.walk(begin[name], happen, path)
				p := b.payment(subject)
				reached[b.situation(p)] = true
				pairs++
				body := s.body(b)
				from := b.payment(subject) // what surrounds the event may not have moved it
				if from.Stage != p.Stage {
					t.Fatalf("%s: what surrounds %s takes it from %s to %s", name, s.label, p.Stage, from.Stage)
				}
				want := allowed(p.Flow(), p.Stage, s.label)
				_, err := b.apply(shop, body)
				if err != nil {
					continue // that each allowed move is made in some way is seen below
				}
				now := b.payment(subject)
				to := now.Stage
				if !slices.Contains(want, to) {
					t.Errorf("%s: %s at %s goes to %s, the table says %v", name, s.label, p.Stage, to, want)
				}
				if err := b.Verify(); err != nil {
					t.Errorf("%s: after %s at %s: %v", name, s.label, p.Stage, err)
				}
				made[fmt.Sprint(p.Flow(), p.Stage, s.label, to)] = true
				if !reached[b.situation(now)] {
					reached[b.situation(now)] = true
					paths = append(paths, append(slices.Clone(path), i))
				}
			}
		}
	}
	for _, m := range moves {
		for _, to := range m.To {
			if !made[fmt.Sprint(m.Flow, m.From, m.Event, to)] {
				t.Errorf("%s at %s by %s never goes to %s", m.Flow, m.From, m.Event, to)
			}
		}
	}
	if pairs < 1000 {
		t.Errorf("only %d pairs were walked", pairs)
	}
}

// situation tells stages apart by what else of a payment decides what may happen to it.
func (b *book) situation(p Payment) string {
	return fmt.Sprint(p.Stage, p.Void != "", p.Captured > 0, len(p.Results) > 0, p.Code == envelope.CodeOK || p.Code == envelope.CodeNoAnswer,
		len(p.Decisions) > 0, p.AtHost, p.InTotals, b.payment(aCap).decided(Payment{}))
}

// walk begins payment 1 and takes it along a path.
func (b *book) walk(begin func(*book), happen []step, path []int) {
	b.must(shop, MerchantPolicySet{Policy: Policy{Limits: []Limit{{Currency: "USD", PayoutDay: 1000}}, Storage: true, Company: Company{Name: "Shop", ID: "1234567890"}}})
	begin(b)
	for _, i := range path {
		b.must(shop, happen[i].body(b))
		b.now = b.now.Add(time.Second)
	}
}
