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
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// Errors of a journal.
var (
	// ErrUnavailable is returned while the second place cannot be reached, does not store, or has
	// not caught up: nothing is sent to an acquirer, and the journal goes on by itself when it can.
	ErrUnavailable = errors.New("the journal is unavailable now")
	// ErrForeign is returned when the second place holds another vault's journal, or one that was
	// altered.
	ErrForeign = errors.New("the journal's place holds what this vault did not write: give the vault a place of its own, or find out who wrote there and clear it away")
	// ErrFenced is returned when a vault of a later generation has begun its journal: a standby has
	// taken over, and this vault must stop.
	ErrFenced = errors.New("a standby has taken over from this vault: this one must stay off; learn from the standby's operators why")
	// ErrDoubted is returned when the second place holds less than the ledger has as journalled
	// there: the ledger may be an older copy whose journal was shortened to hide it, or the place
	// lost entries. Nothing is sent and no key of a stored account destroyed before custodians
	// decide ([Journal.Confirm]), or the place is complete again.
	ErrDoubted = errors.New("the journal is in doubt: find out what happened to it, and whether this is the newest ledger " +
		"(does the acquirer know of later payments?); then put the journal back, or have custodians confirm: vault unlock --confirm-ledger")
	// ErrNotDoubted is returned by [Journal.Confirm] where there is nothing to confirm.
	ErrNotDoubted = errors.New("the journal is not in doubt: there is nothing to confirm")
)

// Ledger is the part of [ledger.Ledger] that a journal uses.
type Ledger interface {
	View(fn func(*ledger.Tx) error) error
	Committed() <-chan struct{}
	Journalled() map[string]ledger.Journalled
	SetJournalled(place string, j ledger.Journalled)
}

// Config configures a [Journal].
type Config struct {
	Ledger Ledger
	Place  Place
	Name   string       // of the place in the ledger: "channel", "directory"
	Signer *note.Signer // the vault's
	// Strange is set where the ledger was journalled in other places only, so that this one proves
	// nothing.
	Strange bool
	// Tell commits a finding; may be nil.
	Tell func(ctx context.Context, f book.IntegrityFound) error
	// Retry is the wait after a failure of the place; 0: 250 ms.
	Retry time.Duration
	// Look is how often the place is compared with what was appended to it; 0: 30 s.
	Look time.Duration
	// Survey is how long the place is read before it is trusted; 0: 1 s. What is found missing
	// later is sent again without custodians.
	Survey time.Duration
	Logger *slog.Logger
}

// Journal sends the log to a second place. It is safe for concurrent use; one [Journal.Run] at a
// time, and [Journal.Begin], if at all, before it.
type Journal struct {
	cfg   Config
	lines *folded.Lines // of cfg.Logger, for what the place's owner can cause

	mu     sync.Mutex
	size   int64 // of the log in the place
	first  int64 // index of the oldest entry there
	looked bool  // the place was checked since the start, or since it failed
	// the place was in order since the start: this ledger is the newest, as far as the place shows
	wasInOrder bool
	proved     bool          // it held all that was journalled there
	confirmed  bool          // custodians confirmed the ledger: the place is to be filled again
	doubt      string        // what the place lacks, or ""
	reported   string        // the last doubt with a finding
	cause      error         // why nothing can be appended, if so
	recheck    bool          // the place is to be checked before more is appended
	grown      chan struct{} // closed when size grows
	inOrder    chan struct{} // closed when wasInOrder becomes true
	room       Room
	limited    bool // the warning about room was logged
	reading    reading

	confirms chan struct{} // wakes Run after Confirm
}

// State is a journal's state.
type State struct {
	Place string // its name
	Size  int64  // of the log in the place
	First int64  // index of the oldest entry there: a full place drops its oldest
	// entries from First up to Read were read in the place since the start, and are intact
	Read int64
	// Proved is set when the place held all that was journalled there: the ledger is no older copy.
	Proved bool
	Room   Room
	Doubt  string // what the place lacks, or ""
	Err    error  // [ErrUnavailable], [ErrForeign] or [ErrDoubted], with the cause, or nil
}

