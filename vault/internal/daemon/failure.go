package daemon

import (
	"context"
	"errors"
	"sync"
	"time"

	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/control"
)

const (
	// failedCalls is how long calls under way have for their answers when the process must end at
	// once.
	failedCalls = 250 * time.Millisecond
	// failedTasks is how long tasks have to notice; a message without an answer is unknown to the
	// next start, as after any crash.
	failedTasks = 300 * time.Millisecond
)

// failure is why the process must end at once: a write failed, so that the disk's content is
// unknown, or the ledger is damaged. Nothing more is sent to the acquirer. It is safe for
// concurrent use.
type failure struct {
	failed chan struct{} // closed by the first failure

	mu  sync.Mutex
	err error
}

// fail notes why; the first reason counts.
func (f *failure) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
		close(f.failed)
	}
}

// reason is nil while nothing failed.
func (f *failure) reason() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// abandon ends the daemon without waiting for any answer, and returns why. A supervisor starts the
// process again, and the next unlock reads what is true.
func (d *Daemon) abandon(server *control.Server) error {
	err := d.failure.reason()
	d.config.Logger.Error("the vault ends at once: the next start reads what is on disk", "error", err)
	d.mu.Lock()
	u := d.unlocked
	d.mu.Unlock()
	released := make(chan error, 1)
	go func() { released <- u.abandon() }()
	limit, cancel := context.WithTimeout(context.Background(), failedCalls)
	defer cancel()
	server.Shutdown(limit)
	select {
	case closing := <-released:
		return errors.Join(err, closing)
	case <-time.After(failedTasks):
		return err // the end of the process closes the rest
	}
}

// abandon takes the acquirer's line down, ends the work, and closes everything. u may be nil.
func (u *unlocked) abandon() error {
	if u == nil {
		return nil
	}
	u.stop()
	closing := u.acquirer.Close()
	_ = u.tasks.Wait() // what made it fail is known
	return errors.Join(closing, u.release())
}

// halting is an acquirer to which nothing more is sent once the process must end.
type halting struct {
	acquirer.Acquirer
	failure *failure
}

// halted is nil while messages may leave.
func (a halting) halted() error {
	if err := a.failure.reason(); err != nil {
		return errors.Join(acquirer.ErrNotSent, err)
	}
	return nil
}

// unlessHalted sends a message while messages may leave.
func unlessHalted[M, A any](ctx context.Context, a halting, send func(context.Context, M) (A, error), message M) (answer A, err error) {
	if err := a.halted(); err != nil {
		return answer, err
	}
	return send(ctx, message)
}

// Ready implements acquirer.Acquirer.
func (a halting) Ready() error {
	if err := a.halted(); err != nil {
		return err
	}
	return a.Acquirer.Ready()
}

// Authorise implements acquirer.Acquirer.
func (a halting) Authorise(ctx context.Context, r acquirer.Request) (acquirer.Answer, error) {
	return unlessHalted(ctx, a, a.Acquirer.Authorise, r)
}

// Capture implements acquirer.Acquirer.
func (a halting) Capture(ctx context.Context, c acquirer.Capture) (acquirer.Answer, error) {
	return unlessHalted(ctx, a, a.Acquirer.Capture, c)
}

// Reverse implements acquirer.Acquirer.
func (a halting) Reverse(ctx context.Context, r acquirer.Reversal) (acquirer.Answer, error) {
	return unlessHalted(ctx, a, a.Acquirer.Reverse, r)
}

// Reconcile implements acquirer.Acquirer.
func (a halting) Reconcile(ctx context.Context, t acquirer.Totals) (acquirer.Reconciliation, error) {
	return unlessHalted(ctx, a, a.Acquirer.Reconcile, t)
}
