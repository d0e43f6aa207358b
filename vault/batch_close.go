package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newBatchCloseCommand(g *global, c console) *cobra.Command {
	var merchant string
	var all bool
	cmd := &cobra.Command{
		Use:   "close (--merchant ID | --all)",
		Short: "Close open batches: fix their content and control totals",
		Long: `Close the open batch of one merchant or of all. New payments join the next batch at once; the command waits for the answers in
flight and then fixes content and totals. A merchant without an open batch has nothing to close, which is no error.`,
		Example: "  vault batch close --all --reason \"end of day\"",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if all == (merchant != "") {
				return fmt.Errorf("%w: give --merchant ID or --all", errUsage)
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			progress, done := bar(c.errOut, "closing")
			closed, err := client.CloseBatches(cmd.Context(), merchant, progress)
			done()
			if err != nil {
				return err
			}
			return g.print(c.out, closed, func(w io.Writer) {
				if len(closed) == 0 {
					fmt.Fprintln(w, "no open batch: nothing to close")
					return
				}
				printBatches(w, closed)
			})
		},
	}
	cmd.Flags().StringVar(&merchant, "merchant", "", "this merchant's batch")
	cmd.Flags().BoolVar(&all, "all", false, "every merchant's batch")
	g.actingFlags(cmd)
	return cmd
}
