package settle

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

// want checks where a payment stands and what its merchant was told of it.
func (c *counter) want(what, id string, stage book.Stage, code envelope.Code, told ...envelope.Status) {
	c.t.Helper()
	p := c.Payment(c.shop.ID, id)
	if p.Stage != stage || p.Code != code {
		c.t.Errorf("%s is %s %s, want %s %s", what, p.Stage, p.Code, stage, code)
	}
	if got := c.told(id); !slices.Equal(got, told) {
		c.t.Errorf("of %s was told %v, want %v", what, got, told)
	}
}

// endOfDay closes and settles everything.
func (c *counter) endOfDay(e *Engine) Settlement {
	c.t.Helper()
	_, err := e.CloseBatch(c.t.Context(), "", "", person(), nil)
	c.must(err)
	done, err := e.Settle(c.t.Context(), book.AllBatches, "", person(), nil)
	c.must(err)
	return done
}

// TestAuthorisationCapturedInParts follows a hold to the day after its captures: the host's batch
// has the captures and the refund.
func TestAuthorisationCapturedInParts(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	e := c.engine(nil)
	hold := c.send(c.shop.Authorize(5000))
	c.finish(e)
	c.want("the hold", hold, book.StageAuthorised, "iso-00", "approved")
	first := c.send(c.shop.Capture(hold, 2000))
	c.finish(e)
	c.want("the first capture", first, book.StageCaptured, "iso-00", "captured")
	second := c.send(c.shop.Capture(hold, 3000))
	c.finish(e)
	back := c.send(c.shop.Refund(hold, 4500))
	c.finish(e)
	c.want("the hold", hold, book.StageCompleted, "iso-00", "approved")
	c.want("the refund", back, book.StageApproved, "iso-00", "refunded")
	if p := c.Payment("shop-1", hold); p.Captured != 5000 || p.Refunded != 4500 || p.Batch != 0 {
		t.Errorf("the hold is %+v", p)
	}
	c.noParts(hold, back)
	done := c.endOfDay(e)
	want := []book.Total{{Currency: "USD", Count: 2, Amount: 5000, Credits: 1, CreditAmount: 4500}}
	if len(done.Batches) != 1 || !slices.Equal(done.Batches[0].Agreed, want) || done.Batches[0].HashTotal == 0 {
		t.Errorf("settled %+v", done)
	}
	c.want("the second capture", second, book.StageSettled, "iso-00", "captured", "settled")
	c.want("the refund", back, book.StageSettled, "iso-00", "refunded", "settled")
	c.agree()
}

func TestVoids(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	e := c.engine(nil)
	sale, hold, kept := c.send(c.shop.Sale()), c.send(c.shop.Authorize(700)), c.send(c.shop.Sale())
	c.finish(e)
	saleVoid, holdVoid := c.send(c.shop.Void(sale)), c.send(c.shop.Void(hold))
	c.finish(e)
	c.want("the sale", sale, book.StageVoided, "iso-00", "approved")
	c.want("the hold", hold, book.StageVoided, "iso-00", "approved")
	c.want("the sale's void", saleVoid, book.StageDone, "iso-00", "voided")
	c.want("the hold's void", holdVoid, book.StageDone, "iso-00", "voided")
	if done := c.endOfDay(e); done.Payments != 1 || c.stage(kept) != book.StageSettled {
		t.Errorf("settled %d, the other sale is %s", done.Payments, c.stage(kept))
	}
	c.agree()
}

// TestARefusalIsOfRequestsAlone: an issuer's code declines a refund, which gives back what it held;
// a capture says what has happened, so that the code only has it repeated, and a person is asked in
// the end.
func TestARefusalIsOfRequestsAlone(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	e := c.engine(nil)
	hold, sale := c.send(c.shop.Authorize(2_000_000)), c.send(c.bigSale(2_000_000))
	c.finish(e)
	// a sale of an open batch is voided, not refunded
	_, err := e.CloseBatch(t.Context(), "", "", person(), nil)
	c.must(err)
	capture, refund := c.send(c.shop.Capture(hold, amountDeclined)), c.send(c.shop.Refund(sale, amountDeclined))
	c.repeatInVain(e, capture)
	c.want("the capture", capture, book.StageManual, "iso-51", "unknown")
	c.want("the refund", refund, book.StageDeclined, "iso-51", "declined")
	if h, s := c.Payment("shop-1", hold), c.Payment("shop-1", sale); h.Capturing != amountDeclined || s.Refunded != 0 {
		t.Errorf("the hold is captured by %d, the sale refunded by %d", h.Capturing, s.Refunded)
	}
	c.must(e.Resolve(t.Context(), "shop-1", capture, envelope.StatusDeclined, "the acquirer's desk: not booked", person()))
	c.want("the capture", capture, book.StageDeclined, envelope.CodeNoAnswer, "unknown", "declined")
	c.agree()
}

