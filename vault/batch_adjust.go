package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

type batchAdjustOptions struct {
	currency string
	count    int64
	amount   int64 // minor units
	refunds  bool
	payment  string // MERCHANT/ID, or ""
	evidence string // file
}

func newBatchAdjustCommand(g *global, c console) *cobra.Command {
	var opts batchAdjustOptions
	cmd := &cobra.Command{
		Use:   "adjust BATCH --currency CODE --count N --amount MINOR [--refunds] [--payment MERCHANT/ID] [--evidence FILE] --reason TEXT",
		Short: "Take a difference that the acquirer explained into a closed card batch, so that it can settle",
		Long: `Take a named difference into a closed card batch whose totals are not the acquirer's: how many payments, and how many minor units, the
acquirer has more than we have; negative where it has less. The batch's own totals stay as they are for ever; the difference is a line beside
them, with who took it in and why, in the log, in "vault batch show" and in its report. Then "vault batch settle" settles the batch if what
the acquirer has is what is now expected. A person's wrong word about a payment is better corrected: "vault payment resolve --correct".`,
		Example: "  vault batch adjust card-000017 --currency EUR --count 1 --amount 1250 --reason \"booked there twice, credited on 3 December, case 4711\"\n" +
			"  vault batch adjust card-000017 --currency EUR --count -1 --amount -500 --refunds --reason \"the refund goes into their next batch\"",
		Args: command.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.currency == "" || opts.count == 0 && opts.amount == 0 {
				return fmt.Errorf("%w: --currency, and --count or --amount or both, are needed: what the acquirer has more, negative where it has less", command.ErrUsage)
			}
			if g.reason == "" {
				return fmt.Errorf("%w: --reason is needed: who explained it, and where it can be looked up", command.ErrUsage)
			}
			return ask(g, c, func(client *control.Client) (control.Batch, error) {
				return runBatchAdjust(cmd.Context(), client, args[0], opts)
			}, printBatch)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.currency, "currency", "", "currency of the difference, ISO 4217 letters")
	flags.Int64Var(&opts.count, "count", 0, "how many payments the acquirer has more; negative: less")
	flags.Int64Var(&opts.amount, "amount", 0, "how much they come to, in minor units; negative: less")
	flags.BoolVar(&opts.refunds, "refunds", false, "it is about refunds, not about sales and captures")
	flags.StringVar(&opts.payment, "payment", "", "MERCHANT/ID of the payment that it is about, where it is one of ours")
	evidenceFlag(cmd, &opts.evidence)
	g.actingFlags(cmd)
	return cmd
}

func runBatchAdjust(ctx context.Context, client *control.Client, batch string, opts batchAdjustOptions) (control.Batch, error) {
	digest, err := digestOf(opts.evidence)
	if err != nil {
		return control.Batch{}, err
	}
	b, err := findBatch(ctx, client, batch)
	if err != nil {
		return b, err
	}
	a := control.Adjustment{Total: book.Total{Currency: opts.currency, Count: opts.count, Amount: opts.amount}, Evidence: digest}
	if opts.payment != "" {
		name, err := paymentName(opts.payment)
		if err != nil {
			return b, err
		}
		if name.Merchant != b.Merchant {
			return b, fmt.Errorf("%w: %s is of %s, and the payment of another merchant", command.ErrUsage, b.ID, b.Merchant)
		}
		a.Payment = name.ID
	}
	if opts.refunds {
		a.Total = book.Total{Currency: opts.currency, Credits: opts.count, CreditAmount: opts.amount}
	}
	return client.Adjust(ctx, b.Number, a)
}
