package channel_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker/brokertest"
	"nightdrop/shared/waittest"
)

// hostileConnections is how many connections an attack gets before the broker behaves.
const hostileConnections = 2

// floodBytes is what a flood stops at where nobody stops it, and floodTaken what a client may take
// of one: what lies in sockets, and of control lines the burst that is allowed.
const (
	floodBytes = 256 << 20
	floodTaken = 24 << 20
)

// lines keeps log lines.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, string(p))
	return len(p), nil
}

func (l *lines) count(part string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.text {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

// TestHostileBroker: whatever the broker says on a connection, the client lives, within bounds,
// says what was wrong and with whom, and comes back.
func TestHostileBroker(t *testing.T) {
	after := func(text string) func(*brokertest.Peer) {
		return func(p *brokertest.Peer) {
			if p.Greet("") == nil {
				_ = p.Say(text)
			}
		}
	}
	flood := func(text string) func(*brokertest.Peer) {
		return func(p *brokertest.Peer) {
			if p.Greet("") != nil {
				return
			}
			if taken := p.Flood(text, floodBytes); taken > floodTaken {
				t.Errorf("%d bytes were taken of %.40q, again and again", taken, text)
			}
		}
	}
	attacks := map[string]func(*brokertest.Peer){
		"a size that is negative after the sign":  after("MSG x 1 9223372036854775807\r\n"),
		"a size beyond the integers":              after("MSG x 1 99999999999999999999\r\n"),
		"a size beyond the memory":                after("MSG x 1 99999999999\r\n"),
		"a size over the limit":                   after("MSG x 1 1572865\r\n"),
		"a size with a sign":                      after("MSG x 1 -1\r\n"),
		"a header beyond its message":             after("HMSG x 1 12 11\r\nNATS/1.0\r\n\r\n"),
		"a header of nothing":                     after("HMSG x 1 0 0\r\n\r\n"),
		"a header beyond the memory":              after("HMSG x 1 99999999999 99999999999\r\n"),
		"a header of a negative size":             after("HMSG x 1 9223372036854775807 9223372036854775807\r\n"),
		"a subscription beyond the integers":      after("MSG x 99999999999999999999 0\r\n\r\n"),
		"too few words":                           after("MSG x 1\r\n"),
		"too many words":                          after("MSG x 1 a b c d 1\r\n"),
		"two blanks":                              after("MSG x  1 1\r\n"),
		"a payload that goes on":                  after("MSG x 1 1\r\nabc\r\n"),
		"a bare line feed":                        after("PING\n"),
		"small letters":                           after("ping\r\n"),
		"no protocol":                             after("HTTP/1.1 200 OK\r\n"),
		"zeros":                                   after(strings.Repeat("\x00", 1000)),
		"a long line of a message":                after("MSG " + strings.Repeat("a", 5000) + " 1 1\r\n"),
		"an error that the library does not know": after("-ERR 'go away'\r\n"),
		"an error that closes the library":        after("-ERR 'maximum control line exceeded'\r\n"),
		"a long error":                            after("-ERR '" + strings.Repeat("a", 2000) + "'\r\n"),
		"a line without an end":                   flood("INFO {" + strings.Repeat("a", 500)),
		"a message's line without an end":         flood("MSG " + strings.Repeat("a", 500)),
		"INFO again and again":                    flood("INFO {\"a\":\"" + strings.Repeat("a", 500) + "\"}\r\n"),
		"long INFO again and again":               flood("INFO {\"a\":\"" + strings.Repeat("a", 30_000) + "\"}\r\n"),
		"messages again and again": func(p *brokertest.Peer) {
			if p.Greet("") != nil {
				return
			}
			for sid := range 8 {
				p.Flood(fmt.Sprintf("MSG x %d 100000\r\n%s\r\n", sid, strings.Repeat("x", 100_000)), 32<<20)
				p.Flood(fmt.Sprintf("MSG x %d 0\r\n\r\n", sid), 1<<20)
			}
			_ = p.Say("enough\r\n")
		},
		"errors again and again":                    flood("-ERR 'Permissions Violation for Publish to \"" + strings.Repeat("a", 200) + "\"'\r\n"),
		"pings again and again":                     flood("PING\r\n"),
		"pongs again and again":                     flood("PONG\r\n"),
		"agreement again and again":                 flood("+OK\r\n"),
		"nothing but a greeting that has no end":    func(p *brokertest.Peer) { p.Flood("INFO {"+strings.Repeat("a", 500), floodBytes) },
		"a message in place of a greeting":          func(p *brokertest.Peer) { _ = p.Say("MSG x 1 9223372036854775807\r\n") },
		"a message in place of being let in":        func(p *brokertest.Peer) { _ = p.Inform(""); _ = p.Say("MSG x 1 1\r\na\r\n") },
		"a greeting with limits that make no sense": func(p *brokertest.Peer) { _ = p.Greet(`,"max_payload":-9223372036854775808`); _ = p.Say("no\r\n") },
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) { attacked(t, attack) })
	}
}

