package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/storefront"
)

type keygenOptions struct {
	merchant string
	out      string
}

func newKeygenCommand() *cobra.Command {
	var o keygenOptions
	cmd := &cobra.Command{
		Use:   "keygen --merchant ID --out FILE",
		Short: "Make a merchant's signing and reply keys",
		Long: "Make a merchant's signing and reply keys, in one file of mode 0600 that never leaves the shop's server, and print the two\n" +
			"lines that the vault's operator enrols.",
		Example: "  storefront keygen --merchant bookshop --out bookshop.key",
		Args:    command.NoArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runKeygen(o, cmd.OutOrStdout()) },
	}
	cmd.Flags().StringVar(&o.merchant, "merchant", "", "merchant id: 3 to 32 of a-z, 0-9 and - (required)")
	cmd.Flags().StringVar(&o.out, "out", "storefront.key", "new file for the keys; never overwritten")
	return cmd
}

func runKeygen(o keygenOptions, out io.Writer) error {
	identity, err := storefront.NewIdentity(o.merchant)
	if err != nil {
		return fmt.Errorf("%w: --merchant: %w", command.ErrUsage, err)
	}
	if err := identity.Save(o.out); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "verifier %s\nreply-key %s\n", identity.Verifier(), identity.ReplyLine())
	return err
}
