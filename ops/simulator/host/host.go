// Package host is an acquirer host for tests, demonstrations and training: ISO 8583 over TCP, a book of its own that survives a crash,
// and amounts that make it decline, fall silent, answer late or hang up (INTERFACES 10).
//
// What it approves it has taken, answered or not: only a reversal undoes it. So its book tells whether a vault has charged
// anybody twice or lost what it acknowledged.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/moov-io/iso8583"
)

// DefaultLateAfter is when the amount 900101 is answered, unless told otherwise: later than a vault waits by default.
const DefaultLateAfter = 25 * time.Second

// Config says where the host listens and how it behaves.
type Config struct {
	Listen      string           // host:port, port 0 for any
	Book        string           // file, made if it is not there
	AnswerDelay time.Duration    // before every answer
	LateAfter   time.Duration    // before the answer to the amount 900101; 0: DefaultLateAfter
	Now         func() time.Time // nil: time.Now
	Logger      *slog.Logger     // nil: nothing is logged
}

// Host is a running simulator.
type Host struct {
	cfg      Config
	spec     *iso8583.MessageSpec
	listener net.Listener
	book     *book
	wg       sync.WaitGroup // sessions and the accepting loop
	stopped  chan struct{}  // closed when the host begins to stop
	stop     sync.Once
	written  chan struct{} // closed when the book's writer has ended

	mu       sync.Mutex
	sessions map[*session]bool
}

// Start opens the book and listens. Run or Close ends it.
func Start(cfg Config) (*Host, error) {
	if cfg.LateAfter <= 0 {
		cfg.LateAfter = DefaultLateAfter
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	b, err := openBook(cfg.Book)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen: %w", err), b.file.Close())
	}
	h := &Host{
		cfg: cfg, spec: newDialect(), listener: listener, book: b,
		stopped: make(chan struct{}), written: make(chan struct{}), sessions: map[*session]bool{},
	}
	go func() {
		defer close(h.written)
		b.run()
	}()
	h.wg.Add(1)
	go h.accept()
	return h, nil
}

// Addr returns host:port of the listener.
func (h *Host) Addr() string { return h.listener.Addr().String() }

// Statement returns what the book tells now.
func (h *Host) Statement() Statement { return h.book.statement() }

// Run serves until ctx ends or the book cannot be written, and then stops.
func (h *Host) Run(ctx context.Context) error {
	var failure error
	select {
	case <-ctx.Done():
	case <-h.stopped:
	case failure = <-h.book.failed:
	}
	return errors.Join(failure, h.Close())
}

// Close stops listening, hangs up on everyone and closes the book when all that was taken is on disk. Closing twice is allowed.
func (h *Host) Close() error {
	var err error
	h.stop.Do(func() {
		close(h.stopped)
		err = ignoreClosed(h.listener.Close())
		h.HangUp()
		h.wg.Wait()
		close(h.book.tasks)
		<-h.written
		err = errors.Join(err, h.book.file.Close())
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
		s := newSession(h, conn)
		h.mu.Lock()
		h.sessions[s] = true
		h.mu.Unlock()
		h.wg.Add(1)
		go func() {
			defer h.wg.Done()
			s.serve()
			h.mu.Lock()
			delete(h.sessions, s)
			h.mu.Unlock()
		}()
		select {
		case <-h.stopped: // accepted while the host hung up
			_ = conn.Close()
		default:
		}
	}
}

// submit hands an operation to the book; it reports false when the book can take no more.
func (h *Host) submit(t task) bool {
	select {
	case h.book.tasks <- t:
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
