package daemon

import (
	"context"
	"errors"
	"fmt"

	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/operator"
)

// Unlock checks the shares, starts the work with them, and confirms the clock where that is asked
// for.
func (d *Daemon) Unlock(ctx context.Context, actor operator.Actor, given control.Shares, o control.UnlockOptions) (control.Unlocked, error) {
	d.unlocking.Lock()
	defer d.unlocking.Unlock()
	numbers, err := d.giveShares(given)
	if err != nil {
		return control.Unlocked{}, err
	}
	answer := control.Unlocked{Vault: d.ring.Name()}
	u, err := d.current()
	if answer.Already = err == nil; !answer.Already {
		if u, answer.Rebuilt, err = d.start(ctx, actor, numbers, o); err != nil {
			return control.Unlocked{}, err
		}
	} else if o.Rebuild {
		return control.Unlocked{}, &control.Error{Code: control.CodeConflict, Detail: "the vault is unlocked and works on its ledger: lock it, then unlock it with --rebuild"}
	}
	if o.ConfirmClock {
		if err := u.confirmClock(context.WithoutCancel(ctx), actor, numbers); err != nil {
			return control.Unlocked{}, err
		}
		answer.Confirmed = true
	}
	if o.ConfirmLedger {
		if answer.LedgerConfirmed, err = u.confirmLedger(context.WithoutCancel(ctx), actor, numbers); err != nil {
			return control.Unlocked{}, err
		}
	}
	answer.Clock = clockText(d.ring)
	d.config.Logger.Info("unlocked", "actor", actor.Name, "already", answer.Already, "clock", answer.Clock)
	return answer, nil
}

// start starts the work with the open ring. From here on a failure ends the process, for only that
// locks the ring again. It is not broken off by a client that goes away.
func (d *Daemon) start(ctx context.Context, actor operator.Actor, shares []int, o control.UnlockOptions) (*unlocked, *control.Rebuilt, error) {
	ctx = context.WithoutCancel(ctx)
	u, err := startUnlocked(ctx, d, actor, shares, o)
	if err != nil {
		d.end(ErrRelock)
		return nil, nil, fmt.Errorf("unlocked, but it cannot start and locks again: %w", err)
	}
	d.mu.Lock()
	d.unlocked = u
	d.mu.Unlock()
	go func() { d.end(u.wait()) }()
	return u, u.rebuilt, nil
}

// giveShares gives the shares to the ring, clears them, and returns their numbers.
func (d *Daemon) giveShares(given control.Shares) (numbers []int, err error) {
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
func (d *Daemon) Lock(_ context.Context, actor operator.Actor) error {
	u, err := d.current()
	if errors.Is(err, keyring.ErrLocked) {
		return nil
	}
	u.lockedBy(actor)
	d.end(ErrRelock)
	return nil
}

// CheckShare reports whose share each of the lines is, locked or not, and fails with the first that
// is no share of this vault's newest sharing.
func (d *Daemon) CheckShare(_ context.Context, given control.Shares) (control.CheckedShare, error) {
	k, _ := d.ring.Threshold()
	checked := control.CheckedShare{Threshold: k}
	for _, line := range given.Lines() {
		share, err := keyring.ParseShare(line)
		if err != nil {
			return control.CheckedShare{}, err
		}
		err = d.ring.CheckShare(share)
		checked.Number = share.Number()
		share.Clear()
		if err != nil {
			return control.CheckedShare{}, err
		}
	}
	return checked, nil
}
