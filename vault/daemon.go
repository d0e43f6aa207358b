package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/operator"
	"nightdrop/vault/internal/settings"
)

// errRelock ends the daemon so that its process executes itself again, locked.
var errRelock = errors.New("the vault locks")

// daemon is the running vault: a key ring, a socket, and, while it is unlocked, the house. It is the control.Vault.
type daemon struct {
	settings settings.Settings
	now      func() time.Time
	log      *slog.Logger
	started  envelope.Time
	ring     *keyring.Ring
	ended    chan error // why the daemon must end; the first counts
	failure  failure
	disk     *diskGuard
	refusals refusals
	remains  []string        // what destroying a key does not reach on this host
	running  context.Context // ends when the daemon does: what takes long in an unlock breaks off
	ending   context.CancelFunc
	// rebuilding is how far the ledger's rebuilding has come; nil where there is none.
	rebuilding atomic.Pointer[control.Rebuilding]

	unlocking sync.Mutex // one unlock at a time
	mu        sync.Mutex // of what follows
	house     *house     // nil while locked
}

// newDaemon takes the vault's directory for this process.
func newDaemon(s settings.Settings, now func() time.Time, log *slog.Logger) (*daemon, error) {
	d := &daemon{settings: s, now: now, log: log, started: envelope.At(now()), ended: make(chan error, 1),
		failure: failure{failed: make(chan struct{})}, disk: newDiskGuard(s)}
	ring, err := keyring.Open(s.Dir, keyring.Options{Now: now, Logger: log, Failed: d.failure.fail,
		Ahead: s.Keys.Ahead.Std(), CodeLife: s.Keys.CodeLife.Std()})
	if err != nil {
		return nil, err
	}
	d.ring = ring
	d.running, d.ending = context.WithCancel(context.Background())
	return d, nil
}

// run serves until ctx ends (nil), the vault locks (errRelock) or something fails.
func (d *daemon) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, d.ring.Close()) }()
	defer d.ending()
	socket, err := control.Listen(d.settings.Socket)
	if err != nil {
		return err
	}
	server := control.NewServer(control.ServerConfig{Vault: d, Classify: kindOf, Refused: d.refused, Logger: d.log})
	serving := make(chan error, 1)
	go func() { serving <- server.Serve(socket) }()
	d.log.Info("locked; unlock it with custodians' shares", "vault", d.ring.Name(), "socket", d.settings.Socket)

	select {
	case <-ctx.Done():
		d.log.Info("stopping")
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
	go func() { left <- d.leave(!errors.Is(err, errRelock)) }()
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

// end has the daemon end for this reason.
func (d *daemon) end(reason error) {
	select {
	case d.ended <- reason:
	default:
	}
}

// leave closes the house, if there is one; stops tells whether the daemon ends for good.
func (d *daemon) leave(stops bool) error {
	d.unlocking.Lock() // an unlock that is under way opens the house first
	defer d.unlocking.Unlock()
	d.mu.Lock()
	h := d.house
	d.mu.Unlock()
	if h == nil {
		return nil
	}
	return h.close(stops)
}

// open gives the house, or the error that the vault is locked.
func (d *daemon) open() (*house, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.house == nil {
		return nil, keyring.ErrLocked
	}
	return d.house, nil
}

// Unlock checks the shares, opens the house with them, and confirms the clock where that is asked for.
func (d *daemon) Unlock(ctx context.Context, actor operator.Actor, given control.Shares, o control.UnlockOptions) (control.Unlocked, error) {
	d.unlocking.Lock()
	defer d.unlocking.Unlock()
	numbers, err := d.present(given)
	if err != nil {
		return control.Unlocked{}, err
	}
	answer := control.Unlocked{Vault: d.ring.Name()}
	h, err := d.open()
	if answer.Already = err == nil; !answer.Already {
		if h, answer.Rebuilt, err = d.enter(ctx, actor, numbers, o); err != nil {
			return control.Unlocked{}, err
		}
	} else if o.Rebuild {
		return control.Unlocked{}, &control.Error{Code: control.CodeConflict, Detail: "the vault is unlocked and works on its ledger: lock it, then unlock it with --rebuild"}
	}
	if o.ConfirmClock {
		if err := h.confirmClock(context.WithoutCancel(ctx), actor, numbers); err != nil {
			return control.Unlocked{}, err
		}
		answer.Confirmed = true
	}
	if o.ConfirmLedger {
		if answer.LedgerConfirmed, err = h.confirmLedger(context.WithoutCancel(ctx), actor, numbers); err != nil {
			return control.Unlocked{}, err
		}
	}
	answer.Clock = clockText(d.ring)
	d.log.Info("unlocked", "actor", actor.Name, "already", answer.Already, "clock", answer.Clock)
	return answer, nil
}

// enter opens the house with the open ring. From here on a failure ends the process, for only that locks the ring again. It is not broken off
// by a client that goes away.
func (d *daemon) enter(ctx context.Context, actor operator.Actor, shares []int, o control.UnlockOptions) (*house, *control.Rebuilt, error) {
	ctx = context.WithoutCancel(ctx)
	h, err := openHouse(ctx, d, actor, shares, o)
	if err != nil {
		d.end(errRelock)
		return nil, nil, fmt.Errorf("unlocked, but it cannot start and locks again: %w", err)
	}
	d.mu.Lock()
	d.house = h
	d.mu.Unlock()
	go func() { d.end(h.wait()) }()
	return h, h.rebuilt, nil
}

// present gives the shares to the ring, clears them, and returns their numbers.
func (d *daemon) present(given control.Shares) (numbers []int, err error) {
	var shares []keyring.Share
	defer func() {
		for _, share := range shares {
			share.Clear()
		}
	}()
	for _, line := range given.Lines() {
		share, err := keyring.ParseShare(line)
		if err != nil {
			return nil, err
		}
		shares = append(shares, share)
		numbers = append(numbers, share.Number())
	}
	return numbers, d.ring.Unlock(shares)
}

// Lock ends the process's knowledge of the keys; the answer comes before the end.
func (d *daemon) Lock(_ context.Context, actor operator.Actor) error {
	h, err := d.open()
	if errors.Is(err, keyring.ErrLocked) {
		return nil
	}
	h.lockedBy(actor)
	d.end(errRelock)
	return nil
}

// clockText says what state the trusted clock is in and what to do about it.
func clockText(ring *keyring.Ring) string {
	status := ring.Clock()
	switch status.Clock {
	case keyring.ClockJumped:
		return fmt.Sprintf("jumped ahead by %s: no key is destroyed until custodians confirm it (unlock --confirm-clock)", status.Jump.Round(time.Second))
	case keyring.ClockBehind:
		return fmt.Sprintf("behind by %s: correct it, or custodians confirm it (unlock --confirm-clock)", status.Jump.Abs().Round(time.Second))
	case keyring.ClockSteady:
	}
	return string(keyring.ClockSteady)
}
