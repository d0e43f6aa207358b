package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer/iso8583"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/intake"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
	"nightdrop/vault/internal/outbox"
	"nightdrop/vault/internal/settings"
	"nightdrop/vault/internal/settle"
)

// tickEvery is how often keep comes round: well under the hour that a clock may jump unnoticed.
const tickEvery = time.Minute

// house is the vault with its keys at hand: ledger, channel, acquirer, and those who work between them.
type house struct {
	ring     *keyring.Ring
	ledger   *ledger.Ledger
	channel  *channel.Vault
	acquirer *iso8583.Client
	engine   *settle.Engine
	intake   *intake.Intake
	outbox   *outbox.Outbox
	journal  *secondPlaces // nil where it is off
	now      func() time.Time
	log      *slog.Logger
	failure  *failure // of the process
	disk     *diskGuard

	rebuilt *control.Rebuilt // nil where the ledger was not rebuilt at this unlock

	furnished chan struct{} // closed when engine is there, or will never be

	tasks *errgroup.Group
	stop  context.CancelFunc

	mu     sync.Mutex
	locker operator.Actor // who locks; the vault itself where nobody did
}

// openHouse opens the ledger with the unlocked ring and sets everything to work. On an error nothing is left running.
func openHouse(ctx context.Context, d *daemon, actor operator.Actor, shares []int, o control.UnlockOptions) (h *house, err error) {
	h = &house{ring: d.ring, now: d.now, log: d.log, failure: &d.failure, disk: d.disk, furnished: make(chan struct{}),
		locker: operator.Actor{Name: "vault", Origin: "stop"}}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.release())
			h = nil
		}
	}()
	if h.ledger, err = d.openLedger(o.Rebuild); err != nil {
		return h, err
	}
	if err := h.connect(d.settings); err != nil {
		return h, err
	}
	if err := h.openJournal(ctx, d.settings); err != nil {
		return h, err
	}
	if err := h.mendMark(ctx, h.journal.proved(), o.ConfirmLedger, actor, shares); err != nil {
		return h, err
	}
	stored, err := h.storedSlots() // before anything is committed: a sound copy of the ledger is then as new as this one
	if err != nil {
		return h, err
	}
	if err := h.tellStart(ctx, d); err != nil {
		return h, err
	}
	if h.rebuilt, err = h.tellRebuild(ctx, d, actor); err != nil {
		return h, err
	}
	if err := h.begin(ctx, d.settings, actor, shares); err != nil {
		return h, err
	}
	if h.journal == nil { // else an older ledger would have keys destroyed that the newest needs: trustLedger does it
		if err := h.ring.KeepStored(stored); err != nil {
			return h, err
		}
	}
	err = h.furnish(d.settings)
	close(h.furnished)
	if err != nil {
		return h, err
	}
	// Before anything else issues a result: what a stop left open is unknown.
	if err := h.engine.Recover(ctx); err != nil {
		return h, err
	}
	if err := h.tick(ctx, "start"); err != nil {
		return h, err
	}
	work, stop := context.WithCancel(context.Background())
	h.stop = stop
	var group context.Context
	h.tasks, group = errgroup.WithContext(work)
	for _, run := range []func(context.Context) error{h.engine.Run, h.intake.Run, h.outbox.Run, h.keep, h.watchJournal, h.trustLedger(stored),
		h.watchDisk, h.tellSizes(d.settings)} {
		h.tasks.Go(func() error {
			if err := run(group); err != nil && work.Err() == nil {
				return err
			}
			return nil
		})
	}
	return h, nil
}

// begin commits that the vault was unlocked, and whose bags count.
func (h *house) begin(ctx context.Context, s settings.Settings, actor operator.Actor, shares []int) error {
	relays := []string{}
	for _, r := range s.Relays {
		relays = append(relays, r.String())
	}
	if len(relays) == 0 {
		h.log.Warn("no relay is configured: the vault takes nothing", "file", filepath.Join(s.Dir, settings.File))
	}
	return h.ledger.Commit(ctx, func(tx *ledger.Tx) error {
		if _, err := tx.Append(actor.Event("", book.VaultUnlocked{Version: version, Shares: shares})); err != nil {
			return err
		}
		v, err := tx.Vault()
		if err != nil || slices.Equal(v.Relays, relays) {
			return err
		}
		_, err = tx.Append(book.Event{Actor: "vault", Origin: "start", Body: book.RelaysSet{Relays: relays}})
		return err
	})
}

