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
	from     string
	out      string
}

func newKeygenCommand() *cobra.Command {
	var o keygenOptions
	cmd := &cobra.Command{
		Use:   "keygen --merchant ID --out FILE",
		Short: "Make a merchant's signing and reply keys",
		Long: "Make a merchant's signing and reply keys, in one file of mode 0600 that never leaves the shop's server, and print the two\n" +
			"lines that the vault's operator enrols.\n\n" +
			"--from FILE makes new keys for the merchant of an older file, and keeps its reply keys, so that results sealed to them still open. The\n" +
			"vault's operator adds the two lines and retires the old ones (vault merchant update). The older file stays as it is.",
		Example: "  storefront keygen --merchant bookshop --out bookshop.key\n" +
			"  storefront keygen --from bookshop.key --out bookshop-2.key",
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return runKeygen(o, cmd.OutOrStdout()) },
	}
	cmd.Flags().StringVar(&o.merchant, "merchant", "", "merchant id: 3 to 32 of a-z, 0-9 and - (required without --from)")
	cmd.Flags().StringVar(&o.from, "from", "", "older file of the same merchant, whose reply keys are kept")
	cmd.Flags().StringVar(&o.out, "out", "storefront.key", "new file for the keys; never overwritten")
	return cmd
}

func runKeygen(o keygenOptions, out io.Writer) error {
	identity, err := o.identity()
	if err != nil {
		return err
	}
	if err := identity.Save(o.out); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "verifier %s\nreply-key %s\n", identity.Verifier(), identity.ReplyLine())
	return err
}

// identity makes the keys, of a new merchant or of that in an older file.
func (o keygenOptions) identity() (*storefront.Identity, error) {
	if o.from == "" {
		identity, err := storefront.NewIdentity(o.merchant)
		if err != nil {
			return nil, fmt.Errorf("%w: --merchant: %w", command.ErrUsage, err)
		}
		return identity, nil
	}
	older, err := storefront.LoadIdentity(o.from)
	if err != nil {
		return nil, err
	}
	if o.merchant != "" && o.merchant != older.Merchant() {
		return nil, fmt.Errorf("%w: --from is of merchant %s, not %s", command.ErrUsage, older.Merchant(), o.merchant)
	}
	return older.Renew()
}
