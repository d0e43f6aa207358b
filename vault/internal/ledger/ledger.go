package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"nightdrop/shared/durable"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/seal"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger/pages"
	"nightdrop/vault/internal/merkle"
)

// Errors of opening.
var (
	// is returned when Create would overwrite
	ErrExists = errors.New("a ledger is there already: nothing was changed")
	// is returned when two daemons meet
	ErrInUse = errors.New("another process has the ledger open: stop that vault first")
)

// Errors of a ledger that is open.
var (
	// ErrDamaged is returned when the file is not what was written: cut, altered, or parts of it
	// older than others.
	ErrDamaged = pages.ErrDamaged
	// ErrUnknownOutcome is returned when a commit failed: it may have happened. The ledger commits
	// no more; the process must exit and open the ledger again.
	ErrUnknownOutcome = errors.New("a commit failed and may have happened: the vault must stop and be started again")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("the ledger is closed")
)

// Keys wraps the ledger's keys and signs; *keyring.Ring is one.
type Keys interface {
	NewBox(purpose string) (wrapped []byte, b keyring.Box, err error)
	OpenBox(purpose string, wrapped []byte) (keyring.Box, error)
	WrapLogKey(number uint32, wrapped []byte, to *seal.Auditor) ([]byte, error)
	Signer() *note.Signer
}

// Options of Create and Open.
type Options struct {
	Now    func() time.Time // the clock of events; time.Now when nil
	Logger *slog.Logger     // discards when nil
	// Actor is who creates the ledger, as in book.Event; "vault" when empty.
	Actor string
	// MaxGroup is how many callers of Commit share one transaction; 256 when 0. It bounds memory
	// and the last one's wait.
	MaxGroup int
	// LockWait is how long Open waits for another process to let go of the file; 500 ms when 0.
	LockWait time.Duration
	// Check checks a file that was not closed properly before this process maps it; Inspect when
	// nil. A daemon passes [InspectByCommand], so that undetected damage harms another process.
	Check func(path string) error
	// Failed is called when a commit failed, so that what is on disk is unknown, and with
	// [ErrDamaged] when damage is detected in the open ledger: the process must end. It does not
	// block and may be called again, from any goroutine; it may be nil.
	Failed func(error)
	// openFile opens the file for bbolt; tests make it fail.
	openFile func(string, int, os.FileMode) (*os.File, error)
	// withoutProofs leaves out the sums of buckets and the tags, for their benchmark.
	withoutProofs bool
	// logEvent writes an event's leaf; nil: Tx.logEvent. The benchmark of the log leaves it out.
	logEvent func(*Tx, book.Event, []byte) (envelope.Place, error)
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Actor == "" {
		o.Actor = "vault"
	}
	if o.MaxGroup == 0 {
		o.MaxGroup = 256
	}
	if o.LockWait == 0 {
		o.LockWait = 500 * time.Millisecond
	}
	if o.Check == nil {
		o.Check = Inspect
	}
	if o.logEvent == nil {
		o.logEvent = (*Tx).logEvent
	}
	return o
}

// Ledger is an open ledger. It is safe for concurrent use.
type Ledger struct {
	db      *bbolt.DB
	path    string
	keys    Keys
	options Options
	origin  string // the log's: the vault's name
	box     keyring.Box
	boxes   sync.Map // purpose -> keyring.Box, opened before

	queue    chan *request
	stop     chan struct{} // closed by Close
	stopped  chan struct{} // closed by the writer
	closing  sync.Once
	tags     *tags
	proving  sync.WaitGroup           // what is compared after Open
	proven   map[string]chan struct{} // buckets that are compared after Open; closed when they were
	unproven chan struct{}            // closed when that found damage, which is latched
	closed   error
	latched  atomic.Pointer[error]
	badMark  atomic.Pointer[error] // what MarkDamaged returns

	mu        sync.Mutex
	committed chan struct{} // closed by the next commit

	journal journalled

	head   head // The writer's, as of the last commit.
	tail   merkle.Tail
	logKey merkle.Key
	held   heldTraces
}

func (l *Ledger) openStore(path string) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:      l.options.LockWait,
		FreelistType: bbolt.FreelistMapType,
		PageSize:     pages.Size,
		// Address space, not memory: mapping a grown file anew would wait for every reader, even a
		// check.
		InitialMmapSize: 64 << 30,
		OpenFile:        l.options.openFile,
		NoStatistics:    true,
	})
	if err != nil {
		return openError(err)
	}
	l.db = db
	return nil
}

func openError(err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrInUse
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return fmt.Errorf("open the ledger: %w: %w", err, ErrDamaged)
	}
	return fmt.Errorf("open the ledger: %w", err)
}

