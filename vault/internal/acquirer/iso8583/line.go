package iso8583

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moov-io/iso8583"
	connection "github.com/moov-io/iso8583-connection"

	"nightdrop/vault/internal/acquirer"
)

// line is one connection to the host.
//
// iso8583-connection neither dials nor matches here: it is given the socket, writes whole frames in
// order, reads in a loop and closes however the line ends. Its Send is not used: it holds a lock
// over unbuffered channels when a connection fails, so a failure while other answers are collected
// can hang every caller for ever (v0.9.0); and unlike its Write it cannot report whether a failed
// request had been written, on which [acquirer.ErrNotSent] depends.
type line struct {
	conn    *connection.Connection
	dialect *Dialect
	monitor *monitor
	writing time.Duration // how long a write may stall before the line is given up

	lastRead atomic.Int64  // Unix nanoseconds
	stan     atomic.Uint32 // of network messages
	replying atomic.Bool   // an answer to the host's own echo is being written

	mu      sync.Mutex
	waiting map[key]waiter // nil once the line is down
}

// waiter is a request that waits for its answer.
type waiter struct {
	rrn string
	ch  chan answer // buffered for the one answer that can come
}

// answer is a message read; whole as of unpack.
type answer struct {
	message *iso8583.Message
	whole   bool
}

// errDown is returned when the line went down before any of the request was written.
var errDown = fmt.Errorf("%w: the line went down", acquirer.ErrNotSent)

// Errors of a network message.
var (
	errNoNetworkAnswer = errors.New("the host did not answer")
	errNetworkAnswer   = errors.New("the host's answer does not fit what it was asked")
)

// errSameTrace is returned for a request while another waits under the same trace.
var errSameTrace = fmt.Errorf("%w: another request with the same trace is waiting for it", acquirer.ErrNoAnswer)

// newLine starts conn's loops; the line closes it.
func newLine(conn net.Conn, cfg Config, w *monitor) (*line, error) {
	l := &line{dialect: cfg.Dialect, monitor: w, writing: cfg.AnswerTimeout, waiting: map[key]waiter{}}
	l.lastRead.Store(time.Now().UnixNano())
	const never = 24 * 365 * time.Hour // the library's timers only call handlers that are not set
	c, err := connection.NewFrom(conn, l.dialect.reads, nil, nil,
		connection.SetMessageReader(l),
		connection.IdleTime(never), connection.ReadTimeout(never))
	if err != nil {
		return nil, fmt.Errorf("take over connection: %w", err)
	}
	l.conn = c
	go func() {
		<-c.Done()
		l.end()
	}()
	return l, nil
}

// ReadMessage is called by the connection's read loop. It delivers each answer before it reads on,
// so that everything received before the line's end is delivered when the end is seen. It returns
// no message, as the library has nothing to match.
func (l *line) ReadMessage(r io.Reader) (*iso8583.Message, error) {
	raw, err := readFrame(r, l.dialect.Header)
	if err != nil {
		if errors.Is(err, errLength) {
			l.monitor.report(OddityMalformed, "a message of an impossible length: the line is given up")
		}
		return nil, err
	}
	l.lastRead.Store(time.Now().UnixNano())
	m, whole := unpack(l.dialect, raw)
	l.deliver(answer{message: m, whole: whole})
	clear(raw)
	return nil, nil
}

// deliver passes an answer to the request that waits for it; where none does, it is reported and
// dropped.
func (l *line) deliver(a answer) {
	k, mti, ok := l.dialect.keyOf(a.message)
	switch {
	case !ok:
		l.monitor.report(OddityMalformed, "a message without a readable type and trace number")
	case mti == l.dialect.Messages.Network.Request && a.whole:
		l.replyToHost(a.message)
	default:
		w, waiting := l.claim(k, value(a.message, l.dialect.Field.RRN))
		if !waiting {
			l.monitor.unmatched(k, mti)
			return
		}
		w.ch <- a
	}
}

// claim removes and returns the waiter for key k. An answer with another terminal but a waiting
// request's reference counts as that request's, and will not fit it.
func (l *line) claim(k key, rrn string) (w waiter, waiting bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w, waiting = l.waiting[k]
	if !waiting && rrn != "" {
		for other, candidate := range l.waiting {
			if candidate.rrn == rrn && other.class == k.class && other.stan == k.stan {
				k, w, waiting = other, candidate, true
				break
			}
		}
	}
	if waiting {
		delete(l.waiting, k)
		l.monitor.markAnswered(k)
	}
	return w, waiting
}

