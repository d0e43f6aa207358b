package settle

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"nightdrop/ops/simulator/byhand"
	"nightdrop/shared/envelope"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/book"
)

// TestACorrectionIsResolvedWhileItIsRepeated: a person need not wait a day for a host that reverses
// nothing: what was put right by hand at the acquirer is said while the reversal is being repeated,
// nothing is sent any more, the shop is told nothing, and the batch closes.
func TestACorrectionIsResolvedWhileItIsRepeated(t *testing.T) {
	for _, w := range wrongWords() {
		if w.line.Count < 0 {
			continue // what does not stand is not reversed
		}
		t.Run(w.name, func(t *testing.T) {
			c := newCounter(t, 5*time.Second)
			id := c.decided(w)
			host := &deafHost{Acquirer: c.client, deaf: true}
			e := c.engine(func(cfg *Config) { cfg.Acquirer = host })
			c.must(e.Correct(t.Context(), "shop-1", id, w.truth, false, "its listing has it", person()))
			c.while(e, func() {
				waittest.For(t, "a second try", func() bool { return c.Payment("shop-1", id).Tries >= 2 })
				if err := e.Resolve(t.Context(), "shop-1", id, w.truth, "it stands", person()); !errors.Is(err, ErrConflict) ||
					!strings.Contains(err.Error(), "resolved as "+string(w.said)) {
					t.Errorf("resolved as what its shop was never told: %v", err)
				}
				c.must(e.Resolve(t.Context(), "shop-1", id, w.said, "given back at the acquirer's desk", person()))
				sent := host.counts("reversal")
				time.Sleep(3 * linePoll)
				if n := host.counts("reversal"); n != sent {
					t.Errorf("%d reversals left after a person's word", n-sent)
				}
			})
			if got := c.told(id); !slices.Equal(got, w.after) || c.stage(id) != w.stage {
				t.Errorf("told %v, want %v; it is %s", got, w.after, c.stage(id))
			}
			closed, err := e.CloseBatch(t.Context(), "", "", person(), nil)
			c.must(err)
			if len(closed) != 1 || closed[0].Unresolved != 0 || closed[0].Outstanding != 0 || len(closed[0].Lines) != 0 {
				t.Errorf("closed %+v", closed)
			}
		})
	}
}

// TestADuplicateThatWasNeverSentIsSentAgainByAPerson: 94 to a first 0220 is about another message.
// A person may have it sent again; what the host says of the repeat is no better, so it comes to a
// person again, and its shop, which was told `unknown`, is told nothing more.
func TestADuplicateThatWasNeverSentIsSentAgainByAPerson(t *testing.T) {
	s := newScripted(t, nil, map[string][]byhand.Answer{"022": codes("94")})
	hold := s.send(s.shop.Authorize(3000))
	e := s.engine(nil)
	s.finish(e)
	capture := s.send(s.shop.Capture(hold, 3000))
	manual := func(heard int) func() bool {
		return func() bool { return len(s.of("022")) == heard && s.stage(capture) == book.StageManual }
	}
	s.while(e, func() {
		waittest.For(t, "a person to be needed", manual(1))
		s.must(e.Resend(t.Context(), "shop-1", capture, "the acquirer knows of none", person()))
		waittest.For(t, "a person to be needed again", manual(2))
	})
	if got := s.of("022"); !slices.Equal(got, sent("0220", "0221")) {
		t.Errorf("the host heard %v", got)
	}
	s.while(s.engine(nil), func() { time.Sleep(2 * linePoll) })
	if got := s.told(capture); !slices.Equal(got, results("unknown")) || len(s.of("022")) != 2 {
		t.Errorf("told %v, heard %v", got, s.of("022"))
	}
	if p := s.Payment("shop-1", capture); p.First != "iso-94" || p.Answer != "iso-94" || p.Tries != 2 {
		t.Errorf("first answered %s, at last %s, after %d tries", p.First, p.Answer, p.Tries)
	}
	s.must(e.Resolve(t.Context(), "shop-1", capture, envelope.StatusDeclined, "the acquirer knows of none", person()))
	if got := s.told(capture); !slices.Equal(got, results("unknown", "declined")) {
		t.Errorf("told %v", got)
	}
}