// attacked has a broker attack the first connections and behave on those after them.
func attacked(t *testing.T, attack func(*brokertest.Peer)) {
	s := brokertest.New(t)
	h := s.Hostile(func(p *brokertest.Peer) {
		if p.Number <= hostileConnections {
			attack(p)
			_, _ = p.Next("nothing that a client says") // until it hangs up
			return
		}
		if p.Greet("") == nil {
			p.Behave()
		}
	})
	log := &lines{}
	options := s.Options()
	options.Logger = slog.New(slog.NewTextHandler(log, nil))
	before := heap()
	v, err := channel.DialVault(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	most := before
	waittest.For(t, "a connection to the broker that behaves", func() bool {
		most = max(most, heap())
		return h.Accepted.Load() > hostileConnections && v.Connected()
	})
	if grown := most - before; grown > 96 {
		t.Errorf("the heap grew by %.0f MB", grown)
	}
	if log.count(h.Address) == 0 {
		t.Errorf("no line of the log names the broker: %q", log.text)
	}
}

// heap is what lies on the heap, in 10^6 bytes, garbage included.
func heap() float64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return float64(sample[0].Value.Uint64()) / 1e6
}

// TestHostileBrokerNamesOthers: addresses that the broker names are not dialled, before and after
// it fails.
func TestHostileBrokerNamesOthers(t *testing.T) {
	canary, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer canary.Close()
	var dialled atomic.Int64
	go func() {
		for {
			conn, err := canary.Accept()
			if err != nil {
				return
			}
			dialled.Add(1)
			_ = conn.Close()
		}
	}()
	s := brokertest.New(t)
	urls := fmt.Sprintf(`,"connect_urls":[%q],"ws_connect_urls":[%q]`, canary.Addr(), canary.Addr())
	h := s.Hostile(func(p *brokertest.Peer) {
		if p.Greet(urls) == nil && p.Inform(urls) == nil {
			_ = p.Close()
		}
	})
	v, err := channel.DialVault(t.Context(), s.Options())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	waittest.For(t, "twenty connections", func() bool { return h.Accepted.Load() >= 20 })
	if n := dialled.Load(); n != 0 {
		t.Errorf("an address that only the broker named was dialled %d times", n)
	}
	conn, err := net.Dial("tcp", canary.Addr().String()) // the control
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	waittest.For(t, "the control to be counted", func() bool { return dialled.Load() == 1 })
}

// answerBag says a message of a batch, with further lines of header.
func answerBag(p *brokertest.Peer, sid, reply string, sequence, previous uint64, more, data string) error {
	header := fmt.Sprintf("NATS/1.0\r\n%sNats-Stream: ENVELOPES\r\nNats-Subject: bag.relay-a\r\nNats-Sequence: %d\r\nNats-Time-Stamp: 2026-11-30T00:00:00Z\r\n"+
		"Nats-Num-Pending: 1\r\nNats-Last-Sequence: %d\r\n\r\n", more, sequence, previous)
	return p.Say(fmt.Sprintf("HMSG %s %s %d %d\r\n%s%s\r\n", reply, sid, len(header), len(header)+len(data), header, data))
}

