package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/control"
)

func newPaymentResendCommand(g *global, c console) *cobra.Command {
	var r control.Resend
	cmd := &cobra.Command{
		Use:   "resend {MERCHANT/ID | --all [--merchant ID]} --reason TEXT",
		Short: "Send the reversal or capture of manual payments again",
		Long: `Send the reversal or capture of a payment whose status is manual again, or those of all such payments: it was repeated for hours in vain,
and the acquirer's host is back. It is sent at once, under its trace number, and repeated as if its first try were now; the payment is
unknown, voiding, capturing or correcting again until the host answers. The reason stands in the log for ever.`,
		Example: "  vault payment resend shop-1/0190c8f2-7d1e-7b5a-9c3f-2a6d4e8b1c07 --reason \"acquirer, call 4712: the host is up\"\n" +
			"  vault payment resend --all --reason \"acquirer, call 4712: the host is up\"",
		Args: command.Arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				name, err := paymentName(args[0])
				if err != nil {
					return err
				}
				if r.Merchant != "" {
					return fmt.Errorf("%w: --merchant goes with --all: a payment's name has its merchant", command.ErrUsage)
				}
				r.Merchant, r.ID = name.Merchant, name.ID
			}
			if r.All == (r.ID != "") {
				return fmt.Errorf("%w: name one payment, or take --all", command.ErrUsage)
			}
			if g.reason == "" {
				return fmt.Errorf("%w: --reason is needed: who said so, and where it can be looked up", command.ErrUsage)
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			done, err := client.Resend(cmd.Context(), r)
			if err != nil {
				return err
			}
			return g.print(c.out, done, func(w io.Writer) { fmt.Fprintf(w, "payments that are sent again: %d\n", done.Resent) })
		},
	}
	cmd.Flags().BoolVar(&r.All, "all", false, "every manual payment")
	cmd.Flags().StringVar(&r.Merchant, "merchant", "", "with --all: only this merchant's")
	g.actingFlags(cmd)
	return cmd
}
