package iso8583

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

	"nightdrop/vault/internal/acquirer"
)

// Defaults of Config.
const (
	DefaultAnswerTimeout  = 20 * time.Second
	DefaultConnectTimeout = 10 * time.Second
	DefaultEchoInterval   = 30 * time.Second
)

// Limits of the pause before redialling; it doubles from one to the other.
const (
	minPause = 50 * time.Millisecond
	maxPause = 5 * time.Second
)

// Config configures a [Client]. Zero durations are the defaults.
type Config struct {
	Address string      // host:port
	TLS     *tls.Config // nil: plain TCP, for a leased line or a tunnel
	// from the end of the write to the answer; also how long a write may stall
	AnswerTimeout time.Duration
	// of a dial, a sign-on, and how long a request waits for the line to be up
	ConnectTimeout time.Duration
	EchoInterval   time.Duration // of silence before an echo test
	Logger         *slog.Logger  // nil: nothing is logged

	Dialect *Dialect // nil: DefaultDialect
	// Dial opens the connection; nil: TCP to Address, with TLS where it is given.
	Dial func(ctx context.Context) (net.Conn, error)
	// Report is called with each oddity, one at a time and in order; may be nil. It may be slow:
	// answers do not wait for it, and beyond some thousand that wait, oddities are only counted.
	// [Client.Close] returns when it has returned.
	Report func(Oddity)
}

// Client is an [acquirer.Acquirer] over one long-lived connection that is dialled, signed on,
// tested when idle and redialled when it fails. Answers are matched by message class, terminal and
// trace number. When the line goes down, every request that had been written gets
// [acquirer.ErrNoAnswer]; new ones wait ConnectTimeout for the next line.
type Client struct {
	cfg      Config
	monitor  *monitor
	cancel   context.CancelFunc
	done     chan struct{} // closed when manage has returned
	reported chan struct{} // closed when Report will not be called any more

	mu      sync.Mutex
	line    *line         // nil while there is none
	changed chan struct{} // closed and replaced when line changes
	reason  error         // why there is none
}

var _ acquirer.Acquirer = (*Client)(nil)

var errClosed = errors.New("the client is closed")

// Counts are a client's oddities, by kind, and connections since it was made.
type Counts struct {
	Late, Duplicate, Unknown, Unfit, Malformed uint64
	Connects                                   uint64 // lines signed on
}

