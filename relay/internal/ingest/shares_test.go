package ingest

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
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

// held returns the bytes of a stream.
func (s *site) held(stream string) int64 {
	s.t.Helper()
	for _, state := range s.relay.Streams() {
		if state.Name == stream {
			return state.Bytes
		}
	}
	s.t.Fatalf("nothing is reported of %s", stream)
	return 0
}

// TestOneEnvelopePostedAgainAndAgainTakesItsRoomOnce posts the same bytes many times, one after the
// other and at once.
func TestOneEnvelopePostedAgainAndAgainTakesItsRoomOnce(t *testing.T) {
	s := newSite(t, nil)
	posted := sign(s, s.envelope(), s.shops[shop])
	first := s.post(posted)
	if first.status != 202 {
		t.Fatalf("%d %s", first.status, first.body)
	}
	for range 50 {
		if again := s.post(posted); again.status != 202 || !bytes.Equal(again.body, first.body) || again.closed {
			t.Fatalf("posted again: %d %s; want the same receipt", again.status, again.body)
		}
	}
	flood := sign(s, s.envelope(), s.shops[shop])
	receipts := make(chan string, 200)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			for range 10 {
				receipts <- string(s.post(flood).body)
			}
		})
	}
	group.Wait()
	close(receipts)
	all := map[string]bool{}
	for receipt := range receipts {
		all[receipt] = true
	}
	if len(all) != 1 {
		t.Errorf("one envelope posted at once got %d receipts, want one", len(all))
	}
	waittest.For(t, "a look at the stream", func() bool { return s.held("ENVELOPES") > 0 })
	time.Sleep(1100 * time.Millisecond) // the broker is looked at every second
	if got, most := s.held("ENVELOPES"), int64(2*(len(posted)+2000)); got > most {
		t.Errorf("ENVELOPES holds %d bytes after 251 posts of two envelopes, want at most %d", got, most)
	}
}

// fillShare posts new envelopes of a merchant until it is refused.
func (s *site) fillShare(merchant string) (posted int) {
	s.t.Helper()
	e := s.envelope()
	e.Merchant = merchant
	padding := make([]byte, envelope.SuiteX25519.Overhead()+2048)
	copy(padding, e.Account.Sealed[:5])
	e.Account = &envelope.Part{Key: e.Account.Key, Sealed: padding}
	for n := range 1000 {
		e.ID = fmt.Sprintf("0198c0de-0000-7000-8000-%012x", n)
		switch answer := s.post(sign(s, e, s.shops[merchant])); answer.status {
		case 202:
		case 429:
			if answer.header.Get("Retry-After") == "" || !strings.Contains(string(answer.body), "share of the channel") || !answer.closed {
				s.t.Errorf("refused as %s", answer.body)
			}
			return n
		default:
			s.t.Fatalf("answer %d %s", answer.status, answer.body)
		}
	}
	s.t.Fatal("a thousand envelopes were taken")
	return 0
}

