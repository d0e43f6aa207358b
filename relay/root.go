package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"syscall"

	"github.com/spf13/cobra"

	"nightdrop/relay/internal/bagger"
	"nightdrop/relay/internal/daemon"
	"nightdrop/relay/internal/scan"
	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker"
	"nightdrop/shared/command"
	"nightdrop/shared/config"
	"nightdrop/shared/note"
)

const exitHelp = `Exit codes: 0 done; 1 failed; 2 usage, configuration included; 4 not allowed; 5 not found; 6 conflict (it exists or is in use);
7 integrity (account numbers in clear); 8 unavailable (the channel, or a relay that is not ready).`

// errInClear is returned by scan when it found account numbers.
var errInClear = errors.New("account numbers in clear: find out how they got there, remove them, and treat the cards as exposed")

// startAnew is what run returns when the process is to be replaced by a fresh one; nobody outside
// sees it.
const startAnew = -1

// exitCode is the command line's exit code for err (specification 9).
func exitCode(err error) int {
	switch {
	case err == nil:
		return command.Done
	case command.Is(err, daemon.ErrWedged):
		return startAnew
	case command.Is(err, command.ErrUsage, config.ErrInvalid, note.ErrKey, scan.ErrNumber):
		return command.Usage
	case command.Is(err, errInClear):
		return command.Integrity
	case command.Is(err, fs.ErrPermission, scan.ErrNoMemory):
		return command.NotAllowed
	case command.Is(err, fs.ErrNotExist):
		return command.NotFound
	case command.Is(err, fs.ErrExist, bagger.ErrHeadLocked, broker.ErrLocked, syscall.EADDRINUSE):
		return command.Conflict
	case command.Is(err, channel.ErrUnavailable, channel.ErrFull, errNotReady):
		return command.Unavailable
	}
	return command.Failed
}

// run runs one command line and returns its exit code.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	return exitCode(command.Run(ctx, args, out, errOut, func(io.Writer) *cobra.Command { return newRootCommand() }))
}

func newRootCommand() *cobra.Command {
	return command.Root("relay", "The internet-facing relay of Nightdrop: takes sealed envelopes, opens none", exitHelp,
		newServeCommand(), newStatusCommand(), newCheckConfigCommand(), newKeygenCommand(), newScanCommand(), command.NewVersion("relay"))
}
