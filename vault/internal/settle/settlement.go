package settle

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/payment"
)

// All stands for every batch that is closed and not settled.
const All uint32 = 0

// reconcileTries is how often a reconciliation that gets no answer is asked again; it moves no money.
const reconcileTries = 3

// Settlement is what one run of Settle did.
type Settlement struct {
	Batches  []payment.Batch // as they stand now, in order of their numbers
	Payments int             // settled by this run
}

// Settle settles one closed batch, or all of them: it waits for unknown payments to be resolved, compares control totals with the
// acquirer per currency, and when all agree marks the payments settled, some hundred a commit. Whatever interrupts it, the next
// run goes on; a run that finds nothing to do changes nothing. With All, a batch that fails does not stop the others. Errors
// (joined): ErrNotFound, ErrConflict (naming payments), ErrTotalsDiffer, ErrUnavailable, or the ledger's.
func (e *Engine) Settle(ctx context.Context, batch uint32, actor Actor, progress Progress) (Settlement, error) {
	if !e.operation.TryLock() {
		return Settlement{}, fmt.Errorf("another close or settlement is under way: %w", ErrConflict)
	}
	defer e.operation.Unlock()
	due, err := e.due(batch)
	if err != nil {
		return Settlement{}, err
	}
	s := settlement{engine: e, actor: actor, progress: progress}
	for _, b := range due {
		s.total += int(b.Count() - b.Done)
	}
	var failures []error
	for _, b := range due {
		err := s.settle(ctx, b)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s of %s: %w", b.ID(), b.Merchant, err))
			if ctx.Err() != nil {
				break
			}
		}
	}
	out := Settlement{Payments: s.done}
	for _, b := range due {
		now, err := e.batch(b.Number)
		if err != nil {
			return out, errors.Join(append(failures, err)...)
		}
		out.Batches = append(out.Batches, now)
	}
	return out, errors.Join(failures...)
}

// due lists what is to be settled.
func (e *Engine) due(batch uint32) ([]payment.Batch, error) {
	if batch == All {
		return e.batches(func(b payment.Batch) bool {
			return b.Stage == payment.BatchFixed || b.Stage == payment.BatchDiffers
		})
	}
	b, err := e.batch(batch)
	if err != nil {
		return nil, err
	}
	if b.Stage == payment.BatchOpen || b.Stage == payment.BatchCutover {
		return nil, fmt.Errorf("%s is %s; close it first: %w", b.ID(), b.Stage, ErrConflict)
	}
	return []payment.Batch{b}, nil
}

type settlement struct {
	engine      *Engine
	actor       Actor
	progress    Progress
	done, total int
}

func (s *settlement) settle(ctx context.Context, b payment.Batch) error {
	if b.Stage == payment.BatchDone {
		return nil
	}
	resolved, err := s.engine.until(ctx, func() (bool, error) {
		now, err := s.engine.batch(b.Number)
		if err != nil || now.Unresolved == 0 {
			return err == nil, err
		}
		stuck, err := s.engine.count(now, payment.StageManual)
		return int64(stuck) == now.Unresolved, err
	})
	if err != nil {
		return err
	}
	if b, err = s.engine.batch(b.Number); err != nil {
		return err
	}
	if !resolved || b.Unresolved > 0 {
		return s.engine.inFlight(b.Number, "the outcome is unknown", payment.StageUnknown, payment.StageManual)
	}
	if err := s.reconcile(ctx, b); err != nil {
		return err
	}
	return s.finish(ctx, b)
}

// count counts a batch's payments in a stage.
func (e *Engine) count(b payment.Batch, stage payment.Stage) (n int, err error) {
	err = e.cfg.Ledger.View(func(tx *ledger.Tx) error {
		n = 0
		return tx.Payments(ledger.Query{Merchant: b.Merchant, Stage: stage, Batch: b.Number}, func(payment.Payment) error {
			n++
			return nil
		})
	})
	return n, err
}

// reconcile has the acquirer confirm the totals of each currency that it has not confirmed yet.
func (s *settlement) reconcile(ctx context.Context, b payment.Batch) error {
	var differing []error
	for _, ours := range b.Totals {
		if slices.Contains(b.Agreed, ours) {
			continue
		}
		host, err := s.ask(ctx, b, ours)
		if err != nil {
			return err
		}
		if err := s.record(ctx, b, ours, host); err != nil {
			return err
		}
		if host != ours {
			differing = append(differing, fmt.Errorf("%s: the acquirer has %d payments of %d minor units, we have %d of %d; compare the books, then settle again: %w",
				ours.Currency, host.Count, host.Amount, ours.Count, ours.Amount, ErrTotalsDiffer))
		}
	}
	return errors.Join(differing...)
}