// TestAMerchantOverItsShareHarmsOnlyItself gives every merchant half a megabyte.
func TestAMerchantOverItsShareHarmsOnlyItself(t *testing.T) {
	s := newSite(t, func(p *plan) {
		p.bagger = func(c *bagger.Config) { c.Sizing = bagger.Sizing{Stream: 16 << 20, MerchantBytes: 512 << 10} }
	})
	s.check(s.bags.Share(24)) // nothing is common
	of := func(merchant string, change func(*envelope.Envelope)) []byte {
		e := s.envelope()
		e.Merchant = merchant
		if change != nil {
			change(&e)
		}
		return sign(s, e, s.shops[merchant])
	}
	early := of(shop, nil)
	receipt := s.post(early)
	// A stranger who only names a merchant uses up nothing of it.
	e := s.envelope()
	e.Merchant = otherShop
	for range 20 {
		if code := s.code(s.post(sign(s, e, s.newSigner(otherShop)))); code != "urn:nightdrop:unknown-signer" {
			t.Fatalf("a stranger: %s", code)
		}
	}
	if got := s.bags.Shares().Merchants; len(got) != 1 || got[0].Merchant != shop {
		t.Errorf("merchants with a share: %+v", got)
	}
	taken := s.fillShare(shop)
	if taken < 80 || taken > 170 {
		t.Errorf("%d envelopes of some 4 KB went into half a megabyte", taken)
	}
	if answer := s.post(of(otherShop, nil)); answer.status != 202 {
		t.Errorf("another merchant: %d %s", answer.status, answer.body)
	}
	if again := s.post(early); again.status != 202 || !bytes.Equal(again.body, receipt.body) {
		t.Errorf("what was taken, posted again: %d %s", again.status, again.body)
	}
	late := func(e *envelope.Envelope) {
		e.Created, e.Until = envelope.At(time.Now().Add(-2*time.Hour)), envelope.At(time.Now().Add(-time.Hour))
	}
	if code := s.code(s.post(of(shop, late))); code != "urn:nightdrop:rate-limited" {
		t.Errorf("a late one over the share: %s; the share is checked first", code)
	}
	state := s.edge.State()
	if !state.OK || state.Shares.Over != 0 || state.Shares.Merchants[0].Merchant != shop || state.Shares.Merchants[0].Refused < 2 {
		t.Errorf("state %+v", state)
	}
	// The vault commits all.
	s.publish(channel.NoticePosition, sign(s, envelope.Position{Vault: vaultName, Generation: 1, Issued: envelope.At(time.Now()),
		Relays: []envelope.PositionEntry{{Relay: "relay-1", Run: s.bags.Run(), Number: 1 << 40, Digest: note.Digest(nil)}}}, s.keys))
	waittest.For(t, "the position", func() bool { return s.bags.Shares().Bytes == 0 })
	if answer := s.post(of(shop, nil)); answer.status != 202 {
		t.Errorf("after the vault has committed: %d %s", answer.status, answer.body)
	}
}

// slowly opens a connection and begins a post on it.
func (s *site) slowly() net.Conn {
	s.t.Helper()
	c, err := tls.Dial("tcp", s.address, &tls.Config{RootCAs: s.roots, ServerName: "127.0.0.1"})
	s.check(err)
	s.t.Cleanup(func() { _ = c.Close() })
	_, err = fmt.Fprintf(c, "POST /v1/envelopes HTTP/1.1\r\nHost: relay\r\nContent-Type: %s\r\nContent-Length: 30000\r\n\r\nnightdrop/", envelope.MediaType)
	s.check(err)
	return c
}

func TestWhoSendsSlowlyHoldsNoPlace(t *testing.T) {
	s := newSite(t, func(p *plan) { p.limits.InFlight, p.limits.AddressInFlight = 2, 2 })
	for range 10 {
		s.slowly()
	}
	time.Sleep(100 * time.Millisecond)
	for range 3 {
		if answer := s.post(sign(s, s.envelope(), s.shops[shop])); answer.status != 202 {
			t.Errorf("beside ten slow ones: %d %s", answer.status, answer.body)
		}
	}
}

func TestPostsAtATimeHaveShares(t *testing.T) {
	tests := []struct {
		name   string
		limits func(*Limits)
		next   string // the merchant that posts while two of shop are in flight
		want   int
	}{
		{"of all", func(l *Limits) { l.InFlight = 2 }, otherShop, 429},
		{"of one address", func(l *Limits) { l.AddressInFlight = 2 }, otherShop, 429},
		{"of one merchant", func(l *Limits) { l.MerchantInFlight = 2 }, shop, 429},
		{"of another merchant", func(l *Limits) { l.MerchantInFlight = 2 }, otherShop, 202},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			gate := make(chan struct{})
			s := newSite(t, func(p *plan) {
				test.limits(&p.limits)
				p.bags = func(b Bags) Bags { return &gatedBags{Bags: b, gate: gate, gated: 2} }
			})
			answers := make(chan response, 2)
			for range 2 {
				body := sign(s, s.envelope(), s.shops[shop])
				go func() { answers <- s.post(body) }()
			}
			waittest.For(t, "both to be in flight", func() bool { return s.edge.posting.held() == 2 && s.edge.merchants.held() == 2 })
			e := s.envelope()
			e.Merchant = test.next
			if answer := s.post(sign(s, e, s.shops[test.next])); answer.status != test.want {
				t.Errorf("a third: %d %s, want %d", answer.status, answer.body, test.want)
			}
			close(gate)
			for range 2 {
				if answer := waittest.Receive(t, "an answer", answers); answer.status != 202 {
					t.Errorf("answer %d", answer.status)
				}
			}
			waittest.For(t, "the places to be given back", func() bool { return s.edge.posting.held() == 0 && s.edge.merchants.held() == 0 })
		})
	}
}

