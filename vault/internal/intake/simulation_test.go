package intake

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

// simulation is a vault whose storefronts post anything, in bags of any order, while engine, bank,
// operators and clock act at random.
type simulation struct {
	*fixture
	*rand.Rand
	shops  []*vaulttest.Storefront
	posted [][]byte
	held   *group // judged, and not committed yet
}

// TestNothingThatIsPostedStopsIntake: whatever storefronts post and relays repeat or reorder is
// answered, and never makes the fold refuse an event, which would stop intake. At the end the
// ledger is checked.
func TestNothingThatIsPostedStopsIntake(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			l := &simulation{fixture: newFixture(t), Rand: rand.New(rand.NewPCG(seed, 3))}
			l.intake.RefundsByReference = seed%2 == 0
			l.shops = []*vaulttest.Storefront{l.shop, l.Enrol("shop-2")}
			l.permit("shop-1")
			l.permit("shop-2")
			for range 120 {
				l.live()
			}
			l.commitHeld()
			l.neverTooMuch()
		})
	}
}

func (l *simulation) live() {
	switch n := l.IntN(20); {
	case n < 9:
		l.post()
	case n < 16:
		for range 8 {
			l.work()
		}
	case n < 18:
		l.endOfDay(book.MethodBank)
		l.endOfDay(book.MethodCard)
	case n < 19:
		l.attempt(pick(l, l.shops...).ID, book.MerchantResumed{})
		if l.IntN(3) == 0 {
			l.operate()
		}
	default:
		l.Clock.Pass(pick(l, time.Second, time.Minute, 50*time.Minute, 11*time.Hour, 11*time.Hour, 6*24*time.Hour, 40*24*time.Hour))
		l.Tick()
	}
}

func pick[T any](l *simulation, of ...T) T { return of[l.IntN(len(of))] }

