package settle

import (
	"context"
	"fmt"
	"time"

	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/ledger"
)

// Journal holds what the ledger committed in a second place; *journal.Journal is one.
type Journal interface {
	// Ready is nil while entries reach the second place, as far as that is known, and says else why
	// not. It does not wait.
	Ready() error
	// Durable returns nil when the log's first size entries are durable there, or an error when ctx
	// ends before.
	Durable(ctx context.Context, size int64) error
}

// journalTurn bounds one wait for the journal: after it a message counts as not sent, and is
// reconsidered.
const journalTurn = time.Second

// logged waits until all that is committed now is durable in the journal; when ctx ends before, it
// returns the journal's error.
func (e *Engine) logged(ctx context.Context) error {
	if e.cfg.Journal == nil {
		return nil
	}
	var size int64
	err := e.cfg.Ledger.View(func(tx *ledger.Tx) (err error) {
		size, err = tx.TreeSize()
		return err
	})
	if err != nil {
		return err
	}
	return e.cfg.Journal.Durable(ctx, size)
}

// patiently is logged for an operator's command, within Config.Patience.
func (e *Engine) patiently(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, e.cfg.Patience)
	defer cancel()
	if err := e.logged(limited); err != nil {
		return fmt.Errorf("the log's second place does not have it yet: %w: %w; settle again when the journal is ready", err, ErrUnavailable)
	}
	return nil
}

// turn is logged for one turn. What it keeps waiting was certainly not sent.
func (e *Engine) turn(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, journalTurn)
	defer cancel()
	if err := e.logged(limited); err != nil {
		return fmt.Errorf("%w: %w: %w", acquirer.ErrNotSent, errUnlogged, err)
	}
	return nil
}

// sender sends to the host. A message leaves when its intent is durable in the journal, so that
// whoever restores the vault from there knows of everything that may have left, and then waits for
// a slot at the host.
type sender struct {
	slots
	logged func(ctx context.Context) error
}

func (d sender) ask(ctx context.Context, send func() (acquirer.Answer, error)) (acquirer.Answer, error) {
	if err := d.logged(ctx); err != nil {
		return acquirer.Answer{}, err
	}
	return d.slots.ask(ctx, send)
}

// journaled is an acquirer whose line counts as down while the journal stands still.
type journaled struct {
	acquirer.Acquirer
	engine *Engine
}

// Ready implements acquirer.Acquirer.
func (j journaled) Ready() error {
	if err := j.engine.cfg.Journal.Ready(); err != nil {
		return err
	}
	return j.Acquirer.Ready()
}

// Reconcile implements acquirer.Acquirer; settling needs no sender.
func (j journaled) Reconcile(ctx context.Context, t acquirer.Totals) (acquirer.Reconciliation, error) {
	if err := j.engine.turn(ctx); err != nil {
		return acquirer.Reconciliation{}, err
	}
	return j.Acquirer.Reconcile(ctx, t)
}
