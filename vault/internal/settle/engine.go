package settle

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
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

// Accounts opens stored accounts: *keyring.Ring. The caller clears what it gets.
type Accounts interface {
	OpenStored(merchant, token string, slot uint32, sealed []byte) ([]byte, error)
}

// Bank is how entries of bank accounts reach the bank.
type Bank struct {
	Sender   nacha.Bank     // who sends files to whom
	Calendar nacha.Calendar // which day a file is of, and when its money moves
	// directory where files appear, whole, under their names; none is ever overwritten or deleted
	Outbox string
	Disk   Disk // nil: nacha.Disk

	// AnswersFrom and AnswersTo are further numbers by which the bank names itself and us:
	// immediate origins and destinations of its files, beside Sender's.
	AnswersFrom, AnswersTo []string
}

// Disk does what is done to files of the outbox, with the contract of nacha.Disk.
type Disk interface {
	Stage(dir, name string) (nacha.StagedFile, error)
	Appear(dir, name string) error
	Digest(dir, name string) (string, error)
	Staged(dir, name string) (string, error)
}

// Config is what an Engine works with.
type Config struct {
	Ledger   Ledger
	Opener   Opener
	Accounts Accounts
	Acquirer acquirer.Acquirer
	// where the log must be durable before anything is sent; nil: nothing is waited for
	Journal Journal
	// nil while new requests may be begun, else why they wait; called often; may be nil
	Room           func() error
	Bank           *Bank    // nil: bank batches cannot be settled
	Reconciliation book.Way // what card batches are agreed with the acquirer by; "": ByTotals
	Terminals      []string // card acceptor terminals, ISO 8583 field 41, at least one
	// times of day, since midnight UTC, at which open batches are closed by themselves; none: never
	CloseAt []time.Duration
	// requests, as many captures and as many reversals, that may wait for the host at once; 0: 64
	Outstanding int
	// wait after the first try of a reversal or capture that was not taken, doubled after each
	// further; 0: 5 s
	ReversalRetry time.Duration
	RepeatEvery   time.Duration // bound of that wait; 0: 5 min
	// from the first try of a reversal or capture to the last, after which a person decides; 0: 24
	// h
	RepeatFor time.Duration
	// messages in a row without an answer, after which no new request is sent until one is; 0: 10
	Silences int
	// how long an order waits for a line or a silent host before it is refused; 0: 1 h
	OrderWait time.Duration
	Drain     time.Duration // how long a stop waits for answers that are outstanding; 0: 10 s
	Patience  time.Duration // how long closing and settling wait for payments in flight; 0: 90 s
	Now       func() time.Time
	Logger    *slog.Logger
}

// Limits of the engine.
const (
	// unsentLimit is how long a message whose intent is committed may wait for a line to leave on,
	// or for its answer, before its payment's first result is given as unknown. It is due within an
	// hour of acting on the envelope (specification 4).
	unsentLimit = 30 * time.Minute
	// traceWait is how long a payment waits when the day's trace numbers are used up.
	traceWait = time.Minute
	// linePoll is how often a line that is down is checked.
	linePoll = 100 * time.Millisecond
	// sweepEvery is how often waiting payments are searched for late ones.
	sweepEvery = time.Minute
)

// Engine moves the money of the payments that intake took. Its methods may be called concurrently;
// only one Run at a time.
type Engine struct {
	cfg       Config
	operation sync.Mutex  // held by the close or settlement that is under way
	recovered atomic.Bool // by this process
	odd       oddities

	reconciling traces // of reconciliations that wait for their answer

	requests, captures, reversals sender // to the host

	advices *timetable  // of what is being handled and repeated
	breaker *breaker    // of requests
	down    bool        // whether the line was down when watchHost last looked
	held    atomic.Bool // a request was not begun for want of room
	started time.Time   // by the vault's clock
}

// New makes an engine. It does nothing until Run.
func New(cfg Config) *Engine {
	cfg.Outstanding = orDefault(cfg.Outstanding, 64)
	cfg.ReversalRetry = orDefault(cfg.ReversalRetry, 5*time.Second)
	cfg.RepeatEvery = orDefault(cfg.RepeatEvery, 5*time.Minute)
	cfg.RepeatFor = orDefault(cfg.RepeatFor, 24*time.Hour)
	cfg.Silences = orDefault(cfg.Silences, 10)
	cfg.OrderWait = orDefault(cfg.OrderWait, time.Hour)
	cfg.Drain = orDefault(cfg.Drain, 10*time.Second)
	cfg.Patience = orDefault(cfg.Patience, 90*time.Second)
	if cfg.Bank != nil && cfg.Bank.Disk == nil {
		bank := *cfg.Bank
		bank.Disk = nacha.Disk{}
		cfg.Bank = &bank
	}
	e := &Engine{cfg: cfg, advices: newTimetable(), breaker: newBreaker(cfg.Silences, cfg.ReversalRetry, cfg.OrderWait/2), down: true}
	for _, d := range []*sender{&e.requests, &e.captures, &e.reversals} {
		*d = sender{slots: make(slots, cfg.Outstanding), logged: e.turn}
	}
	e.cfg.Acquirer = observed{Acquirer: cfg.Acquirer, engine: e}
	if cfg.Journal != nil {
		e.cfg.Acquirer = journaled{Acquirer: e.cfg.Acquirer, engine: e}
	}
	return e
}

func orDefault[N int | time.Duration](n, standard N) N {
	if n <= 0 {
		return standard
	}
	return n
}

// Run recovers, unless Recover did, then sends, captures, reverses, expires and closes until ctx
// ends. It then starts nothing more, waits up to Config.Drain for outstanding answers, and commits
// what is still open as unknown. It returns nil after a stop, and otherwise the ledger's error:
// what was outstanding is recovered by the next start.
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
		{stages: []book.Stage{book.StageCapturing, book.StageReceived}, aside: isCapture, admits: e.admits, handle: e.handle, gate: e.line},
		{stages: []book.Stage{book.StageUnknown, book.StageVoiding, book.StageCorrecting}, handle: e.reverse, follows: true, gate: e.line},
	} {
		l.engine = e
		workers.Go(func() error { return l.run(dispatch, alive) })
	}
	workers.Go(func() error { return e.keepTime(dispatch) })
	if err := workers.Wait(); err != nil {
		return err
	}
	return e.logSilence(context.WithoutCancel(ctx))
}

// handle takes one payment to its outcome.
func (e *Engine) handle(ctx context.Context, p book.Payment) error {
	if isCapture(p) {
		return e.capture(ctx, p)
	}
	return e.request(ctx, p)
}

// admits reports whether a payment may be begun now. Captures always may: they are repeated until
// they are answered.
func (e *Engine) admits(p book.Payment, place bool) bool {
	return isCapture(p) || e.admitsByRoom() && e.breaker.admits(p.Number, place)
}

func isCapture(p book.Payment) bool { return p.Flow() == book.FlowCapture }
