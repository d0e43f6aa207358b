package daemon

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"nightdrop/shared/channel"
	"nightdrop/vault/internal/acquirer/iso8583"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/intake"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
	"nightdrop/vault/internal/publisher"
	"nightdrop/vault/internal/settings"
	"nightdrop/vault/internal/settle"
)

// unlocked is the vault with its keys: ledger, channel, acquirer, and the tasks between them.
type unlocked struct {
	config    Config
	ring      *keyring.Ring
	ledger    *ledger.Ledger
	channel   *channel.Vault
	acquirer  *iso8583.Client
	engine    *settle.Engine
	intake    *intake.Intake
	publisher *publisher.Publisher
	journal   *secondPlaces // nil where it is off
	failure   *failure      // of the process
	disk      *diskGuard

	rebuilt *control.Rebuilt // nil where the ledger was not rebuilt at this unlock

	built chan struct{} // closed when engine is there, or will never be

	tasks *errgroup.Group
	stop  context.CancelFunc

	ticking sync.Mutex // one tick at a time: two would commit one change twice

	mu     sync.Mutex
	locker operator.Actor // who locks; the vault itself where nobody did
}

// startUnlocked opens the ledger with the unlocked ring and starts everything, or nothing on an
// error.
func startUnlocked(ctx context.Context, d *Daemon, actor operator.Actor, shares []int, o control.UnlockOptions) (u *unlocked, err error) {
	u = &unlocked{config: d.config, ring: d.ring, failure: &d.failure, disk: d.disk, built: make(chan struct{}),
		locker: operator.Actor{Name: "vault", Origin: "stop"}}
	defer func() {
		if err != nil {
			err = errors.Join(err, u.release())
			u = nil
		}
	}()
	if u.ledger, err = d.openLedger(o.Rebuild); err != nil {
		return u, err
	}
	if err := u.connect(); err != nil {
		return u, err
	}
	if err := u.openJournal(ctx); err != nil {
		return u, err
	}
	if err := u.mendMark(ctx, u.journal.proved(), o.ConfirmLedger, actor, shares); err != nil {
		return u, err
	}
	// Before anything is committed: a sound copy of the ledger is then as new as this one.
	stored, err := u.storedSlots()
	if err != nil {
		return u, err
	}
	if err := u.logStart(ctx, d); err != nil {
		return u, err
	}
	if u.rebuilt, err = u.logRebuild(ctx, d, actor); err != nil {
		return u, err
	}
	if err := u.logUnlock(ctx, actor, shares); err != nil {
		return u, err
	}
	// With a journal trustLedger does it: an older ledger would have keys destroyed that the newest
	// needs.
	if u.journal == nil {
		if err := u.ring.KeepStored(stored); err != nil {
			return u, err
		}
	}
	err = u.build()
	close(u.built)
	if err != nil {
		return u, err
	}
	// Before anything else issues a result: what a stop left open is unknown.
	if err := u.engine.Recover(ctx); err != nil {
		return u, err
	}
	if err := u.tick(ctx, "start"); err != nil {
		return u, err
	}
	u.run(stored)
	return u, nil
}

// run starts what was built; it runs until a task fails or stop is called. stored are the slots of
// stored accounts in use.
func (u *unlocked) run(stored []uint32) {
	work, stop := context.WithCancel(context.Background())
	u.stop = stop
	var group context.Context
	u.tasks, group = errgroup.WithContext(work)
	for _, run := range []func(context.Context) error{u.engine.Run, u.intake.Run, u.publisher.Run, u.maintain, u.watchJournal, u.trustLedger(stored),
		u.watchDisk, u.logSizes()} {
		u.tasks.Go(func() error {
			if err := run(group); err != nil && work.Err() == nil {
				return err
			}
			return nil
		})
	}
}

