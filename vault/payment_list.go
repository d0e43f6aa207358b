package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

type paymentListOptions struct {
	query control.PaymentQuery
	stage string
	batch string
	all   bool
}

func newPaymentListCommand(g *global, c console) *cobra.Command {
	var opts paymentListOptions
	cmd := &cobra.Command{
		Use:     "list [--merchant ID] [--status STATUS] [--batch BATCH]",
		Short:   "List payments; of their accounts never more than the masked number",
		Example: "  vault payment list --status manual\n  vault payment list --batch card-000017 --all --json",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			payments, err := runPaymentList(cmd.Context(), opts, client)
			if err != nil {
				return err
			}
			if !opts.all && len(payments) == opts.query.Limit {
				fmt.Fprintln(c.errOut, "there may be more: take --all, or a higher --limit")
			}
			return g.print(c.out, payments, func(w io.Writer) { printPayments(w, payments) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.query.Merchant, "merchant", "", "only this merchant's")
	flags.StringVar(&opts.stage, "status", "", "only those of this status: "+stageNames())
	flags.StringVar(&opts.stage, "stage", "", "the same")
	_ = flags.MarkHidden("stage") // what --status was called; it is defined two lines up
	flags.StringVar(&opts.batch, "batch", "", "only those of this batch")
	flags.Uint64Var(&opts.query.After, "after", 0, "only those after the payment of this number")
	flags.IntVar(&opts.query.Limit, "limit", 100, fmt.Sprintf("at most so many, 1 to %d", control.MaxPage))
	flags.BoolVar(&opts.all, "all", false, "every one, however many")
	g.readingFlags(cmd)
	return cmd
}

func runPaymentList(ctx context.Context, opts paymentListOptions, client *control.Client) ([]control.Payment, error) {
	query := opts.query
	query.Stage = book.Stage(opts.stage)
	if opts.stage != "" && !slices.Contains(book.Stages[:], query.Stage) {
		return nil, fmt.Errorf("%w: there is no status %q; there are %s", command.ErrUsage, opts.stage, stageNames())
	}
	if query.Limit < 1 || query.Limit > control.MaxPage {
		return nil, fmt.Errorf("%w: --limit is 1 to %d", command.ErrUsage, control.MaxPage)
	}
	if opts.batch != "" {
		number, err := parseBatch(opts.batch)
		if err != nil {
			return nil, err
		}
		query.Batch = number
	}
	if !opts.all {
		return client.Payments(ctx, query)
	}
	payments := []control.Payment{}
	stages := book.Stages[:]
	if query.Stage != "" || query.Batch == 0 {
		// of a batch the vault lists stage by stage; everything else in the order of arrival
		stages = []book.Stage{query.Stage}
	}
	for _, stage := range stages {
		query.Stage = stage
		var err error
		if payments, err = appendPages(ctx, client, query, payments); err != nil {
			return nil, err
		}
	}
	return payments, nil
}

// appendPages reads every page of a query.
func appendPages(ctx context.Context, client *control.Client, query control.PaymentQuery, payments []control.Payment) ([]control.Payment, error) {
	query.Limit = control.MaxPage
	for {
		page, err := client.Payments(ctx, query)
		if err != nil {
			return nil, err
		}
		payments = append(payments, page...)
		if len(page) < query.Limit {
			return payments, nil
		}
		query.After = page[len(page)-1].Number
	}
}

func printPayments(w io.Writer, payments []control.Payment) {
	command.Row(w, "PAYMENT", "MERCHANT", "OPERATION", "STATUS", "CODE", "AMOUNT", "ACCOUNT", "REFERENCE", "BATCH", "RECEIVED")
	for _, p := range payments {
		command.Row(w, p.ID, p.Merchant, orDash(string(p.Operation)), p.Stage, orDash(string(p.Code)), amount(p), orDash(p.Masked), orDash(p.Reference), orDash(p.BatchID()), moment(p.Received))
	}
}

func amount(p control.Payment) string {
	if p.Currency == "" {
		return "-"
	}
	return envelope.FormatAmount(p.Amount, p.Currency)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// stageNames lists the stages, which the command line calls statuses.
func stageNames() string {
	names := make([]string, len(book.Stages))
	for i, stage := range book.Stages {
		names[i] = string(stage)
	}
	return strings.Join(names, ", ")
}