func newLedger(path string, keys Keys, o Options) (*Ledger, error) {
	signer := keys.Signer()
	if signer == nil {
		return nil, keyring.ErrLocked
	}
	return &Ledger{path: path, keys: keys, options: o.withDefaults(), origin: signer.Name(),
		stop: make(chan struct{}), stopped: make(chan struct{}), committed: make(chan struct{})}, nil
}

// Create makes the ledger of a new vault at path, with its first event. It never overwrites.
func Create(path string, keys Keys, o Options) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(ErrExists, err)
	}
	l, err := newLedger(path, keys, o)
	if err != nil {
		return err
	}
	// A crash before the rename leaves only this name, which the next Create begins anew.
	unfinished := path + ".new"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("create the ledger: %w", err)
	}
	if err := l.openStore(unfinished); err != nil {
		return err
	}
	err = l.begin()
	if err := errors.Join(err, l.db.Close()); err != nil {
		return fmt.Errorf("create the ledger: %w", err)
	}
	if err := durable.Rename(unfinished, path); errors.Is(err, fs.ErrExist) {
		return ErrExists
	} else if err != nil {
		return fmt.Errorf("create the ledger: %w", err)
	}
	return markClean(path)
}

func (l *Ledger) begin() error {
	wrapped, box, err := l.keys.NewBox(purposeVault)
	if err != nil {
		return err
	}
	l.box = box
	return l.db.Update(func(b *bbolt.Tx) error {
		if err := makeBuckets(b); err != nil {
			return err
		}
		if err := b.Bucket([]byte(bucketMeta)).Put(keyFormat, []byte(format)); err != nil {
			return err
		}
		tx := l.newTx(b)
		if err := tx.store(bucketKeys, []byte(purposeVault), wrapped); err != nil {
			return err
		}
		if err := tx.newLogKey(); err != nil {
			return err
		}
		_, err := tx.Append(book.Event{Actor: l.options.Actor, Origin: "init", Body: book.VaultCreated{
			Vault: l.origin, Generation: 1, Signer: l.keys.Signer().Verifier().String()}})
		if err != nil {
			return err
		}
		return tx.finish()
	})
}

// Open opens the ledger at path. A file that was not closed properly is checked first
// (Options.Check). It fails with [ErrInUse] while another process has it open, with [ErrDamaged],
// with [ErrRolledBack] where the mark is ahead of the file, with [ErrOlder] where Rebuild must come
// first, with [ErrNewer] or [ErrFormat], or with an error of the keys, such as keyring.ErrLocked.
func Open(path string, keys Keys, o Options) (*Ledger, error) {
	l, err := open(path, keys, o)
	return l, onDisk(path, err)
}

func open(path string, keys Keys, o Options) (*Ledger, error) {
	l, err := newLedger(path, keys, o)
	if err != nil {
		return nil, err
	}
	if err := notEmpty(path); err != nil {
		return nil, err
	}
	if !wasClean(path) {
		l.options.Logger.Info("the ledger was not closed properly: looking at all of it first", "file", path)
		if err := l.options.Check(path); err != nil {
			return nil, err
		}
	}
	if err := guard(func() error { return l.openStore(path) }); err != nil {
		return nil, err
	}
	if err := guard(l.resume); err != nil {
		return nil, errors.Join(err, l.db.Close())
	}
	l.queue = make(chan *request, l.options.MaxGroup)
	go l.write()
	if !l.options.withoutProofs {
		l.proven, l.unproven = map[string]chan struct{}{}, make(chan struct{})
		for _, bucket := range laterBuckets {
			l.proven[bucket] = make(chan struct{})
		}
		l.proving.Go(l.proveLater)
	}
	return l, nil
}

