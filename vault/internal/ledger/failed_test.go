package ledger

import (
	"errors"
	"os"
	"sync"
	"testing"
)

// told is who Options.Failed tells.
type told struct {
	mu   sync.Mutex
	errs []error
}

func (o *told) failed(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.errs = append(o.errs, err)
}

func (o *told) first() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.errs) == 0 {
		return nil
	}
	return o.errs[0]
}

// TestAFailedCommitIsTold: before whoever made the commit learns of it, so that nobody goes on
// meanwhile.
func TestAFailedCommitIsTold(t *testing.T) {
	v := newVault(t)
	v.close()
	var o told
	var file *os.File
	v.opts.Failed = o.failed
	v.opts.openFile = func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}
	v.open()
	v.commit(func(tx *Tx) error { return receive(tx, shop, v.newID()) })
	if err := v.Commit(t.Context(), func(*Tx) error { return errors.New("a caller's own") }); err == nil || o.first() != nil {
		t.Errorf("a caller's own error: %v, told %v", err, o.first())
	}
	if err := file.Close(); err != nil { // the disk is gone
		t.Fatal(err)
	}
	err := v.Commit(t.Context(), func(tx *Tx) error { return receive(tx, shop, v.newID()) })
	if !errors.Is(err, ErrUnknownOutcome) || !errors.Is(o.first(), ErrUnknownOutcome) {
		t.Errorf("the caller got %v, told was %v", err, o.first())
	}
	_ = v.Close() // cannot unlock a file that is closed
	v.opts.openFile, v.opts.Failed = nil, nil
	v.open()
}

// TestDamageIsTold: whoever reads it, and whoever commits over it.
func TestDamageIsTold(t *testing.T) {
	for name, meet := range map[string]func(v *vault, fn func(*Tx) error) error{
		"a view":   func(v *vault, fn func(*Tx) error) error { return v.View(fn) },
		"a commit": func(v *vault, fn func(*Tx) error) error { return v.Commit(t.Context(), fn) },
	} {
		v := newVault(t)
		v.close()
		var o told
		v.opts.Failed = o.failed
		v.open()
		if err := meet(v, func(*Tx) error { return damaged("a record") }); !errors.Is(err, ErrDamaged) || !errors.Is(o.first(), ErrDamaged) {
			t.Errorf("%s: %v, told %v", name, err, o.first())
		}
	}
}
