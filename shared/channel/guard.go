package channel

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// The broker's limits. The client library trusts its server: it allocates what a control line
// announces, keeps lines of any length, and queues a callback for each error.
const (
	// maxInfo bounds an INFO line in bytes, with a large cluster's addresses; the library's buffer
	// too.
	maxInfo = 32 << 10
	// maxLine bounds the control lines of messages: our subject and reply subject have under 300
	// bytes.
	maxLine = 4 << 10
	// maxErrorLine bounds an -ERR line, which is logged.
	maxErrorLine = 1 << 10
	// maxIncoming bounds a message with its header, in bytes: the largest bag in base64.
	maxIncoming = 3 << 19
	// controlBurst and controlRate bound the lines that are no messages: at once, and a second. A
	// ping takes seconds; refusals answer what this side sends.
	controlBurst = 256
	controlRate  = 20
)

// errProtocol is returned for what the NATS protocol or these limits do not allow.
var errProtocol = errors.New("it does not keep to the NATS protocol within this client's limits: check the broker, and who controls its host")

// errEnded is returned for a broker's error that ends the connection.
var errEnded = errors.New("it ended the connection")

// guard is a connection to the broker that shows the client library only what is within limits. It
// reads the server's side of the protocol strictly (INFO, MSG, HMSG, PING, PONG, +OK, -ERR), whole
// control lines at a time; payloads are not copied. The first fault ends the connection. One
// goroutine reads it, as the library does.
type guard struct {
	net.Conn
	raw      net.Conn // beneath the TLS
	host     string
	violated func(error) // is called with the fault, once
	now      func() time.Time

	in      *bufio.Reader
	line    []byte // the control line in hand
	room    []byte // what pending is cut from
	head    []byte // the header in hand
	plain   []byte // what is shown of it
	pending []byte // checked, and not read yet
	header  int    // bytes of a header that come next
	body    int    // bytes of a payload that come next
	end     bool   // then a line's end
	stage   stage
	message message
	budget  bucket
	fault   error
}

type stage int

const (
	greeting stage = iota // INFO must come
	entering              // PONG or -ERR must come
	inside
)

type message struct {
	subject, sid, reply []byte
	header, size        int // header -1: none
}

func newGuard(conn, raw net.Conn, host string, violated func(error)) *guard {
	return &guard{Conn: conn, raw: raw, host: host, violated: violated, now: time.Now, in: bufio.NewReaderSize(conn, maxInfo)}
}

// Read returns what was checked, waiting for the network only if there is nothing.
func (g *guard) Read(p []byte) (n int, err error) {
	if g.fault != nil {
		return 0, g.fault
	}
	for n < len(p) && (n == 0 || g.ready()) {
		if len(g.pending) > 0 {
			k := copy(p[n:], g.pending)
			n, g.pending = n+k, g.pending[k:]
			continue
		}
		if g.header == 0 && g.body > 0 {
			k, err := g.in.Read(p[n:min(len(p), n+g.body)])
			n, g.body = n+k, g.body-k
			if err != nil {
				return n, g.failed(err)
			}
			continue
		}
		if err := g.step(); err != nil {
			return n, g.failed(err)
		}
	}
	return n, nil
}

func (g *guard) ready() bool {
	held := g.in.Buffered()
	switch {
	case len(g.pending) > 0:
		return true
	case g.header > 0:
		return held >= g.header
	case g.body > 0:
		return held > 0
	case g.end:
		return held >= 2
	}
	buffered, _ := g.in.Peek(held)
	return bytes.IndexByte(buffered, '\n') >= 0
}

// failed ends the connection. What the library has already read stays good.
func (g *guard) failed(err error) error {
	if errors.Is(err, errProtocol) || errors.Is(err, errEnded) {
		err = fmt.Errorf("broker %s: %w", g.host, err)
		g.violated(err)
	}
	g.fault = err
	_ = g.raw.Close() // nothing that follows is read
	return err
}

// step checks what comes next, a header, a payload's end or a control line, and puts it in pending.
func (g *guard) step() error {
	switch {
	case g.header > 0:
		return g.acceptHeader()
	case g.end:
		return g.acceptEnd()
	}
	if first, err := g.in.Peek(1); err == nil && !bytes.Contains([]byte("IMHP+-"), first) {
		return fmt.Errorf("%w: it sent no control line", errProtocol)
	}
	line, err := g.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return fmt.Errorf("%w: a control line of over %d bytes", errProtocol, maxInfo)
	}
	if err != nil {
		return err
	}
	g.line = append(g.line[:0], line...)
	line, whole := bytes.CutSuffix(g.line, []byte("\r\n"))
	if !whole {
		return fmt.Errorf("%w: a control line ends without a carriage return", errProtocol)
	}
	return g.acceptLine(line)
}

