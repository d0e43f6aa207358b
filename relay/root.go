package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/spf13/cobra"

	"nightdrop/relay/internal/bagger"
	"nightdrop/relay/internal/scan"
	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker"
	"nightdrop/shared/config"
	"nightdrop/shared/note"
	"nightdrop/shared/text"
)

const exitHelp = `Exit codes: 0 done; 1 failed; 2 usage, configuration included; 4 not allowed; 5 not found; 6 conflict (it exists or is in use);
7 integrity (account numbers in clear); 8 unavailable (the channel, or a relay that is not ready).`

var (
	// errUsage marks what is wrong with the command line itself.
	errUsage = errors.New("usage")
	// errInClear is returned by scan when it found account numbers.
	errInClear = errors.New("account numbers in clear: find out how they got there, remove them, and treat the cards as exposed")
)

// startAnew is what run returns when the process is to be replaced by a fresh one; nobody outside sees it.
const startAnew = -1

// exitCode is the command line's exit code for err (specification 9).
func exitCode(err error) int {
	is := func(targets ...error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
	switch {
	case err == nil:
		return 0
	case is(errWedged):
		return startAnew
	case is(errUsage, config.ErrInvalid, note.ErrKey, scan.ErrNumber):
		return 2
	case is(errInClear):
		return 7
	case is(fs.ErrPermission, scan.ErrNoMemory):
		return 4
	case is(fs.ErrNotExist):
		return 5
	case is(fs.ErrExist, bagger.ErrHeadLocked, broker.ErrLocked, syscall.EADDRINUSE):
		return 6
	case is(channel.ErrUnavailable, channel.ErrFull, errNotReady):
		return 8
	}
	return 1
}

// run runs one command line and returns its exit code.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	output := text.NewOutput(out)
	root := newRootCommand(output, errOut)
	root.SetArgs(args)
	err := output.Told(root.ExecuteContext(ctx))
	if err != nil {
		fmt.Fprintf(errOut, "relay: %v\n", err)
	}
	return exitCode(err)
}

func newRootCommand(out, errOut io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:           "relay",
		Short:         "The internet-facing relay of Nightdrop: takes sealed envelopes, opens none",
		Long:          "The internet-facing relay of Nightdrop: it takes sealed envelopes onto the one-way channel, and opens none.\n\n" + exitHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%w: relay has no command %q (see relay --help)", errUsage, args[0])
			}
			return cmd.Help()
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetOut(out)
	root.SetErr(errOut)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: %w (see %s --help)", errUsage, err, cmd.CommandPath())
	})
	root.AddCommand(newServeCommand(), newStatusCommand(), newCheckConfigCommand(), newKeygenCommand(), newScanCommand(), newVersionCommand())
	return root
}

// arguments is cobra's check with our exit code.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return fmt.Errorf("%w: %w (see %s --help)", errUsage, err, cmd.CommandPath())
		}
		return nil
	}
}
