package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/control"
)

// resolutions are what a person may say became of a payment.
var resolutions = []envelope.Status{envelope.StatusReversed, envelope.StatusApproved, envelope.StatusVoided, envelope.StatusCaptured, envelope.StatusDeclined}

func newPaymentResolveCommand(g *global, c console) *cobra.Command {
	var r control.Resolution
	cmd := &cobra.Command{
		Use:   "resolve ID --as STATUS --reason TEXT [--merchant ID]",
		Short: "Say what became of a payment that the acquirer never answered for",
		Long: `Say what became of a payment whose reversal or capture is repeated without an answer (status unknown, voiding or capturing), or was for
hours in vain (manual): a person asks the acquirer and decides. "vault payment show" tells what it may be resolved as: a sale, authorisation
or refund reversed or approved, a voided payment voided or approved, a capture captured or declined. Nothing about the payment is sent any
more before the word is taken: a message that is under way is waited for, and where its answer comes in that moment, the answer counts
and the command fails (exit code 6). The merchant is told, and the reason stands in the log for ever. "vault payment resend" sends again.`,
		Example: "  vault payment resolve 0190c8f2-7d1e-7b5a-9c3f-2a6d4e8b1c07 --as reversed --reason \"acquirer, call 4711: never charged\"",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.ID = args[0]; !slices.Contains(resolutions, r.As) {
				return fmt.Errorf("%w: --as is one of %v", errUsage, resolutions)
			}
			if g.reason == "" {
				return fmt.Errorf("%w: --reason is needed: who said so, and where it can be looked up", errUsage)
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			p, err := client.Resolve(cmd.Context(), r)
			if err != nil {
				return err
			}
			return g.print(c.out, p, func(w io.Writer) { fmt.Fprintf(w, "%s of %s is %s\n", p.ID, p.Merchant, p.Stage) })
		},
	}
	cmd.Flags().StringVar((*string)(&r.As), "as", "", "what became of it: reversed, approved, voided, captured or declined")
	cmd.Flags().StringVar(&r.Merchant, "merchant", "", "its merchant, where two have a payment of that id")
	g.actingFlags(cmd)
	return cmd
}
