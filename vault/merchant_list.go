package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
)

func newMerchantListCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the merchants",
		Example: "  vault merchant list",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			merchants, err := client.Merchants(cmd.Context())
			if err != nil {
				return err
			}
			return g.print(c.out, merchants, func(w io.Writer) {
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
