// Program simulator is an acquirer host and a bank with books of their own, for tests,
// demonstrations and training.
package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"nightdrop/ops/simulator/book"
	"nightdrop/ops/simulator/host"
	"nightdrop/shared/command"
)

func main() {
	command.Main(func(ctx context.Context) int { return run(ctx, os.Args[1:], os.Stdout, os.Stderr) })
}

const help = `Simulator speaks ISO 8583 over TCP as an acquirer's host does. It approves everything, except by amount in minor units:
900000+NN answers code NN, 900100 never answers, 900101 answers after the asker has given up, 900102 closes the
connection after taking the request, 900300 approves half of a sale or an authorisation (code 10). A request that is answered 08, 10, 11, 16 or
85 is approved, as one answered 00. A capture or a reversal of 900094 is taken and not answered, and its repeat is answered 94 (duplicate
transmission). Security code 999 is declined with N7. As a bank it takes a vault's NACHA files from a directory and
returns entries of 900200+NN with code RNN on the next banking day; entries of 900400+NN bring a notice of change CNN.

Exit codes: 0 done; 1 failed; 2 usage; 5 a file is not there; 6 another simulator uses the book; 9 crashed, as --adversary decided.`

// run runs the command line and returns its exit code.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	return exitCode(command.Run(ctx, args, out, errOut, func(io.Writer) *cobra.Command {
		root := command.Root("simulator", "Acquirer host and bank with books of their own, for tests, demonstrations and training", help,
			newServeCommand(), newBookCommand(), newListingCommand(), newReturnsCommand(), newBankBookCommand(), newAuthorityCommand(),
			command.NewVersion("simulator"))
		root.Example = "  simulator serve --listen 127.0.0.1:8583 --book simulator.book"
		return root
	}))
}

func exitCode(err error) int {
	switch {
	case err == nil:
		return command.Done
	case errors.Is(err, command.ErrUsage):
		return command.Usage
	case errors.Is(err, fs.ErrNotExist):
		return command.NotFound
	case errors.Is(err, book.ErrLocked):
		return command.Conflict
	case errors.Is(err, host.ErrCrash):
		return 9
	}
	return command.Failed
}