// attempt appends an event and reports whether the fold accepted it.
func (l *simulation) attempt(merchant string, bodies ...book.Body) bool {
	l.TB.Helper()
	err := l.Ledger.Commit(l.TB.Context(), func(tx *ledger.Tx) error {
		for _, body := range bodies {
			if _, err := tx.Append(book.Event{Actor: "vault", Origin: "timer", Merchant: merchant, Body: body}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, book.ErrTransition) {
		l.TB.Fatal(err)
	}
	return err == nil
}

func (l *simulation) commitHeld() {
	l.TB.Helper()
	if l.held == nil {
		return
	}
	if err := l.intake.commit(l.TB.Context(), l.held); err != nil {
		l.TB.Fatal(err)
	}
	l.held = nil
}

// post puts new and old envelopes into bags, which are committed at once or later.
func (l *simulation) post() {
	l.TB.Helper()
	l.commitHeld()
	var bags []channel.Message
	for range 1 + l.IntN(3) {
		var envelopes [][]byte
		for range 1 + l.IntN(5) {
			shop := pick(l, l.shops...)
			d := l.draft(shop)
			envelopes = append(envelopes, shop.Seal(d))
			if l.IntN(10) == 0 { // other bytes under the id
				again := l.draft(shop)
				again.ID = d.ID
				envelopes = append(envelopes, shop.Seal(again))
			}
		}
		l.posted = append(l.posted, envelopes...)
		for range l.IntN(3) {
			envelopes = append(envelopes, pick(l, l.posted...))
		}
		l.Shuffle(len(envelopes), func(a, b int) { envelopes[a], envelopes[b] = envelopes[b], envelopes[a] })
		bags = append(bags, l.run.Bag(envelopes...))
	}
	if l.IntN(3) > 0 {
		l.take(bags...)
		return
	}
	held, err := l.intake.judgeAll(bags)
	if err != nil {
		l.TB.Fatal(err)
	}
	l.held = held
}

// recent returns a merchant's payments among the vault's newest 80.
func (l *simulation) recent(merchant string) []book.Payment {
	newest := l.State().Payments
	return l.paymentsAfter(merchant, newest-min(newest, 80))
}

func (l *simulation) paymentsAfter(merchant string, number uint64) (all []book.Payment) {
	l.TB.Helper()
	l.View(func(tx *ledger.Tx) error {
		all = nil
		return tx.Payments(ledger.Query{Merchant: merchant, After: number}, func(p book.Payment) error {
			all = append(all, p)
			return nil
		})
	})
	return all
}

func (l *simulation) draft(shop *vaulttest.Storefront) vaulttest.Draft {
	of, held, paid, token := earlier, earlier, earlier, token
	if recent := l.recent(pick(l, shop.ID, shop.ID, shop.ID, shop.ID, shop.ID, "shop-1")); len(recent) > 0 {
		of = pick(l, recent...).ID
		for _, p := range recent {
			if p.Stage == book.StageAuthorised || l.IntN(60) == 0 {
				held = pick(l, strings.ReplaceAll(held, earlier, p.ID), p.ID)
			}
			if ownPayment(p) && p.Stage == book.StageSettled || p.Captured > 0 || l.IntN(60) == 0 {
				paid = pick(l, strings.ReplaceAll(paid, earlier, p.ID), p.ID)
			}
			if p.Operation == envelope.OpStore && p.Stage == book.StageDone && l.IntN(6) > 0 {
				token = p.Token
			}
		}
	}
	amount := pick[int64](l, 1, 40, 40, 100, 100, 1999, envelope.MaxAmount)
	account := pick(l, goodCard, goodCard, goodCard, payee, payee, payee, oldCard, vaulttest.Card("5555555555554444", "2040-01"), noSuchABA)
	d := pick(l, shop.Sale(), shop.Authorize(amount), shop.Authorize(100), shop.Capture(held, amount), shop.Capture(held, amount), shop.Void(of),
		shop.Void(held), shop.Refund(paid, amount), shop.Refund(paid, amount), shop.BankSale(amount), shop.BankSale(amount), shop.Payout(amount), shop.Store(account),
		shop.Update(token, pick(l, "2040-01", "2020-01")), shop.Forget(token), shop.ByToken(envelope.OpSale, token, amount),
		shop.ByToken(envelope.OpAuthorize, token, amount), shop.ByToken(envelope.OpPayout, token, amount))
	if d.Account != "" && l.IntN(8) == 0 || strings.Contains(d.Order, `"refund"`) && l.IntN(3) == 0 {
		d.Account = account
	}
	d.Suite = envelope.SuiteX25519 // the quicker one
	if l.IntN(30) == 0 {
		d.Order = pick(l, `{}`, strings.Replace(d.Order, `"USD"`, `"EUR"`, 1), strings.Replace(d.Order, "order 17", "", 1))
	}
	if l.IntN(30) == 0 {
		d.Until = d.Created.Add(time.Second)
	}
	return d
}

// work does one thing that engine, host or bank may do to a payment.
func (l *simulation) work() {
	shop := pick(l, l.shops...)
	all := l.recent(shop.ID)
	if len(all) == 0 {
		return
	}
	if open := slices.DeleteFunc(slices.Clone(all), done); len(open) > 0 && l.IntN(5) > 0 {
		all = open
	}
	p := pick(l, all...)
	code := pick(l, envelope.ISOCode("00"), envelope.ISOCode("00"), envelope.ISOCode("51"))
	switch p.Stage {
	case book.StageReceived:
		l.send(p)
	case book.StageAuthorising:
		l.attempt(p.Merchant, pick[book.Body](l, book.AuthorisationAnswered{ID: p.ID, Code: code}, book.AuthorisationAnswered{ID: p.ID, Code: code},
			book.AuthorisationUnanswered{ID: p.ID}))
	case book.StageUnknown, book.StageVoiding:
		trace := l.trace()
		if p.Reversal != nil {
			trace = *p.Reversal
		}
		l.attempt(p.Merchant, book.ReversalIntended{ID: p.ID, Trace: trace, Try: p.Tries + 1},
			pick[book.Body](l, book.ReversalAnswered{ID: p.ID, Code: code}, book.ReversalAbandoned{ID: p.ID, Tries: p.Tries + 1}))
	case book.StageCapturing:
		l.attempt(p.Merchant, pick[book.Body](l, book.CaptureAnswered{ID: p.ID, Code: code}, book.CaptureAbandoned{ID: p.ID, Tries: p.Tries}))
	case book.StageManual:
		l.attempt(p.Merchant, book.PaymentResolved{ID: p.ID, As: pick(l, p.Resolutions()...), Reason: "the acquirer says so"})
	case book.StageAuthorised:
		l.attempt(p.Merchant, book.AuthorisationExpired{ID: p.ID})
	case book.StageSettled:
		l.attempt(p.Merchant, pick[book.Body](l, book.ChangeNotified{ID: p.ID, Code: "C01"},
			book.PaymentReturned{ID: p.ID, Code: envelope.ACHCode(pick(l, "R01", "R01", "R01", "R01", "R01", "R01", "R01", "R02"))}))
	default:
		l.attempt(p.Merchant, book.OutcomeUnknown{ID: p.ID})
	}
}

func done(p book.Payment) bool {
	switch p.Stage {
	case book.StageReceived, book.StageAuthorising, book.StageUnknown, book.StageVoiding, book.StageCapturing, book.StageManual:
		return false
	}
	return true
}

// send intends the message of a waiting card payment, or refuses the payment.
func (l *simulation) send(p book.Payment) {
	if l.IntN(8) == 0 {
		l.attempt(p.Merchant, book.PaymentRefused{ID: p.ID, Code: envelope.CodeLate})
		return
	}
	batch := l.batchOf(p.Merchant, book.MethodCard)
	if batch == 0 {
		batch = l.State().NextBatch
		l.attempt(p.Merchant, book.BatchOpened{Batch: batch, Method: book.MethodCard})
	}
	switch p.Flow() {
	case book.FlowCapture:
		l.attempt(p.Merchant, book.CaptureIntended{ID: p.ID, Trace: l.trace(), Batch: batch, Try: 1})
	case book.FlowAuthorise:
		l.attempt(p.Merchant, book.AuthorisationIntended{ID: p.ID, Trace: l.trace()})
	default:
		l.attempt(p.Merchant, book.AuthorisationIntended{ID: p.ID, Trace: l.trace(), Batch: batch})
	}
}

func (l *simulation) merchantOf(id string) (m book.Merchant) {
	l.TB.Helper()
	l.View(func(tx *ledger.Tx) (err error) {
		m, _, err = tx.Merchant(id)
		return err
	})
	return m
}

func (l *simulation) batchOf(merchant string, method book.Method) uint32 {
	return l.merchantOf(merchant).Open(method)
}

// endOfDay closes and settles the batches that can be.
func (l *simulation) endOfDay(method book.Method) {
	shop := pick(l, l.shops...).ID
	if open := l.batchOf(shop, method); open != 0 {
		l.attempt(shop, book.BatchClosing{Batch: open})
	}
	var closing []book.Batch
	l.View(func(tx *ledger.Tx) error {
		closing = nil
		return tx.Batches(func(b book.Batch) error {
			if b.Merchant == shop && b.Method == method && b.Stage == book.BatchCutover {
				closing = append(closing, b)
			}
			return nil
		})
	})
	for _, b := range closing {
		if !l.attempt(shop, book.BatchClosed{Batch: b.Number, Totals: b.Totals, HashTotal: b.HashTotal}) || l.IntN(4) == 0 {
			continue
		}
		if method == book.MethodBank {
			l.file(b)
			continue
		}
		for _, total := range b.Totals {
			l.attempt(shop, book.ReconciliationAnswered{Batch: b.Number, Agreed: true, Host: total})
		}
		l.settle(b)
	}
}

// file writes a bank batch into a file, without some entries whose accounts do not open.
func (l *simulation) file(b book.Batch) {
	day := l.Clock.Now().Format(time.DateOnly)
	name := b.ID() + ".ach"
	if !l.attempt("", book.FileBegun{Name: name, Day: day, Modifier: l.State().NextFile(day), Effective: day, Batches: []uint32{b.Number}}) {
		return
	}
	intended := book.FileIntended{Name: name, Digest: strings.Repeat("ab", 32)}
	for _, p := range l.inBatch(b.Number) {
		if l.IntN(6) == 0 {
			l.attempt(p.Merchant, book.PaymentRefused{ID: p.ID, Code: envelope.CodeKeyDead})
			continue
		}
		sequence := l.State().NextSequence()
		l.attempt(p.Merchant, book.EntryIntended{ID: p.ID, File: name, Trace: fmt.Sprintf("01100001%07d", sequence), Sequence: sequence})
		intended.Entries++
		if p.Credit() {
			intended.Credits += p.Amount
		} else {
			intended.Debits += p.Amount
		}
	}
	l.attempt("", intended, book.FileWritten{Name: name})
	l.settle(b)
}

func (l *simulation) settle(b book.Batch) {
	for _, p := range l.inBatch(b.Number) {
		l.attempt(b.Merchant, book.PaymentSettled{ID: p.ID, Batch: b.Number})
	}
	l.attempt(b.Merchant, book.BatchSettled{Batch: b.Number})
}

// operate changes what merchants and relays may do.
func (l *simulation) operate() {
	shop := pick(l, l.shops...).ID
	policy := vaulttest.Policy()
	policy.RefundPercent = pick(l, 0, 0, 1, 1000)
	policy.StoresPerDay = pick(l, 0, 1, 1<<40)
	policy.Storage = l.IntN(4) > 0
	policy.Limits = []book.Limit{{Currency: "USD", Payment: pick[int64](l, 0, 0, 100, 1<<62), Day: pick[int64](l, 0, 5000, 1<<62), PayoutDay: pick[int64](l, 0, 2000, 1<<62)}}
	if l.IntN(4) == 0 {
		policy.Company = book.Company{}
	}
	l.attempt(shop, pick[book.Body](l, book.MerchantPolicySet{Policy: policy}, book.MerchantPolicySet{Policy: policy}, book.MerchantSuspended{},
		book.MerchantResumed{}, book.MerchantResumed{}))
	if relays := l.State().Relays; l.IntN(3) == 0 {
		slices.Reverse(relays)
		l.attempt("", book.RelaysSet{Relays: relays})
	}
}

// neverTooMuch checks what was captured and refunded, payment by payment.
func (l *simulation) neverTooMuch() {
	l.TB.Helper()
	taken := 0
	for _, shop := range l.shops {
		captured, refunded := map[string]int64{}, map[string]int64{}
		all := l.paymentsAfter(shop.ID, 0)
		for _, p := range all {
			switch p.Stage {
			case book.StageRejected, book.StageDeclined, book.StageReversed, book.StageVoided, book.StageReturned:
				continue
			}
			taken++
			switch p.Operation {
			case envelope.OpSale:
				captured[p.ID] += p.Amount
			case envelope.OpCapture:
				captured[p.Of] += p.Amount
			case envelope.OpRefund:
				refunded[p.Of] += p.Amount
			}
		}
		for _, p := range all {
			back := refunded[p.ID]
			if captured[p.ID] > p.Amount || back > captured[p.ID] && p.Stage != book.StageReturned {
				l.TB.Errorf("of a %s of %d, which is %s, %d were captured and %d refunded", p.Operation, p.Amount, p.Stage, captured[p.ID], back)
			}
		}
	}
	if taken == 0 {
		l.TB.Error("nothing was taken")
	}
}