// TestRequestsThatWaitForASilentHostKeepNoCaptureWaiting: requests whose trace numbers are
// committed and that must not leave fill every place that there is for requests; captures are sent
// and repeated all the same.
func TestRequestsThatWaitForASilentHostKeepNoCaptureWaiting(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	hold := c.send(c.shop.Authorize(3000))
	c.finish(c.engine(nil))
	var amounts []int64
	for n := range int64(3 * ahead) {
		amounts = append(amounts, 1000+n)
	}
	c.post(amounts...)
	host := &deafHost{Acquirer: c.client, deaf: true}
	e := c.engine(func(cfg *Config) { cfg.Acquirer, cfg.Outstanding, cfg.Silences = host, 1, 1 })
	c.while(e, func() {
		waittest.For(t, "the requests to wait for the host", func() bool {
			opened, _ := e.Silent()
			return !opened.IsZero() && c.count(book.StageAuthorising) == ahead
		})
		capture := c.send(c.shop.Capture(hold, 3000))
		waittest.For(t, "the capture to be sent", func() bool { return host.counts("capture") > 0 })
		host.set(false)
		waittest.For(t, "the capture to be answered", func() bool { return c.stage(capture) == book.StageCaptured })
		waittest.For(t, "the requests to be answered", func() bool { return c.underWay() == 0 })
	})
	c.agree()
}

// TestTheFirstProbesAreNotAnHourApart: whatever the interval of repeats is, a silent host is probed
// within a minute.
func TestTheFirstProbesAreNotAnHourApart(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	b := newBreaker(1, time.Hour, 24*time.Hour)
	if !b.silent(now, now, now, false) || !b.due(now) || b.due(now.Add(maxProbe-1)) || !b.due(now.Add(maxProbe)) {
		t.Error("the second probe does not come a minute after the first")
	}
}

// TestAProbeIsNoRequestThatHasNoPlace: where nothing is repeated, a request that may leave finds
// out whether the host is back, however many others wait for the same.
func TestAProbeIsNoRequestThatHasNoPlace(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	var amounts []int64
	for n := range int64(3 * ahead) {
		amounts = append(amounts, 1000+n)
	}
	ids := c.post(amounts...)
	host := &deafHost{Acquirer: c.client, deaf: true}
	e := c.engine(func(cfg *Config) { cfg.Acquirer, cfg.Outstanding, cfg.Silences = host, 1, 1 })
	c.while(e, func() {
		waittest.For(t, "the requests to wait for the host", func() bool {
			opened, _ := e.Silent()
			return !opened.IsZero() && c.count(book.StageAuthorising) == ahead
		})
		for _, id := range ids {
			if c.stage(id) == book.StageUnknown {
				c.must(e.Resolve(t.Context(), "shop-1", id, envelope.StatusReversed, "the acquirer never had it", person()))
			}
		}
		host.set(false)
		waittest.For(t, "the requests to be answered", func() bool { return c.underWay() == 0 })
	})
	c.agree()
}

// TestWhatAPersonEndedIsNoProbe: a row that waits and whose payment has its end would stand for a
// probe that nobody sends.
func TestWhatAPersonEndedIsNoProbe(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	id := c.post(1000)[0]
	host := &deafHost{Acquirer: c.client, deaf: true}
	e := c.engine(func(cfg *Config) { cfg.Acquirer, cfg.ReversalRetry = host, time.Hour })
	c.while(e, func() {
		waittest.For(t, "the reversal to be sent", func() bool { return host.counts("reversal") > 0 })
		c.must(e.Resolve(t.Context(), "shop-1", id, envelope.StatusReversed, "the acquirer never had it", person()))
		if e.advices.probe(time.Now()) {
			t.Error("a reversal that a person ended is probed with")
		}
	})
}
