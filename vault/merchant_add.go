package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

// publicLines reads the keys that are given as @FILE; the flags' names begin with verb.
func publicLines(verb string, verifiers, replyKeys []string) error {
	for _, keys := range []struct {
		flag, label string
		lines       []string
	}{{"--" + verb + "verifier", "verifier", verifiers}, {"--" + verb + "reply-key", "reply-key", replyKeys}} {
		for n, given := range keys.lines {
			line, err := command.Line(given, keys.label)
			if err != nil {
				return fmt.Errorf("%w: %s: %w", command.ErrUsage, keys.flag, err)
			}
			keys.lines[n] = line
		}
	}
	return nil
}

// atRelays describes whether relays know of a merchant's change.
func atRelays(m control.Merchant) string {
	if m.Published {
		return "the relays' channel has it"
	}
	return "relays learn of it when the channel is reached: see channel in vault status"
}

type merchantAddOptions struct {
	control.NewMerchant
	company book.Company // none where it is empty
}

func newMerchantAddCommand(g *global, c console) *cobra.Command {
	var opts merchantAddOptions
	cmd := &cobra.Command{
		Use:   "add ID --name NAME --verifier VKEY --reply-key LINE --currency CODE,...",
		Short: "Enrol a merchant",
		Long: `Enrol a merchant. Its storefront's keys are the two public lines that its keygen printed: the verifier key that signs its
envelopes, and the reply key that its results are sealed to. Both may be repeated; the last reply key is the newest. A key may stand in a
file: @FILE, which may be what keygen printed as it is.`,
		Example: `  vault merchant add shop-1 --name "Corner shop" --verifier @shop-1.pub --reply-key @shop-1.pub --currency USD,EUR
  vault merchant add shop-1 --name "Corner shop" --verifier shop-1+8f2c61aa+AbC... --reply-key reply-0a1b2c3d-xwing+AbC... --currency USD,EUR`,
		Args: command.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.ID = args[0]
			if err := publicLines("", opts.Verifiers, opts.ReplyKeys); err != nil {
				return err
			}
			if opts.company != (book.Company{}) {
				opts.Company = &opts.company
			}
			return ask(g, c, func(client *control.Client) (control.Merchant, error) {
				return client.AddMerchant(cmd.Context(), opts.NewMerchant)
			}, func(w io.Writer, added control.Merchant) { fmt.Fprintf(w, "%s added; %s\n", added.ID, atRelays(added)) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Name, "name", "", "the business's name, 1 to 64 characters")
	flags.StringArrayVar(&opts.Verifiers, "verifier", nil, "verifier key of the storefront, whose name is the merchant's id, or @FILE with it")
	flags.StringArrayVar(&opts.ReplyKeys, "reply-key", nil, "reply key of the storefront, KEYNAME+BASE64, or @FILE with it")
	flags.StringSliceVar(&opts.Currencies, "currency", nil, "currencies that it sells in, ISO 4217")
	flags.StringVar(&opts.Acceptor, "acceptor", "", "card acceptor id that the acquirer gave, 1 to 15 of A-Z0-9 (default: the id in capitals)")
	flags.StringVar(&opts.company.ID, "company-id", "", "10 of 0-9A-Z that the bank assigned: names the merchant in bank files (default: no bank accounts)")
	flags.StringVar(&opts.company.Name, "company-name", "", "with --company-id: 1 to 16 characters that payers see on their statements")
	g.actingFlags(cmd)
	return cmd
}
