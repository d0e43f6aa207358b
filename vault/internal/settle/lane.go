package settle

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// ahead is how many payments are handled for each that may wait for the host: the others have their
// intents and answers made durable meanwhile, in shared commits.
const ahead = 4

// slots are as many as there may be at once.
type slots chan struct{}

// ask sends a message when there is a slot at the host, and waits for its answer. When ctx ends
// before, it was not sent.
func (p slots) ask(ctx context.Context, send func() (acquirer.Answer, error)) (acquirer.Answer, error) {
	select {
	case p <- struct{}{}:
	case <-ctx.Done():
		return acquirer.Answer{}, acquirer.ErrNotSent
	}
	defer func() { <-p }()
	return send()
}

// lane takes payments that wait for the acquirer, of each of its stages oldest first, and handles
// many of them at once.
type lane struct {
	engine *Engine
	stages []book.Stage
	// which are handled beside the others, as many at once, and never make them wait; nil: none
	aside func(p book.Payment) bool
	// which may be begun now, with a slot (place) or without; nil: all
	admits func(p book.Payment, place bool) bool
	handle func(ctx context.Context, p book.Payment) error
	// follows: the lane takes payments over from another, which may still handle them when they
	// come.
	follows bool
	gate    func(ctx context.Context) error // waits until the acquirer can be reached

	slots, beside slots // taken by the payments being handled, and by those aside
	// payments that were not admitted, by number; not read again until that may have changed
	refused map[uint64]bool
	// when the first of those that wait is due, as of the last look; zero: none is
	due    time.Time
	passed int // how many that look passed over
}

// skipCost puts the next look off by so much for each payment that the last one passed over:
// however many are repeated, looking costs little processor time.
const skipCost = 10 * time.Microsecond

// run handles payments under work until dispatch ends, and returns when all that it began are done.
func (l *lane) run(dispatch, work context.Context) error {
	l.refused = map[uint64]bool{}
	l.slots, l.beside = make(slots, ahead*l.engine.cfg.Outstanding), make(slots, ahead*l.engine.cfg.Outstanding)
	handlers, failing := errgroup.WithContext(work)
	dispatch, stop := context.WithCancel(dispatch)
	defer stop()
	defer context.AfterFunc(failing, stop)()
	var failure error
	for dispatch.Err() == nil {
		committed, sooner, turned := l.engine.cfg.Ledger.Committed(), l.engine.advices.sooner(), l.engine.breaker.turned()
		began, err := l.round(dispatch, failing, handlers)
		if err != nil {
			failure = ended(dispatch, err)
			break
		}
		if passed := time.Duration(l.passed) * skipCost; passed > time.Millisecond {
			_ = pause(dispatch, passed) // the loop ends with dispatch
		}
		if !began {
			l.wait(dispatch, committed, sooner, turned)
		}
		select {
		case <-turned:
			clear(l.refused)
		default:
		}
	}
	return errors.Join(handlers.Wait(), failure)
}

// wait returns after a commit, when something is due, or after a second.
func (l *lane) wait(ctx context.Context, committed, sooner, turned <-chan struct{}) {
	longest := time.Second
	if !l.due.IsZero() {
		longest = min(longest, max(0, time.Until(l.due)))
	}
	timer := time.NewTimer(longest)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-committed:
	case <-sooner:
	case <-turned:
	case <-timer.C:
	}
}

// round begins what waits in the lane's stages and reports whether there was anything.
func (l *lane) round(dispatch, work context.Context, handlers *errgroup.Group) (began bool, err error) {
	waiting, err := l.waiting()
	if err != nil {
		return false, err
	}
	for _, p := range waiting {
		if err := l.gate(dispatch); err != nil {
			return began, err
		}
		place, ok := l.slot(dispatch, p)
		if !ok && l.isAside(p) {
			continue
		}
		if !ok {
			return began, nil // what is aside may be due meanwhile
		}
		if !l.engine.advices.begin(p.Number, isReversing(p) || isCapture(p), time.Now()) {
			<-place
			continue
		}
		began = true
		handlers.Go(func() error {
			defer func() { l.engine.advices.end(p.Number); <-place }()
			if dispatch.Err() != nil {
				return nil
			}
			return l.handle(work, p)
		})
	}
	return began, nil
}

// slotWait bounds a wait for a slot: those aside wait meanwhile, and requests keep their slots for
// long while the host is silent.
const slotWait = time.Second

// slot waits briefly for a slot to handle p in; those aside get one only if it is free.
func (l *lane) slot(ctx context.Context, p book.Payment) (granted slots, ok bool) {
	if l.isAside(p) {
		select {
		case l.beside <- struct{}{}:
			return l.beside, true
		default:
			return nil, false
		}
	}
	timer := time.NewTimer(slotWait)
	defer timer.Stop()
	select {
	case l.slots <- struct{}{}:
		return l.slots, true
	case <-ctx.Done():
	case <-timer.C:
	}
	return nil, false
}

func (l *lane) isAside(p book.Payment) bool { return l.aside != nil && l.aside(p) }

// errEnough ends a query that has found enough.
var errEnough = errors.New("enough")

// waiting reads the next payments of the lane's stages that nobody handles yet and that are due.
func (l *lane) waiting() ([]book.Payment, error) {
	var found []book.Payment
	room, now := cap(l.beside)-len(l.beside), time.Now()
	l.due, l.passed = time.Time{}, 0
	skips := func(number uint64) bool {
		skip, due := l.engine.advices.skips(number, now)
		waits := skip && !due.IsZero()
		if waits && (l.due.IsZero() || due.Before(l.due)) {
			l.due = due
		}
		if waits || l.refused[number] { // those that are handled are few
			l.passed++
			return true
		}
		if skip && l.follows {
			l.engine.advices.miss(number)
		}
		return skip
	}
	err := l.engine.cfg.Ledger.View(func(tx *ledger.Tx) error {
		for _, stage := range l.stages {
			err := tx.Payments(ledger.Query{Stage: stage, Skip: skips}, func(p book.Payment) error {
				if l.admits != nil && !l.admits(p, len(l.slots) < cap(l.slots)) {
					l.refused[p.Number] = true
					return nil
				}
				if l.isAside(p) {
					if room == 0 {
						return nil
					}
					room--
				}
				if found = append(found, p); len(found) >= 2*cap(l.slots) {
					return errEnough
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return found, unlessEnough(err)
}

func unlessEnough(err error) error {
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
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
