// Command storefront is the reference storefront: it makes a shop's keys, seals and posts payments, and reads their results, with the
// Go SDK shared/storefront.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"nightdrop/shared/config"
	"nightdrop/shared/proof"
	"nightdrop/shared/proof/tiles"
	"nightdrop/shared/storefront"
	"nightdrop/shared/text"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs one command line and returns its exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	output := text.NewOutput(out)
	root := newRootCommand(output, errOut, in)
	root.SetArgs(args)
	err := output.Told(root.ExecuteContext(ctx))
	if err != nil {
		fmt.Fprintln(errOut, "storefront:", err)
	}
	return exitCode(err)
}

const exitHelp = `Exit codes: 0 done; 1 failed (also where what is kept here is damaged); 2 usage; 4 not allowed; 5 not found; 6 conflict; 7 integrity (a
signature, receipt, chain, log or copy of it that does not verify, or results that are missing); 8 unavailable (the outcome of a post is unknown, or nothing of it was sent, as the message says: run the same command again; or a
copy of the log that is too old or not whole; or the relay was not reached, and what is here is not enough).`

// errUsage marks what is wrong with the command line itself.
var errUsage = errors.New("usage")

// exitCode is the command line's exit code for err (specification 9).
func exitCode(err error) int {
	is := func(targets ...error) bool {
		return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
	}
	refused, wasRefused := errors.AsType[*storefront.Refused](err)
	_, unreached := errors.AsType[*url.Error](err)
	switch {
	case err == nil:
		return 0
	case is(errUsage, config.ErrInvalid):
		return 2
	case is(storefront.ErrUnverified, storefront.ErrChain, storefront.ErrMissing, storefront.ErrLog, storefront.ErrFormerKey, proof.ErrDamaged):
		return 7
	case is(context.DeadlineExceeded, context.Canceled, proof.ErrIncomplete, proof.ErrBehind, tiles.ErrServer, storefront.ErrUnreached), unreached:
		return 8
	case wasRefused:
		return refusedCode(refused)
	case is(fs.ErrPermission, storefront.ErrDisclosed):
		return 4
	case is(fs.ErrNotExist):
		return 5
	case is(fs.ErrExist):
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
		Example:       "  storefront post --vault @vault.vkey --relay https://relay.example --csv payments.csv",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%w: there is no such command (see %s --help)", errUsage, cmd.CommandPath())
			}
			return cmd.Help()
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetOut(out)
	root.SetErr(progress)
	root.SetIn(in)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: %w (see %s --help)", errUsage, err, cmd.CommandPath())
	})
	root.AddCommand(newKeygenCommand(), newSealCommand(), newPostCommand(), newResultsCommand())
	return root
}

// noArguments refuses positional arguments without quoting them: one may be a number that belongs into a file.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: %s takes no arguments, only flags (see %s --help)", errUsage, cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}
