package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/control"
)

func newMerchantUpdateCommand(g *global, c console) *cobra.Command {
	var change control.MerchantChange
	cmd := &cobra.Command{
		Use:   "update ID --reason TEXT",
		Short: "Change a merchant's keys, name, currencies or acceptor",
		Long: `Change what a merchant was enrolled with; its id, its payments and the chain of its results stay. Keys are the public lines that the
storefront's keygen printed, or @FILE with them.

Where a storefront's key was stolen, add the new keys and retire the stolen ones in one call: envelopes signed by a retired key are refused from the
next members note on (unknown-signer), whenever they were made, and what was taken before goes on. A retired key never comes back, and the last one
of its kind cannot be retired without another. Results are sealed to the newest reply key in use.

Where none was stolen, add the new keys first, and retire the old ones once the shop has posted what its outbox has and reads its results. Of what a
retired key signed and nobody took, the shop's own "storefront results --explain ID" says when it may be paid under a new id.

--currency names all that it sells in from now on. --acceptor changes only while no card batch is unsettled and no payment stands at the acquirer
under the old one (exit code 6 says which). To ask again changes nothing.`,
		Example: `  vault merchant update shop-1 --add-verifier @new.pub --retire-verifier @stolen.pub --add-reply-key @new.pub --retire-reply-key @stolen.pub --reason "key stolen, ticket 4711"
  vault merchant update shop-1 --currency USD,EUR,GBP --reason "contract 18"`,
		Args: command.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if g.reason == "" {
				return fmt.Errorf("%w: --reason is needed: who asked for it, and where it can be looked up", command.ErrUsage)
			}
			for _, flag := range []string{"name", "acceptor", "currency"} {
				if given := cmd.Flags().Lookup(flag); given.Changed && (given.Value.String() == "" || given.Value.String() == "[]") {
					return fmt.Errorf("%w: --%s is empty: leave it out where it stays as it is", command.ErrUsage, flag)
				}
			}
			if change.Empty() {
				return fmt.Errorf("%w: nothing to change is given: see vault merchant update --help", command.ErrUsage)
			}
			if err := errors.Join(publicLines("add-", change.AddVerifiers, change.AddReplyKeys), publicLines("retire-", change.RetireVerifiers, change.RetireReplyKeys)); err != nil {
				return err
			}
			return ask(g, c, func(client *control.Client) (control.Merchant, error) {
				return client.UpdateMerchant(cmd.Context(), args[0], change)
			}, func(w io.Writer, m control.Merchant) {
				if !m.Changed {
					fmt.Fprintf(w, "%s is so already: nothing changes; %s\n", m.ID, atRelays(m))
					return
				}
				fmt.Fprintf(w, "%s updated; %s\n", m.ID, atRelays(m))
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&change.Name, "name", "", "the business's name, 1 to 64 characters")
	flags.StringSliceVar(&change.Currencies, "currency", nil, "all currencies that it sells in from now on, ISO 4217; what was taken in others goes on")
	flags.StringVar(&change.Acceptor, "acceptor", "", "card acceptor id that the acquirer gave, 1 to 15 of A-Z0-9")
	flags.StringArrayVar(&change.AddVerifiers, "add-verifier", nil, "another verifier key of the storefront, or @FILE with it")
	flags.StringArrayVar(&change.RetireVerifiers, "retire-verifier", nil, "verifier key that counts no more and never comes back, or @FILE with it")
	flags.StringArrayVar(&change.AddReplyKeys, "add-reply-key", nil, "reply key that results are sealed to from now on, or @FILE with it")
	flags.StringArrayVar(&change.RetireReplyKeys, "retire-reply-key", nil, "reply key that nothing is sealed to any more, or @FILE with it")
	g.actingFlags(cmd)
	return cmd
}
