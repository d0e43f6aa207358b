// Command storefront is the reference storefront: it makes a shop's keys, seals and posts payments,
// and reads their results, with the Go SDK shared/storefront.
package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/config"
	"nightdrop/shared/proof"
	"nightdrop/shared/proof/tiles"
	"nightdrop/shared/storefront"
)

func main() {
	command.Main(func(ctx context.Context) int { return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr) })
}

// run runs one command line and returns its exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	return exitCode(command.Run(ctx, args, out, errOut, func(io.Writer) *cobra.Command {
		root := command.Root("storefront", "Seal and post payments to a Nightdrop relay, and read their results", exitHelp,
			newKeygenCommand(), newSealCommand(), newPostCommand(), newResultsCommand(), command.NewVersion("storefront"))
		root.Example = "  storefront post --vault @vault.vkey --relay https://relay.example --csv payments.csv"
		root.SetIn(in)
		return root
	}))
}

const exitHelp = `Exit codes: 0 done; 1 failed (also where what is kept here is damaged); 2 usage; 4 not allowed; 5 not found; 6 conflict; 7 integrity (a
signature, receipt, chain, log or copy of it that does not verify, or results that are missing); 8 unavailable (the outcome of a post is unknown, or nothing of it was sent, as the message says: run the same command again; or a
copy of the log that is too old or not whole; or the relay was not reached, and what is here is not enough).`

// exitCode is the command line's exit code for err (specification 9).
func exitCode(err error) int {
	refused, wasRefused := errors.AsType[*storefront.Refused](err)
	_, unreached := errors.AsType[*url.Error](err)
	switch {
	case err == nil:
		return command.Done
	case command.Is(err, command.ErrUsage, config.ErrInvalid):
		return command.Usage
	case command.Is(err, storefront.ErrUnverified, storefront.ErrChain, storefront.ErrMissing, storefront.ErrLog, storefront.ErrFormerKey, proof.ErrDamaged):
		return command.Integrity
	case command.Is(err, context.DeadlineExceeded, context.Canceled, proof.ErrIncomplete, proof.ErrBehind, tiles.ErrServer, storefront.ErrUnreached), unreached:
		return command.Unavailable
	case wasRefused:
		return refusedCode(refused)
	case command.Is(err, fs.ErrPermission, storefront.ErrDisclosed):
		return command.NotAllowed
	case command.Is(err, fs.ErrNotExist):
		return command.NotFound
	case command.Is(err, fs.ErrExist):
		return command.Conflict
	}
	return command.Failed
}

func refusedCode(r *storefront.Refused) int {
	switch {
	case r.Temporary():
		return command.Unavailable
	case r.Status == 401, r.Status == 403:
		return command.NotAllowed
	case r.Status == 404:
		return command.NotFound
	}
	return command.Failed
}