// logUnlock commits that the vault was unlocked, and whose bags count.
func (u *unlocked) logUnlock(ctx context.Context, actor operator.Actor, shares []int) error {
	relays := []string{}
	for _, r := range u.config.Settings.Relays {
		relays = append(relays, r.String())
	}
	if len(relays) == 0 {
		u.config.Logger.Warn("no relay is configured: the vault takes nothing", "file", filepath.Join(u.config.Settings.Dir, settings.File))
	}
	return u.ledger.Commit(ctx, func(tx *ledger.Tx) error {
		if _, err := tx.Append(actor.Event("", book.VaultUnlocked{Version: u.config.Version, Shares: shares})); err != nil {
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

func (u *unlocked) commit(ctx context.Context, events ...book.Event) error {
	return u.ledger.Commit(ctx, func(tx *ledger.Tx) error {
		for _, e := range events {
			if _, err := tx.Append(e); err != nil {
				return err
			}
		}
		return nil
	})
}

// storedSlots reads which stored accounts are in use: the ring destroys all other keys where the
// ledger is the newest.
func (u *unlocked) storedSlots() (slots []uint32, err error) {
	err = u.ledger.View(func(tx *ledger.Tx) (err error) {
		slots, err = tx.StoredSlots()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read which accounts are stored: %w", err)
	}
	return slots, nil
}

// connect dials the channel and the acquirer; both keep trying until they are closed.
func (u *unlocked) connect() (err error) {
	options := u.config.Settings.Channel.Options()
	options.Name, options.Logger = u.ring.Name(), u.config.Logger
	u.channel, err = channel.DialVault(context.Background(), options)
	if err != nil {
		return err
	}
	config, err := u.config.Settings.Acquirer.TLS.Config(u.config.Now, u.config.Logger)
	if err != nil {
		return err
	}
	dialect, err := u.config.Settings.Acquirer.LoadDialect()
	if err != nil {
		return fmt.Errorf("acquirer.dialect: %w", err)
	}
	u.acquirer = iso8583.New(iso8583.Config{Address: u.config.Settings.Acquirer.Address, TLS: config, Dialect: dialect, Report: u.reportOdd, AnswerTimeout: u.config.Settings.Acquirer.AnswerTimeout.Std(),
		ConnectTimeout: u.config.Settings.Acquirer.ConnectTimeout.Std(), EchoInterval: u.config.Settings.Acquirer.EchoInterval.Std(), Logger: u.config.Logger})
	return nil
}

// reportOdd logs what the acquirer's host should not have sent.
func (u *unlocked) reportOdd(o iso8583.Oddity) {
	if <-u.built; u.engine != nil {
		u.engine.Odd(string(o.Kind), o.Detail)
	}
}

// build constructs engine, intake and the results' sender.
func (u *unlocked) build() error {
	s := u.config.Settings
	bank, err := s.Bank.Config()
	if err != nil {
		return fmt.Errorf("bank: %w", err)
	}
	if bank != nil {
		bank.Disk = u.disk.outbox()
	}
	u.disk.renew()
	closeAt, err := s.Batches.Times()
	if err != nil {
		return fmt.Errorf("batches.close_at: %w", err)
	}
	u.intake, err = intake.New(intake.Config{Ledger: u.ledger, Opener: u.ring, Source: u.channel, Workers: s.Limits.Workers, Now: u.config.Now, Logger: u.config.Logger,
		Accounts: u.ring, RefundsByReference: u.acquirer.RefundsByReference(), Bank: bank != nil, Room: u.mayTake})
	if err != nil {
		return err
	}
	u.publisher, err = publisher.New(publisher.Config{Ledger: u.ledger, Keys: u.ring, Channel: u.channel, Position: u.intake.Position,
		Lifetime: s.DirectoryLifetime.Std(), Rate: s.Limits.ResultsPerSecond, Workers: s.Limits.Workers, Now: u.config.Now, Logger: u.config.Logger})
	if err != nil {
		return err
	}
	var waits settle.Journal // nil where there is none
	if u.journal != nil {
		waits = u.journal
	}
	u.engine = settle.New(settle.Config{Journal: waits, Room: u.disk.room, Ledger: u.ledger, Opener: u.ring, Accounts: u.ring,
		Acquirer: halting{u.acquirer, u.failure}, Bank: bank,
		Reconciliation: s.Acquirer.Reconciliation, Terminals: s.Acquirer.Terminals, CloseAt: closeAt, Outstanding: s.Acquirer.Outstanding, ReversalRetry: s.Acquirer.ReversalRetry.Std(),
		RepeatEvery: s.Acquirer.RepeatEvery.Std(), RepeatFor: s.Acquirer.RepeatFor.Std(), Silences: s.Acquirer.Silences, OrderWait: s.Acquirer.OrderWait.Std(),
		Drain: s.StopGrace.Std(), Now: u.config.Now, Logger: u.config.Logger})
	return nil
}

// lockedBy notes who locks, for the event.
func (u *unlocked) lockedBy(actor operator.Actor) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.locker = actor
}

// wait returns when the tasks have ended, with the reason.
func (u *unlocked) wait() error { return u.ledger.Named(u.tasks.Wait()) }

// close ends the work, commits that the vault forgets its keys and, if so, that it stops, and
// closes everything. wait has returned why the work failed.
func (u *unlocked) close(stops bool) error {
	u.stop()
	if u.tasks.Wait() != nil {
		return u.release()
	}
	u.mu.Lock()
	events := []book.Event{u.locker.Event("", book.VaultLocked{})}
	u.mu.Unlock()
	if stops {
		events = append(events, book.Event{Actor: "vault", Origin: "stop", Body: book.VaultStopped{}})
	}
	err := u.commit(context.Background(), events...)
	u.flushJournal()
	return errors.Join(err, u.release())
}

func (u *unlocked) release() error {
	var all []error
	select {
	case <-u.built:
	default:
		close(u.built) // the acquirer's client may wait to report something odd
	}
	if u.acquirer != nil {
		all = append(all, u.acquirer.Close())
	}
	all = append(all, u.closeJournal())
	if u.channel != nil {
		u.channel.Close()
	}
	if u.ledger != nil {
		all = append(all, u.ledger.Close())
	}
	return errors.Join(all...)
}
