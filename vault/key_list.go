package main

import (
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
)

func newKeyListCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the sealing keys that live, and when each dies",
		Example: "  vault key list",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			keys, err := client.Keys(cmd.Context())
			if err != nil {
				return err
			}
			return g.print(c.out, keys, func(w io.Writer) {
				command.Row(w, "KEY", "STATE", "FROM", "UNTIL", "DIES")
				for _, k := range keys {
					command.Row(w, k.Name, k.State, moment(k.From), moment(k.Until), moment(k.Dies))
				}
			})
		},
	}
	g.readingFlags(cmd)
	return cmd
}
