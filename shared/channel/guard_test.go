package channel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/nats-io/nats.go"
)

// scripted is a connection on which everything has been said already.
type scripted struct {
	io.Reader
	net.Conn
}

func (s scripted) Read(p []byte) (int, error)     { return s.Reader.Read(p) }
func (scripted) Write(p []byte) (int, error)      { return len(p), nil }
func (scripted) Close() error                     { return nil }
func (scripted) SetDeadline(time.Time) error      { return nil }
func (scripted) SetReadDeadline(time.Time) error  { return nil }
func (scripted) SetWriteDeadline(time.Time) error { return nil }
func say(script string, slowly bool) (conn scripted) {
	conn.Reader = strings.NewReader(script)
	if slowly {
		conn.Reader = iotest.OneByteReader(conn.Reader)
	}
	return conn
}

// guardedText is what a guard shows of a script, and why it ended.
func guardedText(script string, slowly bool) (string, error) {
	conn := say(script, slowly)
	g := newGuard(conn, conn, "broker.example:4222", func(error) {})
	var shown bytes.Buffer
	_, err := io.CopyBuffer(&shown, struct{ io.Reader }{g}, make([]byte, 4096))
	return shown.String(), err
}

const greetingText = "INFO {\"nonce\":\"bm9uY2U\",\"headers\":true,\"max_payload\":1048576}\r\nPONG\r\n"

// TestGuardShowsWhatIsRegular: what a broker says passes as it is, in pieces of any size.
func TestGuardShowsWhatIsRegular(t *testing.T) {
	header := "NATS/1.0\r\nNats-Stream: ENVELOPES\r\nNats-Sequence: 1\r\n\r\n"
	script := greetingText + "PING\r\n+OK\r\nMSG a.b 1 0\r\n\r\nMSG a.b 12 reply.x 5\r\n\r\nPIN\r\n" +
		fmt.Sprintf("HMSG a.b 1 %d %d\r\n%s%s\r\n", len(header), len(header)+4, header, "body") +
		fmt.Sprintf("HMSG a.b 1 reply %d %d\r\n%s\r\n", len(header), len(header), header) +
		"MSG big 3 1572864\r\n" + strings.Repeat("x", maxIncoming) + "\r\n" +
		"-ERR 'Permissions Violation for Publish to \"x\"'\r\nINFO {\"ldm\":true}\r\nPONG\r\n"
	for _, slowly := range []bool{false, true} {
		shown, err := guardedText(script, slowly)
		if err != nil || shown != script {
			t.Errorf("in single bytes: %t: %d of %d bytes were shown, %v", slowly, len(shown), len(script), err)
		}
	}
}

// TestGuardAllowsARate: control lines pass for ever at the rate that is allowed, and not above it.
func TestGuardAllowsARate(t *testing.T) {
	for each, allowed := range map[time.Duration]bool{time.Second / controlRate: true, time.Second / controlRate / 2: false} {
		conn := say(greetingText+strings.Repeat("PING\r\n", 10*controlBurst), false)
		g := newGuard(conn, conn, "broker.example:4222", func(error) {})
		now := time.Now()
		g.now = func() time.Time { now = now.Add(each); return now }
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{g}); errors.Is(err, errProtocol) == allowed {
			t.Errorf("one each %s: %v", each, err)
		}
	}
}

