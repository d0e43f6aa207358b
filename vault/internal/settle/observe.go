package settle

import (
	"context"
	"sync"

	"nightdrop/vault/internal/acquirer"
)

// observed is the acquirer as the engine has it: what is under way there is known.
type observed struct {
	acquirer.Acquirer
	engine *Engine
}

// Reconcile implements acquirer.Acquirer; its trace number is held meanwhile.
func (o observed) Reconcile(ctx context.Context, t acquirer.Totals) (acquirer.Reconciliation, error) {
	defer o.engine.reconciling.hold(t.Trace)()
	return o.Acquirer.Reconcile(ctx, t)
}

// traces are numbers that messages bear which are of no payment and wait for their answer: reconciliations. What a crash cuts short waits no
// more.
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

// holds tells whether the number is held.
func (t *traces) holds(terminal string, stan uint32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held[terminalTrace{terminal, stan}] > 0
}
