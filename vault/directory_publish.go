package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/control"
)

func newDirectoryPublishCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "publish",
		Short:   "Sign and publish a directory now",
		Long:    "Sign and publish a directory now. The vault does so by itself when keys change and long before one expires.",
		Example: "  vault directory publish",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(g, c, func(client *control.Client) (control.Directory, error) {
				return client.PublishDirectory(cmd.Context())
			}, func(w io.Writer, d control.Directory) {
				fmt.Fprintf(w, "directory %d issued, expires %s\n", d.Directory.Serial, moment(d.Directory.Expires))
			})
		},
	}
	g.actingFlags(cmd)
	return cmd
}
