package settle

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/payment"
)

// Ledger is what the engine needs of *ledger.Ledger, with its contract.
type Ledger interface {
	Commit(ctx context.Context, fn func(*ledger.Tx) error) error
	View(fn func(*ledger.Tx) error) error
	Committed() <-chan struct{}
}

// Opener opens sealed parts: *keyring.Ring. The caller clears what it gets.
type Opener interface {
	OpenPart(part envelope.PartName, merchant, id string, p envelope.Part) ([]byte, error)
}

// Config is what an Engine works with.
type Config struct {
	Ledger        Ledger
	Opener        Opener
	Acquirer      acquirer.Acquirer
	Terminals     []string      // card acceptor terminals, ISO 8583 field 41, at least one
	Outstanding   int           // authorisations, and as many reversals, that may wait for the host at once; 0: 64
	ReversalRetry time.Duration // wait after the first unanswered reversal, doubled after each further; 0: 5 s
	Drain         time.Duration // how long a stop waits for answers that are outstanding; 0: 10 s
	Patience      time.Duration // how long closing and settling wait for payments in flight; 0: 90 s
	Now           func() time.Time
	Logger        *slog.Logger
}

// Limits of the engine.
const (
	// MaxTries is how often a reversal is sent by one process before a person must decide: an advice is tried six times.
	// A restart counts from the start, because a try that a crash cut short proves nothing.
	MaxTries = 6
	// unsentLimit is how long an authorisation whose intent is committed may wait for a line to leave on. The first result of an
	// envelope is due within an hour of acting on it (INTERFACES 4).
	unsentLimit = 30 * time.Minute
	// maxBackoff bounds the wait between two tries of a reversal.
	maxBackoff = 5 * time.Minute
	// traceWait is how long a payment waits before it is tried again when the day's trace numbers are used up.
	traceWait = time.Minute
	// linePoll is how often a line that is down is looked at.
	linePoll = 100 * time.Millisecond
	// sweepEvery is how often payments that wait for a line are looked through for those whose time has passed.
	sweepEvery = time.Minute
)

// Engine authorises, reverses and settles. Its methods may be called concurrently; only one Run at a time.
type Engine struct {
	cfg       Config
	operation sync.Mutex // held by the close or settlement that is under way
}

// New makes an engine. It does nothing until Run.
func New(cfg Config) *Engine {
	if cfg.Outstanding <= 0 {
		cfg.Outstanding = 64
	}
	if cfg.ReversalRetry <= 0 {
		cfg.ReversalRetry = 5 * time.Second
	}
	if cfg.Drain <= 0 {
		cfg.Drain = 10 * time.Second
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 90 * time.Second
	}
	return &Engine{cfg: cfg}
}

// Run recovers, then authorises and reverses until ctx ends; it then starts nothing more, waits up to Config.Drain for the
// answers that are outstanding, and commits what is still open as unknown. It returns nil after a stop, and otherwise the ledger's error:
// what was outstanding is then recovered by the next start.
func (e *Engine) Run(ctx context.Context) error {
	if err := e.Recover(ctx); err != nil {
		return ended(ctx, err)
	}
	work, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	stopping := context.AfterFunc(ctx, func() { time.AfterFunc(e.cfg.Drain, abandon) })
	defer stopping()

	workers, alive := errgroup.WithContext(work)
	dispatch, stop := context.WithCancel(alive)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	for _, l := range []*lane{
		{engine: e, stage: payment.StageReceived, handle: e.sale, gate: e.lineForSales},
		{engine: e, stage: payment.StageUnknown, handle: e.reverse, gate: e.line},
	} {
		workers.Go(func() error { return l.run(dispatch, alive) })
	}
	return workers.Wait()
}

// lane takes payments of one stage, oldest first, and handles up to Config.Outstanding of them at once.
type lane struct {
	engine *Engine
	stage  payment.Stage
	handle func(ctx context.Context, p payment.Payment) error
	gate   func(ctx context.Context) error // waits until the acquirer can be reached
	mu     sync.Mutex
	busy   map[[2]string]bool // merchant and id of the payments being handled
}

// run takes payments until dispatch ends, and returns when all that it began are handled; handlers run under work.
func (l *lane) run(dispatch, work context.Context) error {
	l.busy = map[[2]string]bool{}
	handlers, failing := errgroup.WithContext(work)
	handlers.SetLimit(l.engine.cfg.Outstanding)
	dispatch, stop := context.WithCancel(dispatch)
	defer stop()
	defer context.AfterFunc(failing, stop)()
	var failure error
	for dispatch.Err() == nil {
		committed := l.engine.cfg.Ledger.Committed()
		began, err := l.round(dispatch, failing, handlers)
		if err != nil {
			failure = ended(dispatch, err)
			break
		}
		if !began {
			wait(dispatch, committed)
		}
	}
	return errors.Join(handlers.Wait(), failure)
}

// wait returns when there may be something to do: after a commit, at the latest after a second.
func wait(ctx context.Context, committed <-chan struct{}) {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-committed:
	case <-timer.C:
	}
}

// round begins what waits in the lane's stage and tells whether there was anything.
func (l *lane) round(dispatch, work context.Context, handlers *errgroup.Group) (began bool, err error) {
	waiting, err := l.waiting()
	if err != nil {
		return false, err
	}
	for _, p := range waiting {
		if err := l.gate(dispatch); err != nil {
			return began, err
		}
		key := [2]string{p.Merchant, p.ID}
		l.mark(key, true)
		began = true
		handlers.Go(func() error { // blocks while Outstanding are being handled
			defer l.mark(key, false)
			if dispatch.Err() != nil {
				return nil
			}
			return l.handle(work, p)
		})
	}
	return began, nil
}

func (l *lane) mark(key [2]string, busy bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if busy {
		l.busy[key] = true
	} else {
		delete(l.busy, key)
	}
}

// waiting reads the next payments of the stage that nobody handles yet.
func (l *lane) waiting() ([]payment.Payment, error) {
	l.mu.Lock()
	busy := make(map[[2]string]bool, len(l.busy))
	for key := range l.busy {
		busy[key] = true
	}
	l.mu.Unlock()
	var found []payment.Payment
	limit := 4*l.engine.cfg.Outstanding + len(busy)
	err := l.engine.cfg.Ledger.View(func(tx *ledger.Tx) error {
		return tx.Payments(ledger.Query{Stage: l.stage, Limit: limit}, func(p payment.Payment) error {
			if !busy[[2]string{p.Merchant, p.ID}] {
				found = append(found, p)
			}
			return nil
		})
	})
	return found, err
}

// line waits until the acquirer can be reached or ctx ends.
func (e *Engine) line(ctx context.Context) error {
	for e.cfg.Acquirer.Ready() != nil {
		if err := pause(ctx, linePoll); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// ended turns an error that only says that ctx ended into nil.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}
