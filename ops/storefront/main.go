// Command storefront is the reference storefront: it makes a shop's keys, seals and posts payments, and reads their results, with the
// Go SDK shared/storefront.
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

	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := newRootCommand(os.Stdout, os.Stderr, os.Stdin).ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "storefront:", err)
	}
	stop()
	os.Exit(exitCode(err))
}

const exitHelp = `Exit codes: 0 done; 1 failed; 2 usage; 4 not allowed; 5 not found; 6 conflict; 7 integrity (a signature, receipt or chain
that does not verify); 8 unavailable (the outcome of a post is unknown: run the same command again).`

// errUsage marks what cobra and the flags complain of.
var errUsage = errors.New("usage")

func exitCode(err error) int {
	var refused *storefront.Refused
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		return 2
	case errors.Is(err, storefront.ErrUnverified), errors.Is(err, storefront.ErrChain), errors.Is(err, envelope.ErrRolledBack),
		errors.Is(err, envelope.ErrExpired):
		return 7
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, syscall.ECONNREFUSED):
		return 8
	case errors.As(err, &refused):
		return refusedCode(refused)
	case errors.Is(err, fs.ErrNotExist):
		return 5
	case errors.Is(err, fs.ErrExist):
		return 6
	}
	return 1
}

func refusedCode(r *storefront.Refused) int {
	switch {
	case r.Temporary():
		return 8
	case r.Status == 401, r.Status == 403:
		return 4
	case r.Status == 404:
		return 5
	}
	return 1
}

func newRootCommand(out, progress io.Writer, in io.Reader) *cobra.Command {
	root := &cobra.Command{
		Use:           "storefront",
		Short:         "Seal and post payments to a Nightdrop relay, and read their results",
		Long:          "Seal and post payments to a Nightdrop relay, and read their results.\n\n" + exitHelp,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(out)
	root.SetErr(progress)
	root.SetIn(in)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	root.AddCommand(newKeygenCommand(), newSealCommand(), newPostCommand(), newResultsCommand())
	return root
}

// exactArgs is cobra's check with our exit code.
func exactArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return fmt.Errorf("%w: %w (see %s --help)", errUsage, err, cmd.CommandPath())
		}
		return nil
	}
}
