package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"

	"nightdrop/vault/internal/book"
)

// hold keeps the writer busy until release is called, so that what comes meanwhile rides together.
func (v *vault) hold() (release func()) {
	v.t.Helper()
	held, free := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- v.Commit(context.Background(), func(*Tx) error {
			close(held)
			<-free
			return nil
		})
	}()
	<-held
	return func() {
		close(free)
		if err := <-done; err != nil {
			v.t.Error(err)
		}
	}
}

// queued waits until n callers wait for the writer.
func (v *vault) queued(n int) {
	for len(v.queue) < n {
		runtime.Gosched()
	}
}

func TestCallersRideTogether(t *testing.T) {
	v := newVault(t)
	release := v.hold()
	const callers = 50
	var mu sync.Mutex
	transactions, order := map[int]int{}, 0
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			id := fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
			err := v.Commit(context.Background(), func(tx *Tx) error {
				mu.Lock()
				transactions[tx.bolt.ID()]++
				mu.Unlock()
				return receive(tx, shop, id)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	v.queued(callers)
	release()
	wg.Wait()
	if len(transactions) != 1 {
		t.Errorf("%d callers rode in %d transactions", callers, len(transactions))
	}
	v.view(func(tx *Tx) error {
		return tx.Payments(Query{}, func(p book.Payment) error {
			if order++; p.Number != uint64(order) {
				t.Errorf("payment %d in place %d", p.Number, order)
			}
			return nil
		})
	})
	if order != callers {
		t.Errorf("%d payments of %d", order, callers)
	}
}

func TestFailingCallersLeaveNoTrace(t *testing.T) {
	v := newVault(t)
	failure := errors.New("changed my mind")
	double := v.newID()
	bad := map[string]func(tx *Tx) error{
		"own error": func(tx *Tx) error { return errors.Join(receive(tx, shop, v.newID()), failure) },
		"misfit swallowed": func(tx *Tx) error {
			_ = receive(tx, shop, double)
			_ = receive(tx, shop, double)
			return nil
		},
		"unknown merchant": func(tx *Tx) error { return receive(tx, "nobody", v.newID()) },
	}
	release := v.hold()
	errs := make([]error, 0)
	var mu sync.Mutex
	var wg sync.WaitGroup
	started := 0
	for _, fn := range bad {
		wg.Go(func() {
			err := v.Commit(context.Background(), fn)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
		started++
		v.queued(started)
		id := fmt.Sprintf("10000000-0000-4000-8000-%012d", started)
		wg.Go(func() {
			if err := v.Commit(context.Background(), func(tx *Tx) error { return receive(tx, shop, id) }); err != nil {
				t.Error(err)
			}
		})
		started++
		v.queued(started)
	}
	release()
	wg.Wait()
	for _, err := range errs {
		if !errors.Is(err, failure) && !errors.Is(err, book.ErrTransition) {
			t.Errorf("a failing caller got %v", err)
		}
	}
	n := 0
	v.view(func(tx *Tx) error {
		return tx.Payments(Query{}, func(p book.Payment) error {
			n++
			if p.ID[0] != '1' {
				t.Errorf("payment %s of a failing caller stayed", p.ID)
			}
			return nil
		})
	})
	if n != len(bad) {
		t.Errorf("%d payments of %d", n, len(bad))
	}
}

func TestContextCountsUntilTheFunctionBegins(t *testing.T) {
	v := newVault(t)
	release := v.hold()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- v.Commit(ctx, func(*Tx) error {
			t.Error("it began")
			return nil
		})
	}()
	v.queued(1)
	cancel()
	release()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestCommittedWakes(t *testing.T) {
	v := newVault(t)
	news := v.Committed()
	v.commit(func(*Tx) error { return nil })
	select {
	case <-news:
		t.Error("woken by a commit that changed nothing")
	default:
	}
	v.commit(func(tx *Tx) error { return receive(tx, shop, v.newID()) })
	<-news
}

func TestFailedCommitLatches(t *testing.T) {
	v := newVault(t)
	v.close()
	var file *os.File
	v.opts.openFile = func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}
	v.open()
	acked := v.newID()
	v.commit(func(tx *Tx) error { return receive(tx, shop, acked) })
	if err := file.Close(); err != nil { // the disk is gone
		t.Fatal(err)
	}
	lost := v.newID()
	for range 2 {
		if err := v.Commit(t.Context(), func(tx *Tx) error { return receive(tx, shop, lost) }); !errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("got %v", err)
		}
	}
	_ = v.Close() // cannot unlock a file that is closed
	if wasClean(v.path()) {
		t.Error("the ledger is marked as sound after a failed commit")
	}
	v.opts.openFile = nil
	v.open()
	v.view(func(tx *Tx) error {
		if _, found, err := tx.Payment(shop, acked); !found || err != nil {
			t.Error("what was durable is lost", err)
		}
		return nil
	})
}

func TestClosedLedgerTakesNothing(t *testing.T) {
	v := newVault(t)
	l := v.Ledger
	v.close()
	if err := l.Commit(t.Context(), func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("commit: %v", err)
	}
	if err := l.View(func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("view: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}

func TestCallersPanicGoesOn(t *testing.T) {
	v := newVault(t)
	defer func() {
		if recover() == nil {
			t.Error("a caller's panic was taken for a damaged file")
		}
	}()
	_ = v.View(func(*Tx) error { panic("a bug") })
}