// storedSlots reads which stored accounts are in use: of all others the ring destroys the keys, where the ledger is the newest.
func (h *house) storedSlots() (slots []uint32, err error) {
	err = h.ledger.View(func(tx *ledger.Tx) (err error) {
		slots, err = tx.StoredSlots()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read which accounts are stored: %w", err)
	}
	return slots, nil
}

// connect dials the channel and the acquirer; both keep trying for as long as the house stands.
func (h *house) connect(s settings.Settings) (err error) {
	options := s.Channel.Options()
	options.Name, options.Logger = h.ring.Name(), h.log
	h.channel, err = channel.DialVault(context.Background(), options)
	if err != nil {
		return err
	}
	config, err := s.Acquirer.TLS.Config(h.now, h.log)
	if err != nil {
		return err
	}
	dialect, err := s.Acquirer.LoadDialect()
	if err != nil {
		return fmt.Errorf("acquirer.dialect: %w", err)
	}
	h.acquirer = iso8583.New(iso8583.Config{Address: s.Acquirer.Address, TLS: config, Dialect: dialect, Report: h.odd, AnswerTimeout: s.Acquirer.AnswerTimeout.Std(),
		ConnectTimeout: s.Acquirer.ConnectTimeout.Std(), EchoInterval: s.Acquirer.EchoInterval.Std(), Logger: h.log})
	return nil
}

// odd puts into the log what the acquirer's host sent and should not have.
func (h *house) odd(o iso8583.Oddity) {
	if <-h.furnished; h.engine != nil {
		h.engine.Odd(string(o.Kind), o.Detail)
	}
}

// furnish makes those who work.
func (h *house) furnish(s settings.Settings) error {
	bank, err := s.Bank.Config()
	if err != nil {
		return fmt.Errorf("bank: %w", err)
	}
	if bank != nil {
		bank.Disk = h.disk.outbox()
	}
	h.disk.renew()
	closeAt, err := s.Batches.Times()
	if err != nil {
		return fmt.Errorf("batches.close_at: %w", err)
	}
	h.intake, err = intake.New(intake.Config{Ledger: h.ledger, Opener: h.ring, Source: h.channel, Workers: s.Limits.Workers, Now: h.now, Logger: h.log,
		Accounts: h.ring, RefundsByReference: h.acquirer.RefundsByReference(), Bank: bank != nil, Room: h.mayTake})
	if err != nil {
		return err
	}
	h.outbox, err = outbox.New(outbox.Config{Ledger: h.ledger, Keys: h.ring, Channel: h.channel, Position: h.intake.Position,
		Lifetime: s.DirectoryLifetime.Std(), Rate: s.Limits.ResultsPerSecond, Workers: s.Limits.Workers, Now: h.now, Logger: h.log})
	if err != nil {
		return err
	}
	var waits settle.Journal // nil where there is none
	if h.journal != nil {
		waits = h.journal
	}
	h.engine = settle.New(settle.Config{Journal: waits, Room: h.disk.room, Ledger: h.ledger, Opener: h.ring, Accounts: h.ring,
		Acquirer: halting{h.acquirer, h.failure}, Bank: bank,
		Reconciliation: s.Acquirer.Reconciliation, Terminals: s.Acquirer.Terminals, CloseAt: closeAt, Outstanding: s.Acquirer.Outstanding, ReversalRetry: s.Acquirer.ReversalRetry.Std(),
		RepeatEvery: s.Acquirer.RepeatEvery.Std(), RepeatFor: s.Acquirer.RepeatFor.Std(), Silences: s.Acquirer.Silences, OrderWait: s.Acquirer.OrderWait.Std(),
		Drain: s.StopGrace.Std(), Now: h.now, Logger: h.log})
	return nil
}

// keep looks after the keys, and keeps how far the ledger has come.
func (h *house) keep(ctx context.Context) error {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if err := h.tick(ctx, "timer"); err != nil {
			return err
		}
		if err := h.remember(); err != nil {
			return err
		}
	}
}

// remember keeps how far the ledger has come. Where there is no room for it, nothing is unknown: the mark of before
// stands, and the next minute writes it.
func (h *house) remember() error {
	err := h.ledger.Remember()
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		h.log.Warn("how far the ledger has come could not be kept; it is tried again in a minute", "error", err)
		return nil
	}
	if err != nil {
		h.failure.fail(err)
	}
	return err
}

