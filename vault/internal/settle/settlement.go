package settle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
)

// Settlement is what one run of Settle did.
type Settlement struct {
	Batches  []book.Batch // as they stand now, in order of their numbers
	Payments int          // settled by this run
	// that hold entries of these batches, as they stand now, in order of their names
	Files []book.File
}

// Settle settles one closed batch, or with [book.AllBatches] those of one method (of both where it
// is empty). For a card batch it compares control totals with the acquirer per currency, and when
// all agree marks the payments settled, some hundred a commit. Bank batches go together into one
// file for the bank, as far as it holds them, whose digest is in the log before it appears; an
// entry whose account cannot be opened, or that must not leave any more, is refused. A batch of a
// file that was begun before takes that file's other batches along. The next run finishes an
// interrupted one; a run with nothing to do changes nothing. What fails of one batch does not stop
// the others. Errors (joined): [ErrNotFound], [ErrConflict], [ErrTotalsDiffer], [ErrUnavailable],
// [ErrFileThere], or the ledger's.
func (e *Engine) Settle(ctx context.Context, batch uint32, method book.Method, actor operator.Actor, progress operator.Progress) (Settlement, error) {
	if !e.operation.TryLock() {
		return Settlement{}, busy()
	}
	defer e.operation.Unlock()
	due, err := e.due(batch, method)
	if err != nil {
		return Settlement{}, err
	}
	s := settlement{engine: e, actor: actor, progress: progress}
	var bank []book.Batch
	for _, b := range due {
		if b.Method != book.MethodBank {
			s.total += int(b.Due())
			continue
		}
		s.total += stepsOfEntry * int(b.Due())
		bank = append(bank, b)
	}
	var failures []error
	for _, b := range due {
		if b.Method == book.MethodBank || ctx.Err() != nil {
			continue
		}
		if err := s.settleCards(ctx, b); err != nil {
			failures = append(failures, fmt.Errorf("%s of %s: %w", b.ID(), b.Merchant, err))
		}
	}
	failures = append(failures, s.settleEntries(ctx, bank), ctx.Err())
	if errors.Join(failures...) == nil {
		s.step(s.total)
	}
	out, err := s.outcome(due)
	return out, errors.Join(append(failures, err)...)
}

// due lists what is to be settled: closed batches that are not settled, with those that share a
// file with them.
func (e *Engine) due(batch uint32, method book.Method) ([]book.Batch, error) {
	open := func(b book.Batch) bool { return b.Stage == book.BatchFixed || b.Stage == book.BatchDiffers }
	if batch == book.AllBatches {
		return e.batches(func(b book.Batch) bool { return open(b) && (method == "" || method == b.Method) })
	}
	b, err := e.batch(batch)
	if err != nil {
		return nil, err
	}
	switch {
	case b.Stage == book.BatchOpen || b.Stage == book.BatchCutover:
		return nil, fmt.Errorf("%s is %s; close it first: %w", b.ID(), b.Stage, ErrConflict)
	case b.File == "" || !open(b):
		return []book.Batch{b}, nil
	}
	return e.batches(func(other book.Batch) bool { return other.File == b.File && open(other) })
}

type settlement struct {
	engine   *Engine
	actor    operator.Actor
	progress operator.Progress
	done     int // payments settled
	// of work done: a card payment is settled, an entry is numbered, written and settled
	steps int
	total int // steps there are
}

// stepsOfEntry is how often settling works on a bank entry.
const stepsOfEntry = 3

// step reports that n steps are done, never more than the total: an entry written twice counts
// twice.
func (s *settlement) step(n int) {
	s.steps = min(s.steps+n, s.total)
	s.progress.Report(s.steps, s.total)
}

// outcome reads what became of the batches and their files.
func (s *settlement) outcome(due []book.Batch) (Settlement, error) {
	out := Settlement{Payments: s.done}
	err := s.engine.cfg.Ledger.View(func(tx *ledger.Tx) error {
		names := map[string]bool{}
		for _, b := range due {
			now, err := batchOf(tx, b.Number)
			if err != nil {
				return err
			}
			out.Batches = append(out.Batches, now)
			if now.File == "" || names[now.File] {
				continue
			}
			names[now.File] = true
			file, _, err := tx.File(now.File)
			if err != nil {
				return err
			}
			if file.Entries > 0 {
				out.Files = append(out.Files, file)
			}
		}
		return nil
	})
	slices.SortFunc(out.Files, func(a, b book.File) int { return cmp.Compare(a.Name, b.Name) })
	return out, err
}

func (s *settlement) settleCards(ctx context.Context, b book.Batch) error {
	if b.Stage == book.BatchDone {
		return nil
	}
	if err := s.agreed(ctx, b); err != nil {
		return err
	}
	return s.finish(ctx, b, book.StageApproved, book.StageCaptured)
}

// finish marks the batch's payments of these stages settled, and then the batch.
func (s *settlement) finish(ctx context.Context, b book.Batch, stages ...book.Stage) error {
	for _, stage := range stages {
		settled, err := s.inChunks(ctx, b, stage, func(_ *ledger.Tx, id string) (book.Body, error) {
			return book.PaymentSettled{ID: id, Batch: b.Number}, nil
		})
		s.done += settled
		if err != nil {
			return err
		}
	}
	return s.commit(ctx, b.Merchant, book.BatchSettled{Batch: b.Number})
}

// inChunks commits an event for each payment of a batch in a stage, some hundred a commit, and
// counts them. The events change the stage: a crash between two commits leaves the rest for the
// next run.
func (s *settlement) inChunks(ctx context.Context, b book.Batch, stage book.Stage, event func(tx *ledger.Tx, id string) (book.Body, error)) (total int, err error) {
	for n := chunk; n == chunk; {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		err := s.engine.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
			next, err := idsOf(tx, ledger.Query{Merchant: b.Merchant, Stage: stage, Batch: b.Number, Limit: chunk})
			n = len(next)
			for i := 0; i < n && err == nil; i++ {
				var body book.Body
				if body, err = event(tx, next[i]); err == nil {
					_, err = tx.Append(s.actor.Event(b.Merchant, body))
				}
			}
			return err
		})
		if err != nil {
			return total, err
		}
		total += n
		s.step(n)
	}
	return total, nil
}

func (s *settlement) commit(ctx context.Context, merchant string, body book.Body) error {
	return s.engine.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		_, err := tx.Append(s.actor.Event(merchant, body))
		return err
	})
}

func idsOf(tx *ledger.Tx, q ledger.Query) (ids []string, err error) {
	err = tx.Payments(q, func(p book.Payment) error {
		ids = append(ids, p.ID)
		return nil
	})
	return ids, err
}
