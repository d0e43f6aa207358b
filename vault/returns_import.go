package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/control"
)

func newReturnsImportCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Take files of the bank: returns, notices of change, acknowledgements",
		Long: `Take files that the bank sent: returned entries, notices of change, acknowledgements. What answers our entries is taken; what does not (entries
of another system, new entries, contested returns, another reason or amount) is listed, stands in the log, and gives exit code 1: clear it with the
bank. A file whose control records do not add up is refused whole (exit code 7), one of another bank or for somebody else too (exit code 1). A file that
was taken before changes nothing, unless something of it could not be taken then and can be now; what is still left of it is listed again, with
exit code 0. No file is altered or deleted: keep it, the log has its SHA-256 as evidence. A refused file does not stop those after it.

What the bank reports otherwise than in a file is recorded by "vault payment resolve --as returned".`,
		Example: "  vault returns import /media/bank/returns-20261123.ach\n  vault returns import --json /media/bank/*.ach",
		Args:    command.Arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			taken := []control.Import{}
			var failures []error
			progress, done := bar(c.errOut, "importing")
			for i, path := range args {
				progress(i, len(args))
				one, err := runReturnsImport(cmd.Context(), client, path)
				if err != nil {
					failures = append(failures, fmt.Errorf("%s: %w", path, err))
					continue
				}
				taken = append(taken, one)
				if one.LeftCount > 0 && !one.Already {
					failures = append(failures, fmt.Errorf("%s: %d of its entries are not applied, as listed; clear them with the bank, and keep the file", path, one.LeftCount))
				}
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
	file, err := command.Open(path)
	if err != nil {
		return control.Import{}, err
	}
	defer file.Close()
	return client.ImportReturns(ctx, filepath.Base(path), file)
}

func printImports(w io.Writer, taken []control.Import) {
	command.Row(w, "FILE", "RETURNS", "CHANGES", "ACKNOWLEDGED", "REPEATED", "LEFT", "DIGEST", "")
	for _, t := range taken {
		already := ""
		if t.Already {
			already = "already taken"
		}
		command.Row(w, t.Name, t.Returns, t.Changes, t.Acknowledgements, t.Repeats, t.LeftCount, t.Digest, already)
	}
	printLeft(w, taken)
}

// printLeft lists what was not applied.
func printLeft(w io.Writer, taken []control.Import) {
	if !slices.ContainsFunc(taken, func(t control.Import) bool { return t.LeftCount > 0 }) {
		return
	}
	fmt.Fprintln(w)
	command.Row(w, "LEFT IN", "RECORD", "TRACE", "CODE", "WHY")
	for _, t := range taken {
		for _, l := range t.Left {
			command.Row(w, t.Name, l.Record, orDash(l.Trace), orDash(l.Code), l.Problem)
		}
		if more := t.LeftCount - len(t.Left); more > 0 {
			command.Row(w, t.Name, "", "", "", fmt.Sprintf("and %d more", more))
		}
	}
}
