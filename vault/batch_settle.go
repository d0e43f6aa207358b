package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/payment"
	"nightdrop/vault/internal/settle"
)

type batchSettleOptions struct {
	all    bool
	method payment.Method
}

func newBatchSettleCommand(g *global, c console) *cobra.Command {
	var opts batchSettleOptions
	cmd := &cobra.Command{
		Use:   "settle (BATCH | --all [--method card|bank])",
		Short: "Settle closed batches: agree totals with the acquirer, write the bank's file, then mark every payment settled",
		Long: `Settle one closed batch, or all of them. Of card batches the acquirer's totals are compared with ours in each currency, and when they
agree every payment is marked settled and its merchant told; totals that differ settle nothing (exit code 7). Bank batches that are settled
together go into one file, whose digest is in the log before it appears in the outbox. Whatever interrupts it, run it again: it goes on where it
stopped, and a second run changes nothing.`,
		Example: "  vault batch settle --all\n  vault batch settle --all --method bank\n  vault batch settle card-000017",
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.all == (len(args) == 1) || opts.method != "" && !opts.all {
				return fmt.Errorf("%w: give a batch, or --all and perhaps --method", errUsage)
			}
			if err := checkMethod(opts.method); err != nil {
				return err
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			progress, done := bar(c.errOut, "settling")
			settled, failure := runBatchSettle(cmd.Context(), client, args, opts, progress)
			done()
			if failure != nil && len(settled.Batches) == 0 {
				return failure
			}
			return errors.Join(g.print(c.out, settled, func(w io.Writer) { printSettlement(w, settled) }), failure)
		},
	}
	cmd.Flags().BoolVar(&opts.all, "all", false, "every closed batch")
	cmd.Flags().StringVar((*string)(&opts.method), "method", "", "only batches of this method: card or bank")
	g.actingFlags(cmd)
	return cmd
}

func runBatchSettle(ctx context.Context, client *control.Client, args []string, opts batchSettleOptions, progress settle.Progress) (control.Settlement, error) {
	number := settle.All
	if len(args) == 1 {
		b, err := findBatch(ctx, client, args[0])
		if err != nil {
			return control.Settlement{}, err
		}
		number = b.Number
	}
	return client.Settle(ctx, number, opts.method, progress)
}

func printSettlement(w io.Writer, s control.Settlement) {
	if len(s.Batches) == 0 {
		fmt.Fprintln(w, "no closed batch: nothing to settle")
		return
	}
	printBatches(w, s.Batches)
	fmt.Fprintf(w, "payments settled: %d\n", s.Payments)
	for _, f := range s.Files {
		printFile(w, &f)
	}
}