// ask commits the reconciliation's trace, sends it, and returns the host's totals in the same form as ours.
func (s *settlement) ask(ctx context.Context, b payment.Batch, ours payment.Total) (payment.Total, error) {
	e := s.engine
	var failure error
	for range reconcileTries {
		reachable, err := e.until(ctx, func() (bool, error) { return e.cfg.Acquirer.Ready() == nil, nil })
		if err != nil {
			return payment.Total{}, err
		}
		if !reachable {
			return payment.Total{}, fmt.Errorf("%w: %w; settle again when the line is up", ErrUnavailable, e.cfg.Acquirer.Ready())
		}
		trace, err := s.intend(ctx, b, ours.Currency)
		if err != nil {
			return payment.Total{}, err
		}
		// A crash here leaves a question without its answer: the next run asks again under a new trace.
		answer, err := e.cfg.Acquirer.Reconcile(ctx, acquirer.Totals{Trace: onWire(trace), Batch: b.Number, Currency: ours.Currency,
			Debits: acquirer.Count{Number: int(ours.Count), Amount: ours.Amount}})
		if err == nil {
			return hostTotal(answer, ours), nil
		}
		failure = err
	}
	return payment.Total{}, fmt.Errorf("%w: %w; settle again later", ErrUnavailable, failure)
}

// hostTotal is what stands at the host. A host that disagrees while its figures are equal to ours is taken at its word: its total is then
// given as nothing, so that it differs.
func hostTotal(answer acquirer.Reconciliation, ours payment.Total) payment.Total {
	standing := answer.Host.Standing()
	host := payment.Total{Currency: ours.Currency, Count: int64(standing.Number), Amount: standing.Amount}
	if !answer.Agreed && host == ours {
		return payment.Total{Currency: ours.Currency}
	}
	return host
}

func (s *settlement) intend(ctx context.Context, b payment.Batch, currency string) (trace payment.Trace, err error) {
	err = s.engine.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		m, found, err := tx.Merchant(b.Merchant)
		if err != nil || !found {
			return orMissing(err, "merchant "+b.Merchant)
		}
		if trace, err = s.engine.nextTrace(tx, m.Acceptor); err != nil {
			return err
		}
		_, err = tx.Append(s.actor.Event(b.Merchant, payment.ReconciliationIntended{Batch: b.Number, Currency: currency, Trace: trace}))
		return err
	})
	return trace, err
}

// record commits the host's answer, and a finding where it differs.
func (s *settlement) record(ctx context.Context, b payment.Batch, ours, host payment.Total) error {
	return s.engine.cfg.Ledger.Commit(context.WithoutCancel(ctx), func(tx *ledger.Tx) error {
		body := payment.ReconciliationAnswered{Batch: b.Number, Agreed: host == ours, Host: host}
		if err := appendEvent(tx, "acquirer", "host", b.Merchant, body); err != nil || body.Agreed {
			return err
		}
		detail := fmt.Sprintf("%s %s: host %d of %d, ours %d of %d", b.ID(), ours.Currency, host.Count, host.Amount, ours.Count, ours.Amount)
		return appendEvent(tx, "vault", "host", b.Merchant, payment.IntegrityFound{Finding: payment.FindingTotalsDiffer, Detail: detail})
	})
}

// finish marks the payments settled, chunk by chunk, and then the batch. A crash between two chunks leaves the rest approved;
// the next run goes on there.
func (s *settlement) finish(ctx context.Context, b payment.Batch) error {
	for {
		s.progress.report(s.done, s.total)
		if err := ctx.Err(); err != nil {
			return err
		}
		settled, err := s.settleChunk(ctx, b)
		if err != nil {
			return err
		}
		s.done += settled
		if settled < chunk {
			break
		}
	}
	s.progress.report(s.done, s.total)
	return s.engine.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		_, err := tx.Append(s.actor.Event(b.Merchant, payment.BatchSettled{Batch: b.Number}))
		return err
	})
}

func (s *settlement) settleChunk(ctx context.Context, b payment.Batch) (settled int, err error) {
	err = s.engine.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		var next []string
		query := ledger.Query{Merchant: b.Merchant, Stage: payment.StageApproved, Batch: b.Number, Limit: chunk}
		err := tx.Payments(query, func(p payment.Payment) error {
			next = append(next, p.ID)
			return nil
		})
		if err != nil {
			return err
		}
		for _, id := range next {
			if _, err := tx.Append(s.actor.Event(b.Merchant, payment.PaymentSettled{ID: id, Batch: b.Number})); err != nil {
				return err
			}
		}
		settled = len(next)
		return nil
	})
	return settled, err
}
