package host

import (
	"bufio"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moov-io/iso8583"
)

// Limits and delays of one connection.
const (
	// answers that wait for the asker to read; beyond it they are dropped, as by a full line
	maxQueued     = 4096
	writeDeadline = 10 * time.Second // for the asker to read
	lingerTime    = 2 * time.Second  // for the asker to close its side after the host has hung up
	// when an answer that waits for another goes out without it
	reorderAfter = 200 * time.Millisecond
	slowPieces   = 4                     // of a slow answer
	slowPause    = 50 * time.Millisecond // between them
)

// session is one connection. Requests are taken as they come and answered when they are booked, in
// any order.
type session struct {
	host    *Host
	conn    net.Conn
	out     chan delivery
	ended   chan struct{}
	leaving atomic.Bool // it has hung up: what still comes is not taken

	mu   sync.Mutex
	held [][]byte // answers that go out after the next
}

// delivery is what the writing side does next.
type delivery struct {
	bytes []byte
	slow  bool // in pieces
	last  bool // and then hang up
}

func newSession(h *Host, conn net.Conn) *session {
	return &session{host: h, conn: conn, out: make(chan delivery, maxQueued), ended: make(chan struct{})}
}

// serve reads until the connection ends.
func (s *session) serve() {
	written := make(chan struct{})
	go func() { defer close(written); s.write() }()
	defer func() { close(s.ended); _ = s.conn.Close(); <-written }()
	r := bufio.NewReader(s.conn)
	for {
		m, err := readMessage(r, s.host.spec)
		if err != nil {
			return
		}
		if m == nil {
			s.host.cfg.Logger.Warn("a message that is not of the dialect was dropped", "peer", s.conn.RemoteAddr().String())
			continue
		}
		if !s.leaving.Load() && !s.take(m) {
			return
		}
	}
}

// write sends queued answers, together where several wait.
func (s *session) write() {
	w := bufio.NewWriter(s.conn)
	for {
		var d delivery
		select {
		case <-s.ended:
			return
		case d = <-s.out:
		}
		_ = s.conn.SetWriteDeadline(time.Now().Add(writeDeadline))
		if err := s.put(w, d); err != nil {
			_ = s.conn.Close()
			return
		}
		if d.last {
			s.hangUp(w)
			return
		}
	}
}

func (s *session) put(w *bufio.Writer, d delivery) error {
	if d.slow {
		return s.putSlowly(w, d.bytes)
	}
	if _, err := w.Write(d.bytes); err != nil || len(s.out) > 0 {
		return err
	}
	return w.Flush()
}

func (s *session) putSlowly(w *bufio.Writer, message []byte) error {
	size := len(message)/slowPieces + 1
	for len(message) > 0 {
		n := min(size, len(message))
		if _, err := w.Write(message[:n]); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		message = message[n:]
		pause := make(chan struct{})
		s.host.cfg.AfterFunc(slowPause, func() { close(pause) })
		select {
		case <-pause:
		case <-s.ended:
			return net.ErrClosed
		}
	}
	return nil
}

// hangUp sends what was answered before, and then the end of the stream. What comes meanwhile is
// read and not taken, so that the kernel does not reset the connection over answers on their way.
func (s *session) hangUp(w *bufio.Writer) {
	s.leaving.Store(true)
	_ = w.Flush()
	if half, ok := s.conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		_ = s.conn.Close()
		return
	}
	_ = s.conn.SetReadDeadline(time.Now().Add(lingerTime))
}

// after runs f after delay, at once where it is 0.
func (s *session) after(delay time.Duration, f func()) {
	if delay <= 0 {
		f()
		return
	}
	s.host.cfg.AfterFunc(delay, f)
}

func (s *session) queue(d delivery) {
	select {
	case s.out <- d:
	default:
	}
}

// deliver sends a packed answer in the manner that how says.
func (s *session) deliver(packed []byte, how Mishap) {
	delay := s.host.cfg.AnswerDelay
	whole := delivery{bytes: packed}
	switch how {
	case DropRequest, DropAnswer, Crash:
	case Duplicate:
		s.after(delay, func() { s.queue(whole); s.queue(whole); s.release() })
	case Late:
		s.after(s.host.cfg.LateAfter, func() { s.queue(whole) })
	case OutOfOrder:
		s.after(delay, func() { s.hold(packed) })
	case HalfMessage:
		s.after(delay, func() { s.queue(delivery{bytes: packed[:len(packed)/2], last: true}) })
	case HangUp:
		s.queue(delivery{last: true})
	case Slow:
		s.after(delay, func() { s.queue(delivery{bytes: packed, slow: true}); s.release() })
	default:
		s.after(delay, func() { s.queue(whole); s.release() })
	}
}

// hold keeps an answer back until another has gone out.
func (s *session) hold(packed []byte) {
	s.mu.Lock()
	s.held = append(s.held, packed)
	s.mu.Unlock()
	s.host.cfg.AfterFunc(reorderAfter, s.release)
}

// release sends what was held back.
func (s *session) release() {
	s.mu.Lock()
	held := s.held
	s.held = nil
	s.mu.Unlock()
	for _, packed := range held {
		s.queue(delivery{bytes: packed})
	}
}

// reply packs an answer to m and delivers it.
func (s *session) reply(m *iso8583.Message, how Mishap, fields map[int]string) {
	mti, _ := m.GetMTI()
	packed, err := answer(m, answerTypes[mti], fields)
	if err != nil {
		s.host.cfg.Logger.Error("an answer could not be packed", "type", mti)
		return
	}
	s.deliver(packed, how)
}

// answerTypes has which message type answers which.
var answerTypes = map[string]string{
	"0100": "0110", "0200": "0210", "0220": "0230", "0221": "0230", "0420": "0430", "0421": "0430", "0500": "0510", "0800": "0810",
}

// firstTypes has the message type that a repeat repeats.
var firstTypes = map[string]string{"0221": "0220", "0421": "0420"}

// take handles one request; false ends the session because the book can take no more.
func (s *session) take(m *iso8583.Message) bool {
	mti, _ := m.GetMTI()
	if answerTypes[mti] == "" {
		return true
	}
	key := ownKey(m, mti)
	how := s.host.fate.decide(key)
	if how != "" {
		s.host.cfg.Logger.Info("mishap", "what", string(how), "type", mti, "terminal", key.Terminal, "stan", key.STAN)
	}
	code, only := untaken(how, key)
	switch {
	case how == DropRequest:
		return s.host.submit(task{decide: func(*account) line { return line{Kind: lineLost, At: s.now(), Asked: &key} }, done: func() {}})
	case mti == "0800":
		s.reply(m, how, map[int]string{39: codeApproved})
		return true
	case mti == "0500" && !only:
		return s.takeTotals(m, key, how)
	case only:
		return s.host.submit(task{
			decide: func(*account) line { return line{Kind: lineLost, At: s.now(), Asked: &key} },
			done:   func() { s.reply(m, how, map[int]string{39: code}) },
		})
	case key.Type == "0420":
		return s.takeReversal(m, key, how)
	}
	return s.takeRequest(m, key, how)
}
