package settle

import (
	"context"
	"errors"
	"sync"
	"time"

	"nightdrop/vault/internal/acquirer"
)

// observed is an acquirer that notes which messages are answered, and which are under way.
type observed struct {
	acquirer.Acquirer
	engine *Engine
}

// Authorise implements acquirer.Acquirer.
func (o observed) Authorise(ctx context.Context, r acquirer.Request) (acquirer.Answer, error) {
	return seen(ctx, o, o.Acquirer.Authorise, r)
}

// Capture implements acquirer.Acquirer.
func (o observed) Capture(ctx context.Context, c acquirer.Capture) (acquirer.Answer, error) {
	return seen(ctx, o, o.Acquirer.Capture, c)
}

// Reverse implements acquirer.Acquirer.
func (o observed) Reverse(ctx context.Context, r acquirer.Reversal) (acquirer.Answer, error) {
	return seen(ctx, o, o.Acquirer.Reverse, r)
}

// Reconcile implements acquirer.Acquirer; its trace number is held meanwhile.
func (o observed) Reconcile(ctx context.Context, t acquirer.Totals) (acquirer.Reconciliation, error) {
	defer o.engine.reconciling.hold(t.Trace)()
	return seen(ctx, o, o.Acquirer.Reconcile, t)
}

// seen sends a message, and notes whether it was answered.
func seen[M, A any](ctx context.Context, o observed, send func(context.Context, M) (A, error), message M) (A, error) {
	sent := time.Now()
	answer, err := send(ctx, message)
	o.saw(ctx, sent, err)
	return answer, err
}

// saw notes whether a message was answered. One that was cut short or did not leave says nothing
// about the host; an answer that does not fit is none.
func (o observed) saw(ctx context.Context, sent time.Time, err error) {
	e := o.engine
	_, refused := errors.AsType[*acquirer.RefusedError](err)
	switch {
	case err == nil || refused:
		after, closes := e.breaker.answered(e.cfg.Now())
		if closes {
			e.cfg.Logger.Warn("the acquirer's host answers again: new requests are sent")
		}
		if after {
			e.advices.wake(time.Now())
		}
	case ctx.Err() != nil || errors.Is(err, acquirer.ErrNotSent):
	case e.breaker.silent(sent, time.Now(), e.cfg.Now(), errors.Is(err, acquirer.ErrLineLost)):
		e.cfg.Logger.Error("the acquirer's host takes messages and answers none: new requests wait until it answers one of those that are repeated",
			"silences", e.breaker.bound)
	}
}

// traces are numbers of reconciliations, which are of no payment, that wait for an answer. What a
// crash cuts short waits no more.
type traces struct {
	mu   sync.Mutex
	held map[terminalTrace]int
}

type terminalTrace struct {
	terminal string
	stan     uint32
}

// hold holds a number until what it returns is called.
func (t *traces) hold(trace acquirer.Trace) (release func()) {
	key := terminalTrace{trace.Terminal, trace.STAN}
	t.add(key, 1)
	return func() { t.add(key, -1) }
}

func (t *traces) add(key terminalTrace, by int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held == nil {
		t.held = map[terminalTrace]int{}
	}
	if t.held[key] += by; t.held[key] == 0 {
		delete(t.held, key)
	}
}

func (t *traces) holds(terminal string, stan uint32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held[terminalTrace{terminal, stan}] > 0
}
