package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
)

func newDirectoryPublishCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "publish",
		Short:   "Sign and publish a directory now",
		Long:    "Sign and publish a directory now. The vault does so by itself when keys change and long before one expires.",
		Example: "  vault directory publish",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			d, err := client.PublishDirectory(cmd.Context())
			if err != nil {
				return err
			}
			return g.print(c.out, d, func(w io.Writer) {
				fmt.Fprintf(w, "directory %d issued, expires %s\n", d.Directory.Serial, moment(d.Directory.Expires))
			})
		},
	}
	g.actingFlags(cmd)
	return cmd
}
