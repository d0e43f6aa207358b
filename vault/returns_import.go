package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"nightdrop/vault/internal/control"
)

func newReturnsImportCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Take files of the bank: returns, notices of change, acknowledgements",
		Long: `Take files that the bank sent: returned entries, notices of change, acknowledgements. Each file is taken whole or refused whole (exit code 7),
a file that was taken before changes nothing, and no file is altered or deleted. A refused file does not stop those after it.`,
		Example: "  vault returns import /media/bank/returns-20261123.ach",
		Args:    arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			taken := []control.Import{}
			var failures []error
			progress, done := bar(c.errOut, "importing")
			for i, path := range args {
				if progress != nil {
					progress(i, len(args))
				}
				one, err := runReturnsImport(cmd.Context(), client, path)
				if err != nil {
					failures = append(failures, fmt.Errorf("%s: %w", path, err))
					continue
				}
				taken = append(taken, one)
			}
			done()
			if len(taken) == 0 {
				return errors.Join(failures...)
			}
			return errors.Join(append([]error{g.print(c.out, taken, func(w io.Writer) { printImports(w, taken) })}, failures...)...)
		},
	}
	g.actingFlags(cmd)
	return cmd
}

func runReturnsImport(ctx context.Context, client *control.Client, path string) (control.Import, error) {
	file, err := openGiven(path)
	if err != nil {
		return control.Import{}, err
	}
	defer file.Close()
	return client.ImportReturns(ctx, filepath.Base(path), file)
}

func printImports(w io.Writer, taken []control.Import) {
	row(w, "FILE", "RETURNS", "CHANGES", "ACKNOWLEDGED", "REPEATED", "DIGEST", "")
	for _, t := range taken {
		already := ""
		if t.Already {
			already = "already taken"
		}
		row(w, t.Name, t.Returns, t.Changes, t.Acknowledgements, t.Repeats, t.Digest, already)
	}
}
