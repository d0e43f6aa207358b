package main

import (
	"errors"
	"fmt"

	"nightdrop/vault/internal/auditor"
	"nightdrop/vault/internal/calls"
	"nightdrop/vault/internal/control"
)

const exitHelp = `Exit codes: 0 done; 1 failed; 2 usage, configuration included; 3 the vault is locked; 4 not allowed (wrong, repeated or too
few shares); 5 not found; 6 conflict (it exists, is in use, or waits for something); 7 integrity (damage, tampering, totals
or books that differ, a file of the bank that is damaged); 8 unavailable (no daemon, channel or acquirer). Reading commands take --json.`

// errUsage marks what is wrong with the command line itself.
var errUsage = errors.New("usage")

// exitCode is the command line's exit code for err (specification 9).
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if code, ok := errors.AsType[codeError](err); ok {
		return int(code)
	}
	if errors.Is(err, errUsage) || errors.Is(err, auditor.ErrUsage) {
		return 2
	}
	switch calls.KindOf(err) {
	case control.CodeUsage:
		return 2
	case control.CodeLocked:
		return 3
	case control.CodeNotAllowed:
		return 4
	case control.CodeNotFound:
		return 5
	case control.CodeConflict:
		return 6
	case control.CodeIntegrity:
		return 7
	case control.CodeUnavailable:
		return 8
	case control.CodeFailed:
	}
	return 1
}

// codeError is an exit code that a command brings along.
type codeError int

// Error is said by the command itself.
func (c codeError) Error() string { return fmt.Sprintf("exit code %d", int(c)) }
