package main

import (
	"os"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/ledger"
)

// inspectCommand is how the daemon has a child process look at a ledger that was not closed
// properly.
const inspectCommand = "inspect-ledger"

func newInspectCommand(c console) *cobra.Command {
	return &cobra.Command{
		Use:     inspectCommand + " FILE",
		Short:   "Look at the structure of a ledger's file; the daemon runs this in a process of its own",
		Hidden:  true,
		Example: "  vault " + inspectCommand + " ledger.db",
		Args:    command.Arguments(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			if code := ledger.InspectMain(args[0], c.out); code != 0 {
				return codeError(code)
			}
			return nil
		},
	}
}

// inspect is the daemon's ledger.Options.Check: a damaged file can exhaust the memory of the
// process that maps it.
func inspect(path string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	return ledger.InspectByCommand(program, inspectCommand)(path)
}