// New returns a client and begins to dial. [Client.Close] ends it.
func New(cfg Config) *Client {
	cfg.AnswerTimeout = orDefault(cfg.AnswerTimeout, DefaultAnswerTimeout)
	cfg.ConnectTimeout = orDefault(cfg.ConnectTimeout, DefaultConnectTimeout)
	cfg.EchoInterval = orDefault(cfg.EchoInterval, DefaultEchoInterval)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Dialect == nil {
		cfg.Dialect = DefaultDialect()
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{
		cfg: cfg, monitor: newMonitor(cfg.Logger, cfg.Report != nil), cancel: cancel,
		done: make(chan struct{}), reported: make(chan struct{}), changed: make(chan struct{}),
		reason: errors.New("not connected yet"),
	}
	go c.manage(ctx)
	go c.report()
	return c
}

// report calls Config.Report until manage has returned and no oddity is left.
func (c *Client) report() {
	defer close(c.reported)
	for {
		select {
		case o := <-c.monitor.oddities:
			c.cfg.Report(o)
			continue
		case <-c.done:
		}
		select {
		case o := <-c.monitor.oddities:
			c.cfg.Report(o)
		default:
			return
		}
	}
}

func orDefault(d, standard time.Duration) time.Duration {
	if d <= 0 {
		return standard
	}
	return d
}

// Authorise implements [acquirer.Acquirer] with a 0100 or a 0200.
func (c *Client) Authorise(ctx context.Context, request acquirer.Request) (acquirer.Answer, error) {
	r, clearCopy := newAuthorise(c.cfg.Dialect, request)
	defer clearCopy()
	table := c.cfg.Dialect.Answers.Requests
	answer, sameAmount, err := c.ask(ctx, r, table.outcome)
	switch {
	case err != nil || sameAmount:
		return answer, err
	case answer.Outcome == acquirer.Approves && table.approves(answer.Code) == part:
		answer.Outcome, answer.Approval = acquirer.Doubtful, ""
	case answer.Outcome != acquirer.Doubtful:
		return acquirer.Answer{}, c.unfit(r, malformedField(c.cfg.Dialect.Field.Amount))
	}
	return answer, nil
}

// Capture implements [acquirer.Acquirer] with a 0220, or a 0221 when it was sent before.
func (c *Client) Capture(ctx context.Context, capture acquirer.Capture) (acquirer.Answer, error) {
	return c.advise(ctx, newCapture(c.cfg.Dialect, capture), func(code string) acquirer.Outcome {
		return c.cfg.Dialect.Answers.Captures.outcomeOfCapture(code, capture.Repeat, capture.First)
	})
}

// Reverse implements [acquirer.Acquirer] with a 0420, or a 0421 when it was sent before.
func (c *Client) Reverse(ctx context.Context, reversal acquirer.Reversal) (acquirer.Answer, error) {
	return c.advise(ctx, newReversal(c.cfg.Dialect, reversal), func(code string) acquirer.Outcome {
		return c.cfg.Dialect.Answers.Reversals.outcome(code)
	})
}

// RefundsByReference reports whether the dialect refunds by the original's trace alone.
func (c *Client) RefundsByReference() bool { return c.cfg.Dialect.RefundsByReference }

// advise exchanges an advice; its answer must have its amount.
func (c *Client) advise(ctx context.Context, r *request, means func(code string) acquirer.Outcome) (acquirer.Answer, error) {
	answer, sameAmount, err := c.ask(ctx, r, means)
	if err == nil && !sameAmount {
		return acquirer.Answer{}, c.unfit(r, malformedField(c.cfg.Dialect.Field.Amount))
	}
	return answer, err
}

// ask exchanges a message about one payment. sameAmount reports whether the answer has its amount.
func (c *Client) ask(ctx context.Context, r *request, means func(code string) acquirer.Outcome) (answer acquirer.Answer, sameAmount bool, err error) {
	got, err := c.exchange(ctx, r)
	if err != nil {
		return acquirer.Answer{}, false, err
	}
	d, at := c.cfg.Dialect, c.cfg.Dialect.Field
	if err := d.fits(r.message, got, at.STAN, at.RRN, at.Terminal, at.Acceptor, at.Currency); err != nil {
		return acquirer.Answer{}, false, c.unfit(r, err)
	}
	answer, err = d.readAnswer(got, means)
	return answer, value(r.message, at.Amount) == value(got, at.Amount), c.unfit(r, err)
}

// unfit reports an answer that does not fit its request, and returns err.
func (c *Client) unfit(r *request, err error) error {
	if errors.Is(err, acquirer.ErrMalformedAnswer) {
		mti, _ := r.message.GetMTI()
		c.monitor.report(OddityUnfit, "message type %s, trace number %s: %v", mti, value(r.message, c.cfg.Dialect.Field.STAN), err)
	}
	return err
}

// Reconcile implements [acquirer.Acquirer] with a 0500.
func (c *Client) Reconcile(ctx context.Context, totals acquirer.Totals) (acquirer.Reconciliation, error) {
	r := newTotals(c.cfg.Dialect, totals)
	got, err := c.exchange(ctx, r)
	if err != nil {
		return acquirer.Reconciliation{}, err
	}
	d := c.cfg.Dialect
	if err := d.fitsTotals(r.message, got); err != nil {
		return acquirer.Reconciliation{}, c.unfit(r, err)
	}
	compared, err := d.readTotals(got, totals)
	return compared, c.unfit(r, err)
}

// Ready returns nil when the line is up and signed on.
func (c *Client) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.line != nil {
		return nil
	}
	return fmt.Errorf("acquirer host %s is not reached: %w", c.cfg.Address, c.reason)
}