func (c *counter) bigSale(amount int64) vaulttest.Draft {
	d := c.shop.Sale()
	d.Order = vaulttest.Order(amount, "USD", "a large order")
	return d
}

// TestUnansweredRequestsOfEveryKind: a hold and a refund of unknown outcome are reversed, each as
// what it was.
func TestUnansweredRequestsOfEveryKind(t *testing.T) {
	c := newCounter(t, 400*time.Millisecond)
	one := func(cfg *Config) { cfg.Outstanding = 1 }
	sale := c.send(c.bigSale(2_000_000))
	c.finish(c.engine(one))
	_, err := c.engine(nil).CloseBatch(t.Context(), "", "", person(), nil)
	c.must(err)
	hold, refund := c.send(c.shop.Authorize(amountSilent)), c.send(c.shop.Refund(sale, amountSilent))
	c.finish(c.engine(one))
	c.want("the hold", hold, book.StageReversed, "iso-00", "unknown", "reversed")
	c.want("the refund", refund, book.StageReversed, "iso-00", "unknown", "reversed")
	if p := c.Payment("shop-1", sale); p.Refunded != 0 {
		t.Errorf("the sale is refunded by %d", p.Refunded)
	}
	c.agree()
}

// TestCapturesAreAdvicesThenAPersons: 0220 once, 0221 under the same trace for a day, then manual;
// and what a person may say of it.
func TestCapturesAreAdvicesThenAPersons(t *testing.T) {
	for _, as := range []envelope.Status{envelope.StatusCaptured, envelope.StatusDeclined} {
		c := newCounter(t, 5*time.Second)
		hold := c.send(c.shop.Authorize(5000))
		c.finish(c.engine(nil))
		capture := c.send(c.shop.Capture(hold, 5000))
		var mu sync.Mutex
		var sent []acquirer.Capture
		deaf := &spy{Acquirer: c.client, capture: func(r acquirer.Capture) error {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, r)
			return acquirer.ErrNoAnswer
		}}
		e := c.engine(func(cfg *Config) { cfg.Acquirer = deaf })
		c.while(e, func() {
			waittest.For(t, "eight tries", func() bool { return c.Payment("shop-1", capture).Tries >= 8 })
			if got := c.stage(capture); got != book.StageCapturing {
				t.Errorf("after eight tries in a moment the capture is %s", got)
			}
			c.Clock.Pass(24 * time.Hour)
			waittest.For(t, "a person to be needed", func() bool { return c.stage(capture) == book.StageManual })
		})
		for i, r := range sent {
			if r.Repeat != i || r.Trace != sent[0].Trace || r.Original.Kind != acquirer.KindAuthorisation || r.Original.RRN == r.RRN || r.Original.Approval == "" {
				t.Errorf("capture %d: repeat %d, trace %v of %+v", i, r.Repeat, r.Trace, r.Original)
			}
		}
		_, err := e.CloseBatch(t.Context(), "", "", person(), nil)
		if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), capture) {
			t.Errorf("closing over what is manual: %v", err)
		}
		c.must(e.Resolve(t.Context(), "shop-1", capture, as, "the acquirer's desk said so on the telephone", person()))
		stage := map[envelope.Status]book.Stage{envelope.StatusCaptured: book.StageCaptured, envelope.StatusDeclined: book.StageDeclined}[as]
		code := map[envelope.Status]envelope.Code{envelope.StatusCaptured: envelope.CodeOK, envelope.StatusDeclined: envelope.CodeNoAnswer}[as]
		c.want("the capture", capture, stage, code, "unknown", as)
	}
}

// TestCaptureIsRepeatedUntilAnswered: an answer that is lost costs nothing; the host books the
// capture once.
func TestCaptureIsRepeatedUntilAnswered(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	hold := c.send(c.shop.Authorize(5000))
	c.finish(c.engine(nil))
	capture := c.send(c.shop.Capture(hold, 5000))
	lossy := &spy{Acquirer: c.client, capture: func(r acquirer.Capture) error {
		if r.Repeat > 0 {
			return nil
		}
		if _, err := c.client.Capture(t.Context(), r); err != nil {
			t.Error(err)
		}
		return acquirer.ErrNoAnswer
	}}
	c.finish(c.engine(func(cfg *Config) { cfg.Acquirer = lossy }))
	c.want("the capture", capture, book.StageCaptured, "iso-00", "captured")
	if p := c.Payment("shop-1", capture); p.Tries != 2 {
		t.Errorf("the capture was sent %d times", p.Tries)
	}
	c.agree()
}

