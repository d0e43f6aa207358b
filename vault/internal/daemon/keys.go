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

// tickEvery is how often maintain comes round: well under the hour that a clock may jump unnoticed.
const tickEvery = time.Minute

// maintain looks after the keys, and keeps how far the ledger has come.
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

// keepMark keeps how far the ledger has come. Where there is no room for it, nothing is unknown: the mark of before
// stands, and the next minute writes it.
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

// tick makes and destroys the keys that are due and commits what the log does not know yet. What the ring did is durable before it
// is logged: a crash before the commit leaves it to the next tick, at the latest after the next unlock.
func (u *unlocked) tick(ctx context.Context, origin string) error {
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
	var bodies []book.Body
	keys := unlogged(v.Keys, u.ring.Live())
	if len(keys.Created) > 0 || len(keys.Destroyed) > 0 {
		bodies = append(bodies, keys)
	}
	if change.Jump != 0 && change.Clock == keyring.ClockJumped {
		bodies = append(bodies, book.IntegrityFound{Finding: book.FindingClockForward, Detail: change.Jump.Round(time.Second).String()})
	}
	bodies = append(bodies, damageFound(v.Keys, u.ring.Damage())...)
	if len(bodies) == 0 {
		return nil
	}
	// Parts whose keys are gone open never again. A crash before the commit below has the next tick drop them: then the log still has them.
	if len(keys.Destroyed) > 0 {
		if err := u.engine.DropParts(context.WithoutCancel(ctx), keys.Destroyed); err != nil {
			return fmt.Errorf("drop parts whose keys are destroyed: %w", err)
		}
	}
	return u.ledger.Commit(context.WithoutCancel(ctx), func(tx *ledger.Tx) error {
		for _, body := range bodies {
			if _, err := tx.Append(book.Event{Actor: "vault", Origin: origin, Body: body}); err != nil {
				return err
			}
		}
		return nil
	})
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

// confirmClock makes the wall clock the trusted one, on the word of the custodians of these shares, which were checked. A crash after
// the commit leaves a word that nobody heeded: destruction stays suspended until they give it again.
func (u *unlocked) confirmClock(ctx context.Context, actor operator.Actor, shares []int) error {
	err := u.ledger.Commit(ctx, func(tx *ledger.Tx) error {
		detail := fmt.Sprintf("%s by shares %v", envelope.At(u.config.Now()).Format(time.RFC3339), shares)
		_, err := tx.Append(actor.Event("", book.IntegrityFound{Finding: book.FindingClockConfirmed, Detail: detail}))
		return err
	})
	if err != nil {
		return err
	}
	if err := u.ring.ConfirmClock(); err != nil {
		return err
	}
	return u.tick(ctx, "timer")
}
