package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"nightdrop/relay/internal/bagger"
	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/waittest"
)

// bagsOf reads the vault's side of the channel: n envelopes, by digest, with their bags.
func (s *site) bagsOf(n int) (envelopes map[string][]byte, places map[string]string) {
	s.t.Helper()
	envelopes, places = map[string][]byte{}, map[string]string{}
	enough := errors.New("enough")
	err := s.vault.Bags(s.t.Context(), 1, func(messages []channel.Message) error {
		for _, m := range messages {
			bag, notes, err := envelope.OpenBag(m.Data, s.signer.Verifier())
			s.check(err)
			for i, n := range notes {
				text, err := note.Text(n)
				s.check(err)
				envelopes[note.Digest(text)] = n
				places[note.Digest(text)] = fmt.Sprintf("%s/%d/%d", bag.Value.Run, bag.Value.Number, i)
			}
		}
		if len(envelopes) >= n {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		s.t.Fatal(err)
	}
	return envelopes, places
}

func TestAnEnvelopeIsDurableBeforeItsReceipt(t *testing.T) {
	s := newSite(t, nil)
	e := s.envelope()
	posted := sign(s, e, s.shops[shop])
	answer := s.post(posted)
	if answer.status != http.StatusAccepted || answer.header.Get("Content-Type") != envelope.ReceiptMediaType || answer.closed {
		t.Fatalf("answer %d %v closed=%v: %s", answer.status, answer.header, answer.closed, answer.body)
	}
	receipt, err := envelope.Open[envelope.Receipt](answer.body, s.signer.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	text, err := note.Text(posted)
	s.check(err)
	r := receipt.Value
	if r.Merchant != shop || r.ID != e.ID || r.Digest != note.Digest(text) || r.Relay != "relay-1" || time.Since(r.Received.Time) > time.Minute {
		t.Errorf("receipt %+v", r)
	}
	envelopes, places := s.bagsOf(1)
	if !bytes.Equal(envelopes[r.Digest], posted) {
		t.Error("the envelope is not in its bag as it was posted")
	}
	if want := fmt.Sprintf("%s/%d/%d", r.Run, r.Number, r.Index); places[r.Digest] != want {
		t.Errorf("the envelope is at %s, its receipt says %s", places[r.Digest], want)
	}
}

func TestWithoutDirectoryOrMembersNothingIsTaken(t *testing.T) {
	s := newSite(t, func(p *plan) { p.silent = true })
	body := sign(s, s.envelope(), s.shops[shop])
	refused := func(when string) {
		t.Helper()
		answer := s.post(body)
		if code := s.code(answer); answer.status != 503 || code != "urn:nightdrop:no-directory" || answer.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s %v", when, answer.status, code, answer.header)
		}
	}
	refused("before the vault spoke")
	if got := s.get("/v1/directory"); got.status != 503 {
		t.Errorf("the directory: %d", got.status)
	}
	s.publish(channel.NoticeDirectory, s.directory(5, nil))
	waittest.For(s.t, "the directory", func() bool { return s.board.Directory() != nil })
	refused("without members")
	s.publish(channel.NoticeMembers, s.members(1))
	waittest.For(s.t, "members", s.board.HasMembers)
	if answer := s.post(body); answer.status != 202 {
		t.Errorf("with both: %d %s", answer.status, answer.body)
	}
}

// TestARelayThatIsNotListedTakesNothing: its receipts would not be believed, nor its bags.
func TestARelayThatIsNotListedTakesNothing(t *testing.T) {
	s := newSite(t, nil)
	body := sign(s, s.envelope(), s.shops[shop])
	s.publish(channel.NoticeDirectory, s.directory(2, func(d *envelope.Directory) { d.Relays = []note.Verifier{s.newSigner("relay-1").Verifier()} }))
	waittest.For(s.t, "the directory that lists another key", func() bool { return !s.board.Listed() })
	answer := s.post(body)
	if code := s.code(answer); answer.status != 503 || code != "urn:nightdrop:no-directory" || answer.header.Get("Retry-After") == "" ||
		!strings.Contains(string(answer.body), "add this relay's key") {
		t.Errorf("a post: %d %s %s", answer.status, code, answer.body)
	}
	if err := s.edge.Ready(); err == nil || !strings.Contains(err.Error(), s.signer.Verifier().String()) {
		t.Errorf("Ready: %v; want what to add where", err)
	}
	if answer := s.get("/v1/directory"); answer.status != 200 {
		t.Errorf("the directory: %d", answer.status)
	}
	s.publish(channel.NoticeDirectory, s.directory(3, nil))
	waittest.For(s.t, "the directory that lists it again", s.board.Listed)
	if answer := s.post(body); answer.status != 202 || s.edge.Ready() != nil {
		t.Errorf("listed again: %d, %v", answer.status, s.edge.Ready())
	}
}

func TestChannelTroubleIs503(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err  error
		code string
	}{
		{bagger.ErrFull, "channel-full"}, {bagger.ErrUnavailable, "channel-unavailable"},
		{bagger.ErrUnknown, "channel-unavailable"}, {bagger.ErrClosed, "channel-unavailable"},
	}
	for _, test := range tests {
		t.Run(test.err.Error(), func(t *testing.T) {
			s := newSite(t, func(p *plan) { p.bags = func(Bags) Bags { return brokenBags{submit: test.err} } })
			answer := s.post(sign(s, s.envelope(), s.shops[shop]))
			if code := s.code(answer); answer.status != 503 || code != "urn:nightdrop:"+test.code || answer.header.Get("Retry-After") == "" {
				t.Errorf("%d %s %v", answer.status, code, answer.header)
			}
		})
	}
	t.Run("known before the body", func(t *testing.T) {
		s := newSite(t, func(p *plan) { p.bags = func(Bags) Bags { return brokenBags{trouble: bagger.ErrFull} } })
		if code := s.code(s.post([]byte("anything"))); code != "urn:nightdrop:channel-full" {
			t.Errorf("code %s", code)
		}
		if err := s.edge.Ready(); !errors.Is(err, bagger.ErrFull) {
			t.Errorf("Ready: %v", err)
		}
	})
	t.Run("the broker is gone", func(t *testing.T) {
		s := newSite(t, nil)
		s.check(s.broker.Close(t.Context()))
		waittest.For(s.t, "notice of it", func() bool { return s.relay.Ready() != nil })
		if code := s.code(s.post(sign(s, s.envelope(), s.shops[shop]))); code != "urn:nightdrop:channel-unavailable" {
			t.Errorf("code %s", code)
		}
	})
}

type brokenBags struct {
	Bags
	submit, trouble error
}

func (b brokenBags) Trouble() error { return b.trouble }

func (b brokenBags) Room(bagger.Envelope) error { return nil }

func (b brokenBags) Shares() bagger.Shares { return bagger.Shares{} }

func (b brokenBags) Submit(context.Context, bagger.Envelope) (bagger.Place, error) {
	return bagger.Place{}, b.submit
}

// TestAFullChannel fills a real one.
func TestAFullChannel(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(p *plan) {
		p.channel = func(c *broker.Config) { c.EnvelopesBytes = 4 << 20 }
		p.limits.AckWait = 5 * time.Second
	})
	var full sync.Once
	filled := make(chan struct{})
	var group sync.WaitGroup
	for range 32 {
		group.Go(func() {
			for {
				select {
				case <-filled:
					return
				default:
				}
				switch answer := s.post(sign(s, s.envelope(), s.shops[shop])); {
				case answer.status == 202:
				case answer.status == 503 && s.code(answer) == "urn:nightdrop:channel-full":
					full.Do(func() { close(filled) })
				default:
					t.Errorf("answer %d %s", answer.status, answer.body)
					full.Do(func() { close(filled) })
				}
			}
		})
	}
	group.Wait()
	if err := s.edge.Ready(); err == nil {
		t.Error("a relay with a full channel calls itself ready")
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	const clients, each = 256, 4
	var group sync.WaitGroup
	for range clients {
		bodies := make([][]byte, each)
		for i := range bodies {
			bodies[i] = sign(s, s.envelope(), s.shops[shop])
		}
		group.Go(func() {
			for _, body := range bodies {
				answer := s.post(body)
				if _, err := envelope.Open[envelope.Receipt](answer.body, s.signer.Verifier()); answer.status != 202 || err != nil {
					t.Errorf("answer %d: %v", answer.status, err)
				}
			}
		})
	}
	group.Wait()
	if envelopes, _ := s.bagsOf(clients * each); len(envelopes) != clients*each {
		t.Errorf("%d envelopes in bags, want %d", len(envelopes), clients*each)
	}
}

func TestRates(t *testing.T) {
	t.Run("of an address", func(t *testing.T) {
		s := newSite(t, func(p *plan) { p.limits.AddressRate, p.limits.AddressBurst = 0.01, 3 })
		for range 3 {
			if answer := s.get("/openapi.yaml"); answer.status != 200 {
				t.Fatalf("within the burst: %d", answer.status)
			}
		}
		answer := s.do(http.MethodPost, "/v1/envelopes", strings.NewReader("x"), nil)
		wait, err := strconv.Atoi(answer.header.Get("Retry-After"))
		if code := s.code(answer); answer.status != 429 || code != "urn:nightdrop:rate-limited" || err != nil || wait < 50 || wait > 100 || !answer.closed {
			t.Errorf("after the burst: %d %s, Retry-After %d, closed %v", answer.status, code, wait, answer.closed)
		}
	})
	t.Run("of a merchant that has proved who it is", func(t *testing.T) {
		s := newSite(t, func(p *plan) { p.limits.MerchantRate, p.limits.MerchantBurst = 0.01, 2 })
		for range 10 { // a stranger cannot spend the merchant's budget
			if code := s.code(s.post(sign(s, s.envelope(), s.newSigner(shop)))); code != "urn:nightdrop:unknown-signer" {
				t.Fatalf("a stranger: %s", code)
			}
		}
		for range 2 {
			if answer := s.post(sign(s, s.envelope(), s.shops[shop])); answer.status != 202 {
				t.Fatalf("within the burst: %d %s", answer.status, answer.body)
			}
		}
		if code := s.code(s.post(sign(s, s.envelope(), s.shops[shop]))); code != "urn:nightdrop:rate-limited" {
			t.Errorf("after the burst: %s", code)
		}
		e := s.envelope()
		e.Merchant = otherShop
		if answer := s.post(sign(s, e, s.shops[otherShop])); answer.status != 202 {
			t.Errorf("another merchant: %d", answer.status)
		}
	})
}

// slowBags takes its time before each envelope.
type slowBags struct {
	Bags
	wait time.Duration
}

func (b slowBags) Submit(ctx context.Context, e bagger.Envelope) (bagger.Place, error) {
	time.Sleep(b.wait)
	return b.Bags.Submit(ctx, e)
}
