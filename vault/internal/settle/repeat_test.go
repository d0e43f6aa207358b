package settle

import (
	"context"
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

// deafHost is a host that takes messages and answers none while it is deaf; its line stays up.
type deafHost struct {
	acquirer.Acquirer
	mu    sync.Mutex
	deaf  bool
	taken []string // what it took while it was deaf
	heard int      // messages that it answered
}

func (d *deafHost) set(deaf bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deaf = deaf
}

// counts is how many messages of a kind were taken while it was deaf.
func (d *deafHost) counts(kind string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range d.taken {
		if k == kind {
			n++
		}
	}
	return n
}

// take reports whether the host answers a message.
func (d *deafHost) take(kind string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.deaf {
		d.taken = append(d.taken, kind)
	} else {
		d.heard++
	}
	return !d.deaf
}

func (d *deafHost) Authorise(ctx context.Context, r acquirer.Request) (acquirer.Answer, error) {
	if !d.take("request") {
		return acquirer.Answer{}, acquirer.ErrNoAnswer
	}
	return d.Acquirer.Authorise(ctx, r)
}

func (d *deafHost) Capture(ctx context.Context, c acquirer.Capture) (acquirer.Answer, error) {
	if !d.take("capture") {
		return acquirer.Answer{}, acquirer.ErrNoAnswer
	}
	return d.Acquirer.Capture(ctx, c)
}

func (d *deafHost) Reverse(ctx context.Context, r acquirer.Reversal) (acquirer.Answer, error) {
	if !d.take("reversal") {
		return acquirer.Answer{}, acquirer.ErrNoAnswer
	}
	return d.Acquirer.Reverse(ctx, r)
}

// TestRestartsDoNotBeginTheDayAnew: what was repeated for 23 hours is repeated for one more after a
// restart, and then goes to a person.
func TestRestartsDoNotBeginTheDayAnew(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	ids := c.post(1999)
	c.finish(c.engine(nil))
	c.send(c.shop.Void(ids[0]))
	host := &deafHost{Acquirer: c.client, deaf: true}
	deaf := func(cfg *Config) { cfg.Acquirer = host }
	tries := func(n int) func() bool {
		return func() bool { return c.Payment("shop-1", ids[0]).Tries >= n }
	}
	c.while(c.engine(deaf), func() { waittest.For(t, "three tries", tries(3)) })
	c.Clock.Pass(23 * time.Hour)
	before := c.Payment("shop-1", ids[0]).Tries
	c.while(c.engine(deaf), func() { waittest.For(t, "another two tries", tries(before+2)) })
	if got := c.stage(ids[0]); got != book.StageVoiding {
		t.Errorf("after 23 hours the sale is %s", got)
	}
	c.Clock.Pass(time.Hour)
	before = c.Payment("shop-1", ids[0]).Tries
	c.while(c.engine(deaf), func() {
		waittest.For(t, "a person to be needed", func() bool { return c.stage(ids[0]) == book.StageManual })
	})
	if got := c.Payment("shop-1", ids[0]).Tries; got != before+1 {
		t.Errorf("after a restart at the end of the day it was sent %d times", got-before)
	}
}

// TestRepeatedAtOnceWhenTheHostIsHeard: an advice does not wait out its interval when the host
// answers something else after its silence.
func TestRepeatedAtOnceWhenTheHostIsHeard(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	sale := c.send(c.shop.Sale())
	c.finish(c.engine(nil))
	host := &deafHost{Acquirer: c.client, deaf: true}
	c.while(c.engine(func(cfg *Config) { cfg.Acquirer, cfg.ReversalRetry = host, time.Hour }), func() {
		void := c.send(c.shop.Void(sale))
		waittest.For(t, "the reversal to be sent", func() bool { return host.counts("reversal") == 1 })
		time.Sleep(3 * linePoll)
		if n := host.counts("reversal"); n != 1 {
			t.Errorf("it was sent %d times within its interval", n)
		}
		host.set(false)
		other := c.send(c.shop.Sale())
		waittest.For(t, "both", func() bool { return c.stage(void) == book.StageDone && c.stage(other) == book.StageApproved })
	})
	c.agree()
}

// TestLineThatIsBack: an advice does not wait out its interval when the line comes up again either.
func TestLineThatIsBack(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	sale := c.send(c.shop.Sale())
	c.finish(c.engine(nil))
	var mu sync.Mutex
	down := false
	host := &deafHost{Acquirer: &spy{Acquirer: c.client, down: func() error {
		mu.Lock()
		defer mu.Unlock()
		if down {
			return errors.New("no line")
		}
		return nil
	}}, deaf: true}
	set := func(to bool) { mu.Lock(); defer mu.Unlock(); down = to }
	c.while(c.engine(func(cfg *Config) { cfg.Acquirer, cfg.ReversalRetry = host, time.Hour }), func() {
		void := c.send(c.shop.Void(sale))
		waittest.For(t, "the reversal to be sent", func() bool { return host.counts("reversal") == 1 })
		set(true)
		time.Sleep(3 * linePoll)
		host.set(false)
		set(false)
		waittest.For(t, "the void", func() bool { return c.stage(void) == book.StageDone })
	})
	c.agree()
}

// TestOneThatIsNeverAnswered: a host that answers everything but one message does not have it
// repeated all the time: once before its time in each interval.
func TestOneThatIsNeverAnswered(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	sale := c.send(c.shop.Sale())
	c.finish(c.engine(nil))
	var mu sync.Mutex
	reversals := 0
	host := &spy{Acquirer: c.client, undo: func(acquirer.Reversal) error {
		mu.Lock()
		defer mu.Unlock()
		reversals++
		return acquirer.ErrNoAnswer
	}}
	c.while(c.engine(func(cfg *Config) { cfg.Acquirer, cfg.ReversalRetry = host, time.Hour }), func() {
		c.send(c.shop.Void(sale))
		waittest.For(t, "the reversal to be sent", func() bool { mu.Lock(); defer mu.Unlock(); return reversals > 0 })
		for range 5 {
			other := c.send(c.shop.Sale())
			waittest.For(t, "a sale", func() bool { return c.stage(other) == book.StageApproved })
			time.Sleep(20 * time.Millisecond)
		}
	})
	if reversals != 2 {
		t.Errorf("the reversal was sent %d times, want its first and one more", reversals)
	}
}

// TestBreaker: after so many silences no new request is sent, orders wait, the oldest advice
// probes; its answer has them sent. Both are told.
func TestBreaker(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	host := &deafHost{Acquirer: c.client, deaf: true}
	e := c.engine(func(cfg *Config) {
		cfg.Acquirer, cfg.Silences, cfg.Outstanding, cfg.ReversalRetry = host, 4, 1, 300*time.Millisecond
	})
	var ids []string
	c.while(e, func() {
		ids = c.post(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
		waittest.For(t, "the breaker to open", func() bool { since, _ := e.Silent(); return !since.IsZero() })
		waittest.For(t, "probes", func() bool { return host.counts("reversal") > 8 })
		requests := host.counts("request")
		later := c.post(11, 12)
		time.Sleep(300 * time.Millisecond)
		if n := host.counts("request"); n != requests || n > 4 {
			t.Errorf("%d requests were sent before the breaker opened and %d after", requests, n-requests)
		}
		if c.stage(later[0]) != book.StageReceived || c.stage(later[1]) != book.StageReceived {
			t.Errorf("orders do not wait: %s", c.stage(later[0]))
		}
		host.set(false)
		ids = append(ids, later...)
		waittest.For(t, "everything to have an outcome", func() bool { return c.underWay() == 0 })
		if since, silences := e.Silent(); !since.IsZero() || silences != 0 {
			t.Errorf("the host answers, and is silent since %s, for %d messages", since, silences)
		}
	})
	reversed, approved := 0, 0
	for _, id := range ids {
		switch c.stage(id) {
		case book.StageReversed:
			reversed++
		case book.StageApproved:
			approved++
		default:
			t.Errorf("%s is %s", id, c.stage(id))
		}
	}
	if reversed == 0 || reversed > 4 || reversed+approved != 12 {
		t.Errorf("%d reversed and %d approved", reversed, approved)
	}
	silent, answers := c.findings(book.FindingHostSilent), c.findings(book.FindingHostAnswers)
	if len(silent) != 1 || len(answers) != 1 || !strings.HasPrefix(silent[0], "4 messages in a row") {
		t.Errorf("findings %q, %q", silent, answers)
	}
	c.agree()
}

// TestBreakerOverAStop: a vault that stops while the host is silent begins so, and a request probes
// where nothing is repeated.
func TestBreakerOverAStop(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	c.Append("", book.IntegrityFound{Finding: book.FindingHostSilent, Detail: "10 messages"})
	host := &deafHost{Acquirer: c.client}
	ids := c.post(1, 2, 3)
	e := c.engine(func(cfg *Config) { cfg.Acquirer = host })
	c.must(e.Recover(t.Context()))
	if since, _ := e.Silent(); since.IsZero() {
		t.Error("the breaker is closed after the start")
	}
	c.finish(e)
	for _, id := range ids {
		if got := c.stage(id); got != book.StageApproved {
			t.Errorf("%s is %s", id, got)
		}
	}
	if n := len(c.findings(book.FindingHostAnswers)); n != 1 {
		t.Errorf("%d findings that the host answers", n)
	}
}

// TestPoisonDoesNotStopTheShop: a host that never answers four old advices and answers everything
// else is found to answer by a request.
func TestPoisonDoesNotStopTheShop(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	sales := c.post(1, 2, 3, 4)
	c.finish(c.engine(nil))
	host := &spy{Acquirer: c.client, undo: func(acquirer.Reversal) error { return acquirer.ErrNoAnswer }}
	e := c.engine(func(cfg *Config) { cfg.Acquirer, cfg.Silences, cfg.OrderWait = host, 4, 2*time.Second })
	c.while(e, func() {
		for _, id := range sales {
			c.send(c.shop.Void(id))
		}
		waittest.For(t, "the breaker to open", func() bool { since, _ := e.Silent(); return !since.IsZero() })
		sale := c.send(c.shop.Sale())
		waittest.For(t, "a sale", func() bool { return c.stage(sale) == book.StageApproved })
	})
}

// TestOrdersWaitForAnHour while they cannot be sent, and are then refused; nothing of them was
// sent. What comes when the line is up is sent.
func TestOrdersWaitForAnHour(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	hold := c.send(c.shop.Authorize(500))
	c.finish(c.engine(nil))
	patient := func(d vaulttest.Draft) string {
		d.Until = d.Created.Add(6 * 24 * time.Hour)
		return c.send(d)
	}
	for _, silent := range []bool{false, true} {
		host := &deafHost{Acquirer: c.client, deaf: true}
		if !silent {
			host.Acquirer = &spy{Acquirer: c.client, down: func() error { return errors.New("no line") }}
		} else {
			c.Append("", book.IntegrityFound{Finding: book.FindingHostSilent, Detail: "10 messages"})
		}
		e := c.engine(func(cfg *Config) { cfg.Acquirer, cfg.ReversalRetry = host, time.Hour })
		e.breaker.first, e.breaker.every = time.Hour, time.Hour
		c.must(e.Recover(t.Context()))
		var sale, capture string
		var probe string
		c.while(e, func() {
			if silent {
				e.breaker.ask(time.Now(), false)
				probe = patient(c.shop.Sale())
				waittest.For(t, "the probe", func() bool { return c.stage(probe) == book.StageUnknown })
			}
			sale, capture = patient(c.shop.Sale()), patient(c.shop.Capture(hold, 100))
			c.Clock.Pass(58 * time.Minute)
			time.Sleep(3 * linePoll)
			if got := c.stage(sale); got != book.StageReceived {
				t.Errorf("before the hour is over the sale is %s", got)
			}
			c.Clock.Pass(3 * time.Minute)
			waittest.For(t, "the sale to be refused", func() bool { return c.stage(sale) == book.StageRejected })
			time.Sleep(3 * linePoll)
		})
		c.want("the sale", sale, book.StageRejected, envelope.CodeNoAnswer, "rejected")
		if !silent {
			c.want("the capture", capture, book.StageRejected, envelope.CodeNoAnswer, "rejected")
		} else if got := c.stage(capture); got != book.StageCapturing {
			t.Errorf("the capture is %s: it is repeated, and waits for nobody", got)
		}
		if want := map[bool]int{true: 1}[silent]; host.counts("request") != want {
			t.Errorf("%d requests were sent, want %d", host.counts("request"), want)
		}
		c.noParts(sale)
	}
	late := patient(c.shop.Sale())
	c.Clock.Pass(5 * time.Hour)
	c.finish(c.engine(nil))
	c.want("a sale that waited for the vault to be started", late, book.StageApproved, "iso-00", "approved")
	c.agree()
}

// TestResolveWhileRepeating: a person ends the repeating, and nothing leaves after the word; an
// answer that comes in that moment counts.
func TestResolveWhileRepeating(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	hold := c.send(c.shop.Authorize(1000))
	c.finish(c.engine(nil))
	first, second := c.send(c.shop.Capture(hold, 400)), c.send(c.shop.Capture(hold, 600))
	var mu sync.Mutex
	sent := 0
	under, release := make(chan struct{}), make(chan struct{})
	host := &spy{Acquirer: c.client, capture: func(r acquirer.Capture) error {
		mu.Lock()
		n := sent
		if r.Amount == 400 {
			sent++
		}
		mu.Unlock()
		if r.Amount == 600 { // under way until it is released, and then answered
			close(under)
			<-release
			return nil
		}
		if n < 2 {
			return acquirer.ErrNoAnswer
		}
		time.Sleep(50 * time.Millisecond) // under way while the person speaks
		return acquirer.ErrNoAnswer
	}}
	e := c.engine(func(cfg *Config) { cfg.Acquirer = host })
	c.while(e, func() {
		waittest.For(t, "three tries", func() bool { return c.Payment("shop-1", first).Tries >= 3 })
		if may := c.Payment("shop-1", first).Resolutions(); !slices.Equal(may, []envelope.Status{"captured", "declined"}) {
			t.Errorf("it may be resolved as %v", may)
		}
		c.must(e.Resolve(t.Context(), "shop-1", first, envelope.StatusDeclined, "the acquirer's desk: not booked", person()))
		mu.Lock()
		n := sent
		mu.Unlock()
		time.Sleep(200 * time.Millisecond)
		if mu.Lock(); sent != n {
			t.Errorf("%d messages left after the person's word", sent-n)
		}
		mu.Unlock()
		c.want("the capture", first, book.StageDeclined, envelope.CodeNoAnswer, "declined")

		<-under
		told := make(chan error, 1)
		go func() {
			told <- e.Resolve(t.Context(), "shop-1", second, envelope.StatusDeclined, "the acquirer's desk: not booked", person())
		}()
		select {
		case err := <-told:
			t.Fatalf("the word was taken while a message is under way: %v", err)
		case <-time.After(200 * time.Millisecond):
		}
		limited, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := e.Resolve(limited, "shop-1", second, envelope.StatusDeclined, "impatience", person()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a person who does not wait: %v", err)
		}
		close(release)
		if err := <-told; !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "answered in this moment, and is captured") {
			t.Errorf("resolving what was answered meanwhile: %v", err)
		}
	})
	c.want("the other capture", second, book.StageCaptured, "iso-00", "captured")
	c.agree()
}

// TestResend: one manual payment, and all of them, are sent again, and told when they stand. The
// day begins anew.
func TestResend(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	sales := c.post(1000, 2000, 3000)
	hold := c.send(c.shop.Authorize(700))
	c.finish(c.engine(nil))
	host := &deafHost{Acquirer: c.client, deaf: true}
	e := c.engine(func(cfg *Config) { cfg.Acquirer, cfg.Silences = host, 1000 })
	var voids []string
	capture := c.send(c.shop.Capture(hold, 700))
	for _, id := range sales {
		voids = append(voids, c.send(c.shop.Void(id)))
	}
	lost := c.send(c.shop.Sale())
	c.while(e, func() {
		waittest.For(t, "each to be tried", func() bool {
			return c.count(book.StageVoiding) == 3 && c.count(book.StageUnknown) == 1 && c.count(book.StageCapturing) == 1 &&
				c.Payment("shop-1", capture).Tries > 0 && c.Payment("shop-1", lost).Tries > 0
		})
		c.Clock.Pass(25 * time.Hour)
		waittest.For(t, "a person to be needed", func() bool { return c.count(book.StageManual) == 5 })
		if err := e.Resend(t.Context(), "shop-1", hold, "the host is up", person()); !errors.Is(err, ErrConflict) {
			t.Errorf("sending again what is not manual: %v", err)
		}
		if err := e.Resend(t.Context(), "shop-1", sales[0], "", person()); !errors.Is(err, ErrReason) {
			t.Errorf("sending again without a reason: %v", err)
		}
		before := c.Payment("shop-1", sales[0]).Tries
		c.must(e.Resend(t.Context(), "shop-1", sales[0], "the host is up", person()))
		waittest.For(t, "it to be repeated again", func() bool { return c.Payment("shop-1", sales[0]).Tries >= before+3 })
		if got := c.stage(sales[0]); got != book.StageVoiding {
			t.Errorf("the sale that is sent again is %s", got)
		}
		host.set(false)
		if n, err := e.ResendAll(t.Context(), "nobody", "the host is up", person()); n != 0 || err != nil {
			t.Errorf("of a merchant that has none %d are sent again, %v", n, err)
		}
		n, err := e.ResendAll(t.Context(), "", "the host is up", person())
		if n != 4 || err != nil {
			t.Errorf("%d are sent again, %v", n, err)
		}
		waittest.For(t, "all to be answered", func() bool { return c.underWay()+c.count(book.StageManual) == 0 })
	})
	for _, id := range voids {
		c.want("a void", id, book.StageDone, "iso-00", "unknown", "voided")
	}
	c.want("the capture", capture, book.StageCaptured, "iso-00", "unknown", "captured")
	c.want("the lost sale", lost, book.StageReversed, "iso-00", "unknown", "reversed")
	c.endOfDay(c.engine(nil))
	c.agree()
}

// TestYesterdaysAdviceKeepsItsTraceNumber over two midnights: no request or advice of a later day
// has the number of the capture that waits.
func TestYesterdaysAdviceKeepsItsTraceNumber(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	hold := c.send(c.shop.Authorize(900))
	c.finish(c.engine(nil))
	var mu sync.Mutex
	deaf := true
	answered := map[uint32]bool{} // by requests that were answered while the capture waits
	host := &spy{Acquirer: c.client, capture: func(acquirer.Capture) error {
		mu.Lock()
		defer mu.Unlock()
		if deaf {
			return acquirer.ErrNoAnswer
		}
		return nil
	}, sales: func(r acquirer.Request) error {
		mu.Lock()
		defer mu.Unlock()
		answered[r.STAN] = true
		return nil
	}}
	capture := c.send(c.shop.Capture(hold, 900))
	engine := func() *Engine {
		return c.engine(func(cfg *Config) { cfg.Acquirer, cfg.RepeatFor = host, 100*time.Hour })
	}
	c.while(engine(), func() {
		waittest.For(t, "a try", func() bool { return c.Payment("shop-1", capture).Tries > 1 })
	})
	waits := c.Payment("shop-1", capture).Trace.STAN
	if waits < 2 {
		t.Fatalf("the capture has trace number %d: too low for the next day to come by it", waits)
	}
	rrns := map[string]bool{}
	for range 2 {
		c.pass(24 * time.Hour)
		c.while(engine(), func() {
			ids := c.post(1, 2, 3, 4)
			waittest.For(t, "four sales", func() bool { return c.count(book.StageReceived)+c.count(book.StageAuthorising) == 0 })
			for _, id := range ids {
				p := c.Payment("shop-1", id)
				if p.Stage != book.StageApproved || p.Trace.STAN == waits || rrns[p.Trace.RRN] {
					t.Errorf("a sale is %s as %+v, and %d is held", p.Stage, p.Trace, waits)
				}
				rrns[p.Trace.RRN] = true
			}
		})
	}
	if answered[waits] || len(answered) < 4 {
		t.Errorf("trace numbers %v were sent while %d waits", answered, waits)
	}
	mu.Lock()
	deaf = false
	mu.Unlock()
	c.finish(engine())
	c.want("the capture", capture, book.StageCaptured, "iso-00", "unknown", "captured")
	c.pass(24 * time.Hour)
	c.post(1, 2, 3, 4)
	c.finish(engine())
	if !answered[waits] {
		t.Errorf("trace number %d is not given out although nothing bears it", waits)
	}
	c.agree()
}

// TestFewEventsForWhatIsRepeated: of an advice that is never answered stand in the log of a day at
// most as many tries as payments.md says.
func TestFewEventsForWhatIsRepeated(t *testing.T) {
	e := New(Config{Ledger: (*ledger.Ledger)(nil)})
	tries := 0
	for at := time.Duration(0); at < 24*time.Hour; tries++ {
		at += e.backoff(tries + 1)
	}
	if tries != 293 {
		t.Errorf("%d tries a day", tries)
	}
	if e.backoff(100_000) != 5*time.Minute {
		t.Errorf("after many tries the wait is %s", e.backoff(100_000))
	}
}
