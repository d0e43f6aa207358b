package calls

import (
	"context"
	"errors"
	"math"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/report"
)

// rowsAtOnce is how many rows of a report are read and leave together.
const rowsAtOnce = 500

// Report reads one batch, or those closed in a period. Each batch is summed up as it stands at one
// moment; rows are read after that, some hundred at a time, because a reader who lingers would keep
// the ledger from giving pages free.
func (c *Calls) Report(ctx context.Context, q control.ReportQuery, each func([]report.Payment) error) (report.Report, error) {
	span := report.Span{From: q.From, To: q.To, Merchant: q.Merchant}
	if err := span.Check(); err != nil || q.Batch == 0 && q.From == "" {
		return report.Report{}, &control.Error{Code: control.CodeUsage, Detail: report.ErrPeriod.Error()}
	}
	batches, err := view(c, func(tx *ledger.Tx) ([]uint32, error) { return reported(tx, q, span) })
	if err != nil {
		return report.Report{}, err
	}
	heading := report.Report{Vault: c.config.Keys.Name(), Made: envelope.At(c.config.Now()), Merchant: q.Merchant, From: q.From, To: q.To,
		Subject: span.Subject()}
	builder := report.NewBuilder(heading)
	for _, number := range batches {
		found, err := view(c, func(tx *ledger.Tx) (extent, error) { return sumUp(ctx, tx, builder, number) })
		if err != nil {
			return heading, err
		}
		for each != nil && found.next() {
			rows, err := view(c, found.page)
			if err != nil {
				return heading, err
			}
			if err := errors.Join(each(rows), ctx.Err()); err != nil {
				return heading, err
			}
		}
	}
	made := builder.Report()
	if q.Batch != 0 {
		made.Subject = made.Batches[0].ID
	}
	return made, nil
}

// reported lists the numbers of a report's batches, in order.
func reported(tx *ledger.Tx, q control.ReportQuery, span report.Span) (numbers []uint32, err error) {
	if err := exist(tx, control.PaymentQuery{Merchant: q.Merchant, Batch: q.Batch}); err != nil {
		return nil, err
	}
	if q.Batch != 0 {
		return []uint32{q.Batch}, nil
	}
	err = tx.Batches(func(b book.Batch) error {
		if span.Holds(b) {
			numbers = append(numbers, b.Number)
		}
		return nil
	})
	return numbers, err
}

// extent is where the payments of a batch lie among those of their merchant.
type extent struct {
	batch       book.Batch
	first, last uint64 // numbers of payments; last 0: there are none
	after       uint64 // read so far
}

// sumUp feeds a batch and its payments to the builder.
func sumUp(ctx context.Context, tx *ledger.Tx, builder *report.Builder, number uint32) (found extent, err error) {
	if found.batch, err = readBatch(tx, number); err != nil {
		return found, err
	}
	file, err := fileOf(tx, found.batch)
	if err != nil {
		return found, err
	}
	builder.Batch(found.batch, file)
	found.first = math.MaxUint64
	err = tx.Payments(ledger.Query{Batch: number}, func(p book.Payment) error {
		builder.Payment(p)
		found.first, found.last = min(found.first, p.Number), max(found.last, p.Number)
		return ctx.Err()
	})
	found.after = found.first - 1
	return found, err
}

// next reports whether there are payments that page has not come to.
func (e *extent) next() bool { return e.last != 0 && e.after < e.last }

// page reads the next rows, in the order of arrival.
func (e *extent) page(tx *ledger.Tx) (rows []report.Payment, err error) {
	query := ledger.Query{Merchant: e.batch.Merchant, After: e.after, Limit: rowsAtOnce}
	e.after = e.last // unless the page is full
	read := 0
	err = tx.Payments(query, func(p book.Payment) error {
		if read++; read == rowsAtOnce {
			e.after = p.Number
		}
		if p.Batch == e.batch.Number && p.Number <= e.last {
			rows = append(rows, report.PaymentOf(p))
		}
		return nil
	})
	return rows, err
}
