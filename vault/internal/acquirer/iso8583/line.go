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

// line is one connection to the host from its dial to its end.
//
// iso8583-connection dials nothing here and matches nothing: it is given the socket, writes whole
// frames in order, reads in a loop and closes all the same however the line ends. Its Send is not
// used: it holds a lock over unbuffered channels when a connection fails, so a failure while other
// answers are being collected can hang every caller for ever (v0.9.0); and it cannot say whether a
// request that failed had been written, on which ErrNotSent rests. Its Write can.
type line struct {
	conn    *connection.Connection
	dialect *Dialect
	watch   *watch
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
	ch  chan answer // has room for the one answer that can come
}

// answer is a message read; whole is false when its bytes were not all understood.
type answer struct {
	message *iso8583.Message
	whole   bool
}

// errDown is returned when the line was down before any of the request was written.
var errDown = fmt.Errorf("%w: the line went down", acquirer.ErrNotSent)

// Errors of a network message, about which no payment hangs.
var (
	errNoNetworkAnswer = errors.New("the host did not answer")
	errNetworkAnswer   = errors.New("the host's answer does not fit what it was asked")
)

// errTwin is returned for a request whose trace another request is waiting under: its outcome is
// the other's to tell.
var errTwin = fmt.Errorf("%w: another request with the same trace is waiting for it", acquirer.ErrNoAnswer)

// newLine takes over conn and starts its loops.
func newLine(conn net.Conn, cfg Config, w *watch) (*line, error) {
	l := &line{dialect: cfg.Dialect, watch: w, writing: cfg.AnswerTimeout, waiting: map[key]waiter{}}
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

// ReadMessage is called by the connection's read loop. It hands each answer to who waits for it
// before it reads on, so that all that came before the line's end has been delivered when the end
// is seen. It returns no message: the library has nothing to match.
func (l *line) ReadMessage(r io.Reader) (*iso8583.Message, error) {
	raw, err := readFrame(r, l.dialect.Header)
	if err != nil {
		if errors.Is(err, errLength) {
			l.watch.note(OddityMalformed, "a message of an impossible length: the line is given up")
		}
		return nil, err
	}
	l.lastRead.Store(time.Now().UnixNano())
	m, whole := unpack(l.dialect, raw)
	l.deliver(answer{message: m, whole: whole})
	clear(raw)
	return nil, nil
}

// deliver finds who waits for the answer. Nobody: it came late, or twice, or is not an answer, and
// is noted and dropped.
func (l *line) deliver(a answer) {
	k, mti, ok := l.dialect.keyOf(a.message)
	switch {
	case !ok:
		l.watch.note(OddityMalformed, "a message without a readable type and trace number")
	case mti == l.dialect.Messages.Network.Request && a.whole:
		l.replyToHost(a.message)
	default:
		w, waiting := l.claim(k, value(a.message, l.dialect.Place.RRN))
		if !waiting {
			l.watch.stray(k, mti)
			return
		}
		w.ch <- a
	}
}

// claim takes out who waits for an answer of key k: the trace number is a terminal's own. An answer
// that names a reference of ours with another terminal is that request's all the same, and will be
// found not to fit it.
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
		l.watch.heard(k)
	}
	return w, waiting
}

// replyToHost answers the host's own echo test or sign-on, one at a time, away from the read loop:
// a host that asks and does not read must not stop the reading.
func (l *line) replyToHost(asked *iso8583.Message) {
	if !l.replying.CompareAndSwap(false, true) {
		return
	}
	at := l.dialect.Place
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

// exchange sends the request and waits for its answer for at most timeout after the write. The
// answer's fields are still to be compared with the request's.
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
	if err := l.expect(k, waiter{rrn: value(r.message, l.dialect.Place.RRN), ch: ch}); err != nil {
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
		return taken(a, up)
	case <-timer.C:
		err = fmt.Errorf("%w within %v", acquirer.ErrNoAnswer, timeout)
	case <-ctx.Done():
		err = fmt.Errorf("%w: %w", acquirer.ErrNoAnswer, context.Cause(ctx))
	}
	select { // an answer that came in the same moment counts
	case a, up := <-ch:
		return taken(a, up)
	default:
		return nil, err
	}
}

func taken(a answer, up bool) (*iso8583.Message, error) {
	switch {
	case !up:
		return nil, acquirer.ErrLineLost
	case !a.whole:
		return nil, malformed("its bytes are not those of the dialect")
	}
	return a.message, nil
}

// expect registers who waits for k.
func (l *line) expect(k key, w waiter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == nil {
		return errDown
	}
	if _, twin := l.waiting[k]; twin {
		return errTwin
	}
	l.waiting[k] = w
	l.watch.asked(k)
	return nil
}

func (l *line) forget(k key, ch chan answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting[k].ch == ch {
		delete(l.waiting, k)
	}
}

// write writes one frame in one piece. errDown: the line was down before any of it was handed over.
// Any other error leaves open how much of it the host has.
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

// network sends a sign-on or an echo test and waits for its approval.
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
	if err := l.dialect.fits(r.message, got, l.dialect.Place.STAN, l.dialect.Place.Network); err != nil {
		return errNetworkAnswer
	}
	if code := value(got, l.dialect.Place.Answer); code != acquirer.Approved {
		return fmt.Errorf("the host refused it with code %q; ask the acquirer whether this terminal may sign on", code)
	}
	return nil
}

// keepAlive asks for an echo whenever nothing has been read for interval, and fails the line when
// none comes. It returns when the line is down.
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

// fail takes the line down; whoever waits gets ErrNoAnswer.
func (l *line) fail(why error) {
	l.watch.lines.Warn("failed", "acquirer line failed", "reason", why)
	l.conn.TriggerFailure(why)
}

// end wakes everyone who waits, once the connection is closed and its read loop has delivered what
// came.
func (l *line) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.waiting {
		close(w.ch)
	}
	l.waiting = nil
}