// Counts returns the client's counts.
func (c *Client) Counts() Counts {
	w := c.monitor
	return Counts{Late: w.late.Load(), Duplicate: w.duplicate.Load(), Unknown: w.unknown.Load(), Unfit: w.unfit.Load(),
		Malformed: w.malformed.Load(), Connects: w.connects.Load()}
}

// Close takes the line down and waits until the client's goroutines have ended.
func (c *Client) Close() error {
	c.cancel()
	<-c.done
	<-c.reported
	return nil
}

// exchange sends r on the line, or on the next one when this one went down before it was written.
func (c *Client) exchange(ctx context.Context, r *request) (*iso8583.Message, error) {
	if r.err != nil {
		return nil, r.err
	}
	wait, cancel := context.WithTimeout(ctx, c.cfg.ConnectTimeout)
	defer cancel()
	var down *line
	for {
		l, err := c.current(ctx, wait, down)
		if err != nil {
			return nil, err
		}
		got, err := l.exchange(ctx, r, c.cfg.AnswerTimeout)
		if !errors.Is(err, errDown) {
			return got, c.unfit(r, err)
		}
		down = l
	}
}

// current returns a line other than down, waiting for one until wait ends.
func (c *Client) current(ctx, wait context.Context, down *line) (*line, error) {
	for {
		c.mu.Lock()
		l, changed, reason := c.line, c.changed, c.reason
		c.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("%w: %w", acquirer.ErrNotSent, context.Cause(ctx))
		case l != nil && l != down:
			return l, nil
		case wait.Err() != nil, errors.Is(reason, errClosed):
			return nil, fmt.Errorf("%w: host %s is not reached", acquirer.ErrNotSent, c.cfg.Address)
		}
		select {
		case <-changed:
		case <-wait.Done():
		}
	}
}

// setLine publishes the line, or the reason why there is none.
func (c *Client) setLine(l *line, reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line, c.reason = l, reason // reason is nil with a line
	close(c.changed)
	c.changed = make(chan struct{})
}

// manage keeps one line up until ctx ends.
func (c *Client) manage(ctx context.Context) {
	defer close(c.done)
	defer c.setLine(nil, errClosed)
	pause := minPause
	for ctx.Err() == nil {
		l, err := c.connect(ctx)
		if err != nil {
			c.monitor.lines.Warn("unreached", "acquirer host not reached", "address", c.cfg.Address, "error", err)
			c.setLine(nil, err)
			if !sleep(ctx, pause) {
				return
			}
			pause = min(2*pause, maxPause)
			continue
		}
		pause = minPause
		c.monitor.connects.Add(1)
		c.monitor.lines.Info("signed on", "acquirer line signed on", "address", c.cfg.Address)
		c.setLine(l, nil)
		stop := context.AfterFunc(ctx, func() { l.conn.TriggerFailure(errClosed) })
		l.keepAlive(ctx, c.cfg.EchoInterval, c.cfg.AnswerTimeout)
		stop()
		c.setLine(nil, errors.New("the line went down"))
	}
}

// connect dials and signs on.
func (c *Client) connect(ctx context.Context) (*line, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ConnectTimeout)
	defer cancel()
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	l, err := newLine(conn, c.cfg, c.monitor)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if err := l.network(ctx, l.dialect.Messages.Network.SignOn, c.cfg.ConnectTimeout); err != nil {
		l.conn.TriggerFailure(err)
		return nil, fmt.Errorf("sign on: %w", err)
	}
	return l, nil
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	if c.cfg.Dial != nil {
		return c.cfg.Dial(ctx)
	}
	if c.cfg.TLS == nil {
		return new(net.Dialer).DialContext(ctx, "tcp", c.cfg.Address)
	}
	return dialSealed(ctx, c.cfg.TLS, c.cfg.Address)
}

// sleep reports whether d passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
