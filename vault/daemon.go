package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/settle"
)

// errRelock ends the daemon so that its process executes itself again, locked.
var errRelock = errors.New("the vault locks")

// daemon is the running vault: a key ring, a socket, and, while it is unlocked, the house. It is the control.Vault.
type daemon struct {
	settings settings
	now      func() time.Time
	log      *slog.Logger
	started  envelope.Time
	ring     *keyring.Ring
	ended    chan error // why the daemon must end; the first counts
	failure  failure
	disk     *diskGuard
	refusals refusals

	unlocking sync.Mutex // one unlock at a time
	mu        sync.Mutex // of what follows
	house     *house     // nil while locked
}

// newDaemon takes the vault's directory for this process.
func newDaemon(s settings, now func() time.Time, log *slog.Logger) (*daemon, error) {
	d := &daemon{settings: s, now: now, log: log, started: envelope.At(now()), ended: make(chan error, 1),
		failure: failure{failed: make(chan struct{})}, disk: newDiskGuard(s)}
	ring, err := keyring.Open(s.dir, keyring.Options{Now: now, Logger: log, Failed: d.failure.fail,
		Ahead: s.Keys.Ahead.Std(), CodeLife: s.Keys.CodeLife.Std()})
	if err != nil {
		return nil, err
	}
	d.ring = ring
	return d, nil
}

// run serves until ctx ends (nil), the vault locks (errRelock) or something fails.
func (d *daemon) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, d.ring.Close()) }()
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
func (d *daemon) Unlock(ctx context.Context, actor settle.Actor, given control.Shares, confirmClock bool) (control.Unlocked, error) {
	d.unlocking.Lock()
	defer d.unlocking.Unlock()
	numbers, err := d.present(given)
	if err != nil {
		return control.Unlocked{}, err
	}
	answer := control.Unlocked{Vault: d.ring.Name()}
	h, err := d.open()
	if answer.Already = err == nil; !answer.Already {
		// The ring is open: from here on a failure ends the process, for only that locks it again.
		// It is not broken off by a client that goes away.
		if h, err = openHouse(context.WithoutCancel(ctx), d, actor, numbers); err != nil {
			d.end(errRelock)
			return control.Unlocked{}, fmt.Errorf("unlocked, but it cannot start and locks again: %w", err)
		}
		d.mu.Lock()
		d.house = h
		d.mu.Unlock()
		go func() { d.end(h.wait()) }()
	}
	if confirmClock {
		if err := h.confirmClock(context.WithoutCancel(ctx), actor, numbers); err != nil {
			return control.Unlocked{}, err
		}
		answer.Confirmed = true
	}
	answer.Clock = clockText(d.ring)
	d.log.Info("unlocked", "actor", actor.Name, "already", answer.Already, "clock", answer.Clock)
	return answer, nil
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
func (d *daemon) Lock(_ context.Context, actor settle.Actor) error {
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
