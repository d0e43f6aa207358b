package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"nightdrop/shared/folded"
	"nightdrop/shared/frame"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/ledger"
)

// Errors of a journal.
var (
	// ErrUnavailable is returned while the second place cannot be reached, does not store, or has not caught up: nothing is sent to an
	// acquirer, payments wait, and the journal goes on by itself when it can.
	ErrUnavailable = errors.New("the journal is not to be had now")
	// ErrForeign is returned when the second place holds what this vault did not write: another vault's journal, or one that was altered.
	ErrForeign = errors.New("the journal's place holds what this vault did not write: give the vault a place of its own, or find out who wrote there and clear it away")
	// ErrFenced is returned when a vault of a later generation has begun its journal: a standby has taken over, and this vault must not
	// send anything any more.
	ErrFenced = errors.New("a standby has taken over from this vault: this one must stay off; learn from the standby's operators why")
)

// Ledger is what the journal reads of *ledger.Ledger, with its contract.
type Ledger interface {
	View(fn func(*ledger.Tx) error) error
	Committed() <-chan struct{}
}

// Config is what a Journal works with.
type Config struct {
	Ledger Ledger
	Place  Place
	Signer *note.Signer // the vault's
	// Retry is the wait after a failure of the place; 0: 250 ms.
	Retry time.Duration
	// Look is how often the place is compared with what was appended to it; 0: 30 s.
	Look   time.Duration
	Logger *slog.Logger
}

// Journal sends the log to its second place and tells how far it has come. It is safe for concurrent use; only one Run at a time, and
// Begin, if at all, before it.
type Journal struct {
	cfg   Config
	lines *folded.Lines // of cfg.Logger: what who owns the place can cause

	mu      sync.Mutex
	size    int64         // the log's first size entries are durable in the place
	looked  bool          // the place was looked at since the start, or since it failed
	cause   error         // why nothing can be appended; nil: it can, or was not tried
	again   bool          // the place is to be looked at before anything more is appended
	moved   chan struct{} // closed when size grows
	room    Room
	limited bool // the warning about room was logged
}

// Room is how much of the second place is used.
type Room struct{ Used, Limit int64 }

// Scarce tells whether the place will soon lose its oldest messages, or does: a backup makes them superfluous.
func (r Room) Scarce() bool { return r.Limit > 0 && r.Used >= r.Limit/10*8 }

// Percent is how full the place is.
func (r Room) Percent() int64 {
	if r.Limit <= 0 {
		return 0
	}
	return min(100, int64(float64(r.Used)/float64(r.Limit)*100))
}

// State is what a journal is doing.
type State struct {
	Size int64 // the log's first Size entries are durable in the place
	Room Room
	Err  error // ErrUnavailable or ErrForeign, with the cause; nil: all goes well
}

// New makes a journal. It does nothing until Begin or Run.
func New(cfg Config) *Journal {
	if cfg.Retry <= 0 {
		cfg.Retry = 250 * time.Millisecond
	}
	if cfg.Look <= 0 {
		cfg.Look = 30 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Journal{cfg: cfg, lines: folded.New(cfg.Logger), moved: make(chan struct{})}
}

// Ready returns nil while entries reach the second place, as far as that is known, and else ErrUnavailable or ErrForeign. It does not wait.
func (j *Journal) Ready() error {
	if err := j.trouble(); err != nil {
		return err
	}
	return j.cfg.Place.Ready()
}

// trouble is why the journal stands still.
func (j *Journal) trouble() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.cause == nil && !j.looked {
		return fmt.Errorf("%w: its place was not reached yet", ErrUnavailable)
	}
	return j.cause
}

// State tells how far the journal has come.
func (j *Journal) State() State {
	err := j.Ready()
	j.mu.Lock()
	defer j.mu.Unlock()
	return State{Size: j.size, Room: j.room, Err: err}
}

// Durable returns nil when the log's first size entries, which are committed, are durable in the second place. When ctx ends before, it
// returns ErrUnavailable with the cause; they may be durable all the same.
func (j *Journal) Durable(ctx context.Context, size int64) error {
	for {
		j.mu.Lock()
		done, moved := j.looked && j.size >= size, j.moved
		j.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			if err := j.Ready(); err != nil {
				return err
			}
			return fmt.Errorf("%w: it has not caught up: %w", ErrUnavailable, ctx.Err())
		}
	}
}

// reached notes that the log's first size entries are durable in the place.
func (j *Journal) reached(size int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.size, j.looked, j.cause = size, true, nil
	close(j.moved)
	j.moved = make(chan struct{})
}