// FuzzHostileBroker has a broker say anything, once to the guard alone and once to the library
// behind it: the library neither panics nor holds more than was said, and what a guard shows
// another one shows unchanged.
func FuzzHostileBroker(f *testing.F) {
	for _, script := range []string{"", "PING\r\n", "+OK\r\n", "-ERR 'x'\r\n",
		"-ERR 'Permissions Violation for Subscription to \"x\"'\r\n", "INFO {\"connect_urls\":[\"h:1\"]}\r\n",
		"MSG x 1 9223372036854775807\r\n", "MSG x 1 3\r\nabc\r\n", "MSG x 1 r 3\r\nabc\r\n", "HMSG x 1 12 15\r\nNATS/1.0\r\n\r\nabc\r\n",
		"HMSG x 1 r 30 30\r\nNATS/1.0 503\r\nStatus: 404\r\n\r\n\r\n", "HMSG x 1 3 3\r\nabc\r\n", "MSG x 1 -0\r\n", "HMSG x 1 12 11\r\nNATS/1.0\r\n\r\n"} {
		f.Add(script, false)
		f.Add(greetingText+script, true)
	}
	f.Fuzz(func(t *testing.T, script string, slowly bool) {
		shown, err := guardedText(script, slowly)
		if again, _ := guardedText(shown, !slowly); !strings.HasPrefix(shown, again) || err == nil && again != shown {
			t.Errorf("shown %q, then %q", shown, again)
		}
		// the least header
		if room := strings.Count(script, "HMSG") * len("NATS/1.0\r\n\r\n12 12"); len(shown) > len(script)+room {
			t.Errorf("of %d bytes %d were shown", len(script), len(shown))
		}
		heard := make(chan *nats.Msg, 64)
		d := scriptDialer{script: greetingText + "INFO {}\r\n" + script, slowly: slowly}
		nc, err := nats.Connect("nats://127.0.0.1:4222", nats.SetCustomDialer(&d), nats.NoReconnect(),
			nats.IgnoreDiscoveredServers())
		if err != nil {
			return // it was over before the library had begun to read
		}
		defer nc.Close()
		if _, err := nc.ChanSubscribe("x", heard); err != nil {
			t.Fatal(err)
		}
		close(d.subscribed)
		<-d.ended
		for range len(heard) {
			if m := <-heard; len(m.Data) > len(script) {
				t.Errorf("a message of %d bytes came of %d", len(m.Data), len(script))
			}
		}
	})
}

// scriptDialer hands the library a guarded connection whose script goes on when there is a
// subscription.
type scriptDialer struct {
	script     string
	slowly     bool
	subscribed chan struct{}
	// closed when the guard has given the connection up, at the script's end or before it
	ended chan struct{}
}

func (d *scriptDialer) Dial(_, address string) (net.Conn, error) {
	d.subscribed, d.ended = make(chan struct{}), make(chan struct{})
	later := &gate{Reader: say(d.script[len(greetingText):], d.slowly).Reader, open: d.subscribed}
	conn := scripted{Reader: io.MultiReader(strings.NewReader(greetingText), later)}
	return newGuard(conn, &ending{Conn: conn, ended: d.ended}, address, func(error) {}), nil
}

// gate is a reader that begins when it is opened.
type gate struct {
	io.Reader
	open chan struct{}
}

func (g *gate) Read(p []byte) (int, error) {
	<-g.open
	return g.Reader.Read(p)
}

// ending reports its Close.
type ending struct {
	net.Conn
	once  sync.Once
	ended chan struct{}
}

func (e *ending) Close() error {
	e.once.Do(func() { close(e.ended) })
	return nil
}

// BenchmarkGuard reads a stream of bags of 1 MB, 167 envelopes, through a guard: what it adds to
// the copy out of the TLS record.
func BenchmarkGuard(b *testing.B) {
	header := "NATS/1.0\r\nNats-Stream: ENVELOPES\r\nNats-Subject: bag.relay-a\r\nNats-Sequence: 1\r\nNats-Time-Stamp: 2026-11-30T00:00:00Z\r\n\r\n"
	script := greetingText + fmt.Sprintf("HMSG _INBOX_vault.abcdefghijklmnopqrstuv 1 %d %d\r\n%s%s\r\n", len(header), len(header)+MaxMessage, header, strings.Repeat("x", MaxMessage))
	p := make([]byte, 32<<10)
	b.SetBytes(int64(len(script)))
	b.ReportAllocs()
	for b.Loop() {
		conn := say(script, false)
		g := newGuard(conn, conn, "broker.example:4222", func(error) {})
		for {
			if _, err := g.Read(p); err != nil {
				break
			}
		}
	}
}
