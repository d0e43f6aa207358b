package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"nightdrop/shared/config"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/audit"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/journal"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/outbox"
	"nightdrop/vault/internal/replay"
	"nightdrop/vault/internal/settle"
)

const exitHelp = `Exit codes: 0 done; 1 failed; 2 usage, configuration included; 3 the vault is locked; 4 not allowed (wrong, repeated or too
few shares); 5 not found; 6 conflict (it exists, is in use, or waits for something); 7 integrity (damage, tampering, totals
or books that differ, a file of the bank that is damaged); 8 unavailable (no daemon, channel or acquirer). Reading commands take --json.`

// errUsage marks what is wrong with the command line itself.
var errUsage = errors.New("usage")

// exitCode is the command line's exit code for err (INTERFACES 9).
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if code, ok := errors.AsType[codeError](err); ok {
		return int(code)
	}
	switch kindOf(err) {
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

// kinds says what kind of failure each sentinel error is; the first that matches counts, the worst come first.
var kinds = [...]struct {
	is   error
	kind control.Code
}{
	{errUsage, control.CodeUsage},
	{config.ErrInvalid, control.CodeUsage},
	{settle.ErrReason, control.CodeUsage},
	{settle.ErrReturn, control.CodeUsage},
	{keyring.ErrDamaged, control.CodeIntegrity},
	{ledger.ErrDamaged, control.CodeIntegrity},
	{ledger.ErrRolledBack, control.CodeIntegrity},
	{ledger.ErrUnknownOutcome, control.CodeFailed},
	{keyring.ErrUnknownOnDisk, control.CodeFailed},
	{keyring.ErrNewer, control.CodeConflict},
	{ledger.ErrMarkDamaged, control.CodeIntegrity},
	{ledger.ErrNewer, control.CodeConflict},
	{ledger.ErrFormat, control.CodeConflict},
	{ledger.ErrNoSpace, control.CodeConflict},
	{journal.ErrForeign, control.CodeIntegrity},
	{journal.ErrFenced, control.CodeIntegrity},
	{journal.ErrDamaged, control.CodeIntegrity},
	{audit.ErrOccupied, control.CodeConflict},
	{audit.ErrIntegrity, control.CodeIntegrity},
	{replay.ErrDiverged, control.CodeIntegrity},
	{replay.ErrState, control.CodeIntegrity},
	{replay.ErrStory, control.CodeIntegrity},
	{replay.ErrForm, control.CodeUsage},
	{replay.ErrOperation, control.CodeUsage},
	{replay.ErrNoKey, control.CodeNotAllowed},
	{replay.ErrNoState, control.CodeNotFound},
	{replay.ErrNoPayment, control.CodeNotFound},
	{note.ErrUnverified, control.CodeIntegrity},
	{settle.ErrTotalsDiffer, control.CodeIntegrity},
	{settle.ErrAnswerFile, control.CodeIntegrity},
	{settle.ErrFileThere, control.CodeIntegrity},
	{keyring.ErrWrongShare, control.CodeNotAllowed},
	{keyring.ErrSameShare, control.CodeNotAllowed},
	{keyring.ErrMode, control.CodeNotAllowed},
	{fs.ErrPermission, control.CodeNotAllowed},
	{keyring.ErrLocked, control.CodeLocked},
	{keyring.ErrExists, control.CodeConflict},
	{keyring.ErrInUse, control.CodeConflict},
	{ledger.ErrInUse, control.CodeConflict},
	{journal.ErrInUse, control.CodeConflict},
	{settle.ErrConflict, control.CodeConflict},
	{settle.ErrRefused, control.CodeConflict},
	{book.ErrTransition, control.CodeConflict},
	{fs.ErrExist, control.CodeConflict},
	{settle.ErrNotFound, control.CodeNotFound},
	{fs.ErrNotExist, control.CodeNotFound},
	{outbox.ErrNoResults, control.CodeNotFound},
	{outbox.ErrResendWaits, control.CodeUnavailable},
	{settle.ErrUnavailable, control.CodeUnavailable},
	{journal.ErrUnavailable, control.CodeUnavailable},
	{context.Canceled, control.CodeUnavailable},
	{context.DeadlineExceeded, control.CodeUnavailable},
}

// kindOf finds the kind of a failure.
func kindOf(err error) control.Code {
	if known, ok := errors.AsType[*control.Error](err); ok {
		return known.Code
	}
	if _, few := errors.AsType[keyring.ErrFewShares](err); few {
		return control.CodeNotAllowed
	}
	for _, k := range kinds {
		if errors.Is(err, k.is) {
			return k.kind
		}
	}
	return control.CodeFailed
}

// codeError is an exit code that a command brings along.
type codeError int

// Error is said by the command itself.
func (c codeError) Error() string { return fmt.Sprintf("exit code %d", int(c)) }