// New returns a journal. It does nothing until [Journal.Begin] or [Journal.Run].
func New(cfg Config) *Journal {
	if cfg.Retry <= 0 {
		cfg.Retry = 250 * time.Millisecond
	}
	if cfg.Look <= 0 {
		cfg.Look = 30 * time.Second
	}
	if cfg.Survey <= 0 {
		cfg.Survey = time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Tell == nil {
		cfg.Tell = func(context.Context, book.IntegrityFound) error { return nil }
	}
	return &Journal{cfg: cfg, lines: folded.New(cfg.Logger), grown: make(chan struct{}), inOrder: make(chan struct{}), confirms: make(chan struct{}, 1)}
}

// Ready returns nil while entries reach the second place, as far as known, else [ErrUnavailable],
// [ErrForeign] or [ErrDoubted]. It does not wait.
func (j *Journal) Ready() error {
	if err := j.trouble(); err != nil {
		return err
	}
	return j.cfg.Place.Ready()
}

// trouble returns why the journal has stopped, if so.
func (j *Journal) trouble() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.cause == nil && !j.looked {
		return fmt.Errorf("%w: its place was not reached yet", ErrUnavailable)
	}
	return j.cause
}

// State returns the journal's state.
func (j *Journal) State() State {
	err := j.Ready()
	j.mu.Lock()
	defer j.mu.Unlock()
	return State{Place: j.cfg.Name, Size: j.size, First: j.first, Read: j.reading.end, Proved: j.proved, Room: j.room, Doubt: j.doubt, Err: err}
}

// Believed is closed once the place has been in order since the start, or custodians confirmed the
// ledger: then this ledger is the newest, as far as the place shows.
func (j *Journal) Believed() <-chan struct{} { return j.inOrder }

// Durable returns nil when the log's first size entries, which are committed, are durable in the
// second place. When ctx ends first, it returns [ErrUnavailable] with the cause, and they may still
// be durable.
func (j *Journal) Durable(ctx context.Context, size int64) error {
	for {
		j.mu.Lock()
		done, moved := j.looked && j.size >= size, j.grown
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

// setDurable records, in the ledger too, that the log's first size entries are durable in the
// place.
func (j *Journal) setDurable(generation uint64, size int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.size, j.looked, j.cause, j.doubt = size, true, nil, ""
	if !j.wasInOrder {
		j.wasInOrder = true
		close(j.inOrder)
	}
	j.cfg.Ledger.SetJournalled(j.cfg.Name, ledger.Journalled{Generation: generation, Size: size, First: j.first})
	close(j.grown)
	j.grown = make(chan struct{})
}

// setFailed records why nothing can be appended.
func (j *Journal) setFailed(err error) {
	if !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrForeign) && !errors.Is(err, ErrDoubted) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	j.mu.Lock()
	before := j.cause
	j.looked, j.cause = false, err
	j.mu.Unlock()
	if before == nil || before.Error() != err.Error() {
		j.lines.Error("stands still", "the journal has stopped: nothing is sent to an acquirer", "place", j.cfg.Name, "error", err)
	}
}

// Run sends what the ledger committed, in groups, until ctx ends (nil). It retries after failures
// of the place. It returns an error where the vault must stop: the ledger's, [ledger.ErrRolledBack]
// or [ErrFenced].
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
		case errors.Is(err, ErrDoubted), errors.Is(err, ErrForeign):
			j.setFailed(err)
			j.wait(ctx, j.cfg.Look/10)
			continue
		case err != nil:
			j.setFailed(err)
			j.wait(ctx, j.cfg.Retry)
			continue
		case moved:
			continue
		}
		select {
		case <-ctx.Done():
		case <-committed:
		case <-j.confirms:
		case <-look.C:
			j.requestCheck()
		}
	}
	return nil
}

// wait waits until d has passed or custodians have confirmed.
func (j *Journal) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-j.confirms:
	}
}

// placeError is an error of the place, after which to retry.
type placeError struct{ error }

// Unwrap returns the place's error.
func (e placeError) Unwrap() error { return e.error }

// fatal reports whether the vault must stop.
func fatal(err error) bool {
	if err == nil || errors.Is(err, ErrForeign) || errors.Is(err, ErrDoubted) {
		return false
	}
	_, place := errors.AsType[placeError](err)
	return !place
}

// requestCheck makes the next round check the place first.
func (j *Journal) requestCheck() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.recheck = true
}

// round checks the place where that is due, or sends one message, or reads on in the place. It
// reports whether there was anything to do.
func (j *Journal) round(ctx context.Context) (moved bool, err error) {
	j.mu.Lock()
	due := !j.looked || j.recheck
	first := j.size
	j.mu.Unlock()
	if due {
		return true, j.check(ctx)
	}
	generation, message, size, err := j.next(first)
	if err != nil {
		return false, err
	}
	if size == first {
		return j.readOn(ctx)
	}
	if err := j.cfg.Place.Append(ctx, generation, message); err != nil {
		return false, placeError{err}
	}
	// A crash before this leaves the message in the place for the next start.
	j.setDurable(generation, size)
	return true, nil
}

// next makes the message of what fits after the first entries, and returns the log's size with it.
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

// collect reads as many entries from first on as a message holds, at least one.
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
