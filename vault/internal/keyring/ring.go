package keyring

import (
	stdhpke "crypto/hpke"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
)

// Options configure a ring; the zero value is an on-line vault.
type Options struct {
	Now func() time.Time // the wall clock; nil: time.Now
	// a monotonic clock from any start; nil: by Now's own monotonic reading
	Elapsed func() time.Duration
	Logger  *slog.Logger // nil: none
	// how long before its period a key is published; 0: 48 h; courier sites 14 days
	Ahead time.Duration
	// from a code key's until to its death; 0: 6 h; longer by policy for courier sites
	CodeLife time.Duration
	// is called when a write failed and what is on disk is unknown: the process must end; may be
	// nil
	Failed func(error)
}

// Ring holds a vault's private keys. It is safe for concurrent use, starts locked, and prints as
// "[redacted]".
type Ring struct {
	secret
	dir     string
	custody custodyBody
	now     func() time.Time
	log     *slog.Logger
	plan    schedule
	clock   trustedClock

	keys   atomic.Pointer[wrapping]    // nil while locked
	signer atomic.Pointer[note.Signer] // nil while locked
	stored atomic.Pointer[storedFile]  // nil while locked

	mu         sync.Mutex // of what changes keys: Unlock, Tick, ConfirmClock, Close
	lock       *os.File   // nil when closed
	disk       disk       // sealing.keys, nil where it is missing
	storedDisk disk       // stored.keys, nil where it is missing
	store      *store
	recovered  []envelope.KeyName // destroyed by load, not yet reported by Tick
	unreported time.Duration      // a jump that no Tick has reported yet
	failed     func(error)        // Options.Failed

	damageMu sync.Mutex
	damage   []Damage        // not yet returned by Damage
	lost     map[uint32]bool // slots of stored accounts that were reported as lost

	openMu sync.RWMutex
	opened map[envelope.KeyName]*sealingKey // live keys
}

// sealingKey is a live key, parsed.
type sealingKey struct {
	secret
	life    lifetime
	slot    int
	public  []byte
	private stdhpke.PrivateKey
}

