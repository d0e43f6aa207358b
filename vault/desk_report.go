package main

import (
	"context"
	"fmt"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/payment"
	"nightdrop/vault/internal/report"
)

// rowsAtOnce is how many rows of a report leave together.
const rowsAtOnce = 500

// maxPeriod bounds a report's period: its charts have a bar a day.
const maxPeriod = 366 * 24 * time.Hour

// Report reads one batch, or those closed in a period, as they stand at one moment.
func (d *daemon) Report(ctx context.Context, q control.ReportQuery, each func([]report.Row) error) (report.Report, error) {
	if err := checkPeriod(q); err != nil {
		return report.Report{}, err
	}
	return view(d, func(tx *ledger.Tx) (report.Report, error) {
		heading := report.Report{Vault: d.ring.Name(), Made: envelope.At(d.now()), Merchant: q.Merchant, From: q.From, To: q.To}
		batches, err := reported(tx, q)
		if err != nil {
			return heading, err
		}
		heading.Subject = "Batches closed from " + q.From + " to " + q.To
		if q.Batch != 0 {
			heading.Subject = batches[0].ID()
		}
		builder := report.NewBuilder(heading)
		if err := readReport(ctx, tx, builder, batches, each); err != nil {
			return heading, err
		}
		return builder.Report(), nil
	})
}

func checkPeriod(q control.ReportQuery) error {
	if q.Batch != 0 {
		return nil
	}
	from, err := time.Parse(time.DateOnly, q.From)
	to, err2 := time.Parse(time.DateOnly, q.To)
	if err != nil || err2 != nil || to.Before(from) || to.Sub(from) >= maxPeriod {
		return &control.Error{Code: control.CodeUsage, Detail: "a period is two dates, YYYY-MM-DD, --from not after --to, of at most 366 days"}
	}
	return nil
}

// reported lists the batches of a report, in order of their numbers.
func reported(tx *ledger.Tx, q control.ReportQuery) (batches []payment.Batch, err error) {
	if err := exist(tx, control.PaymentQuery{Merchant: q.Merchant, Batch: q.Batch}); err != nil {
		return nil, err
	}
	if q.Batch != 0 {
		b, err := readBatch(tx, q.Batch)
		return []payment.Batch{b}, err
	}
	err = tx.Batches(func(b payment.Batch) error {
		day := b.Closed.Format(time.DateOnly)
		if !b.Closed.IsZero() && q.From <= day && day <= q.To && (q.Merchant == "" || b.Merchant == q.Merchant) {
			batches = append(batches, b)
		}
		return nil
	})
	return batches, err
}

// readReport feeds batches and their payments to the builder, and the rows to each.
func readReport(ctx context.Context, tx *ledger.Tx, builder *report.Builder, batches []payment.Batch, each func([]report.Row) error) error {
	var rows []report.Row
	flush := func() error {
		if each == nil || len(rows) == 0 {
			return nil
		}
		defer func() { rows = rows[:0] }()
		return each(rows)
	}
	for _, b := range batches {
		file, err := fileOf(tx, b)
		if err != nil {
			return err
		}
		builder.Batch(b, file)
		err = tx.Payments(ledger.Query{Batch: b.Number}, func(p payment.Payment) error {
			row := builder.Payment(p)
			if each == nil {
				return ctx.Err()
			}
			if rows = append(rows, row); len(rows) < rowsAtOnce {
				return ctx.Err()
			}
			return flush()
		})
		if err != nil {
			return fmt.Errorf("read the payments of %s: %w", b.ID(), err)
		}
	}
	return flush()
}
