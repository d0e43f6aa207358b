package book

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/envelope"
)

var began = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

const (
	shop  = "shop-1"
	other = "shop-2"
)

// book is a fold in memory.
type book struct {
	*State
	t   *testing.T
	now time.Time
}

func newBook(t *testing.T) *book {
	b := &book{State: NewMemory(), t: t, now: began}
	b.must("", VaultCreated{Vault: "vault.example", Generation: 1, Signer: "v"})
	for _, id := range []string{shop, other} {
		b.must(id, MerchantAdded{Name: "Shop", Acceptor: "ACCEPTOR1", ReplyKeys: []string{"r"}})
	}
	return b
}

func (b *book) apply(merchant string, body Body) (*Issued, error) {
	evidence := ""
	if bag, ok := body.(BagCommitted); ok {
		evidence = fmt.Sprintf("%s-%d-%s", bag.Run, bag.Number, bag.Previous)
	}
	return Apply(b.State, Event{Time: envelope.At(b.now), Actor: "vault", Origin: "timer", Evidence: evidence, Merchant: merchant, Body: body})
}

func (b *book) must(merchant string, body Body) *Issued {
	b.t.Helper()
	issued, err := b.apply(merchant, body)
	if err != nil {
		b.t.Fatal(err)
	}
	return issued
}

func (b *book) vault() Vault {
	v, _ := b.Vault() // in memory nothing fails
	return v
}

func (b *book) misfits(merchant string, body Body) {
	b.t.Helper()
	if _, err := b.apply(merchant, body); !errors.Is(err, ErrTransition) {
		b.t.Errorf("%s %+v: got %v", body.Kind(), body, err)
	}
}

