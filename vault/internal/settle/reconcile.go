package settle

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// reconcileTries is how often an unanswered reconciliation is asked; it moves no money.
const reconcileTries = 3

// reconcile has the acquirer confirm the totals of each currency that it has not confirmed yet.
func (s *settlement) reconcile(ctx context.Context, b book.Batch) error {
	var differing []error
	for _, ours := range b.Expected() {
		if slices.Contains(b.Agreed, ours) {
			continue
		}
		host, err := s.ask(ctx, b, ours)
		if err != nil {
			return errors.Join(append(differing, err)...)
		}
		if err := s.record(ctx, b, ours, host); err != nil {
			return err
		}
		if host != ours {
			differing = append(differing, fmt.Errorf("the acquirer has %s, we have %s; compare its listing of the batch with ours, have it put right or take "+
				"what stays into the batch with `vault batch adjust`, then settle again: %w", hostWords(host), inWords(ours), ErrTotalsDiffer))
		}
	}
	return errors.Join(differing...)
}

func inWords(t book.Total) string {
	text := fmt.Sprintf("%s: %d payments of %d minor units", t.Currency, t.Count, t.Amount)
	if t.Credits != 0 || t.CreditAmount != 0 {
		text += fmt.Sprintf(" and %d refunds of %d", t.Credits, t.CreditAmount)
	}
	return text
}

// hostWords describes a host's total that differs.
func hostWords(t book.Total) string {
	if t == (book.Total{Currency: t.Currency}) {
		return t.Currency + ": other totals, which it did not give, or nothing"
	}
	return inWords(t)
}

// ask commits the reconciliation's trace, sends it, and returns the host's totals in our form.
func (s *settlement) ask(ctx context.Context, b book.Batch, ours book.Total) (book.Total, error) {
	e := s.engine
	var failure error
	for range reconcileTries {
		reachable, err := until(ctx, e.cfg.Patience, func() (bool, error) { return e.cfg.Acquirer.Ready() == nil, nil })
		if err != nil {
			return book.Total{}, err
		}
		if !reachable {
			return book.Total{}, fmt.Errorf("the acquirer cannot be reached: %w: %w; settle again when the line is up", e.cfg.Acquirer.Ready(), ErrUnavailable)
		}
		trace, err := s.intend(ctx, b, ours.Currency)
		if err != nil {
			return book.Total{}, err
		}
		// A crash here leaves an unanswered question: the next run asks again under a new trace.
		answer, err := e.cfg.Acquirer.Reconcile(ctx, acquirer.Totals{Trace: onWire(trace), Batch: b.Number, Currency: ours.Currency,
			Debits:  acquirer.Count{Number: int(ours.Count), Amount: ours.Amount},
			Credits: acquirer.Count{Number: int(ours.Credits), Amount: ours.CreditAmount}})
		if err == nil {
			return hostTotal(answer, ours), nil
		}
		if refused, ok := errors.AsType[*acquirer.RefusedError](err); ok && !refused.Passing {
			return book.Total{}, refusal(refused)
		}
		failure = err
	}
	if _, ok := errors.AsType[*acquirer.RefusedError](failure); ok {
		return book.Total{}, fmt.Errorf("%w: %w; settle again later", failure, ErrUnavailable)
	}
	if errors.Is(failure, acquirer.ErrMalformedAnswer) {
		return book.Total{}, fmt.Errorf("the acquirer's answers cannot be used: %w: %w; settle again later, and where it stays so, ask the acquirer how its "+
			"host answers a 0500, and set the dialect, or reconciliation under [acquirer] in vault.toml, as it says", failure, ErrUnavailable)
	}
	return book.Total{}, fmt.Errorf("the acquirer did not answer: %w: %w; settle again later", failure, ErrUnavailable)
}

// refusal returns what to do about a host that answers and does not compare.
func refusal(refused *acquirer.RefusedError) error {
	return fmt.Errorf("its answer to the 0500 has code %s: ask the acquirer whether its host reconciles so; if not, set reconciliation = \"listing\" or "+
		"\"none\" under [acquirer] in vault.toml, and start the vault anew: %w", refused.Code, ErrRefused)
}

// hostTotal is what stands at the host. A host that disagrees with figures equal to ours is
// believed: its total is then nothing, so that it differs.
func hostTotal(answer acquirer.Reconciliation, ours book.Total) book.Total {
	if answer.Untold && answer.Agreed {
		return ours
	}
	debits, credits := answer.Host.Standing(), answer.Host.StandingCredits()
	host := book.Total{Currency: ours.Currency, Count: int64(debits.Number), Amount: debits.Amount,
		Credits: int64(credits.Number), CreditAmount: credits.Amount}
	if !answer.Agreed && (host == ours || answer.Untold) {
		return book.Total{Currency: ours.Currency}
	}
	return host
}

func (s *settlement) intend(ctx context.Context, b book.Batch, currency string) (trace book.Trace, err error) {
	err = s.engine.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		m, found, err := tx.Merchant(b.Merchant)
		if err != nil || !found {
			return orMissing(err, "merchant "+b.Merchant)
		}
		if trace, err = s.engine.nextTrace(tx, s.engine.cfg.Terminals, m.Acceptor); err != nil {
			return err
		}
		_, err = tx.Append(s.actor.Event(b.Merchant, book.ReconciliationIntended{Batch: b.Number, Currency: currency, Trace: trace}))
		return err
	})
	return trace, err
}

// record commits the host's answer, and a finding where it differs.
func (s *settlement) record(ctx context.Context, b book.Batch, ours, host book.Total) error {
	return s.engine.cfg.Ledger.Commit(context.WithoutCancel(ctx), func(tx *ledger.Tx) error {
		body := book.ReconciliationAnswered{Batch: b.Number, Agreed: host == ours, Host: host}
		if err := appendEvent(tx, "acquirer", "host", b.Merchant, body); err != nil || body.Agreed {
			return err
		}
		detail := fmt.Sprintf("%s: host %s; ours %s", b.ID(), hostWords(host), inWords(ours))
		return appendEvent(tx, "vault", "host", b.Merchant, book.IntegrityFound{Finding: book.FindingTotalsDiffer, Detail: detail})
	})
}
