package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

type paymentListOptions struct {
	query     control.PaymentQuery
	stage     string
	operation string
	batch     string
	all       bool
}

func newPaymentListCommand(g *global, c console) *cobra.Command {
	var opts paymentListOptions
	cmd := &cobra.Command{
		Use:   "list [--merchant ID] [--status STATUS] [--reference TEXT] ...",
		Short: "Find payments, newest first; of their accounts never more than the masked number",
		Long: "Find payments, newest first. Every flag narrows what is found; days are of UTC, and of the reception by the vault.\n" +
			"--merchant, --batch, --from and --to, and the statuses of payments without an outcome, are found by an index; all else is\n" +
			"searched for among what they leave, record by record. Ctrl-C ends a search.",
		Example: "  vault payment list --status manual\n  vault payment list --batch card-000017 --all --json\n" +
			"  vault payment list --reference 'order 10*' --from 2026-11-01 --to 2026-11-30\n  vault payment list --last-four 4242 --amount '19.99 USD'",
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			payments, more, err := runPaymentList(cmd.Context(), opts, client, c.errOut)
			if err != nil {
				return err
			}
			if more {
				fmt.Fprintln(c.errOut, seeMore(opts.query, payments))
			}
			return g.print(c.out, payments, func(w io.Writer) { printPayments(w, payments) })
		},
	}
	opts.flags(cmd)
	g.readingFlags(cmd)
	return cmd
}

func (o *paymentListOptions) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.query.Merchant, "merchant", "", "only this merchant's")
	flags.StringVar(&o.stage, "status", "", "only those of this status: "+stageNames())
	flags.StringVar(&o.stage, "stage", "", "the same")
	_ = flags.MarkHidden("stage") // what --status was called; it is defined two lines up
	flags.StringVar(&o.batch, "batch", "", "only those of this batch")
	flags.StringVar(&o.operation, "operation", "", "only this operation: sale, authorize, capture, void, refund, payout, store, update or forget")
	flags.StringVar(&o.query.Reference, "reference", "", "only those of this reference of the merchant; with * at its end, of those that begin so")
	flags.StringVar(&o.query.From, "from", "", "only those received on this UTC day (YYYY-MM-DD) or later")
	flags.StringVar(&o.query.To, "to", "", "only those received on this UTC day or earlier")
	flags.StringVar(&o.query.LastFour, "last-four", "", "only those whose account ends in these four digits")
	flags.StringVar(&o.query.Approval, "approval", "", "only those of this approval code")
	flags.StringVar(&o.query.RRN, "rrn", "", "only those of this retrieval reference number, as sent or as reversed")
	flags.StringVar(&o.query.Amount, "amount", "", "only those of this amount, as 1,019.99, 19.99 or \"19.99 USD\"")
	flags.BoolVar(&o.query.Oldest, "oldest-first", false, "oldest first")
	flags.Uint64Var(&o.query.Before, "before", 0, "only those before the payment of this number")
	flags.Uint64Var(&o.query.After, "after", 0, "only those after the payment of this number")
	flags.IntVar(&o.query.Limit, "limit", 100, fmt.Sprintf("at most so many, 1 to %d", control.MaxPage))
	flags.BoolVar(&o.all, "all", false, "every one, however many")
}

// thousands finds a comma between thousands, as listings write it.
var thousands = regexp.MustCompile(`,(\d{3})\b`)

// seeMore returns how the rest of a list is seen.
func seeMore(query control.PaymentQuery, payments []control.Payment) string {
	flag := "--before"
	if query.Oldest {
		flag = "--after"
	}
	return fmt.Sprintf("there may be more: take --all, a higher --limit, or %s %d for those that follow", flag, payments[len(payments)-1].Number)
}

// runPaymentList finds payments page by page; more reports whether there may be others.
func runPaymentList(ctx context.Context, opts paymentListOptions, client *control.Client, errOut io.Writer) (payments []control.Payment, more bool, err error) {
	query := opts.query
	query.Status, query.Operation = book.Stage(opts.stage), envelope.Operation(opts.operation)
	query.Amount = thousands.ReplaceAllString(query.Amount, "$1")
	if err := query.Check(); err != nil {
		return nil, false, fmt.Errorf("%w: %w", command.ErrUsage, err)
	}
	if opts.batch != "" {
		if query.Batch, err = parseBatch(opts.batch); err != nil {
			return nil, false, err
		}
	}
	wanted := query.Limit
	bar := command.NewBar(errOut, "searching")
	defer bar.Close()
	payments = []control.Payment{}
	for {
		if query.Limit = control.MaxPage; !opts.all {
			query.Limit = wanted - len(payments)
		}
		page, err := client.Payments(ctx, query)
		if err != nil {
			return nil, false, err
		}
		payments = append(payments, page.Payments...)
		if !page.More || !opts.all && len(payments) == wanted {
			return payments, page.More && len(payments) > 0, nil
		}
		reached(bar, page, query.Oldest)
		query = query.Next(page)
	}
}

// reached shows how far a search came.
func reached(bar *command.Bar, page control.PaymentPage, oldest bool) {
	done := page.Reached
	if !oldest {
		done = page.Newest + 1 - page.Reached
	}
	bar.Set(int64(done), int64(page.Newest))
}

func printPayments(w io.Writer, payments []control.Payment) {
	command.Row(w, "PAYMENT", "OPERATION", "STATUS", "CODE", "AMOUNT", "ACCOUNT", "REFERENCE", "BATCH", "RECEIVED")
	for _, p := range payments {
		command.Row(w, p.Name, orDash(string(p.Operation)), p.Status, orDash(string(p.Code)), amount(p), orDash(p.Masked), orDash(p.Reference), orDash(p.Batch), moment(p.Received))
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
