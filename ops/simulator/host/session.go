package host

import (
	"bufio"
	"net"
	"sync/atomic"
	"time"

	"github.com/moov-io/iso8583"
)

// Limits of one connection.
const (
	maxQueued     = 4096             // answers that wait for the asker to read; beyond it they are dropped, as by a full line
	writeDeadline = 10 * time.Second // for the asker to read
	lingerTime    = 2 * time.Second  // for the asker to close its side after the host has hung up
)

// session is one connection. Requests are taken as they come and answered when they are booked, in any order.
type session struct {
	host    *Host
	conn    net.Conn
	out     chan []byte // packed answers; nil hangs up
	ended   chan struct{}
	leaving atomic.Bool // it has hung up: what still comes is not taken
}

func newSession(h *Host, conn net.Conn) *session {
	return &session{host: h, conn: conn, out: make(chan []byte, maxQueued), ended: make(chan struct{})}
}

// serve reads until the connection ends.
func (s *session) serve() {
	go s.write()
	defer func() { close(s.ended); _ = s.conn.Close() }()
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
		var packed []byte
		select {
		case <-s.ended:
			return
		case packed = <-s.out:
		}
		if packed == nil {
			s.hangUp(w)
			return
		}
		_ = s.conn.SetWriteDeadline(time.Now().Add(writeDeadline))
		_, err := w.Write(packed)
		if err == nil && len(s.out) == 0 {
			err = w.Flush()
		}
		if err != nil {
			_ = s.conn.Close()
			return
		}
	}
}

// hangUp sends what was answered before, and then the end of the stream. What comes meanwhile is read and not taken, so that the
// kernel does not reset the connection over answers on their way.
func (s *session) hangUp(w *bufio.Writer) {
	s.leaving.Store(true)
	_ = w.Flush()
	if tcp, ok := s.conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	_ = s.conn.SetReadDeadline(time.Now().Add(lingerTime))
}

// queue sends packed after delay; nil hangs up.
func (s *session) queue(packed []byte, delay time.Duration) {
	if delay > 0 {
		time.AfterFunc(delay, func() { s.queue(packed, 0) })
		return
	}
	select {
	case s.out <- packed:
	default:
	}
}

// reply packs and queues an answer to m.
func (s *session) reply(m *iso8583.Message, mti string, fields map[int]string, delay time.Duration) {
	packed, err := answer(m, mti, fields)
	if err != nil {
		s.host.cfg.Logger.Error("an answer could not be packed", "type", mti)
		return
	}
	s.queue(packed, delay)
}

// take handles one request; false ends the session because the book can take no more.
func (s *session) take(m *iso8583.Message) bool {
	mti, _ := m.GetMTI()
	switch mti {
	case "0200":
		return s.takeSale(m)
	case "0420", "0421":
		return s.takeReversal(m)
	case "0500":
		return s.takeTotals(m)
	case "0800":
		s.reply(m, "0810", map[int]string{39: codeApproved}, 0)
	}
	return true
}