// replyToHost answers the host's own echo test or sign-on, one at a time, outside the read loop: a
// host that asks and does not read must not block it.
func (l *line) replyToHost(asked *iso8583.Message) {
	if !l.replying.CompareAndSwap(false, true) {
		return
	}
	at := l.dialect.Field
	r := newMessage(l.dialect, l.dialect.Messages.Network.Answer)
	for _, id := range []int{at.Transmitted, at.STAN, at.Network} {
		r.set(id, value(asked, id))
	}
	r.set(at.Answer, acquirer.Approved)
	go func() {
		defer l.replying.Store(false)
		if out, err := frame(l.dialect, r.message); err == nil && r.err == nil {
			_ = l.write(out) // the line's end reports it
		}
	}()
}

// exchange sends the request and waits at most timeout after the write for its answer, whose fields
// the caller compares with the request's.
func (l *line) exchange(ctx context.Context, r *request, timeout time.Duration) (*iso8583.Message, error) {
	if r.err != nil {
		return nil, r.err
	}
	k, _, _ := l.dialect.keyOf(r.message)
	out, err := frame(l.dialect, r.message)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", acquirer.ErrRequest, err)
	}
	defer clear(out)
	ch := make(chan answer, 1)
	if err := l.expect(k, waiter{rrn: value(r.message, l.dialect.Field.RRN), ch: ch}); err != nil {
		return nil, err
	}
	defer l.forget(k, ch)
	if err := l.write(out); err != nil {
		return nil, err
	}
	clear(out)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case a, up := <-ch:
		return messageOf(a, up)
	case <-timer.C:
		err = fmt.Errorf("%w within %v", acquirer.ErrNoAnswer, timeout)
	case <-ctx.Done():
		err = fmt.Errorf("%w: %w", acquirer.ErrNoAnswer, context.Cause(ctx))
	}
	select { // an answer that came in the same moment counts
	case a, up := <-ch:
		return messageOf(a, up)
	default:
		return nil, err
	}
}

func messageOf(a answer, up bool) (*iso8583.Message, error) {
	switch {
	case !up:
		return nil, acquirer.ErrLineLost
	case !a.whole:
		return nil, malformed("its bytes are not those of the dialect")
	}
	return a.message, nil
}

// expect registers the waiter for k.
func (l *line) expect(k key, w waiter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == nil {
		return errDown
	}
	if _, used := l.waiting[k]; used {
		return errSameTrace
	}
	l.waiting[k] = w
	l.monitor.remember(k)
	return nil
}

func (l *line) forget(k key, ch chan answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting[k].ch == ch {
		delete(l.waiting, k)
	}
}

// write writes one frame. On errDown none of it was written; on any other error it is unknown how
// much the host has.
func (l *line) write(out []byte) error {
	stalled := time.AfterFunc(l.writing, func() { l.fail(errors.New("the host does not read")) })
	defer stalled.Stop()
	_, err := l.conn.Write(out)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, connection.ErrConnectionClosed):
		return errDown
	}
	return fmt.Errorf("%w: while the request was written", acquirer.ErrLineLost)
}

// network sends a sign-on or an echo test, which must be approved.
func (l *line) network(ctx context.Context, function string, timeout time.Duration) error {
	r := newNetwork(l.dialect, function, l.stan.Add(1)%acquirer.MaxSTAN+1, time.Now())
	got, err := l.exchange(ctx, r, timeout)
	switch {
	case errors.Is(err, acquirer.ErrMalformedAnswer):
		return errNetworkAnswer
	case errors.Is(err, acquirer.ErrNoAnswer):
		return errNoNetworkAnswer
	case err != nil:
		return err
	}
	if err := l.dialect.fits(r.message, got, l.dialect.Field.STAN, l.dialect.Field.Network); err != nil {
		return errNetworkAnswer
	}
	if code := value(got, l.dialect.Field.Answer); code != acquirer.Approved {
		return fmt.Errorf("the host refused it with code %q; ask the acquirer whether this terminal may sign on", code)
	}
	return nil
}

// keepAlive sends an echo test whenever nothing has been read for interval, and fails the line when
// it is not answered. It returns when the line is down.
func (l *line) keepAlive(ctx context.Context, interval, timeout time.Duration) {
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		select {
		case <-l.conn.Done():
			return
		case <-timer.C:
		}
		quiet := time.Since(time.Unix(0, l.lastRead.Load()))
		if quiet >= interval {
			if err := l.network(ctx, l.dialect.Messages.Network.Echo, timeout); err != nil {
				l.fail(fmt.Errorf("echo test: %w", err))
				return
			}
			quiet = 0
		}
		timer.Reset(interval - quiet)
	}
}

// fail takes the line down; waiting requests get [acquirer.ErrNoAnswer].
func (l *line) fail(why error) {
	l.monitor.lines.Warn("failed", "acquirer line failed", "reason", why)
	l.conn.TriggerFailure(why)
}

// end wakes all waiters, once the read loop has ended.
func (l *line) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.waiting {
		close(w.ch)
	}
	l.waiting = nil
}