// failed notes why nothing can be appended.
func (j *Journal) failed(err error) {
	if !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrForeign) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	j.mu.Lock()
	before := j.cause
	j.looked, j.cause = false, err
	j.mu.Unlock()
	if before == nil || before.Error() != err.Error() {
		j.lines.Error("stands still", "the journal stands still: nothing is sent to an acquirer", "cause", err)
	}
}

// Run sends what the ledger committed, in groups, until ctx ends (nil). It outlasts failures of the place. It returns an error where the
// vault must stop: the ledger's, ledger.ErrRolledBack or ErrFenced.
func (j *Journal) Run(ctx context.Context) error {
	look := time.NewTicker(j.cfg.Look)
	defer look.Stop()
	for ctx.Err() == nil {
		committed := j.cfg.Ledger.Committed()
		moved, err := j.round(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case fatal(err):
			return err
		case err != nil:
			j.failed(err)
			pause(ctx, j.cfg.Retry)
			continue
		case moved:
			continue
		}
		select {
		case <-ctx.Done():
		case <-committed:
		case <-look.C:
			j.unsure()
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// placeError marks what the place failed with: it is tried again.
type placeError struct{ error }

// Unwrap is what the place said.
func (e placeError) Unwrap() error { return e.error }

// fatal tells whether the vault must stop.
func fatal(err error) bool {
	if err == nil || errors.Is(err, ErrForeign) {
		return false
	}
	_, place := errors.AsType[placeError](err)
	return !place
}

// unsure has the next round look at the place first. What waits meanwhile goes on.
func (j *Journal) unsure() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.again = true
}

// round looks at the place where that is due, or sends one message, and tells whether there was anything to send.
func (j *Journal) round(ctx context.Context) (moved bool, err error) {
	j.mu.Lock()
	due := !j.looked || j.again
	first := j.size
	j.mu.Unlock()
	if due {
		return true, j.look(ctx)
	}
	generation, message, size, err := j.next(first)
	if err != nil || size == first {
		return false, err
	}
	if err := j.cfg.Place.Append(ctx, generation, message); err != nil {
		return false, placeError{err}
	}
	// A crash before this leaves the message in the place: the next start finds it there.
	j.reached(size)
	return true, nil
}

// next makes the message of what comes after the first entries, as far as it fits, and returns the log's size with it.
func (j *Journal) next(first int64) (generation uint64, message []byte, size int64, err error) {
	var m Message
	err = j.cfg.Ledger.View(func(tx *ledger.Tx) error {
		m, err = j.collect(tx, first)
		return err
	})
	if err != nil || len(m.Entries) == 0 {
		return 0, nil, first, err
	}
	message, err = m.Encode(j.cfg.Signer)
	if errors.Is(err, note.ErrTooLarge) {
		err = placeError{fmt.Errorf("entry %d of the log is larger than a message may be: %w", first, err)}
	}
	return m.Generation, message, m.Size(), err
}

// collect reads entries from first on, as many as a message holds, at least one where there is any.
func (j *Journal) collect(tx *ledger.Tx, first int64) (m Message, err error) {
	v, err := tx.Vault()
	if err != nil {
		return m, err
	}
	end, err := tx.TreeSize()
	if err != nil || end <= first {
		return m, err
	}
	m = Message{Vault: j.cfg.Signer.Name(), Generation: v.Generation, First: first}
	bytes := 0
	for index := first; index < end; index++ {
		e := Entry{}
		if e.Half, e.Sealed, err = tx.SealedEntry(index); err != nil {
			return m, err
		}
		added := frame.HeaderBytes + len(e.Half) + len(e.Sealed)
		var fresh []LogKey
		if n := len(m.Keys); n == 0 || m.Keys[n-1].Number != e.LogKey() {
			wrapped, err := tx.WrappedLogKey(e.LogKey())
			if err != nil {
				return m, err
			}
			fresh, added = []LogKey{{Number: e.LogKey(), Wrapped: wrapped}}, added+frame.HeaderBytes+len(wrapped)
		}
		if len(m.Entries) > 0 && bytes+added+noteBytes(m.Vault, len(m.Keys)+len(fresh)) > MaxBytes {
			break
		}
		bytes += added
		m.Keys, m.Entries = append(m.Keys, fresh...), append(m.Entries, e)
	}
	m.Root, err = tx.RootAt(m.Size())
	return m, err
}