// gatedBags holds the first envelopes until the gate opens.
type gatedBags struct {
	Bags
	gate  chan struct{}
	mu    sync.Mutex
	gated int
}

func (b *gatedBags) Submit(ctx context.Context, e bagger.Envelope) (bagger.Place, error) {
	b.mu.Lock()
	held := b.gated > 0
	b.gated--
	b.mu.Unlock()
	if held {
		<-b.gate
	}
	return b.Bags.Submit(ctx, e)
}

func TestSlotsLeaveRoomForANewcomer(t *testing.T) {
	s := newSlots[int](4096, 1024)
	for key := range 100 {
		for {
			if _, ok := s.acquire(key); !ok {
				break
			}
		}
	}
	if s.each[0] != 1024 {
		t.Errorf("the first got %d, want all that one may have", s.each[0])
	}
	var releases []func()
	for range 4096 / nextToNone {
		release, ok := s.acquire(-1)
		if !ok {
			t.Fatalf("a newcomer got %d while %d of 4096 are taken", len(releases), s.all)
		}
		releases = append(releases, release)
	}
	for _, release := range releases {
		release()
	}
	if s.each[-1] != 0 {
		t.Errorf("%d are still its own", s.each[-1])
	}
	alone := newSlots[int](3, 3) // one may have all
	for i := range 4 {
		if _, ok := alone.acquire(1); ok != (i < 3) {
			t.Errorf("slot %d of 3: %t", i+1, ok)
		}
	}
}

// proxied is a listener behind balancers on loopback, and what was seen of its connections.
func proxied(t *testing.T, perAddress int) (address string, seen chan string, refused chan struct{}) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	seen, refused = make(chan string, 100), make(chan struct{}, 100)
	l := LimitListener(ProxyListener(inner, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}), 100, perAddress, func(_ int, no bool) {
		if no {
			refused <- struct{}{}
		}
	})
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- addressOf(r).String()
		w.WriteHeader(http.StatusNoContent)
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return inner.Addr().String(), seen, refused
}

const plainRequest = "GET / HTTP/1.1\r\nHost: relay\r\n\r\n"

// send opens a connection with a header and reads the first line of the answer; "" when it was
// closed.
func send(t *testing.T, address, header string) (answer string, c net.Conn) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_, _ = c.Write([]byte(header + plainRequest))
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	first := make([]byte, 12)
	n, _ := c.Read(first)
	return string(first[:n]), c
}

func TestABalancersHeaderTellsTheAddress(t *testing.T) {
	two := func(command, family byte, addresses string) string {
		return "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{0x20 | command, family, byte(len(addresses) >> 8), byte(len(addresses))}) + addresses
	}
	v6 := "\x20\x01\x0d\xb8" + strings.Repeat("\x01", 12) + strings.Repeat("\x02", 16) + "\x10\x00\x01\xbb"
	tests := []struct {
		name, header, want string // "" = closed
	}{
		{"version 1", "PROXY TCP4 192.0.2.7 192.0.2.1 4000 443\r\n", "192.0.2.7/32"},
		{"version 1, IPv6", "PROXY TCP6 2001:db8:1:2::7 2001:db8::1 4000 443\r\n", "2001:db8:1:2::/64"},
		{"version 1, unknown", "PROXY UNKNOWN\r\n", "127.0.0.1/32"},
		{"version 2", two(1, 0x11, "\xc0\x00\x02\x07\xc0\x00\x02\x01\x0f\xa0\x01\xbb"), "192.0.2.7/32"},
		{"version 2, IPv6", two(1, 0x21, v6), "2001:db8:101:101::/64"},
		{"version 2 with more behind the addresses", two(1, 0x11, "\xc0\x00\x02\x07\xc0\x00\x02\x01\x0f\xa0\x01\xbb\x04\x00\x02ab"), "192.0.2.7/32"},
		{"version 2, the balancer's own", two(0, 0, ""), "127.0.0.1/32"},
		{"none", "", ""},
		{"cut short", "PROXY TCP4 192.0.2.7\r\n", ""},
		{"no address", "PROXY TCP4 999.0.2.7 192.0.2.1 4000 443\r\n", ""},
		{"version 1 without end", "PROXY TCP4 " + strings.Repeat("1", 200), ""},
		{"version 2, more than 4 KiB", two(1, 0x11, strings.Repeat("x", 5000)), ""},
		{"version 2, of no family", two(1, 0x13, "\xc0\x00\x02\x07\xc0\x00\x02\x01\x0f\xa0\x01\xbb"), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			address, seen, _ := proxied(t, 10)
			answer, _ := send(t, address, test.header)
			if test.want == "" {
				if strings.HasPrefix(answer, "HTTP/1.1 2") {
					t.Errorf("answered %q", answer)
				}
				return
			}
			if answer != "HTTP/1.1 204" {
				t.Fatalf("answered %q", answer)
			}
			if got := <-seen; got != test.want {
				t.Errorf("counts as %s, want %s", got, test.want)
			}
		})
	}
}

