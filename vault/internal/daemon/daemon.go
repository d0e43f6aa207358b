// Package daemon is the running vault: it holds the key ring, opens the ledger once custodians
// unlock it, starts, watches and stops intake, engine and the results' sender, and watches the
// disks and the log's second places. nightdrop/vault/internal/calls answers operators; it parses no
// command line.
package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"nightdrop/shared/config"
	"nightdrop/shared/envelope"
	"nightdrop/shared/volume"
	"nightdrop/vault/internal/calls"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/settings"
)

// ErrRelock ends the daemon so that its process executes itself again, locked.
var ErrRelock = errors.New("the vault locks")

// Daemon is the running vault: a key ring, a socket and, while unlocked, its work. It implements
// [calls.Daemon].
type Daemon struct {
	config   Config
	started  envelope.Time
	ring     *keyring.Ring
	calls    *calls.Calls
	ended    chan error // why the daemon must end; the first counts
	failure  failure
	disk     *diskGuard
	refusals refusals
	remains  []string        // what destroying a key does not reach on this host
	running  context.Context // ends when the daemon does: what takes long in an unlock breaks off
	ending   context.CancelFunc
	// rebuilding is the progress of the ledger's rebuilding; nil where there is none.
	rebuilding atomic.Pointer[control.Rebuilding]

	unlocking sync.Mutex // one unlock at a time
	mu        sync.Mutex // of what follows
	unlocked  *unlocked  // nil while locked
}

// Config is what a daemon runs with.
type Config struct {
	Settings settings.Settings
	Version  string // of the program, for the log
	// Inspect checks a ledger that was not closed properly, in another process.
	Inspect func(path string) error
	Now     func() time.Time
	Logger  *slog.Logger

	// For tests: how the key ring is opened, how disks are measured, and how often keys and marks
	// are checked.
	OpenRing  func(dir string, o keyring.Options) (*keyring.Ring, error)
	Look      func(dir string) (volume.Room, error)
	TickEvery time.Duration
}

// Serve locks the vault's directory for this process and serves until ctx ends (nil), the vault
// locks ([ErrRelock]) or something fails.
func Serve(ctx context.Context, c Config) error {
	remains := keyring.Remains(c.Settings.Dir, keyring.ThisHost())
	for _, remain := range remains {
		c.Logger.Warn("what destroying a key does not reach here", "note", remain)
	}
	d, err := New(c)
	if err != nil {
		return err
	}
	d.remains = remains
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go config.LogNearEnds(watching, c.Settings.Validities, c.Now, c.Logger)
	return d.Run(ctx)
}

// New locks the vault's directory for this process; the vault is locked.
func New(c Config) (*Daemon, error) {
	if c.OpenRing == nil {
		c.OpenRing = keyring.Open
	}
	if c.Look == nil {
		c.Look = volume.Look
	}
	c.TickEvery = cmp.Or(c.TickEvery, tickEvery)
	d := &Daemon{config: c, started: envelope.At(c.Now()), ended: make(chan error, 1),
		failure: failure{failed: make(chan struct{})}, disk: newDiskGuard(c.Settings, c.Look)}
	o := c.Settings.RingOptions()
	o.Now, o.Logger, o.Failed = c.Now, c.Logger, d.failure.fail
	ring, err := c.OpenRing(c.Settings.Dir, o)
	if err != nil {
		return nil, err
	}
	d.ring = ring
	d.calls = calls.New(calls.Config{Daemon: d, Keys: ring, Dir: c.Settings.Dir, Now: c.Now})
	d.running, d.ending = context.WithCancel(context.Background())
	return d, nil
}

// Run serves until ctx ends (nil), the vault locks ([ErrRelock]) or something fails.
func (d *Daemon) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, d.ring.Close()) }()
	defer d.ending()
	socket, err := control.Listen(d.config.Settings.Socket)
	if err != nil {
		return err
	}
	server := control.NewServer(control.ServerConfig{Vault: d.calls, Classify: calls.KindOf, Refused: d.refused, Logger: d.config.Logger})
	serving := make(chan error, 1)
	go func() { serving <- server.Serve(socket) }()
	d.config.Logger.Info("locked; unlock it with custodians' shares", "vault", d.ring.Name(), "socket", d.config.Settings.Socket)

	select {
	case <-ctx.Done():
		d.config.Logger.Info("stopping")
	case err = <-d.ended:
	case err = <-serving:
		err = fmt.Errorf("serve the socket: %w", err)
	case <-d.failure.failed:
		return d.abandon(server)
	}
	d.ending()
	// Calls under way get their answers; new ones are refused by the closed socket.
	limit, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	server.Shutdown(limit)
	left := make(chan error, 1)
	go func() { left <- d.stop(!errors.Is(err, ErrRelock)) }()
	select {
	case closing := <-left:
		if failed := d.failure.reason(); failed != nil {
			return errors.Join(failed, closing)
		}
		return errors.Join(err, closing)
	case <-d.failure.failed:
		return d.abandon(server)
	}
}

// end ends the daemon for this reason.
func (d *Daemon) end(reason error) {
	select {
	case d.ended <- reason:
	default:
	}
}

// stop ends the work, if any; stops means that the daemon ends for good.
func (d *Daemon) stop(stops bool) error {
	d.unlocking.Lock() // an unlock that is under way starts the work first
	defer d.unlocking.Unlock()
	d.mu.Lock()
	u := d.unlocked
	d.mu.Unlock()
	if u == nil {
		return nil
	}
	return u.close(stops)
}

// current returns the unlocked vault, or the error that the vault is locked.
func (d *Daemon) current() (*unlocked, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unlocked == nil {
		return nil, keyring.ErrLocked
	}
	return d.unlocked, nil
}

// Parts implements [calls.Daemon].
func (d *Daemon) Parts() (calls.Parts, error) {
	u, err := d.current()
	if err != nil {
		return calls.Parts{}, err
	}
	return calls.Parts{Ledger: u.ledger, Engine: u.engine, Publisher: u.publisher}, nil
}
