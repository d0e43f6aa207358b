package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"nightdrop/relay/internal/bagger"
	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
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
	// The relay remembers nothing: the same bytes are taken again, and land in another place.
	again, err := envelope.Open[envelope.Receipt](s.post(posted).body, s.signer.Verifier())
	if err != nil || again.Value.Number == r.Number && again.Value.Index == r.Index || again.Value.Digest != r.Digest {
		t.Errorf("posted again: %+v, %v", again.Value, err)
	}
}

// TestRefusals has one defect in each row, and so the order is tested by the rows below.
func TestRefusals(t *testing.T) {
	s := newSite(t, nil)
	const secret = "4242424242424242"
	valid := func(change func(*envelope.Envelope)) []byte {
		e := s.envelope()
		if change != nil {
			change(&e)
		}
		return sign(s, e, s.shops[e.Merchant])
	}
	spoil := func(b []byte, old, new string) []byte {
		if !bytes.Contains(b, []byte(old)) {
			t.Fatalf("nothing to spoil: %q", old)
		}
		return bytes.Replace(b, []byte(old), []byte(new), 1)
	}
	tests := []struct {
		name   string
		body   []byte
		header map[string]string
		status int
		code   string
	}{
		{"no media type", valid(nil), map[string]string{"Content-Type": ""}, 415, "media-type"},
		{"another media type", valid(nil), map[string]string{"Content-Type": "application/json"}, 415, "media-type"},
		{"a media type with a parameter", valid(nil), map[string]string{"Content-Type": envelope.MediaType + "; charset=utf-8"}, 415, "media-type"},
		{"a content encoding", valid(nil), map[string]string{"Content-Encoding": "gzip"}, 415, "media-type"},
		{"identity is one too", valid(nil), map[string]string{"Content-Encoding": "identity"}, 415, "media-type"},
		{"too large", make([]byte, envelope.MaxEnvelopeBytes+1), nil, 413, "too-large"},
		{"no note", []byte(`{"number":"` + secret + `"}`), nil, 400, "malformed"},
		{"another statement", sign(s, envelope.Receipt{Merchant: shop, ID: s.envelope().ID, Digest: strings.Repeat("0", 64), Relay: "relay-1",
			Run: strings.Repeat("0", 32), Number: 1}, s.signer), nil, 400, "malformed"},
		{"a member too many", spoil(valid(nil), `{"merchant"`, `{"number":"`+secret+`","merchant"`), nil, 400, "malformed"},
		{"an id of another form", spoil(valid(nil), `"id":"`, `"id":"x`), nil, 400, "malformed"},
		{"a broken part", spoil(valid(nil), `"sealed":"`, `"sealed":"!`), nil, 400, "malformed"},
		{"two signature lines", twice(valid(nil)), nil, 400, "malformed"},
		{"an unknown merchant", sign(s, func() envelope.Envelope { e := s.envelope(); e.Merchant = "stranger"; return e }(), s.newSigner("stranger")), nil, 401, "unknown-signer"},
		{"a new key of a known merchant", sign(s, s.envelope(), s.newSigner(shop)), nil, 401, "unknown-signer"},
		{"another merchant's signature", foreign(s), nil, 401, "unknown-signer"},
		{"a changed text", spoil(valid(nil), `"until":"2`, `"until":"3`), nil, 401, "unknown-signer"},
		{"a suspended merchant", valid(func(e *envelope.Envelope) { e.Merchant = suspended }), nil, 403, "merchant-suspended"},
		{"created ahead", valid(func(e *envelope.Envelope) {
			e.Created, e.Until = envelope.At(time.Now().Add(6*time.Minute)), envelope.At(time.Now().Add(time.Hour))
		}), nil, 422, "clock"},
		{"until before created", valid(func(e *envelope.Envelope) { e.Until = e.Created }), nil, 422, "clock"},
		{"over six days", valid(func(e *envelope.Envelope) { e.Until = envelope.At(e.Created.Add(6*24*time.Hour + time.Second)) }), nil, 422, "clock"},
		{"late", valid(func(e *envelope.Envelope) {
			e.Created, e.Until = envelope.At(time.Now().Add(-time.Hour)), envelope.At(time.Now().Add(-time.Minute))
		}), nil, 422, "late"},
		{"a dead key", valid(func(e *envelope.Envelope) { e.Order = s.part(envelope.PartOrder, s.dead, e.ID) }), nil, 422, "unknown-key"},
		{"a key that has not begun", valid(func(e *envelope.Envelope) { e.Order = s.part(envelope.PartOrder, s.coming, e.ID) }), nil, 422, "unknown-key"},
		{"a key of no directory", valid(func(e *envelope.Envelope) { e.Order.Key = "day-00000001-xwing" }), nil, 422, "unknown-key"},
		{"a day key for a code", valid(func(e *envelope.Envelope) {
			p := s.part(envelope.PartCode, s.codeKey, e.ID)
			p.Key = s.day.Name
			e.Code = &p
		}), nil, 422, "unknown-key"},
		{"a code key for an account", valid(func(e *envelope.Envelope) { e.Account.Key = s.codeKey.Name }), nil, 422, "unknown-key"},
		{"a plaintext in place of a part", valid(func(e *envelope.Envelope) { e.Account.Sealed = []byte(`{"card":{"number":"` + secret + `"}}`) }), nil, 422, "not-sealed"},
		{"another key's prefix", valid(func(e *envelope.Envelope) { e.Account.Sealed[4] ^= 1 }), nil, 422, "not-sealed"},
		{"a part of another length", valid(func(e *envelope.Envelope) { e.Order.Sealed = e.Order.Sealed[:len(e.Order.Sealed)-1] }), nil, 422, "not-sealed"},
		{"an empty part", valid(func(e *envelope.Envelope) { e.Order.Sealed = []byte{} }), nil, 422, "not-sealed"},
		// The order, where two defects meet.
		{"order: media type before size", make([]byte, envelope.MaxEnvelopeBytes+1), map[string]string{"Content-Type": "text/plain"}, 415, "media-type"},
		{"order: form before signature", spoil(sign(s, s.envelope(), s.newSigner(shop)), `"until":`, `"until" :x`), nil, 400, "malformed"},
		{"order: signature before suspension", sign(s, func() envelope.Envelope { e := s.envelope(); e.Merchant = suspended; return e }(), s.newSigner(suspended)), nil, 401, "unknown-signer"},
		{"order: suspension before clock", valid(func(e *envelope.Envelope) { e.Merchant = suspended; e.Until = e.Created }), nil, 403, "merchant-suspended"},
		{"order: clock before late", valid(func(e *envelope.Envelope) { e.Created = envelope.At(time.Now().Add(-7 * 24 * time.Hour)) }), nil, 422, "clock"},
		{"order: late before key", valid(func(e *envelope.Envelope) {
			e.Created, e.Until, e.Order.Key = envelope.At(time.Now().Add(-time.Hour)), envelope.At(time.Now().Add(-time.Minute)), "day-00000001-xwing"
		}), nil, 422, "late"},
		{"order: every key before any form", valid(func(e *envelope.Envelope) { e.Order.Sealed = []byte("x"); e.Code.Key = s.dead.Name }), nil, 422, "unknown-key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer := s.do(http.MethodPost, "/v1/envelopes", bytes.NewReader(test.body), func(r *http.Request) {
				r.Header.Set("Content-Type", envelope.MediaType)
				for name, value := range test.header {
					r.Header.Set(name, value)
				}
			})
			if code := s.code(answer); answer.status != test.status || code != "urn:nightdrop:"+test.code {
				t.Errorf("answer %d %s, want %d %s", answer.status, code, test.status, test.code)
			}
			if !answer.closed {
				t.Error("the connection stays open after a refused post")
			}
			if bytes.Contains(answer.body, []byte(secret)) || strings.Contains(s.log.String(), secret) {
				t.Error("a byte of the body was echoed or logged")
			}
		})
	}
	if envelopes, bags := s.bags.Waiting(); envelopes+bags != 0 {
		t.Error("something of the refused was taken")
	}
}

