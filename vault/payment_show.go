package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/payment"
)

func newPaymentShowCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show MERCHANT ID",
		Short:   "Show a payment; of its account never more than the masked number",
		Example: "  vault payment show shop-1 0190c8f2-7d1e-7b5a-9c3f-2a6d4e8b1c07",
		Args:    arguments(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			p, err := client.Payment(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			return g.print(c.out, p, func(w io.Writer) { printPayment(w, p) })
		},
	}
	g.readingFlags(cmd)
	return cmd
}

func printPayment(w io.Writer, p control.Payment) {
	row(w, "payment", p.ID)
	row(w, "merchant", p.Merchant)
	row(w, "digest", p.Digest)
	row(w, "stage", p.Stage)
	row(w, "code", orDash(string(p.Code)))
	row(w, "amount", amount(p))
	row(w, "reference", orDash(p.Reference))
	row(w, "account", strings.TrimSpace(orDash(p.Masked)+" "+p.Brand))
	row(w, "approval", orDash(p.Approval))
	row(w, "batch", batchName(p.Batch))
	row(w, "received", moment(p.Received))
	row(w, "changed", moment(p.Changed))
	printTrace(w, "sent as", p.Trace)
	printTrace(w, "reversed as", p.Reversal)
	if p.Tries > 0 {
		row(w, "reversals sent", p.Tries)
	}
	row(w, "results", fmt.Sprint(p.Results))
}

func printTrace(w io.Writer, name string, t *payment.Trace) {
	if t != nil {
		row(w, name, fmt.Sprintf("terminal %s, trace %06d, reference %s, %s", t.Terminal, t.STAN, t.RRN, moment(t.Sent)))
	}
}