func (g *guard) acceptLine(line []byte) error {
	verb, rest, _ := bytes.Cut(line, []byte(" "))
	if g.stage == inside && (string(verb) == "MSG" || string(verb) == "HMSG") {
		return g.acceptMessage(string(verb) == "HMSG", line, rest)
	}
	if !g.budget.allow(g.now()) {
		return fmt.Errorf("%w: over %d control lines at once, or %d a second", errProtocol, controlBurst, controlRate)
	}
	switch {
	case string(verb) == "INFO" && g.stage != entering:
		if len(rest) == 0 || rest[0] != '{' {
			return fmt.Errorf("%w: an INFO line without an object", errProtocol)
		}
		g.stage = max(g.stage, entering)
	case string(verb) == "-ERR" && g.stage != greeting:
		if err := g.refusal(rest); err != nil {
			return err
		}
	case string(line) == "PONG" && g.stage != greeting:
		g.stage = inside
	case g.stage == inside && (string(line) == "PING" || string(line) == "+OK"):
	default:
		return fmt.Errorf("%w: an unexpected control line", errProtocol)
	}
	g.pending = g.line
	return nil
}

// refusal handles an -ERR. The library would close its client for ever on one that it does not
// know; so any that does not refuse a single call ends the connection, and a new one is tried.
func (g *guard) refusal(text []byte) error {
	if len(text) > maxErrorLine {
		return fmt.Errorf("%w: an error of over %d bytes", errProtocol, maxErrorLine)
	}
	text = bytes.Trim(text, "'")
	if g.stage != inside || bytes.HasPrefix(text, []byte("Permissions Violation")) {
		return nil
	}
	return fmt.Errorf("%w: %.200q", errEnded, text)
}

// acceptMessage checks a message's control line, which is passed on when its header has come.
func (g *guard) acceptMessage(headed bool, line, rest []byte) error {
	if len(line) > maxLine {
		return fmt.Errorf("%w: a message's control line of %d bytes", errProtocol, len(line))
	}
	m, ok := parseMessage(headed, rest)
	switch {
	case !ok:
		return fmt.Errorf("%w: a message's control line cannot be read", errProtocol)
	case m.size > maxIncoming:
		return fmt.Errorf("%w: a message of over %d bytes", errProtocol, maxIncoming)
	case m.header > m.size:
		return fmt.Errorf("%w: a header longer than its message", errProtocol)
	}
	g.message, g.body, g.end = m, m.size, true
	if headed {
		g.header, g.body = m.header, m.size-m.header
		return nil
	}
	g.pending = g.line
	return nil
}

// parseMessage reads subject, subscription, any reply subject, header size if headed, and size.
func parseMessage(headed bool, rest []byte) (message, bool) {
	var room [6][]byte
	words := room[:0]
	for more := true; more; {
		var word []byte
		word, rest, more = bytes.Cut(rest, []byte(" "))
		if len(words) == cap(words) || len(word) == 0 || bytes.ContainsFunc(word, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return message{}, false
		}
		words = append(words, word)
	}
	m := message{header: -1}
	ok := true
	if headed && len(words) > 3 {
		m.header, ok = number(words[len(words)-2], 9)
		words[len(words)-2] = words[len(words)-1]
		words = words[:len(words)-1]
		ok = ok && m.header > 0
	} else if headed {
		return message{}, false
	}
	if !ok || len(words) < 3 || len(words) > 4 {
		return message{}, false
	}
	m.subject, m.sid = words[0], words[1]
	if len(words) == 4 {
		m.reply = words[2]
	}
	_, counted := number(m.sid, 18)
	m.size, ok = number(words[len(words)-1], 9)
	return m, ok && counted
}

func number(text []byte, most int) (n int, ok bool) {
	if len(text) == 0 || len(text) > most {
		return 0, false
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// acceptHeader reads a message's header and passes on the plain one instead.
func (g *guard) acceptHeader() error {
	if cap(g.head) < g.header {
		g.head = make([]byte, g.header)
	}
	g.head = g.head[:g.header]
	if _, err := io.ReadFull(g.in, g.head); err != nil {
		return err
	}
	g.plain = plainHeader(g.plain[:0], g.head)
	if cap(g.head) > maxLine {
		g.head = nil // a rare one: its room is not kept
	}
	m := g.message
	out := append(g.room[:0], "HMSG "...)
	for _, word := range [][]byte{m.subject, m.sid, m.reply} {
		if len(word) > 0 {
			out = append(append(out, word...), ' ')
		}
	}
	out = append(strconv.AppendInt(out, int64(len(g.plain)), 10), ' ')
	out = strconv.AppendInt(out, int64(len(g.plain)+g.body), 10)
	out = append(append(out, "\r\n"...), g.plain...)
	g.room, g.pending, g.header = out, out, 0
	return nil
}

func (g *guard) acceptEnd() error {
	end, err := g.in.Peek(2)
	if err != nil {
		return err
	}
	if string(end) != "\r\n" {
		return fmt.Errorf("%w: a message does not end where it should", errProtocol)
	}
	g.pending, g.end = append(g.room[:0], end...), false
	_, err = g.in.Discard(2)
	return err
}

type bucket struct {
	spent float64
	last  time.Time
}

// allow reports whether one more may come now.
func (b *bucket) allow(now time.Time) bool {
	b.spent = max(0, b.spent-now.Sub(b.last).Seconds()*controlRate)
	b.last = now
	if b.spent+1 > controlBurst {
		return false
	}
	b.spent++
	return true
}
