package main

import (
	"io"

	"github.com/spf13/cobra"

	"nightdrop/vault/internal/control"
)

func newDirectoryShowCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Show the newest signed directory",
		Example: "  vault directory show --json",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			d, err := client.Directory(cmd.Context())
			if err != nil {
				return err
			}
			return g.print(c.out, d, func(w io.Writer) { printDirectory(w, d) })
		},
	}
	g.readingFlags(cmd)
	return cmd
}

func printDirectory(w io.Writer, d control.Directory) {
	row(w, "vault", d.Directory.Vault)
	row(w, "generation", d.Directory.Generation)
	row(w, "serial", d.Directory.Serial)
	row(w, "issued", moment(d.Directory.Issued))
	row(w, "expires", moment(d.Directory.Expires))
	row(w, "digest", d.Digest)
	for _, v := range d.Directory.Signers {
		row(w, "signer", v)
	}
	for _, v := range d.Directory.Relays {
		row(w, "relay", v)
	}
	for _, k := range d.Directory.Keys {
		row(w, "key", k.Name, "from", moment(k.From), "until", moment(k.Until), "dies", moment(k.Dies))
	}
}