func TestConnectionsByABalancerAreBoundedByTheirCallers(t *testing.T) {
	address, _, refused := proxied(t, 2)
	of := func(n int) string { return fmt.Sprintf("PROXY TCP4 192.0.2.%d 192.0.2.1 4000 443\r\n", n) }
	// A balancer's connection that says nothing holds up nobody.
	silent, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	var held []net.Conn
	for range 2 {
		answer, c := send(t, address, of(7))
		if answer != "HTTP/1.1 204" {
			t.Fatalf("within the limit: %q", answer)
		}
		held = append(held, c)
	}
	if answer, _ := send(t, address, of(7)); answer != "" {
		t.Errorf("a third of one address: %q", answer)
	}
	waittest.Receive(t, "the refusal", refused)
	if answer, _ := send(t, address, of(8)); answer != "HTTP/1.1 204" {
		t.Errorf("another address: %q", answer)
	}
	_ = held[0].Close()
	waittest.For(t, "the place of one that closed", func() bool { answer, _ := send(t, address, of(7)); return answer == "HTTP/1.1 204" })
}

// TestOnlyABalancerTellsAnAddress sends a header from an address that is none's.
func TestOnlyABalancerTellsAnAddress(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := ProxyListener(inner, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")})
	defer l.Close()
	caller, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer caller.Close()
	_, _ = caller.Write([]byte("PROXY TCP4 192.0.2.7 192.0.2.1 4000 443\r\n"))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	first := make([]byte, 5)
	if _, err := c.Read(first); err != nil || string(first) != "PROXY" || !strings.HasPrefix(c.RemoteAddr().String(), "127.0.0.1:") {
		t.Errorf("read %q from %s, %v; want the bytes as they came", first, c.RemoteAddr(), err)
	}
}

// TestReadinessTellsHowFullTheStreamsAre fills RESULTS, through which answers come back.
func TestReadinessTellsHowFullTheStreamsAre(t *testing.T) {
	s := newSite(t, func(p *plan) { p.channel = func(c *broker.Config) { c.ResultsBytes = 4 << 20 } })
	if state := s.edge.State(); !state.OK || len(state.Warnings) != 0 || len(state.Streams) != 4 {
		t.Fatalf("state %+v", state)
	}
	data := make([]byte, 60_000)
	for serial := uint64(1); serial < 100; serial++ {
		if err := <-s.vault.PublishResult(shop, serial, fmt.Sprintf("id-%d", serial), data); err != nil {
			break
		}
	}
	waittest.For(t, "a look at the stream", func() bool { return !s.edge.State().OK })
	state := s.edge.State()
	if !strings.Contains(strings.Join(state.Reasons, "\n"), "RESULTS") || !strings.Contains(strings.Join(state.Warnings, "\n"), "RESULTS holds") {
		t.Errorf("state %+v", state)
	}
	if answer := s.post(sign(s, s.envelope(), s.shops[shop])); answer.status != 202 {
		t.Errorf("a post meanwhile: %d %s; its answer waits in the vault", answer.status, answer.body)
	}
}