// TestVoidThatIsNotAnswered: the void's merchant hears that it is unknown, a person says what
// became of it, and only then the batch closes.
func TestVoidThatIsNotAnswered(t *testing.T) {
	for _, as := range []envelope.Status{envelope.StatusVoided, envelope.StatusApproved} {
		c := newCounter(t, 5*time.Second)
		sale := c.send(c.shop.Sale())
		c.finish(c.engine(nil))
		void := c.send(c.shop.Void(sale))
		var kinds []acquirer.Kind
		deaf := &spy{Acquirer: c.client, undo: func(r acquirer.Reversal) error {
			kinds = append(kinds, r.Original.Kind)
			return acquirer.ErrNoAnswer
		}}
		e := c.engine(func(cfg *Config) { cfg.Acquirer, cfg.Outstanding = deaf, 1 })
		c.repeatInVain(e, sale)
		if len(kinds) == 0 || kinds[0] != acquirer.KindSale {
			t.Errorf("reversals of %v", kinds)
		}
		c.want("the void", void, book.StageWaiting, envelope.CodeNoAnswer, "unknown")
		err := e.Resolve(t.Context(), "shop-1", sale, envelope.StatusReversed, "a guess", person())
		if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "voided or approved") {
			t.Errorf("resolving as what it cannot be: %v", err)
		}
		c.must(e.Resolve(t.Context(), "shop-1", sale, as, "the listing of 24 November says so", person()))
		if as == envelope.StatusVoided {
			c.want("the void", void, book.StageDone, envelope.CodeNoAnswer, "unknown", "voided")
		} else {
			c.want("the void", void, book.StageDeclined, envelope.CodeNoAnswer, "unknown", "declined")
		}
		_, err = e.CloseBatch(t.Context(), "", "", person(), nil)
		c.must(err)
	}
}

func TestResolveRefusals(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	e := c.engine(nil)
	sale := c.send(c.shop.Sale())
	for reason, want := range map[string]error{
		"": ErrReason, strings.Repeat("a", 201): ErrReason, "line one\nline two": ErrReason, "card 4242424242424242": ErrReason,
		"card 4242 4242 4242 4242": ErrReason, "card 4242-4242-4242-4242.": ErrReason, "ticket 20261124-17": ErrConflict, strings.Repeat("a", 200): ErrConflict,
	} {
		if err := e.Resolve(t.Context(), "shop-1", sale, envelope.StatusReversed, reason, person()); !errors.Is(err, want) {
			t.Errorf("reason %.20q: %v, want %v", reason, err, want)
		}
	}
	if err := e.Resolve(t.Context(), "shop-1", "11111111-1111-4111-8111-111111111111", envelope.StatusReversed, "x", person()); !errors.Is(err, ErrNotFound) {
		t.Errorf("a payment that is not there: %v", err)
	}
}

// TestStoredCard: a sale by token, a refund that needs the number, and a card that was forgotten in
// between.
func TestStoredCard(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	c.byReference = false
	asks := &spy{Acquirer: c.client, number: true}
	var mu sync.Mutex
	cards := map[acquirer.Kind]int{}
	asks.sales = func(r acquirer.Request) error {
		mu.Lock()
		defer mu.Unlock()
		if r.Card != nil && string(r.Card.Digits()) == vaulttest.CardNumber {
			cards[r.Kind]++
		}
		return nil
	}
	e := c.engine(func(cfg *Config) { cfg.Acquirer = asks })
	token := c.Payment("shop-1", c.send(c.shop.Store(vaulttest.Card(vaulttest.CardNumber, vaulttest.CardExpiry)))).Token
	sale := c.send(c.shop.ByToken(envelope.OpSale, token, 4200))
	c.finish(e)
	c.want("the sale", sale, book.StageApproved, "iso-00", "approved")
	c.endOfDay(e)
	refund := c.send(c.shop.Refund(sale, 1000))
	c.finish(e)
	c.want("the refund", refund, book.StageApproved, "iso-00", "refunded")
	if cards[acquirer.KindSale] != 1 || cards[acquirer.KindRefund] != 1 {
		t.Errorf("requests with the card: %v", cards)
	}
	withNumber := c.shop.Refund(sale, 500)
	withNumber.Account = vaulttest.Card(vaulttest.CardNumber, vaulttest.CardExpiry)
	numbered, again := c.send(withNumber), c.send(c.shop.ByToken(envelope.OpSale, token, 100))
	c.send(c.shop.Forget(token))
	c.finish(e)
	c.want("the refund with the number", numbered, book.StageApproved, "iso-00", "refunded")
	c.want("the sale by a card that is forgotten", again, book.StageRejected, envelope.CodeAccountGone, "rejected")
	c.noParts(numbered, again)
	c.agree()
}