// tick makes and destroys the keys that are due and commits what the log does not know yet. What the ring did is durable before it
// is told: a crash before the commit leaves it to the next tick, at the latest after the next unlock.
func (h *house) tick(ctx context.Context, origin string) error {
	change, err := h.ring.Tick(h.now())
	if err != nil {
		return fmt.Errorf("look after the sealing keys: %w", err)
	}
	var told book.Vault
	err = h.ledger.View(func(tx *ledger.Tx) (err error) {
		told, err = tx.Vault()
		return err
	})
	if err != nil {
		return err
	}
	var bodies []book.Body
	keys := untold(told.Keys, h.ring.Live())
	if len(keys.Created) > 0 || len(keys.Destroyed) > 0 {
		bodies = append(bodies, keys)
	}
	if change.Jump != 0 && change.Clock == keyring.ClockJumped {
		bodies = append(bodies, book.IntegrityFound{Finding: book.FindingClockForward, Detail: change.Jump.Round(time.Second).String()})
	}
	bodies = append(bodies, damageFound(told.Keys, h.ring.Damage())...)
	if len(bodies) == 0 {
		return nil
	}
	// Parts whose keys are gone open never again. A crash before the commit below has the next tick drop them: it finds the keys untold.
	if len(keys.Destroyed) > 0 {
		if err := h.engine.DropParts(context.WithoutCancel(ctx), keys.Destroyed); err != nil {
			return fmt.Errorf("drop parts whose keys are destroyed: %w", err)
		}
	}
	return h.ledger.Commit(context.WithoutCancel(ctx), func(tx *ledger.Tx) error {
		for _, body := range bodies {
			if _, err := tx.Append(book.Event{Actor: "vault", Origin: origin, Body: body}); err != nil {
				return err
			}
		}
		return nil
	})
}

// untold is the difference between the keys of which the log tells and those that live.
func untold(told []envelope.KeyName, live []envelope.DirectoryKey) (change book.KeysChanged) {
	there := map[envelope.KeyName]bool{}
	for _, k := range live {
		there[k.Name] = true
		if !slices.Contains(told, k.Name) {
			change.Created = append(change.Created, book.KeySchedule{Name: k.Name, From: k.From, Until: k.Until, Dies: k.Dies})
		}
	}
	for _, name := range told {
		if !there[name] {
			change.Destroyed = append(change.Destroyed, name)
		}
	}
	return change
}

// confirmClock makes the wall clock the trusted one, on the word of the custodians of these shares, which were checked. A crash after
// the commit leaves a word that nobody heeded: destruction stays suspended until they give it again.
func (h *house) confirmClock(ctx context.Context, actor operator.Actor, shares []int) error {
	err := h.ledger.Commit(ctx, func(tx *ledger.Tx) error {
		detail := fmt.Sprintf("%s by shares %v", envelope.At(h.now()).Format(time.RFC3339), shares)
		_, err := tx.Append(actor.Event("", book.IntegrityFound{Finding: book.FindingClockConfirmed, Detail: detail}))
		return err
	})
	if err != nil {
		return err
	}
	if err := h.ring.ConfirmClock(); err != nil {
		return err
	}
	return h.tick(ctx, "timer")
}

// lockedBy notes who locks, for the event.
func (h *house) lockedBy(actor operator.Actor) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.locker = actor
}

// wait returns when those who work have ended, with the reason.
func (h *house) wait() error { return h.ledger.Named(h.tasks.Wait()) }

// close ends the work, commits that the vault forgets its keys, and that it stops where it does, and closes everything. What made the work
// fail was told by wait.
func (h *house) close(stops bool) error {
	h.stop()
	if h.tasks.Wait() != nil {
		return h.release()
	}
	err := h.ledger.Commit(context.Background(), func(tx *ledger.Tx) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if _, err := tx.Append(h.locker.Event("", book.VaultLocked{})); err != nil || !stops {
			return err
		}
		_, err := tx.Append(book.Event{Actor: "vault", Origin: "stop", Body: book.VaultStopped{}})
		return err
	})
	h.flushJournal()
	return errors.Join(err, h.release())
}

// release closes what is open.
func (h *house) release() error {
	var all []error
	select {
	case <-h.furnished:
	default:
		close(h.furnished) // the acquirer's client may wait to tell of something odd
	}
	if h.acquirer != nil {
		all = append(all, h.acquirer.Close())
	}
	all = append(all, h.closeJournal())
	if h.channel != nil {
		h.channel.Close()
	}
	if h.ledger != nil {
		all = append(all, h.ledger.Close())
	}
	return errors.Join(all...)
}
