package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

func newBatchListCommand(g *global, c console) *cobra.Command {
	var q control.BatchQuery
	cmd := &cobra.Command{
		Use:     "list [--merchant ID] [--method card|bank]",
		Short:   "List the batches with their control totals",
		Example: "  vault batch list --merchant shop-1 --method bank",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkMethod(q.Method); err != nil {
				return err
			}
			return ask(g, c, func(client *control.Client) ([]control.Batch, error) {
				return client.Batches(cmd.Context(), q)
			}, printBatches)
		},
	}
	batchFlags(cmd, &q)
	g.readingFlags(cmd)
	return cmd
}

// batchFlags give a command what selects batches.
func batchFlags(cmd *cobra.Command, q *control.BatchQuery) {
	cmd.Flags().StringVar(&q.Merchant, "merchant", "", "only this merchant's")
	cmd.Flags().StringVar((*string)(&q.Method), "method", "", "only batches of this method: card or bank")
}

func checkMethod(m book.Method) error {
	if m != "" && m != book.MethodCard && m != book.MethodBank {
		return fmt.Errorf("%w: --method is card or bank", command.ErrUsage)
	}
	return nil
}

func printBatches(w io.Writer, batches []control.Batch) {
	command.Row(w, "BATCH", "MERCHANT", "STATUS", "OPENED", "TOTALS", "IN FLIGHT", "UNKNOWN", "FILE")
	for _, b := range batches {
		file := ""
		if b.File != nil {
			file = b.File.Name
		}
		command.Row(w, b.ID, b.Merchant, b.Status, moment(b.Opened), money(b.Totals), b.Outstanding, b.Unresolved, file)
	}
}

// money writes control totals: what is taken, then what is given.
func money(totals []book.Total) string {
	var parts []string
	for _, t := range totals {
		if t.Count != 0 || t.Credits == 0 {
			parts = append(parts, envelope.FormatSum(t.Count, t.Amount, t.Currency))
		}
		if t.Credits != 0 {
			parts = append(parts, "-"+envelope.FormatSum(t.Credits, t.CreditAmount, t.Currency))
		}
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}