// TestStoredCardThatChangesMeanwhile: an update between reading where a card is and opening it is
// no reason to refuse the sale.
func TestStoredCardThatChangesMeanwhile(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	token := c.Payment("shop-1", c.send(c.shop.Store(vaulttest.Card(vaulttest.CardNumber, vaulttest.CardExpiry)))).Token
	sale := c.send(c.shop.ByToken(envelope.OpSale, token, 4200))
	e := c.engine(func(cfg *Config) { cfg.Accounts = &lateAccounts{c: c, token: token} })
	c.finish(e)
	c.want("the sale", sale, book.StageApproved, "iso-00", "approved")
}

// lateAccounts opens stored accounts after an update has come between.
type lateAccounts struct {
	c     *counter
	token string
	once  sync.Once
}

func (l *lateAccounts) OpenStored(merchant, token string, slot uint32, sealed []byte) ([]byte, error) {
	l.once.Do(func() { l.c.send(l.c.shop.Update(l.token, "2032-01")) })
	return l.c.Ring.OpenStored(merchant, token, slot, sealed)
}

// TestAuthorisationExpires after six days, but not while a capture of it is under way.
func TestAuthorisationExpires(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	idle, late := c.send(c.shop.Authorize(100)), c.send(c.shop.Authorize(200))
	c.finish(c.engine(nil))
	c.pass(sixDays - time.Minute)
	capture := c.send(c.shop.Capture(late, 200))
	deaf := &spy{Acquirer: c.client, capture: func(acquirer.Capture) error { return acquirer.ErrNoAnswer }}
	e := c.engine(func(cfg *Config) { cfg.Acquirer, cfg.ReversalRetry, cfg.Drain = deaf, time.Hour, 100*time.Millisecond })
	c.while(e, func() {
		waittest.For(t, "the capture to be sent", func() bool { return c.stage(capture) == book.StageCapturing })
		c.Clock.Pass(2 * time.Minute)
		waittest.For(t, "the hold to expire", func() bool { return c.stage(idle) == book.StageExpired })
	})
	c.want("the idle hold", idle, book.StageExpired, "iso-00", "approved", "expired")
	if got := c.stage(late); got != book.StageAuthorised {
		t.Errorf("the hold with a capture under way is %s", got)
	}
	c.finish(c.engine(nil))
	c.want("the capture", capture, book.StageCaptured, "iso-00", "unknown", "captured")
}

// pass lets days go by: keys are made and destroyed.
func (c *counter) pass(d time.Duration) {
	c.t.Helper()
	c.Clock.Pass(d)
	c.must(c.Ring.ConfirmClock())
	c.Tick()
}

// TestFirstResultIsDueWithoutALine: a capture that was sent and a void that cannot be are told as
// unknown in time.
func TestFirstResultIsDueWithoutALine(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	sale, hold := c.send(c.shop.Sale()), c.send(c.shop.Authorize(300))
	c.finish(c.engine(nil))
	capture := c.send(c.shop.Capture(hold, 300))
	var gone bool
	var mu sync.Mutex
	line := &spy{Acquirer: c.client, capture: func(acquirer.Capture) error {
		mu.Lock()
		defer mu.Unlock()
		gone = true
		return acquirer.ErrNotSent
	}, down: func() error {
		mu.Lock()
		defer mu.Unlock()
		if gone {
			return errors.New("no line")
		}
		return nil
	}}
	c.while(c.engine(func(cfg *Config) { cfg.Acquirer = line }), func() {
		// the intent is committed before
		waittest.For(t, "the line to be gone", func() bool { mu.Lock(); defer mu.Unlock(); return gone })
		void := c.send(c.shop.Void(sale))
		c.Clock.Pass(unsentLimit - time.Minute)
		time.Sleep(3 * linePoll)
		if got := append(c.told(capture), c.told(void)...); len(got) != 0 {
			t.Errorf("told before it is due: %v", got)
		}
		c.Clock.Pass(2 * time.Minute)
		waittest.For(t, "both results", func() bool { return len(c.told(capture)) == 1 && len(c.told(void)) == 1 })
		c.want("the capture", capture, book.StageCapturing, envelope.CodeNoAnswer, "unknown")
		c.want("the void", void, book.StageWaiting, envelope.CodeNoAnswer, "unknown")
	})
	c.finish(c.engine(nil))
	c.want("the capture", capture, book.StageCaptured, "iso-00", "unknown", "captured")
	c.agree()
}