// reads has Bags read from a broker that answers as script says, until Bags called back or
// returned.
func reads(t *testing.T, script func(p *brokertest.Peer, sid, reply string)) (groups chan []channel.Message) {
	t.Helper()
	s := brokertest.New(t)
	s.Hostile(func(p *brokertest.Peer) {
		if p.Greet("") != nil {
			return
		}
		sids := make(map[string]string)
		for {
			subject, reply, err := p.Request("$JS.API.", sids)
			if err != nil {
				return
			}
			if strings.Contains(subject, "STREAM.INFO") {
				info := `{"created":"2026-11-30T00:00:00Z","config":{"max_bytes":1},"state":{"first_seq":1,"last_seq":1000000}}`
				_ = p.Say(fmt.Sprintf("MSG %s %s %d\r\n%s\r\n", reply, brokertest.Sid(sids, reply), len(info), info))
				continue
			}
			script(p, brokertest.Sid(sids, reply), reply)
		}
	})
	v, err := channel.DialVault(t.Context(), s.Options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	groups = make(chan []channel.Message, 1)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() {
		_ = v.Bags(ctx, 1, func(group []channel.Message) error {
			select {
			case groups <- group:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	return groups
}

// TestHostileBrokerAnswersWithoutEnd: a read ends at what was asked for, whatever comes after it,
// and its memory is bounded.
func TestHostileBrokerAnswersWithoutEnd(t *testing.T) {
	before := heap()
	var said atomic.Int64
	data := strings.Repeat("x", 100_000)
	groups := reads(t, func(p *brokertest.Peer, sid, reply string) {
		for n := uint64(1); n <= 2000; n++ { // 200 MB
			if answerBag(p, sid, reply, n, n-1, "", data) != nil {
				return
			}
			said.Add(1)
		}
	})
	group := waittest.Receive(t, "a group of bags", groups)
	size, most := 0, before
	for _, m := range group {
		size += len(m.Data)
	}
	if size > 5<<20 || len(group) == 0 {
		t.Errorf("%d bags of %d bytes came of one read", len(group), size)
	}
	waittest.For(t, "the broker to say all that it has", func() bool {
		most = max(most, heap())
		return said.Load() >= 2000
	})
	if grown := most - before; grown > 96 {
		t.Errorf("the heap grew by %.0f MB", grown)
	}
}

// TestHostileBrokerCountsDown: a reader goes on from the last sequence it got, so those of one read
// ascend.
func TestHostileBrokerCountsDown(t *testing.T) {
	groups := reads(t, func(p *brokertest.Peer, sid, reply string) {
		_ = answerBag(p, sid, reply, 5, 0, "", "first")
		_ = answerBag(p, sid, reply, 5, 5, "", "again")
		_ = answerBag(p, sid, reply, 1<<63, 5, "", "beyond")
	})
	group := waittest.Receive(t, "a group of bags", groups)
	if len(group) != 1 || string(group[0].Data) != "first" {
		t.Errorf("the read took %d bags", len(group))
	}
}

// TestHeadersOfOthers: a relay that publishes a bag with a header of its own neither hides what the
// broker says of the bag, nor costs more memory than the bag's size.
func TestHeadersOfOthers(t *testing.T) {
	before, most := heap(), 0.0
	groups := reads(t, func(p *brokertest.Peer, sid, reply string) {
		_ = answerBag(p, sid, reply, 1, 0, "Nats-Sequence: 77\r\nNats-Last-Sequence: 76\r\nNats-Subject: bag.other\r\nStatus: 404\r\n", "one")
		_ = answerBag(p, sid, reply, 2, 1, "no colon\r\nbad\x01: value\r\n: \r\n", "two")
		_ = answerBag(p, sid, reply, 3, 2, strings.Repeat("a:\r\n", 200_000), "three")
		_ = p.Say(fmt.Sprintf("HMSG %s %s 29 29\r\nNATS/1.0 204 End of batch\r\n\r\n\r\n", reply, sid))
	})
	group := waittest.Receive(t, "a group of bags", groups)
	most = heap()
	if len(group) != 3 {
		t.Fatalf("%d bags came", len(group))
	}
	for i, want := range []string{"one", "two", "three"} {
		if m := group[i]; string(m.Data) != want || m.Sequence != uint64(i+1) || m.Subject != "bag.relay-a" {
			t.Errorf("bag %d came as %d on %s: %q", i+1, m.Sequence, m.Subject, m.Data)
		}
	}
	if grown := most - before; grown > 48 {
		t.Errorf("the heap grew by %.0f MB", grown)
	}
}

// TestHostileBrokerIsTriedLessOften: a broker that breaks the protocol each time is not dialled
// four times a second for ever, and its log lines are few.
func TestHostileBrokerIsTriedLessOften(t *testing.T) {
	s := brokertest.New(t)
	h := s.Hostile(func(p *brokertest.Peer) {
		if p.Greet("") == nil {
			_ = p.Say("-ERR 'go away'\r\n")
		}
	})
	log := &lines{}
	options := s.Options()
	options.Logger = slog.New(slog.NewTextHandler(log, nil))
	v, err := channel.DialVault(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	time.Sleep(6 * time.Second)
	// of two connections; without longer waits it would be thirty
	if n := h.Accepted.Load(); n < 6 || n > 16 {
		t.Errorf("the broker was dialled %d times in six seconds", n)
	}
	if err := <-v.PublishResult("shop", 1, "id", nil); !errors.Is(err, channel.ErrUnavailable) {
		t.Errorf("published: %v", err)
	}
	if n := log.count("go away"); n < 2 || n > 40 {
		t.Errorf("%d lines of the log tell of it", n)
	}
}
