// Package host is an acquirer host for tests, demonstrations and training: ISO 8583 over TCP, a
// book of its own that survives a crash, amounts that make it decline, fall silent, answer late or
// hang up (specification 10), and an adversary that makes it misbehave by seed.
//
// It takes sales (0200), authorisations (0100) and their captures (0220, 0221), refunds (0200,
// processing 20), the reversal of each (0420, 0421), and compares totals (0500). What it approves
// it has taken, answered or not: only a reversal undoes it. So its book reports whether a vault has
// charged or paid anybody twice or lost what it acknowledged.
package host

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/moov-io/iso8583"
)

// DefaultLateAfter is when the amount 900101 is answered, unless set otherwise: later than a vault
// waits by default.
const DefaultLateAfter = 25 * time.Second

// Config has where the host listens and how it behaves.
type Config struct {
	// host:port, port 0 for any; empty: nowhere, connections are given to ServeConn
	Listen string
	TLS    *tls.Config // for the listener; nil: plain TCP
	Book   string      // file, made if it is not there
	// leave out the book's fsyncs: for simulations, in which processes die and machines do not
	NoSync      bool
	AnswerDelay time.Duration    // before every answer
	LateAfter   time.Duration    // before the answer to the amount 900101; 0: DefaultLateAfter
	Totals      Form             // of answers to a 0500; "": FormWhole
	Adversary   *Adversary       // nil: only amounts misbehave
	Now         func() time.Time // what the book is dated with; nil: time.Now
	// AfterFunc runs f when d has passed; nil: time.AfterFunc. Deadlines of connections are the net
	// package's and always on its clock, which in a testing/synctest bubble is the bubble's, over
	// net.Pipe.
	AfterFunc func(d time.Duration, f func())
	Logger    *slog.Logger // nil: nothing is logged
}

// Host is a running simulator.
type Host struct {
	cfg      Config
	spec     *iso8583.MessageSpec
	listener net.Listener // nil: there is none
	writer   *writer
	fate     *fate          // nil: nothing goes wrong by itself
	wg       sync.WaitGroup // sessions and the accepting loop
	stopped  chan struct{}  // closed when the host begins to stop
	stop     sync.Once
	written  chan struct{} // closed when the book's writer has ended

	mu       sync.Mutex
	sessions map[*session]bool
	closed   bool // no session begins any more
}

// Start opens the book and listens. Run or Close ends it.
func Start(cfg Config) (*Host, error) {
	fillIn(&cfg)
	if err := cfg.Totals.Check(); err != nil {
		return nil, err
	}
	fate, err := newFate(cfg.Adversary)
	if err != nil {
		return nil, fmt.Errorf("adversary: %w", err)
	}
	w, err := openWriter(cfg.Book, cfg.NoSync, func(l line) { fate.saw(l.asked()) })
	if err != nil {
		return nil, err
	}
	h := &Host{
		cfg: cfg, spec: newDialect(), writer: w, fate: fate,
		stopped: make(chan struct{}), written: make(chan struct{}), sessions: map[*session]bool{},
	}
	if cfg.Listen != "" {
		if h.listener, err = listen(cfg); err != nil {
			return nil, errors.Join(err, w.book.Close())
		}
		h.wg.Add(1)
		go h.accept()
	}
	go func() {
		w.run()
		close(h.written)
		h.HangUp() // nothing that is not booked is answered
	}()
	return h, nil
}

func fillIn(cfg *Config) {
	if cfg.LateAfter <= 0 {
		cfg.LateAfter = DefaultLateAfter
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.AfterFunc == nil {
		cfg.AfterFunc = func(d time.Duration, f func()) { time.AfterFunc(d, f) }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
}

func listen(cfg Config) (net.Listener, error) {
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if cfg.TLS != nil {
		listener = tls.NewListener(listener, cfg.TLS)
	}
	return listener, nil
}

// Addr returns host:port of the listener, "" where there is none.
func (h *Host) Addr() string {
	if h.listener == nil {
		return ""
	}
	return h.listener.Addr().String()
}

// Statement returns what the book holds now.
func (h *Host) Statement() Statement { return h.writer.statement() }

// Run serves until ctx ends, the book cannot be written, or the adversary has the host crash
// (ErrCrash), and then stops.
func (h *Host) Run(ctx context.Context) error {
	var failure error
	select {
	case <-ctx.Done():
	case <-h.stopped:
	case failure = <-h.writer.failed:
	}
	return errors.Join(failure, h.Close())
}

// Close stops listening, hangs up on everyone and closes the book when all that was taken is on
// disk. Closing twice is allowed.
func (h *Host) Close() error {
	var err error
	h.stop.Do(func() {
		close(h.stopped)
		if h.listener != nil {
			err = ignoreClosed(h.listener.Close())
		}
		h.mu.Lock()
		h.closed = true
		h.mu.Unlock()
		h.HangUp()
		h.wg.Wait()
		close(h.writer.tasks)
		<-h.written
		err = errors.Join(err, h.writer.book.Close())
	})
	return err
}

// HangUp closes every connection, as a failing network does. Those that come after are served.
func (h *Host) HangUp() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.sessions {
		_ = s.conn.Close()
	}
}

func (h *Host) accept() {
	defer h.wg.Done()
	for {
		conn, err := h.listener.Accept()
		if err != nil {
			if ignoreClosed(err) != nil {
				h.cfg.Logger.Error("accept failed", "error", err)
			}
			return
		}
		go h.ServeConn(conn)
	}
}

// ServeConn serves one connection until it ends, and closes it. The host's clock is the
// connection's: over net.Pipe it runs in a testing/synctest bubble.
func (h *Host) ServeConn(conn net.Conn) {
	s := newSession(h, conn)
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		_ = conn.Close()
		return
	}
	h.sessions[s] = true
	h.wg.Add(1)
	h.mu.Unlock()
	defer h.wg.Done()
	s.serve()
	h.mu.Lock()
	delete(h.sessions, s)
	h.mu.Unlock()
}

// submit hands an operation to the book; it reports false when the book can take no more.
func (h *Host) submit(t task) bool {
	select {
	case <-h.written:
		return false
	default:
	}
	select {
	case h.writer.tasks <- t:
		return true
	case <-h.written:
		return false
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
