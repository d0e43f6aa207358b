package main

import (
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/control"
)

func newDirectoryShowCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Show the newest signed directory",
		Example: "  vault directory show --json",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(g, c, func(client *control.Client) (control.Directory, error) {
				return client.Directory(cmd.Context())
			}, printDirectory)
		},
	}
	g.readingFlags(cmd)
	return cmd
}

func printDirectory(w io.Writer, d control.Directory) {
	command.Row(w, "vault", d.Directory.Vault)
	command.Row(w, "generation", d.Directory.Generation)
	command.Row(w, "serial", d.Directory.Serial)
	command.Row(w, "issued", moment(d.Directory.Issued))
	command.Row(w, "expires", moment(d.Directory.Expires))
	command.Row(w, "digest", d.Digest)
	for _, v := range d.Directory.Signers {
		command.Row(w, "signer", v)
	}
	for _, v := range d.Directory.Relays {
		command.Row(w, "relay", v)
	}
	for _, k := range d.Directory.Keys {
		command.Row(w, "key", k.Name, "from", moment(k.From), "until", moment(k.Until), "dies", moment(k.Dies))
	}
}
