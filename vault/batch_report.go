package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/durable"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/report"
)

type batchReportOptions struct {
	query     control.ReportQuery
	html, csv string
}

func newBatchReportCommand(g *global, c console) *cobra.Command {
	var opts batchReportOptions
	cmd := &cobra.Command{
		Use:   "report (BATCH | --from DATE --to DATE [--merchant ID]) [--html FILE] [--csv FILE]",
		Short: "Report what batches came to: totals, differences, volume, outcomes, returns",
		Long: `Report what one batch came to, or all batches that were closed on the days of a period (UTC, both included): control totals, hash total,
differences, volume by day, outcomes and returns. --html writes one page that needs nothing but itself and prints well; --csv writes a row a
payment; "-" writes either to standard output. --json prints the report with its payments, each as vault payment show --json has it.
A file that is there is not overwritten.

In the CSV, amount is in minor units (1234), amount_major in the currency's own unit with all its digits (12.34 USD, 1234 JPY): with a dot,
without a sign (direction says debit or credit), thousands not separated. Columns are found by their names in the first line; new ones come
at the end. Texts are quoted, and one that a spreadsheet would take for a formula has an apostrophe before it. Times are UTC.`,
		Example: "  vault batch report card-000017\n  vault batch report --from 2026-11-01 --to 2026-11-30 --html november.html --csv november.csv",
		Args:    command.Arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(args, g.json); err != nil {
				return err
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				b, err := findBatch(cmd.Context(), client, args[0])
				if err != nil {
					return err
				}
				opts.query.Batch = b.Number
			}
			return runBatchReport(cmd.Context(), client, opts, g, c)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.query.From, "from", "", "first day of the period, YYYY-MM-DD")
	flags.StringVar(&opts.query.To, "to", "", "last day of the period, YYYY-MM-DD")
	flags.StringVar(&opts.query.Merchant, "merchant", "", "of a period: only this merchant's batches")
	flags.StringVar(&opts.html, "html", "", `write a page into this new file ("-": standard output)`)
	flags.StringVar(&opts.csv, "csv", "", `write a row a payment into this new file ("-": standard output)`)
	g.readingFlags(cmd)
	return cmd
}

const standardOutput = "-"

func (o batchReportOptions) check(args []string, asJSON bool) error {
	q := o.query
	switch {
	case len(args) == 1 && (q.From != "" || q.To != "" || q.Merchant != ""):
		return fmt.Errorf("%w: a batch needs no period and no merchant", command.ErrUsage)
	case len(args) == 0 && (q.From == "" || q.To == ""):
		return fmt.Errorf("%w: give a batch, or --from and --to", command.ErrUsage)
	}
	outputs := 0
	for _, standard := range []bool{o.html == standardOutput, o.csv == standardOutput, asJSON} {
		if standard {
			outputs++
		}
	}
	if outputs > 1 {
		return fmt.Errorf("%w: only one of --html -, --csv - and --json fits standard output", command.ErrUsage)
	}
	return nil
}

// runBatchReport reads the report once, its rows as they come, and writes it in every form that is
// asked for.
func runBatchReport(ctx context.Context, client *control.Client, opts batchReportOptions, g *global, c console) (err error) {
	page, closePage, err := output(opts.html, c)
	if err != nil {
		return err
	}
	defer func() { err = closePage(err) }()
	sheet, closeSheet, err := output(opts.csv, c)
	if err != nil {
		return err
	}
	defer func() { err = closeSheet(err) }()

	rows, take, flush := rowWriter(sheet, g.json, page != nil)
	opts.query.Rows = take != nil
	progress, done := bar(c.errOut, "reading the report")
	read := 0
	made, err := client.Report(ctx, opts.query, func(rows []report.Payment) error {
		read += len(rows)
		progress(read, 0)
		return take(rows)
	})
	done()
	if err == nil {
		err = flush()
	}
	if err == nil && page != nil {
		err = made.HTML(page, *rows)
	}
	if err != nil || opts.html == standardOutput || opts.csv == standardOutput {
		return err
	}
	if g.json {
		return command.JSON(c.out, struct {
			report.Report
			Rows []report.Payment `json:"rows"`
		}{made, *rows})
	}
	return g.print(c.out, made, made.Text)
}

// rowWriter is where a report's rows go: into a CSV where sheet is one, and kept where whole says
// all of them, or some the first that a page shows. take is nil where nobody wants any.
func rowWriter(sheet io.Writer, whole, some bool) (kept *[]report.Payment, take func([]report.Payment) error, flush func() error) {
	kept = &[]report.Payment{}
	var csv *report.CSV
	var failure error
	if sheet != nil {
		csv, failure = report.NewCSV(sheet)
	}
	if !whole && !some && csv == nil {
		return kept, nil, func() error { return nil }
	}
	take = func(rows []report.Payment) error {
		if room := report.MaxPageRows - len(*kept); whole || some && room > 0 {
			n := len(rows)
			if !whole {
				n = min(n, room)
			}
			*kept = append(*kept, rows[:n]...)
		}
		for i := 0; csv != nil && failure == nil && i < len(rows); i++ {
			failure = csv.Write(rows[i])
		}
		return failure
	}
	return kept, take, func() error {
		if csv == nil {
			return nil
		}
		return errors.Join(failure, csv.Close())
	}
}

// output opens a new file for a report, or standard output; nil where path is empty. close takes
// what became of the report and gives the error to return: a report that was not written whole is
// taken away again.
func output(path string, c console) (w io.Writer, done func(error) error, err error) {
	switch path {
	case "":
		return nil, func(err error) error { return err }, nil
	case standardOutput:
		return c.out, func(err error) error { return err }, nil
	}
	if err := durable.Absent(path); err != nil {
		return nil, nil, fmt.Errorf("write the report: %w", err)
	}
	file, err := durable.Begin(path, durable.Private)
	if err != nil {
		return nil, nil, fmt.Errorf("write the report: %w", err)
	}
	return file, func(err error) error {
		if err != nil {
			return errors.Join(err, file.Discard())
		}
		return file.Create()
	}, nil
}
