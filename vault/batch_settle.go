package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/settle"
)

func newBatchSettleCommand(g *global, c console) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "settle (BATCH | --all)",
		Short: "Settle closed batches: agree totals with the acquirer, then mark every payment settled",
		Long: `Settle one closed batch, or all of them. Payments of unknown outcome are waited for; then the acquirer's totals are compared with ours
in each currency, and when they agree every payment is marked settled and its merchant told. Totals that differ settle nothing
(exit code 7). Whatever interrupts it, run it again: it goes on where it stopped, and a second run changes nothing.`,
		Example: "  vault batch settle --all\n  vault batch settle card-000017",
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			number := settle.All
			if all == (len(args) == 1) {
				return fmt.Errorf("%w: give a batch or --all", errUsage)
			}
			if len(args) == 1 {
				var err error
				if number, err = parseBatch(args[0]); err != nil {
					return err
				}
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			progress, done := bar(c.errOut, "settling")
			settled, failure := client.Settle(cmd.Context(), number, progress)
			done()
			if failure != nil && len(settled.Batches) == 0 {
				return failure
			}
			return errors.Join(g.print(c.out, settled, func(w io.Writer) { printSettlement(w, settled) }), failure)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every closed batch")
	g.actingFlags(cmd)
	return cmd
}

func printSettlement(w io.Writer, s control.Settlement) {
	if len(s.Batches) == 0 {
		fmt.Fprintln(w, "no closed batch: nothing to settle")
		return
	}
	printBatches(w, s.Batches)
	fmt.Fprintf(w, "payments settled: %d\n", s.Payments)
}