// Open opens the vault in dir for this process alone and checks its files as far as is possible
// without shares. It fails with [ErrInUse] where another process has it, [ErrDamaged] or [ErrMode].
// The ring is locked. A missing sealing.keys or stored.keys, as after a restore from a backup, is
// no error: [Ring.Unlock] makes a new one.
func Open(dir string, o Options) (*Ring, error) {
	r := &Ring{dir: dir, now: o.Now, log: o.Logger, failed: o.Failed, plan: schedule{ahead: o.Ahead, codeLife: o.CodeLife}}
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.plan.ahead == 0 {
		r.plan.ahead = defaultAhead
	}
	if r.plan.codeLife == 0 {
		r.plan.codeLife = defaultCodeLife
	}
	if err := r.plan.check(); err != nil {
		return nil, err
	}
	r.clock.elapsed = o.Elapsed
	if o.Elapsed == nil {
		begun := r.now()
		r.clock.elapsed = func() time.Duration { return r.now().Sub(begun) }
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	if err := r.openFiles(); err != nil {
		return nil, errors.Join(err, r.closeFiles(), lock.Close())
	}
	r.lock = lock
	return r, nil
}

func (r *Ring) openFiles() (err error) {
	if r.custody, err = readCustody(filepath.Join(r.dir, custodyFile)); err != nil {
		return err
	}
	f, err := openDisk(filepath.Join(r.dir, sealingFile))
	if err == nil {
		r.disk = f
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return r.openStoredDisk()
}

// closeFiles closes what openFiles or Unlock opened.
func (r *Ring) closeFiles() (err error) {
	for _, d := range []disk{r.disk, r.storedDisk} {
		if d != nil {
			err = errors.Join(err, d.Close())
		}
	}
	r.disk, r.storedDisk = nil, nil
	return err
}

// Close releases the directory and drops the keys. Calls after it fail with [ErrLocked]. Copies in
// memory are gone only with the process.
func (r *Ring) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lock == nil {
		return nil
	}
	r.keys.Store(nil)
	r.signer.Store(nil)
	r.openMu.Lock()
	r.opened = nil
	r.openMu.Unlock()
	r.stored.Store(nil)
	err := errors.Join(r.closeFiles(), r.lock.Close())
	r.store, r.lock = nil, nil
	return err
}

// Name returns the vault's name.
func (r *Ring) Name() string { return r.custody.Header.Vault }

// Verifier returns the vault's vkey.
func (r *Ring) Verifier() note.Verifier { return r.custody.Header.VKey }

// Threshold returns how many shares unlock (k) and how many there are (n).
func (r *Ring) Threshold() (k, n int) { return r.custody.Header.Threshold, r.custody.Header.Shares }

// Locked reports whether Unlock is still to come.
func (r *Ring) Locked() bool { return r.keys.Load() == nil }

// Signer returns the vault's signing key, nil while locked.
func (r *Ring) Signer() *note.Signer { return r.signer.Load() }

// CheckShare returns nil where s is this vault's, else [ErrWrongShare] with the reason.
func (r *Ring) CheckShare(s Share) error { return r.custody.Header.checkShare(s) }

// Unlock unlocks the ring with k or more distinct shares. It fails with [ErrWrongShare],
// [ErrSameShare], [ErrFewShares] or [ErrDamaged]. On an unlocked ring it only checks them, as
// custodians confirm something ([Ring.ConfirmClock]). It makes no keys: call [Ring.Tick] next.
func (r *Ring) Unlock(shares []Share) error {
	if err := r.custody.Header.checkShares(shares); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lock == nil {
		return errors.New("unlock the vault: it is closed; open it again")
	}
	if !r.Locked() {
		return nil
	}
	keys, signer, err := r.custody.open(filepath.Join(r.dir, custodyFile), shares)
	if err != nil {
		return err
	}
	stored, err := r.openStored(keys)
	if err != nil {
		return err
	}
	if err := r.openStore(keys); err != nil {
		return err
	}
	r.stored.Store(stored)
	r.signer.Store(signer)
	r.keys.Store(keys)
	return nil
}

// openStore loads sealing.keys, or creates it where it is missing, and every live key of it.
func (r *Ring) openStore(keys *wrapping) error {
	path := filepath.Join(r.dir, sealingFile)
	if r.disk == nil {
		r.log.Warn("sealing keys are missing, new ones are made; parts sealed to the old ones can never be opened", "file", path)
		if err := createStore(path, keys, r.now()); err != nil {
			return err
		}
		f, err := openDisk(path)
		if err != nil {
			return err
		}
		r.disk = f
	}
	return r.load(path, keys)
}

func (r *Ring) load(path string, keys *wrapping) error {
	s := &store{keyFile: keyFile{f: r.disk, path: path, vault: r.Name(), keys: keys, report: r.failed}}
	recovered, err := s.load()
	if err != nil {
		return err
	}
	opened, err := r.openLive(s)
	if err != nil {
		return err
	}
	wall := r.now()
	r.clock.start(s.mark, wall, len(opened) > 0)
	r.observe(wall)
	r.store, r.recovered = s, recovered
	r.openMu.Lock()
	r.opened = opened
	r.openMu.Unlock()
	return nil
}

// openLive parses the live keys. One of which neither copy opens is lost; where all are, the file
// is damaged as a whole.
func (r *Ring) openLive(s *store) (map[envelope.KeyName]*sealingKey, error) {
	opened := make(map[envelope.KeyName]*sealingKey)
	var lost, repairs []string
	for slot := range s.table {
		e := &s.table[slot]
		if e.state != slotLive {
			continue
		}
		handle, repaired, err := s.keyset(slot)
		if err != nil {
			return nil, err
		}
		if repaired {
			repairs = append(repairs, string(e.life.Name))
		}
		if e.lost = handle == nil; e.lost {
			lost = append(lost, string(e.life.Name))
			continue
		}
		k := &sealingKey{life: e.life, slot: slot}
		if k.private, k.public, err = openedKey(handle, e.life.Name.Suite()); err != nil {
			return nil, fmt.Errorf("open key %s: %w", e.life.Name, err)
		}
		opened[e.life.Name] = k
	}
	if len(lost) > 0 && len(opened) == 0 {
		return nil, damaged(s.path, fmt.Sprintf("none of its %d keys opens", len(lost)), restoreSealing)
	}
	if len(lost) > 0 {
		r.log.Error("sealing keys are damaged in both copies: parts that were sealed to them can never be opened; everything else goes on",
			"file", s.path, "keys", lost)
	}
	if len(repairs) > 0 {
		r.log.Warn("copies of sealing keys were damaged and have been repaired from the other copy; check the disk", "file", s.path, "keys", repairs)
	}
	r.recordDamage(s.path, true, lost)
	r.recordDamage(s.path, false, repairs)
	return opened, nil
}
