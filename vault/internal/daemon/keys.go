package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
)

// tickEvery is how often maintain runs: well under the hour that a clock may jump unnoticed.
const tickEvery = time.Minute

// maintain maintains the keys and the high-water mark.
func (u *unlocked) maintain(ctx context.Context) error {
	ticker := time.NewTicker(u.config.TickEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if err := u.tick(ctx, "timer"); err != nil {
			return err
		}
		if err := u.keepMark(); err != nil {
			return err
		}
	}
}

// keepMark saves how far the ledger has come. Without room the last mark stays, and the next minute
// tries again.
func (u *unlocked) keepMark() error {
	err := u.ledger.Remember()
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		u.config.Logger.Warn("how far the ledger has come could not be kept; it is tried again in a minute", "error", err)
		return nil
	}
	if err != nil {
		u.failure.fail(err)
	}
	return err
}

// tick makes and destroys the keys that are due and commits what the log lacks. What the ring did
// is durable before: after a crash before the commit the next tick logs it, at the latest after the
// next unlock.
func (u *unlocked) tick(ctx context.Context, origin string) error {
	u.ticking.Lock()
	defer u.ticking.Unlock()
	change, err := u.ring.Tick(u.config.Now())
	if err != nil {
		return fmt.Errorf("look after the sealing keys: %w", err)
	}
	var v book.Vault
	err = u.ledger.View(func(tx *ledger.Tx) (err error) {
		v, err = tx.Vault()
		return err
	})
	if err != nil {
		return err
	}
	var events []book.Event
	found := func(bodies ...book.Body) {
		for _, body := range bodies {
			events = append(events, book.Event{Actor: "vault", Origin: origin, Body: body})
		}
	}
	keys := unlogged(v.Keys, u.ring.Live())
	if len(keys.Created) > 0 || len(keys.Destroyed) > 0 {
		found(keys)
	}
	if change.Jump != 0 && change.Clock == keyring.ClockJumped {
		found(book.IntegrityFound{Finding: book.FindingClockForward, Detail: change.Jump.Round(time.Second).String()})
	}
	found(damageFound(v.Keys, u.ring.Damage())...)
	if len(events) == 0 {
		return nil
	}
	// Parts whose keys are gone never open again. After a crash before the commit below the next
	// tick drops them: the log still has the keys.
	if len(keys.Destroyed) > 0 {
		if err := u.engine.DropParts(context.WithoutCancel(ctx), keys.Destroyed); err != nil {
			return fmt.Errorf("drop parts whose keys are destroyed: %w", err)
		}
	}
	return u.commit(context.WithoutCancel(ctx), events...)
}

// unlogged is the difference between the keys that the log has and those that live.
func unlogged(logged []envelope.KeyName, live []envelope.DirectoryKey) (change book.KeysChanged) {
	there := map[envelope.KeyName]bool{}
	for _, k := range live {
		there[k.Name] = true
		if !slices.Contains(logged, k.Name) {
			change.Created = append(change.Created, book.KeySchedule{Name: k.Name, From: k.From, Until: k.Until, Dies: k.Dies})
		}
	}
	for _, name := range logged {
		if !there[name] {
			change.Destroyed = append(change.Destroyed, name)
		}
	}
	return change
}

// confirmClock makes the wall clock the trusted one, on the statement of the custodians of these
// shares, which were checked. A crash after the commit leaves a statement without effect:
// destruction stays suspended until it is repeated.
func (u *unlocked) confirmClock(ctx context.Context, actor operator.Actor, shares []int) error {
	detail := fmt.Sprintf("%s by shares %v", envelope.At(u.config.Now()).Format(time.RFC3339), shares)
	if err := u.commit(ctx, actor.Event("", book.IntegrityFound{Finding: book.FindingClockConfirmed, Detail: detail})); err != nil {
		return err
	}
	if err := u.ring.ConfirmClock(); err != nil {
		return err
	}
	return u.tick(ctx, "timer")
}