// TestRecoveryTellsFirst: what was outstanding at the stop has its result before anything else
// happens, and once.
func TestRecoveryTellsFirst(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	sale, hold := c.send(c.shop.Sale()), c.send(c.shop.Authorize(300))
	c.finish(c.engine(nil))
	deaf := &spy{Acquirer: c.client, capture: func(acquirer.Capture) error { return acquirer.ErrNoAnswer }, undo: func(acquirer.Reversal) error { return acquirer.ErrNoAnswer }}
	var capture, void string
	c.while(c.engine(func(cfg *Config) { cfg.Acquirer, cfg.ReversalRetry, cfg.Drain = deaf, time.Hour, 100*time.Millisecond }), func() {
		capture, void = c.send(c.shop.Capture(hold, 300)), c.send(c.shop.Void(sale))
		waittest.For(t, "both to be sent", func() bool { return c.Payment("shop-1", capture).Tries+c.Payment("shop-1", sale).Tries == 2 })
	})
	if len(c.told(capture))+len(c.told(void)) != 0 {
		t.Errorf("told at the stop: %v %v", c.told(capture), c.told(void))
	}
	e := c.engine(nil)
	for range 2 {
		c.must(e.Recover(t.Context()))
		c.want("the capture", capture, book.StageCapturing, envelope.CodeNoAnswer, "unknown")
		c.want("the void", void, book.StageWaiting, envelope.CodeNoAnswer, "unknown")
	}
	c.finish(e)
	c.want("the capture", capture, book.StageCaptured, "iso-00", "unknown", "captured")
	c.want("the void", void, book.StageDone, "iso-00", "unknown", "voided")
	if p := c.Payment("shop-1", capture); p.Tries != 2 {
		t.Errorf("the capture was sent %d times", p.Tries)
	}
	c.agree()
}

// TestCaptureThatCameTooLate is refused before anything is sent, and the hold is free again.
func TestCaptureThatCameTooLate(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	hold := c.send(c.shop.Authorize(300))
	c.finish(c.engine(nil))
	capture := c.send(c.shop.Capture(hold, 300))
	c.Clock.Pass(2 * time.Hour)
	c.finish(c.engine(nil))
	c.want("the capture", capture, book.StageRejected, envelope.CodeLate, "rejected")
	if p := c.Payment("shop-1", hold); p.Capturing != 0 {
		t.Errorf("the hold is captured by %d", p.Capturing)
	}
}

// TestOddMessagesAreFindings: at most so many an hour, the rest counted; nothing that could be an
// account number is repeated.
func TestOddMessagesAreFindings(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	e := c.engine(nil)
	e.Odd("malformed", "a message with 4242424242424242 in it")
	for range maxOddities + 5 {
		e.Odd("late-answer", "message type 0210, trace number 000017")
	}
	if n := c.State().Findings[book.FindingMessage]; n != maxOddities {
		t.Errorf("%d findings in the first hour", n)
	}
	c.Clock.Pass(time.Hour)
	e.Odd("unknown-trace", "message type 0210, trace number 000018")
	details := c.findings(book.FindingMessage)
	if details[0] != "malformed" || details[1] != "late-answer: message type 0210, trace number 000017" {
		t.Errorf("findings %q", details[:2])
	}
	if want := "unknown-trace: message type 0210, trace number 000018 (and 6 others before it that were not reported)"; details[len(details)-1] != want {
		t.Errorf("after an hour %q", details[len(details)-1])
	}
}

// findings lists the details of the log's findings of a kind, oldest first.
func (c *counter) findings(kind book.Finding) (details []string) {
	c.t.Helper()
	size := c.logSize()
	c.View(func(tx *ledger.Tx) error {
		for i := range size {
			entry, err := tx.LogEntry(uint64(i))
			if err != nil {
				return err
			}
			if found, ok := entry.Event.Body.(book.IntegrityFound); ok && found.Finding == kind {
				details = append(details, found.Detail)
			}
		}
		return nil
	})
	return details
}
