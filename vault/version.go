package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"
)

// version is the release of this source tree; it stands in the log at every unlock.
const version = "0.1.0"

func newVersionCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  vault version",
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			return g.print(c.out, map[string]string{"version": version, "go": runtime.Version()}, func(w io.Writer) {
				fmt.Fprintf(w, "vault %s (%s)\n", version, runtime.Version())
			})
		},
	}
	g.readingFlags(cmd)
	return cmd
}
