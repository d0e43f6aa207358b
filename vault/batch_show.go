package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/payment"
)

func newBatchShowCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show BATCH",
		Short:   "Show a batch and its control totals",
		Example: "  vault batch show card-000017",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := parseBatch(args[0])
			if err != nil {
				return err
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			b, err := client.Batch(cmd.Context(), number)
			if err != nil {
				return err
			}
			return g.print(c.out, b, func(w io.Writer) { printBatch(w, b) })
		},
	}
	g.readingFlags(cmd)
	return cmd
}

// parseBatch takes a batch's name (card-000017) or number (17).
func parseBatch(text string) (uint32, error) {
	digits := strings.TrimPrefix(text, string(payment.MethodCard)+"-")
	number, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || number == 0 {
		return 0, fmt.Errorf("%w: %q is not a batch; give its name (%s) or number", errUsage, text, payment.BatchID(payment.MethodCard, 17))
	}
	return uint32(number), nil
}

func printBatch(w io.Writer, b control.Batch) {
	row(w, "batch", b.ID)
	row(w, "merchant", b.Merchant)
	row(w, "stage", b.Stage)
	row(w, "opened", moment(b.Opened))
	if b.Closed != nil {
		row(w, "closed", moment(*b.Closed))
	}
	if b.SettledAt != nil {
		row(w, "settled", moment(*b.SettledAt))
	}
	row(w, "totals", money(b.Totals))
	if len(b.Host) > 0 {
		row(w, "acquirer has", money(b.Host))
	}
	row(w, "payments settled", b.Done)
	row(w, "in flight", b.Outstanding)
	row(w, "unknown", b.Unresolved)
}
