package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"
)

func newAuditExportCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Write the sealed log into a directory, for auditors",
		Long: `Write the sealed log into a directory on the vault's host, as C2SP tlog-tiles with a signed checkpoint. A directory that holds an earlier
export gets what is new. Entries stay sealed; what may be checked without their keys is checked by "vault audit verify".`,
		Example: "  vault audit export /media/auditor/log",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			progress, done := bar(c.errOut, "exporting")
			export, err := client.ExportLog(cmd.Context(), dir, progress)
			done()
			if err != nil {
				return err
			}
			return g.print(c.out, export, func(w io.Writer) {
				fmt.Fprintf(w, "%d entries in %s, root %s\n", export.Size, export.Dir, export.Root)
			})
		},
	}
	g.readingFlags(cmd)
	return cmd
}
