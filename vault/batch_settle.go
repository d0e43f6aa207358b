package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/operator"
)

type batchSettleOptions struct {
	all     bool
	method  book.Method
	listing string // file
	again   string // name of a settlement file
}

func newBatchSettleCommand(g *global, c console) *cobra.Command {
	var opts batchSettleOptions
	cmd := &cobra.Command{
		Use:   "settle (BATCH [--listing FILE] | --all [--method card|bank] | --again FILE)",
		Short: "Settle closed batches: agree totals with the acquirer, write the bank's file, then mark every payment settled",
		Long: `Settle one closed batch, or all of them. Of card batches the acquirer's totals are compared with ours in each currency, and when they
agree every payment is marked settled and its merchant told; totals that differ settle nothing (exit code 7). Bank batches that are settled
together go into one file, whose digest is in the log before it appears in the outbox. Whatever interrupts it, run it again: it goes on where it
stopped, and a second run changes nothing.

Where acquirer.reconciliation in vault.toml is "listing", a card batch settles by the acquirer's listing of it, given with --listing, if that
agrees; the log keeps the listing's SHA-256. Where it is "none", it settles by your word, and --reason says what that rests on.

--again puts a settlement file that was out into the outbox once more, byte for byte by the digest in the log: for an outbox that lost it. Ask the
bank first; --reason says who said that it has not got the file. It can be made for as long as its accounts are kept, a week (exit code 6 after that).`,
		Example: "  vault batch settle --all\n  vault batch settle --all --method bank\n  vault batch settle card-000017\n  vault batch settle card-000017 --listing acquirer.csv\n" +
			"  vault batch settle --again nightdrop-20261201-A.ach --reason \"outbox's disk replaced; bank, call 4711: not received\"",
		Args: command.Arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.again != "" {
				return runFileAgain(cmd.Context(), opts, args, g, c)
			}
			if opts.all == (len(args) == 1) || opts.method != "" && !opts.all || opts.listing != "" && opts.all {
				return fmt.Errorf("%w: give a batch and perhaps its --listing, or --all and perhaps --method", command.ErrUsage)
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
	cmd.Flags().StringVar(&opts.listing, "listing", "", "the acquirer's listing of the batch, CSV (see vault batch compare)")
	cmd.Flags().StringVar(&opts.again, "again", "", "name of a settlement file that was out and that the bank has not got")
	g.actingFlags(cmd)
	return cmd
}

func runFileAgain(ctx context.Context, opts batchSettleOptions, args []string, g *global, c console) error {
	if opts.all || len(args) > 0 || opts.method != "" || opts.listing != "" {
		return fmt.Errorf("%w: --again names a file, and goes with --reason alone", command.ErrUsage)
	}
	if g.reason == "" {
		return fmt.Errorf("%w: --reason is needed: who said that the bank has not got the file", command.ErrUsage)
	}
	return ask(g, c, func(client *control.Client) (control.File, error) {
		return client.FileAgain(ctx, opts.again)
	}, func(w io.Writer, f control.File) {
		fmt.Fprintf(w, "%s is in the outbox again, SHA-256 %s\n", f.Name, f.Digest)
	})
}

func runBatchSettle(ctx context.Context, client *control.Client, args []string, opts batchSettleOptions, progress operator.Progress) (control.Settlement, error) {
	number := book.AllBatches
	if len(args) == 1 {
		b, err := findBatch(ctx, client, args[0])
		if err != nil {
			return control.Settlement{}, err
		}
		number = b.Number
	}
	if opts.listing != "" {
		if err := agreeByListing(ctx, client, number, opts.listing); err != nil {
			return control.Settlement{}, err
		}
	}
	return client.Settle(ctx, number, opts.method, progress)
}

// agreeByListing gives the vault the acquirer's listing. A crash after it leaves a batch that is
// agreed, and settles without a listing.
func agreeByListing(ctx context.Context, client *control.Client, number uint32, path string) error {
	file, err := command.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = client.Agree(ctx, number, file)
	return err
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
