package main

import (
	"errors"
	"fmt"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/auditor"
	"nightdrop/vault/internal/calls"
	"nightdrop/vault/internal/control"
)

const exitHelp = `Exit codes: 0 done; 1 failed; 2 usage, configuration included; 3 the vault is locked; 4 not allowed (wrong, repeated or too
few shares); 5 not found; 6 conflict (it exists, is in use, or waits for something); 7 integrity (damage, tampering, totals
or books that differ, a file of the bank that is damaged); 8 unavailable (no daemon, channel or acquirer). Reading commands take --json.`

// exitCode is the command line's exit code for err (specification 9).
func exitCode(err error) int {
	if err == nil {
		return command.Done
	}
	if code, ok := errors.AsType[codeError](err); ok {
		return int(code)
	}
	if command.Is(err, command.ErrUsage, auditor.ErrUsage) {
		return command.Usage
	}
	switch calls.KindOf(err) {
	case control.CodeUsage:
		return command.Usage
	case control.CodeLocked:
		return command.Locked
	case control.CodeNotAllowed:
		return command.NotAllowed
	case control.CodeNotFound:
		return command.NotFound
	case control.CodeConflict:
		return command.Conflict
	case control.CodeIntegrity:
		return command.Integrity
	case control.CodeUnavailable:
		return command.Unavailable
	case control.CodeFailed:
	}
	return command.Failed
}

// codeError is an exit code that a command brings along.
type codeError int

// Error is said by the command itself.
func (c codeError) Error() string { return fmt.Sprintf("exit code %d", int(c)) }
