// Program simulator is an acquirer host and a bank with books of their own, for tests, demonstrations and training.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"nightdrop/ops/simulator/book"
	"nightdrop/ops/simulator/host"
	"nightdrop/shared/text"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs the command line and returns its exit code.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	root := &cobra.Command{
		Use:   "simulator",
		Short: "Acquirer host and bank with books of their own, for tests, demonstrations and training",
		Long: `Simulator speaks ISO 8583 over TCP as an acquirer's host does. It approves everything, except by amount in minor units:
900000+NN answers code NN, 900100 never answers, 900101 answers after the asker has given up, 900102 closes the
connection after taking the request, 900300 approves half of a sale or an authorisation (code 10). A request that is answered 08, 10, 11, 16 or
85 is approved, as one answered 00. A capture or a reversal of 900094 is taken and not answered, and its repeat is answered 94 (duplicate
transmission). Security code 999 is declined with N7. As a bank it takes a vault's NACHA files from a directory and
returns entries of 900200+NN with code RNN on the next banking day; entries of 900400+NN bring a notice of change CNN.

Exit codes: 0 done; 1 failed; 2 usage; 5 a file is not there; 6 another simulator uses the book; 9 crashed, as --adversary decided.`,
		Example:       "  simulator serve --listen 127.0.0.1:8583 --book simulator.book",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("there is no command %q; see --help", args[0])}
			}
			return cmd.Help()
		},
	}
	root.SetArgs(args)
	output := text.NewOutput(out)
	root.SetOut(output)
	root.SetErr(errOut)
	root.AddCommand(newServeCommand(), newBookCommand(), newListingCommand(), newReturnsCommand(), newBankBookCommand(), newAuthorityCommand())
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	err := output.Told(root.ExecuteContext(ctx))
	if err != nil {
		_, _ = fmt.Fprintf(errOut, "simulator: %v\n", err)
	}
	return exitCode(err)
}

// usageError is returned when the command line itself is wrong.
type usageError struct{ error }

func exitCode(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		return 2
	case errors.Is(err, fs.ErrNotExist):
		return 5
	case errors.Is(err, book.ErrLocked):
		return 6
	case errors.Is(err, host.ErrCrash):
		return 9
	}
	return 1
}

// noArguments refuses positional arguments as a mistake of usage.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no arguments; see --help", cmd.CommandPath())}
	}
	return nil
}
