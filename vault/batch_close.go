package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/operator"
)

type batchCloseOptions struct {
	control.BatchQuery
	all bool // merchants
}

func newBatchCloseCommand(g *global, c console) *cobra.Command {
	var opts batchCloseOptions
	cmd := &cobra.Command{
		Use:   "close (--merchant ID | --all) [--method card|bank]",
		Short: "Close open batches: fix their content and control totals",
		Long: `Close the open batches of one merchant or of all. New payments join the next batch at once; the command waits for the answers in
flight and for unknown outcomes, and then fixes content and totals. A merchant without an open batch has nothing to close, which is no error.`,
		Example: "  vault batch close --all --reason \"end of day\"\n  vault batch close --merchant shop-1 --method bank",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.all == (opts.Merchant != "") {
				return fmt.Errorf("%w: give --merchant ID or --all", command.ErrUsage)
			}
			if err := checkMethod(opts.Method); err != nil {
				return err
			}
			return follow(g, c, "closing", func(client *control.Client, progress operator.Progress) ([]control.Batch, error) {
				return client.CloseBatches(cmd.Context(), opts.BatchQuery, progress)
			}, func(w io.Writer, closed []control.Batch) {
				if len(closed) == 0 {
					fmt.Fprintln(w, "no open batch: nothing to close")
					return
				}
				printBatches(w, closed)
			})
		},
	}
	batchFlags(cmd, &opts.BatchQuery)
	cmd.Flags().BoolVar(&opts.all, "all", false, "every merchant's batches")
	g.actingFlags(cmd)
	return cmd
}