func twice(b []byte) []byte {
	line := b[bytes.LastIndex(b, []byte("\n\n"))+2:]
	return append(bytes.Clone(b), line...)
}

// foreign is an envelope that names shop, with a valid signature by otherShop.
func foreign(s *site) []byte {
	signed := sign(s, s.envelope(), s.shops[shop])
	text, err := note.Text(signed)
	s.check(err)
	out, err := note.Sign(text, s.shops[otherShop])
	s.check(err)
	return out
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
	s.eventually("the directory", func() bool { return s.board.Directory() != nil })
	refused("without members")
	s.publish(channel.NoticeMembers, s.members(1))
	s.eventually("members", s.board.HasMembers)
	if answer := s.post(body); answer.status != 202 {
		t.Errorf("with both: %d %s", answer.status, answer.body)
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
		s.eventually("notice of it", func() bool { return s.relay.Ready() != nil })
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

func (b brokenBags) Submit(_ context.Context, _ []byte) (bagger.Place, error) {
	return bagger.Place{}, b.submit
}

// TestAFullChannel fills a real one.
func TestAFullChannel(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(p *plan) {
		p.channel = func(c *channel.EmbeddedConfig) { c.EnvelopesBytes = 4 << 20 }
		p.limits.AckWait = 5 * time.Second
	})
	body := sign(s, s.envelope(), s.shops[shop])
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
				switch answer := s.post(body); {
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
	t.Run("posts at a time", func(t *testing.T) {
		s := newSite(t, func(p *plan) { p.limits.InFlight = 1 })
		reader, writer := io.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.do(http.MethodPost, "/v1/envelopes", reader, func(r *http.Request) {
				r.Header.Set("Content-Type", envelope.MediaType)
				r.ContentLength = 5
			})
		}()
		s.eventually("the first to be in flight", func() bool {
			s.edge.posting.mu.Lock()
			defer s.edge.posting.mu.Unlock()
			return s.edge.posting.all == 1
		})
		if code := s.code(s.post([]byte("x"))); code != "urn:nightdrop:rate-limited" {
			t.Errorf("a second: %s", code)
		}
		_, _ = writer.Write([]byte("12345"))
		<-done
	})
}

// slowBags takes its time before each envelope.
type slowBags struct {
	Bags
	wait time.Duration
}

func (b slowBags) Submit(ctx context.Context, note []byte) (bagger.Place, error) {
	time.Sleep(b.wait)
	return b.Bags.Submit(ctx, note)
}
