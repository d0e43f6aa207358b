package ledger

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	bolterrors "go.etcd.io/bbolt/errors"
)

// request is one caller of Commit.
type request struct {
	ctx  context.Context
	fn   func(*Tx) error
	rest func() error // instead of fn: runs while no writing transaction is under way
	done chan error   // buffered: one answer
}

// Commit runs fn in a transaction and returns when its effects are durable. Callers that come while
// one is under way share the next, one fsync for all; each sees the effects of those before it.
// When fn fails, or an Append in it failed, nothing of it stays and its error is returned. fn may
// run again when another of its group fails, so it must have no effect outside tx, or one that a
// second run overwrites. ctx counts until fn begins. After [ErrUnknownOutcome] what fn did may be
// there or not, and the ledger commits no more.
func (l *Ledger) Commit(ctx context.Context, fn func(*Tx) error) error {
	if err := l.latchedError(); err != nil {
		return err
	}
	return l.submit(&request{ctx: ctx, fn: fn, done: make(chan error, 1)})
}

func (l *Ledger) submit(r *request) error {
	select {
	case <-l.stop:
		return ErrClosed
	default:
	}
	select {
	case l.queue <- r:
	case <-r.ctx.Done():
		return r.ctx.Err()
	case <-l.stop:
		return ErrClosed
	}
	select {
	case err := <-r.done:
		return naming(l.path, err)
	case <-l.stopped:
		// The writer has ended; it may have answered before.
		select {
		case err := <-r.done:
			return naming(l.path, err)
		default:
			return ErrClosed
		}
	}
}

func (l *Ledger) latchedError() error {
	if err := l.latched.Load(); err != nil {
		return *err
	}
	return nil
}

// write is the one writer. A fault in the mapped file is a damaged ledger, not a crash.
func (l *Ledger) write() {
	defer close(l.stopped)
	debug.SetPanicOnFault(true)
	for {
		select {
		case <-l.stop:
			return
		case first := <-l.queue:
			l.commit(l.gather(first))
		}
	}
}

// gather collects those who wait, without waiting for more.
func (l *Ledger) gather(first *request) []*request {
	group := []*request{first}
	for len(group) < l.options.MaxGroup {
		select {
		case r := <-l.queue:
			group = append(group, r)
		default:
			return group
		}
	}
	return group
}

// commit answers every request of group. One that fails is answered, and the others run again
// without it.
func (l *Ledger) commit(group []*request) {
	group = slices.DeleteFunc(group, func(r *request) bool {
		if r.rest != nil {
			r.done <- guard(r.rest)
			return true
		}
		err := errors.Join(r.ctx.Err(), l.latchedError())
		if err != nil {
			r.done <- err
		}
		return err != nil
	})
	for len(group) > 0 {
		failed, err := l.try(group)
		if failed == nil {
			for _, r := range group {
				r.done <- err
			}
			return
		}
		failed.done <- err
		group = slices.DeleteFunc(group, func(r *request) bool { return r == failed })
	}
}

// try runs group in one transaction, and returns the request that failed and its error, or the
// error of all.
func (l *Ledger) try(group []*request) (failed *request, err error) {
	b, err := l.db.Begin(true)
	if err != nil {
		return nil, fmt.Errorf("begin a transaction: %w", err)
	}
	defer func() {
		if rollback := b.Rollback(); rollback != nil && !errors.Is(rollback, bolterrors.ErrTxClosed) {
			err = errors.Join(err, rollback)
		}
	}()
	tx := l.newTx(b)
	failed, err = tx.run(group)
	if err != nil || !tx.changed {
		return failed, l.noted(naming(l.path, err))
	}
	l.updateTags(tx)
	if err := guard(b.Commit); err != nil {
		return nil, l.latch(fmt.Errorf("%w: %w", onDisk(l.path, err), ErrUnknownOutcome))
	}
	l.publish(tx)
	l.wake()
	return nil, nil
}

// run calls every request's fn and writes what is left to write.
func (tx *Tx) run(group []*request) (failed *request, err error) {
	err = guard(func() error {
		if err := tx.rotateLogKey(); err != nil {
			return err
		}
		for _, r := range group {
			if err := tx.one(r.fn); err != nil {
				failed = r
				return err
			}
		}
		if err := tx.writeBack(); err != nil || !tx.changed {
			return err
		}
		return tx.writeHead()
	})
	return failed, err
}

// one runs fn. A failed write spoils the transaction even where fn goes on.
func (tx *Tx) one(fn func(*Tx) error) error {
	if err := fn(tx); err != nil {
		return err
	}
	return tx.spoiled
}

// publish makes what tx committed the writer's state.
func (l *Ledger) publish(tx *Tx) {
	l.head, l.tail, l.logKey = tx.head, tx.tail, tx.logKey
	l.held.apply(tx.traces)
	if l.tags != nil {
		l.tags.advance(tx.id)
	}
	for purpose, box := range tx.boxes {
		l.boxes.Store(purpose, box)
	}
}

// updateTags applies what tx changed to the tags, before its commit.
func (l *Ledger) updateTags(tx *Tx) {
	if l.tags != nil {
		l.tags.apply(tx.id, tx.tagged)
	}
}

// latch refuses every later commit.
func (l *Ledger) latch(err error) error {
	l.latched.Store(&err)
	l.options.Logger.Error("a commit failed: the ledger takes no more until it is opened again", "error", err)
	if l.options.Failed != nil {
		l.options.Failed(err)
	}
	return err
}