// resume reads the head, checks the end of the log against it, and begins a new log key.
func (l *Ledger) resume() error {
	if err := pages.CheckBranches(l.path); err != nil {
		return err
	}
	// before anything changes: a file of another format is left as it is
	if err := l.db.View(checkFormat); err != nil {
		return err
	}
	if err := os.Remove(cleanMark(l.path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open the ledger: %w", err)
	}
	if err := durable.SyncDir(filepath.Dir(l.path)); err != nil {
		return err
	}
	if err := l.db.View(l.proveEnd); err != nil {
		return err
	}
	// A crash after this commit leaves a log key that seals nothing, and this build's new tables,
	// empty.
	err := l.db.Update(func(b *bbolt.Tx) error {
		if err := makeBuckets(b); err != nil {
			return err
		}
		tx := l.newTx(b)
		if err := tx.newLogKey(); err != nil {
			return err
		}
		if err := tx.finish(); err != nil {
			return err
		}
		l.updateTags(tx)
		l.publish(tx)
		return nil
	})
	if err != nil {
		return err
	}
	return l.db.View(func(b *bbolt.Tx) error { return l.readHeld(l.newTx(b)) })
}

// proveEnd checks that the file ends where its last commit left it, and proves what money depends
// on.
func (l *Ledger) proveEnd(b *bbolt.Tx) error {
	if err := wholeFile(b); err != nil {
		return err
	}
	if err := l.openVault(b); err != nil {
		return err
	}
	l.journal.places = maps.Clone(l.head.Journal)
	if err := l.checkLogEnd(b, l.head); err != nil {
		return err
	}
	if err := l.checkHighWater(b, l.head); err != nil {
		return err
	}
	if _, err := l.newTx(b).LogEntry(uint64(l.head.Size - 1)); err != nil {
		return err
	}
	return l.proveFirst()
}

// checkLogEnd reads the end of the log and checks it against the head.
func (l *Ledger) checkLogEnd(b *bbolt.Tx, h head) (err error) {
	if l.tail, err = merkle.ReadTail(rows{b}, h.Size, h.root()); err != nil {
		return fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	return nil
}

// openVault opens the vault's box, reads the head and checks that the buckets are there.
func (l *Ledger) openVault(b *bbolt.Tx) (err error) {
	if err := l.openBox(b); err != nil {
		return err
	}
	if l.head, err = l.readHead(b); err != nil {
		return err
	}
	for _, name := range buckets() {
		if b.Bucket(name) == nil && !l.head.Sums.isNew(string(name)) {
			return damaged("bucket %s is missing", name)
		}
	}
	return nil
}

func (l *Ledger) openBox(b *bbolt.Tx) error {
	keys := b.Bucket([]byte(bucketKeys))
	if keys == nil {
		return damaged("bucket %s is missing", bucketKeys)
	}
	wrapped := keys.Get([]byte(purposeVault))
	box, err := l.keys.OpenBox(purposeVault, append([]byte(nil), wrapped...))
	if errors.Is(err, keyring.ErrLocked) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	l.box = box
	return nil
}

// View runs fn on a snapshot. fn must not keep tx, use it from several goroutines, or wait for a
// Commit.
func (l *Ledger) View(fn func(*Tx) error) error {
	if l.tags != nil {
		entered := l.tags.enter()
		defer l.tags.leave(entered)
	}
	return l.noted(guard(func() error {
		err := l.db.View(func(b *bbolt.Tx) error { return fn(l.newTx(b)) })
		if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
			return ErrClosed
		}
		return err
	}))
}

// Named adds to an error of damage its file, where it lacks that.
func (l *Ledger) Named(err error) error { return naming(l.path, err) }

// noted returns err. Damage gets its file's name, ends all commits and is passed to Options.Failed:
// no caller may go on with part of a damaged ledger.
func (l *Ledger) noted(err error) error {
	if !errors.Is(err, ErrDamaged) {
		return err
	}
	err = l.Named(err)
	l.latched.CompareAndSwap(nil, &err)
	if l.options.Failed != nil {
		l.options.Failed(err)
	}
	return err
}

// Committed returns a channel that the next commit closes. Get the channel, then look, then wait on
// it, each time anew: so nothing in between is missed.
func (l *Ledger) Committed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.committed
}

func (l *Ledger) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.committed)
	l.committed = make(chan struct{})
}

// Close waits for the group under way, refuses the rest with ErrClosed and closes the file.
func (l *Ledger) Close() error {
	l.closing.Do(func() {
		close(l.stop)
		<-l.stopped
		l.proving.Wait()
		// after a failed commit the file is doubtful, so it is not marked
		sound := l.latched.Load() == nil
		if sound {
			l.closed = errors.Join(l.keepJournalled(), l.remember(l.head))
		}
		l.closed = errors.Join(l.closed, l.db.Close())
		if l.closed == nil && sound {
			l.closed = markClean(l.path)
		}
	})
	return l.closed
}

// Fingerprint is [Tx.Fingerprint] on a snapshot of its own.
func (l *Ledger) Fingerprint(merchant string, whole []byte) (fingerprint string, err error) {
	err = l.View(func(tx *Tx) error {
		fingerprint, err = tx.Fingerprint(merchant, whole)
		return err
	})
	return fingerprint, err
}

// notEmpty refuses a file too short for bbolt's two first pages: bbolt would begin a new store in
// it.
func notEmpty(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("open the ledger: %w", err)
	}
	if info.Size() < 2*pages.Size {
		return damaged("the file has %d bytes", info.Size())
	}
	return nil
}

// wholeFile checks that the file has all its pages: beyond its end the map faults.
func wholeFile(b *bbolt.Tx) error {
	info, err := os.Stat(b.DB().Path())
	if err != nil {
		return err
	}
	if info.Size() < b.Size() {
		return damaged("the file has %d bytes of %d", info.Size(), b.Size())
	}
	return nil
}

func damaged(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrDamaged)...)
}

func later(a, b envelope.Time) envelope.Time {
	if a.Before(b.Time) {
		return b
	}
	return a
}
