package main

import (
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/control"
)

func newKeyListCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the sealing keys that live, and when each dies",
		Example: "  vault key list",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(g, c, func(client *control.Client) ([]control.Key, error) {
				return client.Keys(cmd.Context())
			}, func(w io.Writer, keys []control.Key) {
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