func id(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func (b *book) trace() Trace {
	b.t.Helper()
	trace, err := b.vault().NextTrace([]string{"TERM0001"}, "ACCEPTOR1", envelope.At(b.now), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return trace
}

func sale(n int) EnvelopeReceived {
	return EnvelopeReceived{ID: id(n), Digest: "digest " + id(n), Operation: envelope.OpSale, Amount: 100, Currency: "USD", Reference: "r"}
}

// inStage makes payment n of the shop stand in stage, in batch 1.
func (b *book) inStage(n int, stage Stage) {
	b.t.Helper()
	if _, open := Batches.In(b.State)[1]; !open {
		b.must(shop, BatchOpened{Batch: 1, Method: MethodCard})
	}
	if stage == StageRejected {
		b.must(shop, EnvelopeRejected{ID: id(n), Digest: "d", Code: envelope.CodeLuhn, Remembered: true})
		return
	}
	b.must(shop, sale(n))
	if stage == StageReceived {
		return
	}
	b.must(shop, AuthorisationIntended{ID: id(n), Trace: b.trace(), Batch: 1})
	switch stage {
	case StageDeclined:
		b.must(shop, AuthorisationAnswered{ID: id(n), Code: "iso-51"})
	case StageApproved, StageSettled:
		b.must(shop, AuthorisationAnswered{ID: id(n), Code: "iso-00", Approval: "123456"})
	case StageUnknown, StageManual, StageReversed:
		b.must(shop, AuthorisationUnanswered{ID: id(n)})
		b.must(shop, ReversalIntended{ID: id(n), Trace: b.trace(), Try: 1})
	}
	switch stage {
	case StageManual:
		b.must(shop, ReversalAbandoned{ID: id(n), Tries: 1})
	case StageReversed:
		b.must(shop, ReversalAnswered{ID: id(n), Code: "iso-00"})
	case StageSettled:
		b.close(1)
		b.agree(1)
		b.must(shop, PaymentSettled{ID: id(n), Batch: 1})
	}
}

func (b *book) close(number uint32) {
	b.t.Helper()
	b.must(shop, BatchClosing{Batch: number})
	b.must(shop, BatchClosed{Batch: number, Totals: Batches.In(b.State)[number].Totals, HashTotal: Batches.In(b.State)[number].HashTotal})
}

func (b *book) agree(number uint32) {
	b.t.Helper()
	for _, total := range Batches.In(b.State)[number].Totals {
		b.must(shop, ReconciliationIntended{Batch: number, Currency: total.Currency, Trace: b.trace()})
		b.must(shop, ReconciliationAnswered{Batch: number, Agreed: true, Host: total})
	}
}

// TestBatchStages walks every pair of a batch's stage and an event about it.
func TestBatchStages(t *testing.T) {
	total := Total{Currency: "USD", Count: 1, Amount: 100}
	wrong := Total{Currency: "USD", Count: 1, Amount: 99}
	events := map[string]func(b *book) Body{
		"opened":    func(*book) Body { return BatchOpened{Batch: 1, Method: MethodCard} },
		"intended":  func(b *book) Body { return AuthorisationIntended{ID: id(2), Trace: b.trace(), Batch: 1} },
		"closing":   func(*book) Body { return BatchClosing{Batch: 1} },
		"closed":    func(*book) Body { return BatchClosed{Batch: 1, Totals: []Total{total}, HashTotal: 1} },
		"asked":     func(b *book) Body { return ReconciliationIntended{Batch: 1, Currency: "USD", Trace: b.trace()} },
		"agreed":    func(*book) Body { return ReconciliationAnswered{Batch: 1, Agreed: true, Host: total} },
		"differing": func(*book) Body { return ReconciliationAnswered{Batch: 1, Host: wrong} },
		"paid":      func(*book) Body { return PaymentSettled{ID: id(1), Batch: 1} },
		"settled":   func(*book) Body { return BatchSettled{Batch: 1} },
	}
	const (
		none    = BatchStage("none")
		agreed  = BatchStage("closed, agreed")
		partial = BatchStage("closed, agreed, all paid")
	)
	reach := map[BatchStage]func(b *book){
		none:         func(*book) {},
		BatchOpen:    func(*book) {},
		BatchCutover: func(b *book) { b.must(shop, BatchClosing{Batch: 1}) },
		BatchFixed:   func(b *book) { b.close(1) },
		BatchDiffers: func(b *book) { b.close(1); b.must(shop, ReconciliationAnswered{Batch: 1, Host: wrong}) },
		agreed:       func(b *book) { b.close(1); b.agree(1) },
		partial:      func(b *book) { b.close(1); b.agree(1); b.must(shop, PaymentSettled{ID: id(1), Batch: 1}) },
		BatchDone: func(b *book) {
			b.close(1)
			b.agree(1)
			b.must(shop, PaymentSettled{ID: id(1), Batch: 1})
			b.must(shop, BatchSettled{Batch: 1})
		},
	}
	allowed := map[BatchStage]map[string]BatchStage{
		none:         {"opened": BatchOpen},
		BatchOpen:    {"intended": BatchOpen, "closing": BatchCutover},
		BatchCutover: {"closed": BatchFixed},
		BatchFixed:   {"asked": BatchFixed, "agreed": BatchFixed, "differing": BatchDiffers},
		BatchDiffers: {"asked": BatchDiffers, "agreed": BatchFixed, "differing": BatchDiffers},
		agreed:       {"asked": BatchFixed, "agreed": BatchFixed, "differing": BatchDiffers, "paid": BatchFixed},
		partial:      {"settled": BatchDone},
	}
	for stage, to := range reach {
		for name, event := range events {
			t.Run(fmt.Sprintf("%s/%s", stage, name), func(t *testing.T) {
				b := newBook(t)
				if stage != none {
					b.inStage(1, StageApproved)
				} else {
					b.must(shop, sale(1))
				}
				b.must(shop, sale(2))
				to(b)
				want, ok := allowed[stage][name]
				if !ok {
					b.misfits(shop, event(b))
					return
				}
				b.must(shop, event(b))
				if got := Batches.In(b.State)[1].Stage; got != want {
					t.Errorf("now %s, want %s", got, want)
				}
			})
		}
	}
}

func TestBatchWaitsForOpenOutcomes(t *testing.T) {
	b := newBook(t)
	b.inStage(1, StageApproved)
	b.inStage(2, StageAuthorising)
	b.must(shop, BatchClosing{Batch: 1})
	// one answer is to come
	b.misfits(shop, BatchClosed{Batch: 1, Totals: Batches.In(b.State)[1].Totals})
	b.must(shop, AuthorisationUnanswered{ID: id(2)})
	// a reversal is to come
	b.misfits(shop, BatchClosed{Batch: 1, Totals: Batches.In(b.State)[1].Totals, HashTotal: 1})
	b.must(shop, ReversalIntended{ID: id(2), Trace: b.trace(), Try: 1})
	b.must(shop, ReversalAnswered{ID: id(2), Code: "iso-00"})
	// not the ledger's totals
	b.misfits(shop, BatchClosed{Batch: 1, Totals: []Total{{Currency: "USD", Count: 2, Amount: 200}}, HashTotal: 1})
	// of other payments
	b.misfits(shop, BatchClosed{Batch: 1, Totals: Batches.In(b.State)[1].Totals, HashTotal: 2})
	b.must(shop, BatchClosed{Batch: 1, Totals: Batches.In(b.State)[1].Totals, HashTotal: 1})
	// no total in it
	b.misfits(shop, ReconciliationIntended{Batch: 1, Currency: "EUR", Trace: b.trace()})
	b.misfits(other, ReconciliationIntended{Batch: 1, Currency: "USD", Trace: b.trace()})
	b.misfits(shop, ReconciliationAnswered{Batch: 1, Agreed: true, Host: Total{Currency: "USD", Count: 1, Amount: 1}})
	b.agree(1)
	b.agree(1) // asked again: replaced, not added
	b.misfits(shop, BatchSettled{Batch: 1})
	b.must(shop, PaymentSettled{ID: id(1), Batch: 1})
	b.must(shop, BatchSettled{Batch: 1})
	if got := Batches.In(b.State)[1]; got.Count() != 1 || got.Done != 1 || got.ID() != "card-000001" {
		t.Errorf("batch %+v", got)
	}
}

func TestEmptyBatchSettlesAtOnce(t *testing.T) {
	b := newBook(t)
	b.inStage(1, StageDeclined)
	b.close(1)
	b.must(shop, BatchSettled{Batch: 1})
}

func TestBatchesAreTheMerchantsOwn(t *testing.T) {
	b := newBook(t)
	b.inStage(1, StageApproved)
	b.must(other, sale(9))
	b.misfits(other, AuthorisationIntended{ID: id(9), Trace: b.trace(), Batch: 1})
	b.misfits(other, BatchClosing{Batch: 1})
	b.misfits(shop, BatchOpened{Batch: 2, Method: MethodCard}) // one is open
	b.misfits(other, BatchOpened{Batch: 3, Method: MethodCard})
	b.must(other, BatchOpened{Batch: 2, Method: MethodCard})
}

func TestMerchants(t *testing.T) {
	b := newBook(t)
	b.misfits(shop, MerchantAdded{Name: "again"})
	b.misfits("No Merchant", MerchantAdded{Name: "x"})
	b.misfits("nobody", MerchantSuspended{})
	b.misfits(shop, MerchantResumed{})
	b.must(shop, MerchantSuspended{})
	b.misfits(shop, sale(1))
	b.misfits(shop, MerchantSuspended{})
	b.must(shop, EnvelopeRejected{ID: id(1), Digest: "d", Code: envelope.CodeMerchantSuspended, Remembered: true})
	b.must(shop, MerchantResumed{})
	b.must(shop, sale(2))
	b.misfits("nobody", sale(3))
	if v := Merchants.In(b.State)[shop].Version; v != 3 {
		t.Errorf("version %d after two changes", v)
	}
}

func TestTraceNumbersAreUsedOnce(t *testing.T) {
	b := newBook(t)
	b.inStage(1, StageAuthorising)
	first := *Payments.In(b.State)[Key{shop, id(1)}].Trace
	b.must(shop, sale(2))
	b.misfits(shop, AuthorisationIntended{ID: id(2), Trace: first, Batch: 1})
	b.now = b.now.Add(24 * time.Hour)
	second := b.trace()
	if second.STAN != 1 || second.RRN == first.RRN {
		t.Errorf("first trace of the next day %+v", second)
	}
	b.must(shop, AuthorisationIntended{ID: id(2), Trace: second, Batch: 1})
	b.must(shop, sale(3))
	yesterday := first
	yesterday.STAN = 99
	b.misfits(shop, AuthorisationIntended{ID: id(3), Trace: yesterday, Batch: 1})
	for _, stan := range []uint32{0, 1_000_000} {
		bad := b.trace()
		bad.STAN = stan
		b.misfits(shop, AuthorisationIntended{ID: id(3), Trace: bad, Batch: 1})
	}
}

func TestTerminalsTakeTurnsAndKeepTheirNumbers(t *testing.T) {
	b := newBook(t)
	b.must(shop, BatchOpened{Batch: 1, Method: MethodCard})
	seen := map[string]bool{}
	use := func(n int, terminals ...string) Trace {
		t.Helper()
		trace, err := b.vault().NextTrace(terminals, "A", envelope.At(b.now), nil)
		if err != nil {
			t.Fatal(err)
		}
		if seen[trace.RRN] || len(trace.RRN) != 12 {
			t.Errorf("RRN %s twice, or not 12 digits", trace.RRN)
		}
		seen[trace.RRN] = true
		b.must(shop, sale(n))
		b.must(shop, AuthorisationIntended{ID: id(n), Trace: trace, Batch: 1})
		return trace
	}
	use(1, "TERM-A", "TERM-B")
	full := b.vault().Terminals["TERM-A"]
	full.STAN = maxSTAN
	b.vault().Terminals["TERM-A"] = full
	if got := use(2, "TERM-A", "TERM-B"); got.Terminal != "TERM-B" || got.STAN != 1 {
		t.Errorf("after the first is used up: %+v", got)
	}
	// Another order in the configuration names no RRN again.
	use(3, "TERM-B", "TERM-A")
	if _, err := b.vault().NextTrace([]string{"TERM-A"}, "A", envelope.At(b.now), nil); err == nil {
		t.Error("a trace of a terminal that has none left")
	}
	for i := len(b.vault().Terminals); i < maxTerminals; i++ {
		b.vault().Terminals[fmt.Sprint(i)] = Terminal{Number: i}
	}
	if _, err := b.vault().NextTrace([]string{"TERM-X"}, "A", envelope.At(b.now), nil); err == nil {
		t.Error("more terminals than RRNs can tell apart")
	}
}

func TestReversals(t *testing.T) {
	b := newBook(t)
	b.must(shop, BatchOpened{Batch: 1, Method: MethodCard})
	b.must(shop, sale(1))
	b.must(shop, AuthorisationIntended{ID: id(1), Trace: b.trace(), Batch: 1})
	b.must(shop, AuthorisationUnanswered{ID: id(1)})
	b.misfits(shop, ReversalAnswered{ID: id(1), Code: "iso-00"}) // none was sent
	b.misfits(shop, ReversalIntended{ID: id(1), Trace: b.trace(), Try: 2})
	trace := b.trace()
	b.must(shop, ReversalIntended{ID: id(1), Trace: trace, Try: 1})
	b.misfits(shop, ReversalIntended{ID: id(1), Trace: b.trace(), Try: 2}) // another trace number
	b.must(shop, ReversalIntended{ID: id(1), Trace: trace, Try: 2})
	b.must(shop, ReversalAbandoned{ID: id(1), Tries: 2})
	if got := Batches.In(b.State)[1]; got.Unresolved != 1 || got.Outstanding != 0 {
		t.Errorf("batch %+v", got)
	}
	b.misfits(shop, ReversalAnswered{ID: id(1), Code: "iso-00"}) // a person has been asked
	b.misfits(shop, PaymentResolved{ID: id(1), As: envelope.StatusCaptured, Reason: "r"})
	b.must(shop, PaymentResolved{ID: id(1), As: envelope.StatusReversed, Reason: "r"})
	if got := Batches.In(b.State)[1]; got.Unresolved != 0 || got.Count() != 0 {
		t.Errorf("batch %+v", got)
	}
}

func TestOtherBytesUnderAKnownIDAreToldOnceEach(t *testing.T) {
	b := newBook(t)
	conflict := func(n int) EnvelopeRejected {
		return EnvelopeRejected{ID: id(1), Digest: fmt.Sprint("other ", n), Code: envelope.CodeIDConflict}
	}
	b.misfits(shop, conflict(0)) // the id is not known
	b.must(shop, sale(1))
	b.misfits(shop, EnvelopeRejected{ID: id(1), Digest: sale(1).Digest, Code: envelope.CodeIDConflict})
	for n := range MaxConflicts {
		if issued := b.must(shop, conflict(n)); issued.Digest != fmt.Sprint("other ", n) || issued.Facts.Code != envelope.CodeIDConflict {
			t.Errorf("issued %+v", issued)
		}
		b.misfits(shop, conflict(n))
	}
	b.misfits(shop, conflict(MaxConflicts))
	p := Payments.In(b.State)[Key{shop, id(1)}]
	if p.Stage != StageReceived || p.Digest != sale(1).Digest || len(p.Results) != 0 {
		t.Errorf("payment %+v", p)
	}
	if serial, ok := p.Refused("other 2"); !ok || serial != 3 {
		t.Errorf("refused under serial %d", serial)
	}
}

func TestStrangersAreToldSeldom(t *testing.T) {
	b := newBook(t)
	stranger := EnvelopeRejected{ID: id(1), Digest: "d", Code: envelope.CodeUnknownSigner}
	for range MaxRefusals {
		b.must(shop, stranger)
	}
	b.misfits(shop, stranger)
	b.now = b.now.Add(24 * time.Hour)
	b.must(shop, stranger)
	if len(Payments.In(b.State)) != 0 {
		t.Error("a stranger's envelope is remembered")
	}
	stranger.Remembered = true
	b.misfits(shop, stranger)
	b.misfits(shop, EnvelopeRejected{ID: id(1), Digest: "d", Code: envelope.CodeLuhn})
}

func TestWhatAResultSays(t *testing.T) {
	b := newBook(t)
	b.must(shop, BatchOpened{Batch: 1, Method: MethodCard})
	for approval, want := range map[string]string{"A1B2C3": "A1B2C3", "  42  ": "42", "": "", "toolong": "", "a b": "", "abc": "", strings.Repeat("9", 7): ""} {
		n := 100 + len(Payments.In(b.State))
		b.must(shop, sale(n))
		b.must(shop, AuthorisationIntended{ID: id(n), Trace: b.trace(), Batch: 1})
		issued := b.must(shop, AuthorisationAnswered{ID: id(n), Code: "iso-00", Approval: approval})
		if issued.Facts.Approval != want {
			t.Errorf("approval %q is told as %q", approval, issued.Facts.Approval)
		}
		if _, err := envelope.EncodeFacts(issued.Facts); err != nil {
			t.Error(err)
		}
	}
	b.must(shop, sale(1))
	b.must(shop, AuthorisationIntended{ID: id(1), Trace: b.trace(), Batch: 1})
	b.misfits(shop, AuthorisationAnswered{ID: id(1), Code: "iso-0"})
}

func TestNumbersFollowArrival(t *testing.T) {
	b := newBook(t)
	b.must(shop, sale(1))
	b.must(other, sale(1))
	b.must(shop, EnvelopeRejected{ID: id(2), Digest: "d", Code: envelope.CodeLate, Remembered: true})
	for key, want := range map[Key]uint64{{shop, id(1)}: 1, {other, id(1)}: 2, {shop, id(2)}: 3} {
		if got := Payments.In(b.State)[key].Number; got != want {
			t.Errorf("%v has number %d, want %d", key, got, want)
		}
	}
	if b.vault().Payments != 3 {
		t.Errorf("%d payments", b.vault().Payments)
	}
}
