package main

import (
	"io"

	"github.com/spf13/cobra"

	"nightdrop/vault/internal/control"
)

func newBatchListCommand(g *global, c console) *cobra.Command {
	var merchant string
	cmd := &cobra.Command{
		Use:     "list [--merchant ID]",
		Short:   "List the batches with their control totals",
		Example: "  vault batch list --merchant shop-1",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			batches, err := client.Batches(cmd.Context(), merchant)
			if err != nil {
				return err
			}
			return g.print(c.out, batches, func(w io.Writer) { printBatches(w, batches) })
		},
	}
	cmd.Flags().StringVar(&merchant, "merchant", "", "only this merchant's")
	g.readingFlags(cmd)
	return cmd
}

func printBatches(w io.Writer, batches []control.Batch) {
	row(w, "BATCH", "MERCHANT", "STAGE", "OPENED", "TOTALS", "IN FLIGHT", "UNKNOWN")
	for _, b := range batches {
		row(w, b.ID, b.Merchant, b.Stage, moment(b.Opened), money(b.Totals), b.Outstanding, b.Unresolved)
	}
}
