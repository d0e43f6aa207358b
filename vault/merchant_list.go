package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/control"
)

func newMerchantListCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the merchants",
		Example: "  vault merchant list",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(g, c, func(client *control.Client) ([]control.Merchant, error) {
				return client.Merchants(cmd.Context())
			}, func(w io.Writer, merchants []control.Merchant) {
				command.Row(w, "MERCHANT", "STATUS", "NAME", "CURRENCIES", "RESULTS", "ADDED")
				for _, m := range merchants {
					command.Row(w, m.ID, m.Status, m.Name, strings.Join(m.Currencies, ","), m.Results, moment(m.Added))
				}
			})
		},
	}
	g.readingFlags(cmd)
	return cmd
}
